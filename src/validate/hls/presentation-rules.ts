import {
  allSegments,
  attribute,
  isLowLatency,
  playlistSeconds,
  type MediaPlaylist,
  type MultivariantPlaylist,
} from './playlist.ts';
import { keyChangesApart } from './key-changes.ts';
import { at, place } from './placed.ts';
import type { RenditionRole } from './rendition.ts';
import { apple, rfc, say, type Problem, type Rule } from './rule.ts';

/** One rendition and its newest playlist. */
export interface PresentedRendition {
  readonly role: RenditionRole;
  readonly playlist: MediaPlaylist;
}

/** All renditions of a presentation, as they were last. */
export interface Presentation {
  readonly multivariant: MultivariantPlaylist;
  readonly renditions: readonly PresentedRendition[];
}

const EPSILON = 1e-9;

/** A check that a value is the same in every rendition. */
function equal(
  name: string,
  read: (playlist: MediaPlaylist) => string | number | undefined,
  counts: (rendition: PresentedRendition) => boolean = () => true,
): (presentation: Presentation) => Iterable<Problem> {
  return function* ({ renditions }) {
    const [first, ...others] = renditions.filter(counts);
    if (!first) return;
    const wanted = read(first.playlist);
    for (const { role, playlist } of others) {
      const value = read(playlist);
      if (value === wanted) continue;
      yield {
        url: role.url,
        message: `${name} is ${value ?? 'absent'}, in ${first.role.url} ${wanted ?? 'absent'}`,
      };
    }
  };
}

/** Subtitles and I-frames of VOD may have a target duration of their own. */
function sharesTarget({ role, playlist }: PresentedRendition): boolean {
  return playlist.type !== 'VOD' || (role.kind !== 'text' && !role.iFrames);
}

/** Rules across the renditions of a presentation (RFC 8216bis 6.2.4). */
export const PRESENTATION_RULES: readonly Rule<Presentation>[] = [
  {
    rule: 'hls-target-durations-differ',
    severity: 'error',
    clause: rfc('6.2.4'),
    check: equal('TARGETDURATION', ({ targetDuration }) => targetDuration, sharesTarget),
  },
  {
    rule: 'hls-server-controls-differ',
    severity: 'error',
    clause: rfc('6.2.4'),
    check: equal('EXT-X-SERVER-CONTROL', ({ serverControl }) => canonical(serverControl?.text)),
  },
  {
    rule: 'hls-playlist-types-differ',
    severity: 'error',
    clause: rfc('6.2.4'),
    check: equal('EXT-X-PLAYLIST-TYPE', ({ type }) => type),
  },
  {
    rule: 'hls-part-hold-back-below-others',
    severity: 'warning',
    clause: rfc('4.4.3.8'),
    *check({ renditions }) {
      const longest = Math.max(0, ...renditions.map(({ playlist }) => playlist.partTarget ?? 0));
      for (const { role, playlist } of renditions) {
        const holdBack = playlist.serverControl?.partHoldBackSeconds;
        const own = playlist.partTarget ?? 0;
        if (holdBack === undefined || own === longest || holdBack >= 3 * longest - EPSILON) continue;
        yield {
          url: role.url,
          message: `PART-HOLD-BACK is ${holdBack}: below 3 × the longest PART-TARGET ${longest}`,
        };
      }
    },
  },
  {
    rule: 'hls-parts-in-some',
    severity: 'error',
    clause: `${rfc('B.1')}; players at the live edge wait for the others`,
    *check({ renditions }) {
      const counted = renditions.filter(
        ({ role, playlist }) => !role.iFrames && !playlist.ended && role.kind !== 'text',
      );
      const low = counted.filter(({ playlist }) => isLowLatency(playlist));
      if (low.length === 0) return;
      for (const { role, playlist } of counted) {
        if (!isLowLatency(playlist))
          yield { url: role.url, message: `no parts, but ${low[0]?.role.url} has` };
      }
    },
  },
  {
    rule: 'hls-dates-in-some',
    severity: 'error',
    clause: rfc('6.2.4'),
    *check({ renditions }) {
      const full = renditions.filter(({ playlist }) => playlist.segments.length > 0);
      const dated = full.filter(({ playlist }) =>
        allSegments(playlist).some(({ dateMs }) => dateMs !== undefined),
      );
      if (dated.length === 0) return;
      for (const rendition of full) {
        if (dated.includes(rendition)) continue;
        yield {
          url: rendition.role.url,
          message: `no EXT-X-PROGRAM-DATE-TIME, but ${dated[0]?.role.url} has it`,
        };
      }
    },
  },
  {
    rule: 'hls-discontinuities-differ',
    severity: 'error',
    clause: `${rfc('6.2.4')}; ${apple('8.15')}`,
    check: otherNumbers,
  },
  {
    rule: 'hls-durations-differ',
    severity: 'error',
    clause: rfc('6.2.4'),
    *check({ renditions }) {
      const ended = renditions.filter(
        ({ playlist, role }) => playlist.type === 'VOD' && playlist.ended && !role.iFrames,
      );
      const [first, ...others] = ended;
      if (!first) return;
      const least = Math.min(
        ...ended.map(({ playlist }) => playlist.targetDuration ?? Number.POSITIVE_INFINITY),
      );
      for (const { role, playlist } of others) {
        const apart = Math.abs(playlistSeconds(playlist) - playlistSeconds(first.playlist));
        if (apart > least)
          yield { url: role.url, message: `is ${say(apart)} off the duration of ${first.role.url}` };
      }
    },
  },
  {
    rule: 'hls-date-ranges-differ',
    severity: 'error',
    clause: rfc('6.2.4'),
    *check({ renditions }) {
      const [first, ...others] = renditions.filter(
        ({ playlist }) => playlist.dateRanges.length > 0 && playlist.ended,
      );
      if (!first) return;
      for (const { role, playlist } of others) {
        if (idsOf(playlist) !== idsOf(first.playlist)) {
          yield { url: role.url, message: `has other date ranges than ${first.role.url}` };
        }
      }
    },
  },
  {
    rule: 'hls-i-frames-only-missing',
    severity: 'error',
    clause: rfc('4.4.6.3'),
    *check({ renditions }) {
      for (const { role, playlist } of renditions) {
        if (role.iFrames && !playlist.iFramesOnly) {
          yield {
            url: role.url,
            message: 'EXT-X-I-FRAME-STREAM-INF names it, but it has no EXT-X-I-FRAMES-ONLY',
          };
        }
      }
    },
  },
  {
    rule: 'hls-session-key-differs',
    severity: 'error',
    clause: rfc('4.4.6.5'),
    *check({ multivariant, renditions }) {
      const keys = renditions.flatMap(({ playlist }) =>
        playlist.tags.filter(({ name }) => name === 'EXT-X-KEY'),
      );
      for (const session of multivariant.tags.filter(({ name }) => name === 'EXT-X-SESSION-KEY')) {
        const uri = attribute(session, 'URI');
        for (const name of ['METHOD', 'KEYFORMAT', 'KEYFORMATVERSIONS']) {
          const other = keys.find(
            (key) => attribute(key, 'URI') === uri && attribute(key, name) !== attribute(session, name),
          );
          if (uri === undefined || !other) continue;
          const message = `${name} is ${attribute(session, name)}, that of EXT-X-KEY with the same URI ${attribute(other, name)}`;
          yield { line: session.line, message };
        }
      }
    },
  },
  {
    rule: 'hls-key-changes-apart',
    severity: 'warning',
    clause: `${rfc('6.2.4')}; players switch renditions at the same segment`,
    check: ({ renditions }) => keyChangesApart(renditions),
  },
  {
    rule: 'hls-independent-repeated',
    severity: 'warning',
    clause: rfc('4.4.2.1'),
    *check({ multivariant, renditions }) {
      if (!multivariant.independentSegments) return;
      for (const { role, playlist } of renditions) {
        if (playlist.independentSegments) {
          yield {
            url: role.url,
            message: 'EXT-X-INDEPENDENT-SEGMENTS stands in the multivariant playlist already',
          };
        }
      }
    },
  },
];

/** Attributes in a fixed order: only names and values must be the same. */
function canonical(text: string | undefined): string | undefined {
  return text?.split(',').toSorted().join(',');
}

function idsOf({ dateRanges }: MediaPlaylist): string {
  return JSON.stringify([...new Set(dateRanges.map((tag) => attribute(tag, 'ID') ?? ''))].toSorted());
}

/** Segments are matched by their middles: boundaries of audio and video never fall together. */
function* otherNumbers({ renditions }: Presentation): Iterable<Problem> {
  const [first, ...others] = renditions
    .filter(({ role }) => !role.iFrames)
    .flatMap(({ role, playlist }) => {
      const placed = place(playlist);
      return placed ? [{ role, placed }] : [];
    });
  if (!first) return;
  for (const { role, placed } of others) {
    for (const { segment, startMs, endMs } of placed) {
      const middleMs = (startMs + endMs) / 2;
      const match = at(first.placed, middleMs);
      if (!match || match.segment.discontinuityNumber === segment.discontinuityNumber) continue;
      yield {
        url: role.url,
        line: segment.line,
        message: `segment ${segment.msn} has discontinuity number ${segment.discontinuityNumber}, the same time in ${first.role.url} has ${match.segment.discontinuityNumber}`,
      };
    }
  }
}
