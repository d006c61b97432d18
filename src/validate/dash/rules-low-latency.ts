import { type DocumentRule, when } from './document-rule.ts';
import type { AdaptationSet, Mpd, Representation, ServiceDescription } from './mpd-model.ts';
import {
  hasLowLatency,
  isLowLatency,
  nominalSegmentSeconds,
  placedRepresentations,
  placedSets,
} from './mpd-query.ts';

/** Schemes that a browser can ask (DASH-IF low latency, UTCTiming). */
const HTTP_CLOCKS = ['http-xsdate', 'http-iso', 'http-ntp'].map((name) => `urn:mpeg:dash:utc:${name}:2014`);

/** Rules about presentations whose segments are offered while they are made. */
export const LOW_LATENCY_RULES: readonly DocumentRule[] = [
  forLowLatency('dash-ll-offset-missing', 'DASH-IF IOP low latency 9.X.4.5', 'error', ({ addressing }) =>
    when(
      addressing?.availabilityTimeComplete === false && !(addressing.availabilityTimeOffset > 0),
      'availabilityTimeComplete="false" without an availabilityTimeOffset above 0',
    ),
  ),
  forLowLatency(
    'dash-ll-offset-too-large',
    'DASH-IF IOP low latency 9.X.4.5; ISO/IEC 23009-1 5.3.9.5.3',
    'error',
    ({ addressing }) => {
      const offset = addressing?.availabilityTimeOffset ?? 0;
      const seconds = addressing && nominalSegmentSeconds(addressing);
      return when(
        seconds !== undefined && offset >= seconds,
        `availabilityTimeOffset ${offset} s is not below the segment duration of ${seconds} s: asked for before its first byte`,
      );
    },
  ),
  forLowLatency(
    'dash-ll-complete-missing',
    'DASH-IF IOP low latency 9.X.4.5; ISO/IEC 23009-1 5.3.9.5.3',
    'warning',
    ({ addressing }) =>
      when(
        addressing?.availabilityTimeComplete === true,
        'an availabilityTimeOffset without availabilityTimeComplete="false": dash.js waits for whole segments',
      ),
  ),
  {
    rule: 'dash-ll-set-without-offset',
    severity: 'warning',
    clause: 'DASH-IF IOP low latency 9.X.4.5',
    find: (mpd) =>
      (hasLowLatency(mpd) ? placedSets(mpd) : [])
        .filter(({ set }) => !hasLowLatencySegments(mpd, set) && set.representations.length > 0)
        .map(({ place }) => `${place} has no availabilityTimeOffset: Shaka leaves low latency for all sets`),
  },
  {
    rule: 'dash-ll-clock',
    severity: 'warning',
    clause: 'DASH-IF IOP low latency 9.X.4.2',
    find: (mpd) =>
      when(
        hasLowLatency(mpd) && !mpd.utcTimings.some(({ scheme }) => HTTP_CLOCKS.includes(scheme)),
        'no UTCTiming of http-iso, http-xsdate or http-ntp: players cannot place the live edge to a chunk',
      ),
  },
  {
    rule: 'dash-ll-service-description',
    severity: 'warning',
    clause: 'DASH-IF IOP low latency 9.X.4.2; ISO/IEC 23009-1 Annex K',
    find: (mpd) =>
      when(
        hasLowLatency(mpd) && !mpd.serviceDescriptions.some(({ latency }) => latency?.targetMs !== undefined),
        'no ServiceDescription with a Latency@target',
      ),
  },
  {
    rule: 'dash-ll-reference-time',
    severity: 'warning',
    clause: 'DASH-IF IOP low latency 9.X.4.3',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(
          ({ set, representation }) =>
            isLowLatency(mpd, representation) &&
            set.references.length === 0 &&
            representation.references.length === 0,
        )
        .map(({ representation: { place } }) => `${place} has no ProducerReferenceTime`),
  },
  {
    rule: 'dash-latency-values',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 Annex K',
    find: ({ serviceDescriptions }) => serviceDescriptions.flatMap(badLatency),
  },
  {
    rule: 'dash-latency-reference',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 Annex K',
    find: (mpd) => {
      const known = new Set(referenceIds(mpd));
      return mpd.serviceDescriptions
        .map(({ latency }) => latency?.referenceId)
        .filter((id) => id !== undefined && !known.has(id))
        .map((id) => `Latency@referenceId ${id} is the id of no ProducerReferenceTime`);
    },
  },
  {
    rule: 'dash-latency-unreachable',
    severity: 'warning',
    clause: 'DASH-IF IOP low latency 9.X.4.5',
    find: (mpd) => {
      const targetMs = mpd.serviceDescriptions.find(({ latency }) => latency?.targetMs)?.latency?.targetMs;
      if (targetMs === undefined) return [];
      return placedRepresentations(mpd).flatMap(({ representation }) => {
        const { addressing, place } = representation;
        const seconds = addressing && nominalSegmentSeconds(addressing);
        if (!seconds || !isLowLatency(mpd, representation)) return [];
        const earliestMs = (seconds - addressing.availabilityTimeOffset) * 1000;
        return when(
          earliestMs >= targetMs,
          `${place}: a segment may be asked for ${earliestMs.toFixed(0)} ms after it began, the latency target is ${targetMs} ms`,
        );
      });
    },
  },
  {
    rule: 'dash-playback-rate',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 Annex K',
    find: ({ serviceDescriptions }) =>
      serviceDescriptions.flatMap(({ playbackRate }) => {
        const { min, max } = playbackRate ?? {};
        return [
          ...when(
            min !== undefined && (min <= 0 || min > 1),
            `PlaybackRate@min is ${min}, must be above 0 and at most 1`,
          ),
          ...when(max !== undefined && max < 1, `PlaybackRate@max is ${max}, must be at least 1`),
        ];
      }),
  },
];

/** A rule about every Representation offered with low latency. */
function forLowLatency(
  rule: string,
  clause: string,
  severity: DocumentRule['severity'],
  find: (representation: Representation) => readonly string[],
): DocumentRule {
  return {
    rule,
    severity,
    clause,
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(({ representation }) => isLowLatency(mpd, representation))
        .flatMap(({ representation }) =>
          find(representation).map((what) => `${representation.place}: ${what}`),
        ),
  };
}

function hasLowLatencySegments(mpd: Mpd, set: AdaptationSet): boolean {
  return set.representations.some((representation) => isLowLatency(mpd, representation));
}

function referenceIds(mpd: Mpd): string[] {
  return placedSets(mpd).flatMap(({ set }) =>
    [...set.references, ...set.representations.flatMap(({ references }) => references)].flatMap(
      ({ id }) => id ?? [],
    ),
  );
}

function badLatency({ latency }: ServiceDescription): string[] {
  if (!latency) return [];
  const { minMs, targetMs, maxMs } = latency;
  const ordered = [minMs, targetMs, maxMs].filter((value) => value !== undefined);
  const rising = ordered.every((value, i) => i === 0 || value >= (ordered[i - 1] ?? 0));
  return [
    ...when(!rising, `Latency: min ${minMs}, target ${targetMs}, max ${maxMs} ms are out of order`),
    ...when(
      ordered.includes(0),
      `Latency: min ${minMs}, target ${targetMs}, max ${maxMs} ms: 0 is no latency`,
    ),
  ];
}
