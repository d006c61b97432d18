import {
  allSegments,
  attribute,
  isLowLatency,
  playlistSeconds,
  type MediaPlaylist,
  type Tag,
} from './playlist.ts';
import { apple, rfc, say, type Problem, type Rule } from './rule.ts';

/** How far dates may be from what durations make of them: a frame at 10 fps. */
const DATE_TOLERANCE_MS = 100;
/** Overlaps of dates below a second are allowed, to follow a clock that drifts (6.2.1). */
const DATE_OVERLAP_MS = 1000;
/** Apple asks for delta updates when the window is longer. */
const LONG_WINDOW_SECONDS = 120;

const TYPES = ['EVENT', 'VOD'];

/** Rules of one media playlist, full or a delta, whatever its latency. */
export const MEDIA_RULES: readonly Rule<MediaPlaylist>[] = [
  {
    rule: 'hls-target-duration-missing',
    severity: 'error',
    clause: rfc('4.4.3.1'),
    *check({ targetDuration, kind }) {
      if (kind === 'media' && targetDuration === undefined) yield 'no EXT-X-TARGETDURATION';
      if (targetDuration === 0) yield 'EXT-X-TARGETDURATION is 0';
    },
  },
  {
    rule: 'hls-segment-too-long',
    severity: 'error',
    clause: rfc('4.4.3.1'),
    *check({ segments, targetDuration }) {
      if (targetDuration === undefined) return;
      for (const { seconds = 0, line, msn } of segments) {
        if (Math.round(seconds) <= targetDuration) continue;
        yield {
          line,
          message: `segment ${msn} is ${say(seconds)} long, TARGETDURATION is ${targetDuration}`,
        };
      }
    },
  },
  {
    rule: 'hls-sequence-late',
    severity: 'error',
    clause: rfc('4.4.3.2'),
    check: mustPrecede(['EXT-X-MEDIA-SEQUENCE'], ['EXTINF', 'EXT-X-PART']),
  },
  {
    rule: 'hls-discontinuity-sequence-late',
    severity: 'error',
    clause: rfc('4.4.3.3'),
    check: mustPrecede(['EXT-X-DISCONTINUITY-SEQUENCE'], ['EXTINF', 'EXT-X-PART', 'EXT-X-DISCONTINUITY']),
  },
  {
    rule: 'hls-skip-before-sequence',
    severity: 'warning',
    clause: `${rfc('4.4.5.2')}; hls.js counts from it`,
    check: mustPrecede(['EXT-X-MEDIA-SEQUENCE'], ['EXT-X-SKIP']),
  },
  {
    rule: 'hls-discontinuity-sequence-missing',
    severity: 'warning',
    clause: apple('8.17'),
    *check({ tags, ended, type, segments }) {
      if (ended || type !== undefined || !segments.some(({ discontinuity }) => discontinuity)) return;
      if (tags.some(({ name }) => name === 'EXT-X-DISCONTINUITY-SEQUENCE')) return;
      yield 'EXT-X-DISCONTINUITY without EXT-X-DISCONTINUITY-SEQUENCE: segments cannot be matched once it leaves the window';
    },
  },
  {
    rule: 'hls-playlist-type-unknown',
    severity: 'error',
    clause: rfc('4.4.3.5'),
    *check({ type }) {
      if (type !== undefined && !TYPES.includes(type)) yield `EXT-X-PLAYLIST-TYPE is ${JSON.stringify(type)}`;
    },
  },
  {
    rule: 'hls-range-without-offset',
    severity: 'error',
    clause: rfc('4.4.4.2'),
    *check(playlist) {
      for (const segment of allSegments(playlist)) {
        for (const { range, line } of [segment, ...segment.parts]) {
          // The first of a delta goes on from a range that was left out.
          if (playlist.skip && segment === playlist.segments[0]) continue;
          if (range && range.offset === undefined) {
            yield { line, message: 'a byte range without offset, and none of the same resource before it' };
          }
        }
      }
    },
  },
  {
    rule: 'hls-key-invalid',
    severity: 'error',
    clause: rfc('4.4.4.4'),
    *check({ tags }) {
      for (const tag of tags.filter(({ name }) => name === 'EXT-X-KEY')) {
        const method = attribute(tag, 'METHOD');
        const uri = attribute(tag, 'URI');
        if (method === 'NONE' && tag.attributes.size > 1) {
          yield { line: tag.line, message: 'METHOD=NONE with other attributes' };
        } else if (method !== undefined && method !== 'NONE' && uri === undefined) {
          yield { line: tag.line, message: `METHOD=${method} without URI` };
        }
      }
    },
  },
  {
    rule: 'hls-key-counter-mode',
    severity: 'warning',
    clause: apple('13.11'),
    *check({ tags }) {
      for (const tag of tags.filter(({ name }) => name === 'EXT-X-KEY')) {
        if (attribute(tag, 'METHOD') !== 'SAMPLE-AES-CTR') continue;
        yield { line: tag.line, message: 'SAMPLE-AES-CTR: no Apple device plays it' };
      }
    },
  },
  {
    rule: 'hls-gap-part-unmarked',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ segments }) {
      for (const { gap, parts, msn } of segments) {
        if (!gap) continue;
        for (const { line } of parts.filter((part) => !part.gap)) {
          yield { line, message: `a part without GAP=YES of segment ${msn}, which is a gap` };
        }
      }
    },
  },
  {
    rule: 'hls-vod-without-end',
    severity: 'warning',
    clause: `${rfc('4.4.3.4')}; many players know the end by EXT-X-ENDLIST alone`,
    *check({ type, ended }) {
      if (type === 'VOD' && !ended) yield 'EXT-X-PLAYLIST-TYPE is VOD, but there is no EXT-X-ENDLIST';
    },
  },
  {
    rule: 'hls-date-missing',
    severity: 'warning',
    clause: apple('8.4'),
    *check(playlist) {
      // What grows from its start on need not be live: it may be on demand, and still being made.
      if (playlist.ended || playlist.type !== undefined || playlist.segments.length === 0) return;
      if (allSegments(playlist).every(({ dateMs }) => dateMs === undefined)) {
        yield 'a live playlist without EXT-X-PROGRAM-DATE-TIME';
      }
    },
  },
  {
    rule: 'hls-date-missing-at-discontinuity',
    severity: 'warning',
    clause: rfc('6.2.1'),
    *check(playlist) {
      const segments = allSegments(playlist);
      if (segments.every(({ dateMs }) => dateMs === undefined)) return;
      for (const { discontinuity, dateMs, line, msn } of segments) {
        if (discontinuity && dateMs === undefined) {
          yield { line, message: `segment ${msn} has a discontinuity but no EXT-X-PROGRAM-DATE-TIME` };
        }
      }
    },
  },
  { rule: 'hls-date-ambiguous', severity: 'error', clause: rfc('6.2.1'), check: ambiguousDates },
  { rule: 'hls-date-drift', severity: 'warning', clause: rfc('4.4.4.6'), check: driftingDates },
  {
    rule: 'hls-delta-not-offered',
    severity: 'warning',
    clause: apple('14.4'),
    *check(playlist) {
      if (playlist.ended || !isLowLatency(playlist)) return;
      if (playlist.serverControl?.canSkipUntilSeconds !== undefined) return;
      const seconds = playlistSeconds(playlist);
      if (seconds <= LONG_WINDOW_SECONDS) return;
      yield `the window is ${Math.round(seconds)} s long and there is no CAN-SKIP-UNTIL: each reload carries all of it`;
    },
  },
];

/** Checks that none of `tags` stands after the first of `others`. */
function mustPrecede(
  tags: readonly string[],
  others: readonly string[],
): (playlist: MediaPlaylist) => Iterable<Problem> {
  return function* (playlist) {
    const first = playlist.tags.find(({ name }) => others.includes(name));
    if (!first) return;
    const late = (tag: Tag): boolean => tags.includes(tag.name) && tag.line > first.line;
    for (const { name, line } of playlist.tags.filter(late)) {
      yield { line, message: `${name} stands after ${first.name} (line ${first.line})` };
    }
  };
}

/** Two segments one after the other, both with a date. */
function* datedPairs(playlist: MediaPlaylist) {
  const segments = allSegments(playlist);
  for (const [index, next] of segments.entries()) {
    const segment = segments[index - 1];
    if (segment?.dateMs === undefined || next.dateMs === undefined) continue;
    if (segment.seconds === undefined) continue;
    const endMs = segment.dateMs + segment.seconds * 1000;
    yield { segment, next, stepMs: next.dateMs - segment.dateMs, offMs: next.dateMs - endMs };
  }
}

function* ambiguousDates(playlist: MediaPlaylist): Iterable<Problem> {
  for (const { next, stepMs, offMs } of datedPairs(playlist)) {
    const { line, msn } = next;
    if (stepMs <= 0)
      yield { line, message: `the date of segment ${msn} is not after that of the one before it` };
    else if (offMs <= -DATE_OVERLAP_MS) {
      yield {
        line,
        message: `segment ${msn} is dated ${Math.round(-offMs)} ms before the end of the one before it`,
      };
    }
  }
}

function* driftingDates(playlist: MediaPlaylist): Iterable<Problem> {
  for (const { next, stepMs, offMs } of datedPairs(playlist)) {
    if (next.discontinuity || stepMs <= 0 || offMs <= -DATE_OVERLAP_MS) continue;
    if (Math.abs(offMs) <= DATE_TOLERANCE_MS) continue;
    yield {
      line: next.line,
      message: `the date of segment ${next.msn} is ${Math.round(offMs)} ms off the end of the one before it, without a discontinuity`,
    };
  }
}
