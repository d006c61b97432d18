import { type DocumentRule, when } from './document-rule.ts';
import type { Addressing, Period, Representation } from './mpd-model.ts';
import { placedIn, placedRepresentations } from './mpd-query.ts';
import { initializationOf, segmentAt } from './segments.ts';
import { templateFault, templateIdentifiers } from './url-template.ts';

/** Rules about where segments are said to be. */
export const ADDRESSING_RULES: readonly DocumentRule[] = [
  {
    rule: 'dash-addressing-missing',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.1',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(({ representation: { addressing } }) => !addressing)
        .map(({ representation: { place } }) => `${place}: nothing says where its segments are`),
  },
  {
    rule: 'dash-addressing-several',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.1',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(({ representation: { conflicting } }) => conflicting.length > 0)
        .map(
          ({ representation: { place, conflicting } }) =>
            `${place}: ${conflicting.join(' and ')} on one level`,
        ),
  },
  forTemplates('dash-template-identifier', 'ISO/IEC 23009-1 5.3.9.4.4', (addressing) =>
    [addressing.media, addressing.initialization].flatMap((template) => {
      const fault = template === undefined ? undefined : templateFault(template);
      return fault === undefined ? [] : [`"${template}": ${fault}`];
    }),
  ),
  forTemplates('dash-template-media', 'ISO/IEC 23009-1 5.3.9.4.4', ({ media, timeline, duration }) => {
    if (media === undefined) return ['no media template'];
    const names = templateIdentifiers(media);
    const [byNumber, byTime] = [names.includes('Number'), names.includes('Time')];
    return [
      ...when(
        !byNumber && !byTime && (duration ?? timeline) !== undefined,
        `"${media}" has no $Number$ or $Time$`,
      ),
      ...when(byNumber && byTime, `"${media}" has $Number$ and $Time$`),
      ...when(byTime && !timeline, `"${media}" has $Time$, but there is no SegmentTimeline`),
    ];
  }),
  forTemplates('dash-template-initialization', 'ISO/IEC 23009-1 5.3.9.4.2', ({ initialization = '' }) => {
    const names = templateIdentifiers(initialization);
    return when(
      names.includes('Number') || names.includes('Time'),
      `"${initialization}" has $Number$ or $Time$`,
    );
  }),
  forTemplates('dash-initialization-missing', 'ISO/IEC 23009-1 5.3.9.5.2', (addressing, { mimeType }) =>
    when(
      addressing.initialization === undefined && /^(video|audio)\/mp4/.test(mimeType ?? ''),
      'no initialization segment',
    ),
  ),
  {
    rule: 'dash-template-same-url',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.4.4',
    find: (mpd) => mpd.periods.flatMap(sharedUrls),
  },
  {
    rule: 'dash-segment-duration',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.2',
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ representation: { addressing, place } }) => {
        if (!addressing || addressing.kind === 'single') return [];
        const { duration, timeline, timescale, urls, kind } = addressing;
        const several = kind === 'template' || urls.length > 1;
        return [
          ...when(
            duration !== undefined && timeline !== undefined,
            `${place}: @duration and SegmentTimeline together`,
          ),
          ...when(
            several && duration === undefined && timeline === undefined,
            `${place}: neither @duration nor SegmentTimeline`,
          ),
          ...when(duration === 0, `${place}: @duration is 0`),
          ...when(timescale === 0, `${place}: @timescale is 0`),
        ];
      }),
  },
  {
    rule: 'dash-timeline-value',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.6',
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ representation: { addressing, place } }) => {
        const timeline = addressing?.timeline;
        if (!timeline) return [];
        const empty = when(
          timeline.segments.length === 0 && !mpd.dynamic,
          `${place}: an empty SegmentTimeline`,
        );
        return [...timeline.faults.map((fault) => `${place}: ${fault}`), ...empty];
      }),
  },
  timelineRule('dash-timeline-overlap', 'error', 'ISO/IEC 23009-1 5.3.9.6', (distance) => distance < 0),
  timelineRule(
    'dash-timeline-gap',
    'warning',
    'DASH-IF IOP timing model, segment references without gaps',
    (distance) => distance > 0,
  ),
];

/** A rule about every Representation with a SegmentTemplate. */
function forTemplates(
  rule: string,
  clause: string,
  find: (addressing: Addressing, representation: Representation) => readonly string[],
): DocumentRule {
  return {
    rule,
    severity: 'error',
    clause,
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ representation }) => {
        const { addressing, place } = representation;
        if (addressing?.kind !== 'template') return [];
        return find(addressing, representation).map((what) => `${place}: ${what}`);
      }),
  };
}

/** Representations of a Period whose segments have the same URL. */
function sharedUrls(period: Period): string[] {
  const firstAt = new Map<string, string>();
  const found: string[] = [];
  for (const { representation } of placedIn(period)) {
    if (representation.addressing?.kind !== 'template') continue;
    const segment = segmentAt(representation, period, 0);
    const first = segment?.url ?? initializationOf(representation)?.url;
    if (first === undefined) continue;
    const other = firstAt.get(first);
    if (other === undefined) firstAt.set(first, representation.place);
    else found.push(`${representation.place}: its first segment is that of ${other}, ${first}`);
  }
  return found;
}

/** A rule about the distance from one segment of a timeline to the next, ticks. */
function timelineRule(
  rule: string,
  severity: DocumentRule['severity'],
  clause: string,
  wrong: (distance: number) => boolean,
): DocumentRule {
  return {
    rule,
    severity,
    clause,
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ representation: { addressing, place } }) => {
        const segments = addressing?.timeline?.segments ?? [];
        const index = segments.findIndex((segment, i) => {
          const before = segments[i - 1];
          return before !== undefined && wrong(segment.start - before.start - before.duration);
        });
        const [before, segment] = [segments[index - 1], segments[index]];
        if (!before || !segment) return [];
        const end = before.start + before.duration;
        return [
          `${place}: segment ${index + 1} starts at ${segment.start}, the one before it ends at ${end}`,
        ];
      }),
  };
}
