import { describe, expect, it } from 'vitest';
import {
  asTimeline,
  editBoxes,
  httpDate,
  isoDate,
  SEGMENT_MS,
  segmentName,
  shiftDecodeTimes,
  withAnswer,
  withCopy,
  withMpd,
  withSegments,
} from '../../../test/support/dash-mutations.ts';
import {
  FakePresentation,
  LiveBackend,
  type Mutation,
  rulesOf,
  told,
} from '../../../test/support/presentation.ts';

const SECONDS = 8;

async function validate(mutate: (backend: LiveBackend) => Mutation) {
  const backend = new LiveBackend();
  const presentation = new FakePresentation(backend, mutate(backend));
  const report = await presentation.validate('index.mpd', SECONDS);
  expect(presentation.openRequests).toBe(0);
  return report;
}

const always = (mutation: Mutation) => () => mutation;
const CLOCK = /\/time/;
const later = (from: string | RegExp, to: string) =>
  always(withMpd((text, nth) => (nth >= 2 ? text.replace(from, to) : text)));

/** Delays segments in the making until `untilMs` says. */
const held =
  (untilMs: (name: NonNullable<ReturnType<typeof segmentName>>) => number) =>
  (backend: LiveBackend): Mutation => ({
    swallow: (path) => {
      const name = segmentName(path);
      return name !== undefined && backend.clock.wallMs() < untilMs(name);
    },
  });

/** The MPD with a timeline that is kept up to date. */
const timeline = (options: { timeOff?: number; durationOff?: number } = {}) =>
  always(withMpd((text, _, nowMs) => asTimeline(text, { untilMs: nowMs, ...options })));

/** One thing broken, the rules that must be found, and those that follow from it and may be. */
const BROKEN: readonly (readonly [
  string,
  readonly string[],
  (backend: LiveBackend) => Mutation,
  (readonly string[])?,
])[] = [
  [
    'an MPD that breaks off',
    ['dash-mpd-unreadable'],
    always(withMpd((text, nth) => (nth === 2 ? text.slice(0, 900) : text))),
  ],
  [
    'an MPD that fails at times',
    ['dash-mpd-unavailable'],
    () => {
      let nth = 0;
      return withAnswer(/\.mpd$/, (answer) => {
        nth += 1;
        if (nth === 3) answer.status = 503;
      });
    },
  ],
  ['no clock', ['dash-utc-clock-unreachable'], always(withAnswer(CLOCK, (answer) => (answer.status = 404)))],
  [
    'a clock that says something else',
    ['dash-utc-clock-unreachable'],
    always(withAnswer(CLOCK, (answer) => (answer.body = Buffer.from('noon')))),
  ],
  [
    'a clock a minute behind the Date beside it',
    ['dash-utc-clock-wrong'],
    always(
      withAnswer(CLOCK, (answer, nowMs) => {
        answer.body = Buffer.from(isoDate(nowMs - 60_000));
        answer.headers.set('date', httpDate(nowMs));
      }),
    ),
    ['dash-prft-future', 'dash-edge-not-progressive', 'dash-window-missing', 'dash-segment-early'],
  ],
  [
    'a clock three seconds ahead of ours',
    ['dash-utc-clock-off', 'dash-segment-slow'],
    always(
      withAnswer(CLOCK, (answer, nowMs) => {
        answer.body = Buffer.from(isoDate(nowMs + 3000));
        answer.headers.delete('date');
      }),
    ),
    ['dash-edge-late', 'dash-edge-not-progressive', 'dash-edge-first-byte'],
  ],
  [
    'a clock that is cached',
    ['dash-utc-clock-cached'],
    always(withAnswer(CLOCK, (answer) => answer.headers.set('cache-control', 'max-age=60'))),
  ],
  [
    'no initialization segment',
    ['dash-init-unavailable'],
    always(withAnswer(/^video\/.*init\.mp4$/, (answer) => (answer.status = 404))),
  ],
  [
    'error pages for media, with status 200',
    ['dash-content-type', 'dash-init-unavailable', 'dash-media-type'],
    always(
      withAnswer(/^video\//, (answer) => {
        if (answer.path.endsWith('init.mp4')) answer.status = 500;
        answer.headers.set('content-type', 'text/html');
        answer.body = Buffer.from('<html>sorry</html>');
      }),
    ),
    ['dash-edge-not-progressive'],
  ],
  [
    'no audio at the live edge',
    ['dash-segment-missing'],
    always(
      withSegments((answer, { rendition, endMs }, nowMs) => {
        if (rendition === 'audio' && endMs > nowMs - 10_000) answer.status = 404;
      }),
    ),
    ['dash-window-missing'],
  ],
  [
    'an origin that forgets its window',
    ['dash-window-missing'],
    always(
      withSegments((answer, { endMs }, nowMs) => {
        if (endMs < nowMs - 6000) answer.status = 404;
      }),
    ),
  ],
  [
    'segments of the future',
    ['dash-segment-early'],
    (backend) => ({
      request: (path) => {
        const name = segmentName(path);
        if (!name || name.beginMs < backend.clock.wallMs()) return undefined;
        return path.replace(String(name.number), String(Math.floor(backend.clock.wallMs() / SEGMENT_MS) - 2));
      },
    }),
  ],
  [
    'segments that are there half a second after availabilityTimeOffset says',
    ['dash-edge-late'],
    always(
      withSegments((answer, { beginMs }, nowMs) => {
        if (nowMs - 2000 < beginMs + 500)
          Object.assign(answer, { status: nowMs < beginMs + 2100 ? 404 : 200 });
      }),
    ),
    ['dash-segment-missing', 'dash-window-missing'],
  ],
  ['segments that come all at once when complete', ['dash-edge-not-progressive'], held(({ endMs }) => endMs)],
  ['a late first byte', ['dash-edge-first-byte'], held(({ beginMs }) => beginMs + 700)],
  [
    'segments that come long after their time',
    ['dash-segment-slow', 'dash-edge-not-progressive'],
    held(({ endMs }) => endMs + 1400),
  ],
  [
    'an MPD as text/plain',
    ['dash-content-type'],
    always(withAnswer(/\.mpd$/, (answer) => answer.headers.set('content-type', 'text/plain'))),
  ],
  [
    'no CORS',
    ['dash-cors'],
    always(withAnswer(/./, (answer) => answer.headers.delete('access-control-allow-origin'))),
  ],
  [
    'an MPD that is cached for an hour',
    ['dash-cache-mpd'],
    always(withAnswer(/\.mpd$/, (answer) => answer.headers.set('cache-control', 'public, max-age=3600'))),
  ],
  [
    'segments that may not be cached',
    ['dash-cache-segment'],
    always(withSegments((answer) => answer.headers.set('cache-control', 'no-store'))),
  ],
  [
    'a 404 that is cached',
    ['dash-cache-missing'],
    always(
      withSegments((answer) => {
        if (answer.status !== 200) answer.headers.set('cache-control', 'max-age=300');
      }),
    ),
  ],
  [
    'a presentationTimeOffset that is off',
    ['dash-segment-time'],
    always(
      withMpd((text) =>
        text.replace(
          /presentationTimeOffset="(\d+)"/,
          (_, ticks) => `presentationTimeOffset="${Number(ticks) + 450_000}"`,
        ),
      ),
    ),
  ],
  [
    'a timeline whose times are off',
    ['dash-timeline-time'],
    timeline({ timeOff: 20_000 }),
    ['dash-timeline-duration'],
  ],
  [
    'a timeline whose durations are off',
    ['dash-timeline-time'],
    timeline({ durationOff: 9000 }),
    [
      'dash-timeline-duration',
      'dash-max-segment-duration',
      'dash-update-timeline',
      'dash-segment-missing',
      'dash-update-addressing',
    ],
  ],
  [
    'a timeline that stands still',
    ['dash-timeline-stalled'],
    (backend) => {
      const untilMs = backend.clock.wallMs();
      return withMpd((text) => asTimeline(text, { untilMs }));
    },
  ],
  [
    'no prft though the MPD says so',
    ['dash-prft-missing'],
    always(
      withSegments((answer) => {
        answer.body = editBoxes(answer.body, 'prft', (view, _, start) =>
          view.setUint32(start + 4, 0x66726565),
        );
      }),
    ),
  ],
  [
    'an encoder clock in the future',
    ['dash-prft-future', 'dash-reference-time-off'],
    always(
      withSegments((answer) => {
        answer.body = editBoxes(answer.body, 'prft', (view, at) =>
          view.setUint32(at + 8, view.getUint32(at + 8) + 20),
        );
      }),
    ),
  ],
  [
    'a ProducerReferenceTime that is off',
    ['dash-reference-time-off'],
    always(
      withMpd((text) =>
        text.replaceAll('wallClockTime="1970-01-01T00:00:00Z"', 'wallClockTime="1970-01-01T00:00:05Z"'),
      ),
    ),
  ],
  [
    'a bandwidth that is too low',
    ['dash-bandwidth-too-low'],
    always(withMpd((text) => text.replace(/bandwidth="\d+"/, 'bandwidth="50000"'))),
  ],
  [
    'a rung whose segments begin elsewhere',
    ['dash-switching-boundaries'],
    always(withCopy((body) => shiftDecodeTimes(body, 9000))),
  ],
  [
    'an MPD of another id',
    ['dash-update-id'],
    later(/ id="cam"/, ' id="other"'),
    ['dash-update-publish-time'],
  ],
  [
    'an availabilityStartTime that moves',
    ['dash-update-availability-start'],
    later('availabilityStartTime="1970-01-01T00:00:00Z"', 'availabilityStartTime="1970-01-01T00:00:01Z"'),
    [
      'dash-update-publish-time',
      'dash-edge-late',
      'dash-segment-missing',
      'dash-edge-not-progressive',
      'dash-segment-slow',
      'dash-edge-first-byte',
    ],
  ],
  [
    'a change under the same publishTime',
    ['dash-update-publish-time'],
    later('minimumUpdatePeriod="PT2S"', 'minimumUpdatePeriod="PT3S"'),
  ],
  [
    'a publishTime that goes back',
    ['dash-update-publish-time'],
    later(/publishTime="[^"]*"/, 'publishTime="2020-01-01T00:00:00Z"'),
  ],
  [
    'a Period that is renamed',
    ['dash-update-period-removed'],
    later(/<Period id="[^"]*"/, '<Period id="renamed"'),
    ['dash-update-publish-time'],
  ],
  [
    'a Period that moves',
    ['dash-update-period-changed'],
    later(/start="PT(\d+)(\.\d+)?S"/, 'start="PT1S"'),
    ['dash-update-publish-time', 'dash-segment-missing', 'dash-edge-late', 'dash-segment-slow'],
  ],
  [
    'a Representation that is renamed',
    ['dash-update-sets'],
    later('<Representation id="audio"', '<Representation id="sound"'),
    ['dash-update-publish-time'],
  ],
  [
    'a segment grid that changes',
    ['dash-update-addressing'],
    later(/presentationTimeOffset="(\d+)"/, 'presentationTimeOffset="90000"'),
    ['dash-update-publish-time', 'dash-segment-time'],
  ],
  [
    'a timeline that changes its past',
    ['dash-update-timeline'],
    always(
      withMpd((text, nth, nowMs) =>
        asTimeline(text, { untilMs: nowMs }).replaceAll(/startNumber="(\d+)"/g, (_, number) => {
          return `startNumber="${Number(number) + (nth >= 2 ? 3 : 0)}"`;
        }),
      ),
    ),
    ['dash-segment-missing', 'dash-edge-late', 'dash-timeline-time', 'media-gap'],
  ],
];

describe('our own live presentation', () => {
  it('has no finding', async () => {
    const report = await validate(() => ({}));
    expect(told(report)).toEqual([]);
    expect(report.watched).toMatchObject({ format: 'dash', live: true, lowLatency: true });
    expect(report.watched.renditions.map(({ id, kind }) => `${id} ${kind}`)).toEqual([
      'video video',
      'audio audio',
    ]);
    for (const { segments, parts, bytes } of report.watched.renditions) {
      expect(segments).toBeGreaterThanOrEqual(4);
      expect(parts).toBeGreaterThan(segments);
      expect(bytes).toBeGreaterThan(10_000);
    }
  });

  it('has none with a SegmentTimeline, with two rungs, or while it ends', async () => {
    expect(told(await validate(timeline()))).toEqual([]);
    expect(told(await validate(() => withCopy((body) => body)))).toEqual([]);
    const ending = new FakePresentation(new LiveBackend({ endAfterSeconds: 3 }));
    expect(told(await ending.validate('index.mpd', SECONDS))).toEqual([]);
  });
});

describe('a broken live presentation', () => {
  it.each(BROKEN.map(([what, rules, mutate, also = []]) => [what, rules, mutate, also] as const))(
    'with %s is found out: %s',
    async (_, wanted, mutate, consequences) => {
      const report = await validate(mutate);
      const rules = rulesOf(report);
      expect({ rules, told: told(report) }).toMatchObject({ rules: expect.arrayContaining([...wanted]) });
      // Nothing is blamed that is not broken.
      expect(rules.filter((rule) => !wanted.includes(rule) && !consequences.includes(rule))).toEqual([]);
    },
  );
});
