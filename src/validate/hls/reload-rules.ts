import { parseDateTime } from '../date-time.ts';
import {
  allParts,
  allSegments,
  attribute,
  numberAttribute,
  isLowLatency,
  playlistSeconds,
  type InitSection,
  type MediaPlaylist,
  type Part,
  type Segment,
  type Tag,
} from './playlist.ts';
import { rfc, say, type Problem, type Rule } from './rule.ts';

/** Two texts of one media playlist, the later one fetched after the earlier one had come in. */
export interface Reload {
  readonly before: MediaPlaylist;
  readonly after: MediaPlaylist;
}

const EPSILON_SECONDS = 1e-6;

/** A check that compares each complete segment with what it was. */
function eachSegment(
  compare: (was: Segment, is: Segment) => string | undefined,
): (reload: Reload) => Iterable<Problem> {
  return function* ({ before, after }) {
    const known = new Map(before.segments.map((segment) => [segment.msn, segment]));
    for (const segment of after.segments) {
      const was = known.get(segment.msn);
      const message = was && compare(was, segment);
      if (message) yield { line: segment.line, message: `segment ${segment.msn} ${message}` };
    }
  };
}

/** A check that a value of the whole playlist has not changed. */
function constant(
  name: string,
  read: (playlist: MediaPlaylist) => string | number | boolean | undefined,
): (reload: Reload) => Iterable<string> {
  return function* ({ before, after }) {
    const [was, is] = [read(before), read(after)];
    if (was !== is) yield `${name} was ${was ?? 'absent'} and is now ${is ?? 'absent'}`;
  };
}

/** Rules from one reload of a media playlist to the next (RFC 8216bis 6.2.1, 6.2.2). */
export const RELOAD_RULES: readonly Rule<Reload>[] = [
  {
    rule: 'hls-target-duration-changed',
    severity: 'error',
    clause: rfc('6.2.1'),
    check: constant('TARGETDURATION', ({ targetDuration }) => targetDuration),
  },
  {
    rule: 'hls-part-target-changed',
    severity: 'error',
    clause: `${rfc('4.4.3.7')}; AVPlayer ends playback`,
    *check(reload) {
      // Parts may stop being offered with the end of the stream.
      if (reload.after.ended && reload.after.partTarget === undefined) return;
      yield* constant('PART-TARGET', ({ partTarget }) => partTarget)(reload);
    },
  },
  {
    rule: 'hls-server-control-changed',
    severity: 'error',
    clause: `${rfc('4.4.3.8')}; AVPlayer ends playback`,
    *check(reload) {
      if (reload.after.ended && !reload.after.serverControl) return;
      yield* constant('EXT-X-SERVER-CONTROL', ({ serverControl }) => serverControl?.text)(reload);
    },
  },
  {
    rule: 'hls-playlist-type-changed',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check(reload) {
      if (!endedEvent(reload)) yield* constant('EXT-X-PLAYLIST-TYPE', ({ type }) => type)(reload);
    },
  },
  {
    rule: 'hls-event-became-vod',
    severity: 'info',
    clause: `${rfc('6.2.1')} names no such change; players take it as it is meant`,
    *check(reload) {
      if (endedEvent(reload)) yield 'EXT-X-PLAYLIST-TYPE was EVENT and is VOD with EXT-X-ENDLIST';
    },
  },
  {
    rule: 'hls-end-withdrawn',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      if (before.ended && !after.ended) yield 'EXT-X-ENDLIST is gone again';
    },
  },
  {
    rule: 'hls-sequence-back',
    severity: 'error',
    clause: rfc('6.2.2'),
    *check({ before, after }) {
      if (after.mediaSequence >= before.mediaSequence) return;
      yield `MEDIA-SEQUENCE went back from ${before.mediaSequence} to ${after.mediaSequence}`;
    },
  },
  {
    rule: 'hls-discontinuity-sequence-back',
    severity: 'error',
    clause: rfc('6.2.2'),
    *check({ before, after }) {
      if (after.discontinuitySequence >= before.discontinuitySequence) return;
      yield `DISCONTINUITY-SEQUENCE went back from ${before.discontinuitySequence} to ${after.discontinuitySequence}`;
    },
  },
  {
    rule: 'hls-sequence-unmatched',
    severity: 'error',
    clause: rfc('6.2.2'),
    *check({ before, after }) {
      if (after.mediaSequence < before.mediaSequence) return;
      yield* renumbered(before, after);
    },
  },
  {
    rule: 'hls-segment-changed',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check(reload) {
      // Renumbered segments are told as such, not one by one.
      if (
        reload.after.mediaSequence < reload.before.mediaSequence ||
        [...renumbered(reload.before, reload.after)].length > 0
      )
        return;
      yield* eachSegment(changeOf)(reload);
    },
  },
  {
    rule: 'hls-discontinuity-number-changed',
    severity: 'error',
    clause: rfc('6.2.2'),
    check: eachSegment((was, is) =>
      was.discontinuityNumber === is.discontinuityNumber
        ? undefined
        : `had discontinuity number ${was.discontinuityNumber} and now has ${is.discontinuityNumber}`,
    ),
  },
  {
    rule: 'hls-segment-withdrawn',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      if (after.skip) return;
      const newest = before.segments.at(-1)?.msn;
      const last = allSegments(after).at(-1)?.msn ?? after.mediaSequence - 1;
      if (newest === undefined || last >= newest || after.mediaSequence < before.mediaSequence) return;
      yield `segment ${newest} was listed, now the last one is ${last}`;
    },
  },
  {
    rule: 'hls-part-changed',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      const known = new Map(allParts(before).map((part) => [keyOf(part), part]));
      for (const part of allParts(after)) {
        const was = known.get(keyOf(part));
        if (!was || (was.url === part.url && Math.abs(was.seconds - part.seconds) < EPSILON_SECONDS))
          continue;
        yield {
          line: part.line,
          message: `part ${part.index} of segment ${part.msn} was ${was.uri} of ${say(was.seconds)} and is now ${part.uri} of ${say(part.seconds)}`,
        };
      }
    },
  },
  {
    rule: 'hls-removed-in-vod-or-event',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      if (before.type === undefined || after.mediaSequence <= before.mediaSequence) return;
      yield `segments were removed from a playlist of type ${before.type}`;
    },
  },
  {
    rule: 'hls-vod-changed',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      if (before.type !== 'VOD' || after.segments.length === before.segments.length) return;
      yield `a playlist of type VOD had ${before.segments.length} segments and now has ${after.segments.length}`;
    },
  },
  {
    rule: 'hls-appended-after-end',
    severity: 'error',
    clause: rfc('4.4.3.4'),
    *check({ before, after }) {
      const [was, is] = [before.segments.at(-1)?.msn, after.segments.at(-1)?.msn];
      if (before.ended && was !== undefined && is !== undefined && is > was)
        yield `segment ${is} was added after EXT-X-ENDLIST`;
    },
  },
  {
    rule: 'hls-window-too-short',
    severity: 'error',
    clause: rfc('6.2.2'),
    *check({ before, after }) {
      const { targetDuration, ended, mediaSequence } = after;
      if (ended || targetDuration === undefined || mediaSequence <= before.mediaSequence) return;
      const seconds = playlistSeconds(after);
      if (after.skip || seconds >= 3 * targetDuration - EPSILON_SECONDS) return;
      yield `a segment was removed though only ${say(seconds)} are left: less than 3 × TARGETDURATION`;
    },
  },
  {
    rule: 'hls-sequence-tag-missing',
    severity: 'error',
    clause: rfc('6.2.2'),
    *check({ before, after }) {
      const had = ({ tags }: MediaPlaylist): boolean =>
        tags.some(({ name }) => name === 'EXT-X-MEDIA-SEQUENCE');
      if (had(before) && !had(after)) yield 'EXT-X-MEDIA-SEQUENCE is gone';
    },
  },
  {
    rule: 'hls-daterange-removed-early',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      const startMs = after.segments.find(({ dateMs }) => dateMs !== undefined)?.dateMs;
      if (after.skip || startMs === undefined) return;
      const listed = new Set(after.dateRanges.map((tag) => attribute(tag, 'ID')));
      for (const tag of before.dateRanges) {
        const id = attribute(tag, 'ID');
        const endMs = endOfRange(tag);
        if (listed.has(id) || endMs === undefined || endMs <= startMs) continue;
        yield `date range ${JSON.stringify(id)} is gone, though segments of its time are listed`;
      }
    },
  },
  {
    rule: 'hls-daterange-reused',
    severity: 'error',
    clause: rfc('6.2.1'),
    *check({ before, after }) {
      const known = attributesOfRanges(before);
      for (const [key, text] of attributesOfRanges(after)) {
        const was = known.get(key);
        if (was !== undefined && was !== text) yield `${key} was ${was} and is now ${text}`;
      }
    },
  },
  {
    rule: 'hls-hint-missing',
    severity: 'warning',
    clause: rfc('B.1'),
    *check({ before, after }) {
      const next = firstNewPart(before, after);
      if (!next || before.hints.some(({ type }) => type === 'PART')) return;
      // Nobody can know the name of what comes after an outage.
      if (next.segment.discontinuity && next.part.index === 0) return;
      yield {
        line: next.part.line,
        message: `part ${next.part.index} of segment ${next.part.msn} was not hinted before`,
      };
    },
  },
  {
    rule: 'hls-hint-not-kept',
    severity: 'error',
    clause: rfc('4.4.5.3'),
    *check({ before, after }) {
      const hint = before.hints.find(({ type }) => type === 'PART');
      const next = firstNewPart(before, after);
      if (!hint || !next || hint.url === next.part.url) return;
      // The plan may change: at the return from an advertisement, or because a segment ended sooner than foreseen (6.2.6).
      if (next.part.index === 0 && (next.segment.discontinuity || before.open)) return;
      yield {
        line: next.part.line,
        message: `the hint was ${hint.uri}, but the next part listed is ${next.part.uri}`,
      };
    },
  },
];

/** What must not change in a segment that is listed. */
function changeOf(was: Segment, is: Segment): string | undefined {
  if (was.url !== is.url) return `was ${was.uri} and is now ${is.uri}`;
  if (Math.abs((was.seconds ?? 0) - (is.seconds ?? 0)) > EPSILON_SECONDS) {
    return `was ${say(was.seconds ?? 0)} long and is now ${say(is.seconds ?? 0)}`;
  }
  if (was.gap !== is.gap) return was.gap ? 'was a gap and is no more' : 'has become a gap';
  if (was.dateMs !== undefined && is.dateMs !== undefined && was.dateMs !== is.dateMs) {
    return `has its date moved by ${is.dateMs - was.dateMs} ms`;
  }
  if (was.range?.length !== is.range?.length || was.range?.offset !== is.range?.offset)
    return 'has another byte range';
  if (mapName(was.map) !== mapName(is.map))
    return `had the map ${was.map?.url ?? '-'} and now has ${is.map?.url ?? '-'}`;
  return undefined;
}

/** End of a date range, ms since 1970; its start when no end is known. */
function endOfRange(tag: Tag): number | undefined {
  const end = attribute(tag, 'END-DATE');
  const startMs = parseDateTime(attribute(tag, 'START-DATE') ?? '');
  if (end !== undefined) return parseDateTime(end);
  return startMs === undefined ? undefined : startMs + (numberAttribute(tag, 'DURATION') ?? 0) * 1000;
}

function attributesOfRanges({ dateRanges }: MediaPlaylist): Map<string, string> {
  const all = new Map<string, string>();
  for (const tag of dateRanges) {
    const id = JSON.stringify(attribute(tag, 'ID'));
    for (const [name, { text }] of tag.attributes) all.set(`${name} of date range ${id}`, text);
  }
  return all;
}

function mapName(map: InitSection | undefined): string {
  return map ? `${map.url} ${map.range?.offset} ${map.range?.length}` : '';
}

/**
 * Segments that are still there under another number: MEDIA-SEQUENCE was not raised by the number of segments removed.
 * URIs that come again by design (a template of one name) are told apart by most of them standing where they were.
 */
function* renumbered(before: MediaPlaylist, after: MediaPlaylist): Iterable<Problem> {
  const known = new Map(
    before.segments.map((segment) => [`${segment.url} ${segment.range?.offset}`, segment.msn]),
  );
  if (known.size < before.segments.length) return;
  const moved = after.segments.filter((segment) => {
    const was = known.get(`${segment.url} ${segment.range?.offset}`);
    return was !== undefined && was !== segment.msn;
  });
  const [first] = moved;
  if (!first) return;
  const was = known.get(`${first.url} ${first.range?.offset}`);
  yield {
    line: first.line,
    message: `segment ${first.uri} was number ${was} and is now ${first.msn}: MEDIA-SEQUENCE does not count the segments removed`,
  };
}

function keyOf({ msn, index }: Part): string {
  return `${msn}.${index}`;
}

/** The first part of `after` that comes behind everything in `before`; undefined when some may have been missed. */
export function firstNewPart(
  before: MediaPlaylist,
  after: MediaPlaylist,
): { readonly part: Part; readonly segment: Segment } | undefined {
  const last = allSegments(before).at(-1);
  if (!last || !isLowLatency(before)) return undefined;
  const lastIndex = last.parts.length - 1;
  for (const segment of allSegments(after)) {
    if (segment.msn < last.msn) continue;
    const part = segment.parts.find(({ index }) => segment.msn > last.msn || index > lastIndex);
    if (part) return part.msn > last.msn + 1 ? undefined : { part, segment };
    // Gone or never there: what followed it cannot be known.
    if (segment.parts.length === 0) return undefined;
  }
  return undefined;
}

/** What grew is whole now, and says both at once. */
function endedEvent({ before, after }: Reload): boolean {
  return before.type === 'EVENT' && after.type === 'VOD' && after.ended;
}
