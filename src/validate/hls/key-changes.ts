import { place, type Placed } from './placed.ts';
import type { MediaPlaylist, Segment } from './playlist.ts';
import type { RenditionRole } from './rendition.ts';
import { say, type Problem } from './rule.ts';

interface Keyed {
  readonly role: RenditionRole;
  readonly playlist: MediaPlaylist;
}

/** Where a rendition is on the common clock, and the segments with which its keys change. */
interface Track {
  readonly url: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly changes: readonly Placed[];
}

/** Renditions of one presentation that do not change their keys at the same time, as far as both list it. */
export function* keyChangesApart(renditions: readonly Keyed[]): Iterable<Problem> {
  const tracks = renditions.flatMap((rendition) => trackOf(rendition) ?? []);
  const [first, ...others] = tracks;
  if (!first) return;
  const targetMs = Math.max(...renditions.map(({ playlist }) => playlist.targetDuration ?? 0)) * 1000;
  for (const other of others) {
    yield* unmatched(first, other, targetMs);
    yield* unmatched(other, first, targetMs);
  }
}

/** Undefined for a rendition that is in the clear, of I-frames or without a place in time. */
function trackOf({ role, playlist }: Keyed): Track | undefined {
  if (role.iFrames || !playlist.segments.some(isEncrypted)) return undefined;
  const placed = place(playlist);
  const [first, last] = [placed?.[0], placed?.at(-1)];
  if (!placed || !first || !last) return undefined;
  const changes = placed.filter(({ segment }, index) => {
    const before = placed[index - 1];
    return before !== undefined && keysOf(before.segment) !== keysOf(segment);
  });
  return { url: role.url, startMs: first.startMs, endMs: last.endMs, changes };
}

function isEncrypted({ keys }: Segment): boolean {
  return keys.some(({ method }) => method !== 'NONE');
}

function keysOf({ keys }: Segment): string {
  return keys
    .map(({ text }) => text)
    .toSorted()
    .join('\n');
}

/** Boundaries of audio and video never fall together: half a segment is near enough, and the ends of a window tell nothing. */
function* unmatched(one: Track, other: Track, targetMs: number): Iterable<Problem> {
  const fromMs = Math.max(one.startMs, other.startMs) + targetMs;
  const untilMs = Math.min(one.endMs, other.endMs) - targetMs;
  for (const { segment, startMs } of one.changes) {
    if (startMs <= fromMs || startMs >= untilMs) continue;
    const nearest = Math.min(...other.changes.map((change) => Math.abs(change.startMs - startMs)));
    if (nearest <= targetMs / 2) continue;
    const where = Number.isFinite(nearest) ? `does so ${say(nearest / 1000)} from it` : 'does not';
    const message = `the keys change with segment ${segment.msn}, ${other.url} ${where}`;
    yield { url: one.url, line: segment.line, message };
  }
}
