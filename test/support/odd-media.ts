import { parseAudioTag, parseVideoTag } from '../../src/media/flv.ts';
import { FlvReader } from '../../src/media/flv-reader.ts';
import { ffmpeg, type SourceFile } from './ffmpeg.ts';
import { seededRandom } from './impair-plan.ts';

/** One FLV tag on its way to the server, and where it truly belongs. */
export interface OddTag {
  readonly kind: 'video' | 'audio' | 'script';
  /** As it is sent: unsigned 32 bits, milliseconds. */
  readonly timestampMs: number;
  readonly body: Uint8Array;
  /** When it is sent, milliseconds from the start. */
  readonly atMs: number;
  /** Its decode time on a clock that never misbehaves. */
  readonly trueMs: number;
}

/** Changes what a broadcaster sends. */
export type Mutator = (tags: readonly OddTag[]) => OddTag[];

const KINDS = { audio: 'audio', video: 'video', script: 'script' } as const;

/** The tags of an FLV file but for its end marks, each sent at its own time. */
export function readTags(file: Uint8Array): OddTag[] {
  const tags = new FlvReader().push(file).flatMap(({ type, timestampMs, body }) => {
    if (type === 'other') return [];
    return [{ kind: KINDS[type], timestampMs, body, atMs: timestampMs, trueMs: timestampMs }];
  });
  return tags.filter((tag) => isHeader(tag) || meaning(tag) === 'frame');
}

export interface Clip extends SourceFile {
  /** Another seed is another sound. */
  readonly noise?: number;
}

/** A clip of moving pictures and noise: no two frames of it are alike, so that each can be told from the others. */
export async function makeClip(clip: Clip): Promise<OddTag[]> {
  return readTags((await ffmpeg([...clipArgs(clip), '-f', 'flv', 'pipe:1'])).stdout);
}

/** The arguments that make such a clip, but for its container. */
export function clipArgs(clip: Clip): string[] {
  const {
    noise = 7,
    seconds,
    size = '160x90',
    rate = '30',
    gop = 60,
    bFrames = 0,
    sampleRate = 48_000,
  } = clip;
  return [
    ...['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`],
    ...['-f', 'lavfi', '-i', `anoisesrc=amplitude=0.1:seed=${noise}:sample_rate=${sampleRate}`],
    ...['-c:v', 'libx264', '-preset', bFrames > 0 ? 'veryfast' : 'ultrafast', '-pix_fmt', 'yuv420p'],
    ...['-g', `${gop}`, '-keyint_min', `${gop}`, '-sc_threshold', '0', '-bf', `${bFrames}`, '-b:v', '200k'],
    ...['-c:a', 'aac', '-b:a', '64k', '-ac', '1', '-t', `${seconds}`],
  ];
}

/** True for sequence headers and metadata: what stands before media and belongs to no moment of it. */
export function isHeader(tag: OddTag): boolean {
  return tag.kind === 'script' || meaning(tag) === 'config';
}

function meaning({ kind, body }: OddTag): string {
  return (kind === 'video' ? parseVideoTag(body) : parseAudioTag(body)).kind;
}

/** A key frame, as the tag says. */
export function isKey(tag: OddTag): boolean {
  return tag.kind === 'video' && !isHeader(tag) && (tag.body[0] ?? 0) >> 4 === 1;
}

/** One mutation after the other. */
export function chained(...mutators: readonly Mutator[]): Mutator {
  return (tags) => mutators.reduce<OddTag[]>((before, mutate) => mutate(before), [...tags]);
}

function mapped(change: (tag: OddTag, index: number) => OddTag): Mutator {
  return (tags) => tags.map(change);
}

function filtered(keeps: (tag: OddTag, index: number) => boolean): Mutator {
  return (tags) => tags.filter(keeps);
}

/** The source's clock jumps by so much at a moment. */
export function jump(fromMs: number, byMs: number): Mutator {
  return mapped((tag) =>
    isHeader(tag) || tag.trueMs < fromMs ? tag : { ...tag, timestampMs: (tag.timestampMs + byMs) >>> 0 },
  );
}

/** The source's clock begins at 0 again. */
export function resetClock(fromMs: number): Mutator {
  return jump(fromMs, -fromMs);
}

/** The source's clock starts at so much instead of 0. */
export function offset(byMs: number): Mutator {
  return mapped((tag) => ({ ...tag, timestampMs: (tag.timestampMs + byMs) % 2 ** 32 }));
}

/** Muxers that mask the sign bit away wrap at 2^31. */
export function signMasked(): Mutator {
  return mapped((tag) => ({ ...tag, timestampMs: tag.timestampMs & 0x7fffffff }));
}

export function without(kind: 'video' | 'audio'): Mutator {
  return filtered((tag) => tag.kind !== kind && tag.kind !== 'script');
}

/** A track that begins later, with its sequence header. */
export function late(kind: 'video' | 'audio', byMs: number): Mutator {
  return (tags) => {
    const header = tags.filter((tag) => tag.kind === kind && isHeader(tag));
    const rest = tags.filter(
      (tag) => tag.kind !== 'script' && (tag.kind !== kind || (!isHeader(tag) && tag.trueMs >= byMs)),
    );
    const moved = header.map((tag) => ({ ...tag, atMs: byMs, trueMs: byMs, timestampMs: byMs }));
    const index = rest.findIndex((tag) => tag.kind === kind);
    return [...rest.slice(0, index), ...moved, ...rest.slice(index)];
  };
}

export function stops(kind: 'video' | 'audio', atMs: number): Mutator {
  return filtered((tag) => tag.kind !== kind || tag.trueMs < atMs);
}

/** Nothing but what needs a key frame that never came. */
export function noKeyAtAll(): Mutator {
  return filtered((tag) => !isKey(tag));
}

export function noSequenceHeader(): Mutator {
  return filtered((tag) => !isHeader(tag));
}

/** Every n-th frame of a kind is sent twice. */
export function duplicated(every: number): Mutator {
  return (tags) => tags.flatMap((tag, index) => (!isHeader(tag) && index % every === 0 ? [tag, tag] : [tag]));
}

/** Every n-th frame says that it is so much earlier than it is. */
export function backwards(every: number, byMs: number): Mutator {
  return mapped((tag, index) =>
    !isHeader(tag) && index % every === 0
      ? { ...tag, timestampMs: Math.max(0, tag.timestampMs - byMs) }
      : tag,
  );
}

/** Every timestamp is the same. */
export function same(): Mutator {
  return mapped((tag) => ({ ...tag, timestampMs: 0 }));
}

/** Nothing is sent for so long; the source's clock goes on. */
export function gap(fromMs: number, forMs: number): Mutator {
  return filtered((tag) => isHeader(tag) || tag.trueMs < fromMs || tag.trueMs >= fromMs + forMs);
}

/** Nothing of one kind is sent for so long. */
export function pause(kind: 'video' | 'audio', fromMs: number, forMs: number): Mutator {
  const hole = gap(fromMs, forMs);
  return (tags) => {
    const left = new Set(hole(tags));
    return tags.filter((tag) => tag.kind !== kind || left.has(tag));
  };
}

/** A variable rate: every frame moved by up to so much, order kept, B-frames excluded. */
export function uneven(seed: number, upToMs: number): Mutator {
  const random = seededRandom(seed);
  return mapped((tag) => {
    if (tag.kind !== 'video' || isHeader(tag)) return tag;
    const moved = tag.trueMs + Math.floor(random() * upToMs);
    return { ...tag, timestampMs: moved, trueMs: moved, atMs: moved };
  });
}

/** Bits of media flip at this rate, between two moments. */
export function corrupted(rate: number, seed: number, fromMs = 0, toMs = Number.POSITIVE_INFINITY): Mutator {
  const random = seededRandom(seed);
  return mapped((tag) => {
    if (isHeader(tag) || tag.trueMs < fromMs || tag.trueMs >= toMs) return tag;
    return { ...tag, body: flipBits(tag.body, rate, random) };
  });
}

/** Flips every bit with this probability. */
export function flipBits(bytes: Uint8Array, rate: number, random: () => number): Uint8Array {
  const out = bytes.slice();
  // Distances between flips are geometric: one draw a flip instead of one a bit.
  const step = (): number => 1 + Math.floor(Math.log(1 - random()) / Math.log(1 - rate));
  for (let bit = step() - 1; bit < out.length * 8; bit += step()) {
    out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
  return out;
}

/** A second clip sent behind the first, sequence headers and all, on one clock: its first picture is due at `atMs`. */
export function followedBy(next: readonly OddTag[], atMs: number): Mutator {
  return (tags) => {
    const moved = next
      .filter(({ kind }) => kind !== 'script')
      .map((tag) => ({
        ...tag,
        timestampMs: tag.timestampMs + atMs,
        atMs: tag.atMs + atMs,
        trueMs: tag.trueMs + atMs,
      }));
    return [...tags, ...moved];
  };
}

/** What is media of one kind. */
export function frames(tags: readonly OddTag[], kind: 'video' | 'audio'): OddTag[] {
  return tags.filter((tag) => tag.kind === kind && !isHeader(tag));
}
