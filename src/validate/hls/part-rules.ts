import {
  allParts,
  allSegments,
  isLowLatency,
  playlistSeconds,
  secondsOf,
  type MediaPlaylist,
  type Part,
} from './playlist.ts';
import { apple, rfc, say, type Rule } from './rule.ts';

/** Least part of PART-TARGET that a part must fill (4.4.4.9). */
const SHORTEST_PART = 0.85;
/** Durations are printed rounded: what a sum of parts may be off its segment. */
const SUM_TOLERANCE_SECONDS = 0.02;
/** Binary fractions: what comparing decimal numbers may be off. */
const EPSILON = 1e-9;

/** A low-latency playlist whose stream runs: the last thing in it is not a gap. */
function isRunning(playlist: MediaPlaylist): boolean {
  return !playlist.ended && isLowLatency(playlist) && allSegments(playlist).at(-1)?.gap === false;
}

/** Rules of one media playlist about parts and the server's offers (RFC 8216bis 4.4.3.7, 4.4.3.8, 4.4.4.9). */
export const PART_RULES: readonly Rule<MediaPlaylist>[] = [
  {
    rule: 'hls-part-inf-missing',
    severity: 'error',
    clause: rfc('4.4.3.7'),
    *check(playlist) {
      if (playlist.partTarget === undefined && allParts(playlist).length > 0)
        yield 'EXT-X-PART without EXT-X-PART-INF';
    },
  },
  {
    rule: 'hls-parts-missing',
    severity: 'error',
    clause: `${rfc('4.4.3.7')}; players wait for parts that never come`,
    *check(playlist) {
      if (!isRunning(playlist) || playlist.segments.length === 0) return;
      if (allParts(playlist).length === 0) yield 'EXT-X-PART-INF without any EXT-X-PART';
    },
  },
  {
    rule: 'hls-part-too-long',
    severity: 'error',
    clause: rfc('4.4.4.9'),
    *check(playlist) {
      const { partTarget } = playlist;
      if (partTarget === undefined) return;
      for (const part of allParts(playlist)) {
        if (part.seconds <= partTarget) continue;
        yield {
          line: part.line,
          message: `${nameOf(part)} is ${say(part.seconds)} long, PART-TARGET is ${partTarget}`,
        };
      }
    },
  },
  {
    rule: 'hls-part-too-short',
    severity: 'error',
    clause: rfc('4.4.4.9'),
    *check(playlist) {
      const { partTarget } = playlist;
      if (partTarget === undefined) return;
      for (const { parts } of allSegments(playlist)) {
        for (const [index, part] of parts.entries()) {
          const next = parts[index + 1];
          // The last one listed may turn out to be the last of its parent.
          if (!next || part.independent || part.gap || next.gap) continue;
          if (part.seconds >= partTarget * SHORTEST_PART - EPSILON) continue;
          yield {
            line: part.line,
            message: `${nameOf(part)} is ${say(part.seconds)} long: below 85 % of PART-TARGET ${partTarget}`,
          };
        }
      }
    },
  },
  {
    rule: 'hls-parts-sum',
    severity: 'error',
    clause: rfc('3.2'),
    *check(playlist) {
      // Of the first segment that still has parts, some may be gone already.
      for (const { parts, seconds, line, msn } of playlist.segments
        .filter((segment) => segment.parts.length > 0)
        .slice(1)) {
        const sum = parts.reduce((total, part) => total + part.seconds, 0);
        if (seconds === undefined || Math.abs(sum - seconds) <= SUM_TOLERANCE_SECONDS) continue;
        yield {
          line,
          message: `the parts of segment ${msn} add up to ${say(sum)}, its EXTINF is ${say(seconds)}`,
        };
      }
    },
  },
  {
    rule: 'hls-parent-tag-after-part',
    severity: 'error',
    clause: rfc('4.4.4.9'),
    *check(playlist) {
      const early = new Set(['EXT-X-DISCONTINUITY', 'EXT-X-KEY', 'EXT-X-MAP', 'EXT-X-PROGRAM-DATE-TIME']);
      for (const { tagsAfterParts, msn } of allSegments(playlist)) {
        for (const { name, line } of tagsAfterParts.filter((tag) => early.has(tag.name))) {
          yield { line, message: `${name} of segment ${msn} stands after its first EXT-X-PART` };
        }
      }
    },
  },
  {
    rule: 'hls-parts-kept',
    severity: 'warning',
    clause: rfc('6.2.2'),
    *check(playlist) {
      const { targetDuration } = playlist;
      if (targetDuration === undefined || playlist.ended) return;
      const limit = 3 * targetDuration;
      let toEnd = playlistSeconds(playlist);
      for (const segment of playlist.segments) {
        toEnd -= secondsOf(segment);
        if (toEnd <= limit || segment.parts.length === 0) continue;
        const { line, msn } = segment;
        yield {
          line,
          message: `parts of segment ${msn}, which ended ${say(toEnd)} before the end: more than 3 × TARGETDURATION`,
        };
      }
    },
  },
  {
    rule: 'hls-parts-of-i-frames',
    severity: 'warning',
    clause: rfc('4.4.4.9'),
    *check(playlist) {
      if (playlist.iFramesOnly && allParts(playlist).length > 0)
        yield 'EXT-X-PART in an EXT-X-I-FRAMES-ONLY playlist';
    },
  },

  {
    rule: 'hls-part-hold-back-missing',
    severity: 'error',
    clause: rfc('4.4.3.8'),
    *check({ partTarget, serverControl }) {
      if (partTarget === undefined || serverControl?.partHoldBackSeconds !== undefined) return;
      yield 'EXT-X-PART-INF without PART-HOLD-BACK in EXT-X-SERVER-CONTROL';
    },
  },
  {
    rule: 'hls-part-hold-back-too-small',
    severity: 'error',
    clause: rfc('4.4.3.8'),
    *check({ partTarget, serverControl }) {
      const holdBack = serverControl?.partHoldBackSeconds;
      if (partTarget === undefined || holdBack === undefined || holdBack >= 2 * partTarget - EPSILON) return;
      yield `PART-HOLD-BACK is ${holdBack}: below 2 × PART-TARGET ${partTarget}`;
    },
  },
  {
    rule: 'hls-part-hold-back-low',
    severity: 'warning',
    clause: `${rfc('4.4.3.8')}; ${apple('14.3')}`,
    *check({ partTarget, serverControl }) {
      const holdBack = serverControl?.partHoldBackSeconds;
      if (partTarget === undefined || holdBack === undefined) return;
      if (holdBack >= 3 * partTarget - EPSILON || holdBack < 2 * partTarget - EPSILON) return;
      yield `PART-HOLD-BACK is ${holdBack}: below 3 × PART-TARGET ${partTarget}`;
    },
  },
  {
    rule: 'hls-hold-back-too-small',
    severity: 'error',
    clause: rfc('4.4.3.8'),
    *check({ targetDuration, serverControl }) {
      const holdBack = serverControl?.holdBackSeconds;
      if (targetDuration === undefined || holdBack === undefined || holdBack >= 3 * targetDuration - EPSILON)
        return;
      yield `HOLD-BACK is ${holdBack}: below 3 × TARGETDURATION ${targetDuration}`;
    },
  },
  {
    rule: 'hls-skip-boundary-too-small',
    severity: 'error',
    clause: rfc('4.4.3.8'),
    *check({ targetDuration, serverControl }) {
      const boundary = serverControl?.canSkipUntilSeconds;
      if (targetDuration === undefined || boundary === undefined || boundary >= 6 * targetDuration - EPSILON)
        return;
      yield `CAN-SKIP-UNTIL is ${boundary}: below 6 × TARGETDURATION ${targetDuration}`;
    },
  },
  {
    rule: 'hls-skip-dateranges-alone',
    severity: 'error',
    clause: rfc('4.4.3.8'),
    *check({ serverControl }) {
      if (serverControl?.canSkipDateRanges && serverControl.canSkipUntilSeconds === undefined) {
        yield 'CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL';
      }
    },
  },
  {
    rule: 'hls-block-reload-not-offered',
    severity: 'warning',
    clause: rfc('B.1'),
    *check(playlist) {
      if (!isRunning(playlist) || playlist.serverControl?.canBlockReload) return;
      yield 'parts without CAN-BLOCK-RELOAD=YES: players must poll';
    },
  },

  {
    rule: 'hls-hint-twice',
    severity: 'warning',
    clause: rfc('6.2.6'),
    *check({ hints }) {
      const seen = new Set<string>();
      for (const { type, line } of hints) {
        if (seen.has(type)) yield { line, message: `a second EXT-X-PRELOAD-HINT of TYPE=${type}` };
        seen.add(type);
      }
    },
  },
  {
    rule: 'hls-hint-after-end',
    severity: 'error',
    clause: rfc('4.4.5.3'),
    *check({ hints, ended }) {
      if (ended)
        for (const { line } of hints) yield { line, message: 'EXT-X-PRELOAD-HINT with EXT-X-ENDLIST' };
    },
  },
  {
    rule: 'hls-report-uri-absolute',
    severity: 'error',
    clause: rfc('4.4.5.4'),
    *check({ reports }) {
      for (const { uri, line } of reports) {
        if (/^[a-z][a-z0-9+.-]*:/i.test(uri))
          yield { line, message: 'the URI of EXT-X-RENDITION-REPORT is not relative' };
      }
    },
  },
];

function nameOf({ msn, index }: Part): string {
  return `part ${index} of segment ${msn}`;
}
