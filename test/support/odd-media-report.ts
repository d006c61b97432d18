import { createHash } from 'node:crypto';
import { readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import type { LiveWindow, Segment } from '../../src/stream/live-window.ts';
import { run } from './ffmpeg.ts';
import { frames, type OddTag } from './odd-media.ts';

type Kind = 'video' | 'audio';

/** A frame that viewers get. */
export interface ServedFrame {
  /** Which of the frames sent it is, by its bytes; undefined when it is none of them. */
  readonly source: OddTag | undefined;
  readonly dtsTicks: number;
  readonly ptsMs: number;
  readonly durationMs: number;
  readonly key: boolean;
}

/** Bytes of an FLV body before the frame itself. */
const HEAD_BYTES: Readonly<Record<Kind, number>> = { video: 5, audio: 2 };

function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('base64');
}

function mediaSegments(window: LiveWindow, rendition: string): Segment[] {
  const segments = window.renditions.find(({ id }) => id === rendition)?.segments ?? [];
  return segments.filter(({ chunks }) => chunks.length > 0);
}

/** Everything in a window of one kind, in order, each frame known by what was sent. */
export function servedFrames(window: LiveWindow, kind: Kind, sent: readonly OddTag[]): ServedFrame[] {
  const byContent = new Map<string, OddTag>();
  for (const tag of frames(sent, kind)) {
    const name = digest(tag.body.subarray(HEAD_BYTES[kind]));
    if (!byContent.has(name)) byContent.set(name, tag);
  }
  const timescale = window.renditions.find(({ id }) => id === kind)?.timescale ?? 1;
  return mediaSegments(window, kind).flatMap(({ chunks, number }) =>
    chunks.flatMap(({ bytes }) => {
      const fragments = readFragments(bytes);
      if (!fragments) throw new Error(`unreadable chunk in ${kind} segment ${number}`);
      return fragments.flatMap(({ tracks }) =>
        tracks.flatMap(({ samples }) =>
          samples.map((sample) => ({
            source: byContent.get(digest(sample.data)),
            dtsTicks: sample.dts,
            ptsMs: (sample.pts * 1000) / timescale,
            durationMs: (sample.duration * 1000) / timescale,
            key: sample.key,
          })),
        ),
      );
    }),
  );
}

/** What viewers get of what was sent. */
export interface OddReport {
  /** Frames sent, each content once. */
  readonly sent: Readonly<Record<Kind, number>>;
  /** Of those, how many are served. */
  readonly kept: Readonly<Record<Kind, number>>;
  /** Frames served twice, or never sent. */
  readonly surplus: Readonly<Record<Kind, number>>;
  /** Longest time without a picture, or a sound, beyond the length of a frame. */
  readonly longestHoleMs: Readonly<Record<Kind, number>>;
  /** Furthest that sound and picture are from where they were to each other. */
  readonly avOffsetMs: number;
  /** Decode times that do not grow. */
  readonly backwardSteps: number;
}

export function reportServed(window: LiveWindow, sent: readonly OddTag[]): OddReport {
  const served = { video: servedFrames(window, 'video', sent), audio: servedFrames(window, 'audio', sent) };
  const distinct = (kind: Kind): number =>
    new Set(frames(sent, kind).map(({ body }) => digest(body.subarray(HEAD_BYTES[kind])))).size;
  const kept = (kind: Kind): number => new Set(served[kind].flatMap(({ source }) => source ?? [])).size;
  const both = (measure: (kind: Kind) => number): Record<Kind, number> => ({
    video: measure('video'),
    audio: measure('audio'),
  });
  return {
    sent: both(distinct),
    kept: both(kept),
    surplus: both((kind) => served[kind].length - kept(kind)),
    longestHoleMs: both((kind) => longestHoleMs(served[kind])),
    avOffsetMs: avOffsetMs(served.video, served.audio),
    backwardSteps: backwardSteps(served.video) + backwardSteps(served.audio),
  };
}

function longestHoleMs(served: readonly ServedFrame[]): number {
  const shown = served.toSorted((a, b) => a.ptsMs - b.ptsMs);
  const holes = shown.slice(1).map((frame, index) => {
    const before = shown[index];
    return before ? frame.ptsMs - before.ptsMs - before.durationMs : 0;
  });
  return Math.max(0, ...holes);
}

function backwardSteps(served: readonly ServedFrame[]): number {
  return served.filter(({ dtsTicks }, index) => dtsTicks <= (served[index - 1]?.dtsTicks ?? -1)).length;
}

/** How far each sound is from the picture nearest to it in truth, measured against where it was sent. */
function avOffsetMs(video: readonly ServedFrame[], audio: readonly ServedFrame[]): number {
  const moved = (list: readonly ServedFrame[]): { readonly trueMs: number; readonly byMs: number }[] =>
    list
      .flatMap(({ source, ptsMs }) => {
        if (!source) return [];
        const trueMs = source.trueMs + compositionMs(source);
        return [{ trueMs, byMs: ptsMs - trueMs }];
      })
      .toSorted((a, b) => a.trueMs - b.trueMs);
  const pictures = moved(video);
  let at = 0;
  let worst = 0;
  for (const { trueMs, byMs } of moved(audio)) {
    while ((pictures[at + 1]?.trueMs ?? Number.POSITIVE_INFINITY) <= trueMs) at++;
    const picture = pictures[at];
    if (!picture || Math.abs(picture.trueMs - trueMs) > 200) continue;
    worst = Math.max(worst, Math.abs(byMs - picture.byMs));
  }
  return worst;
}

function compositionMs({ kind, body }: OddTag): number {
  if (kind !== 'video') return 0;
  const [, , high = 0, middle = 0, low = 0] = body;
  return ((high << 24) | (middle << 16) | (low << 8)) >> 8;
}

/** What ffmpeg makes of one kind of a window, each stretch of one configuration decoded by itself. */
export interface Decoded {
  readonly frames: number;
  /** MD5 of every decoded frame, in order. */
  readonly hashes: readonly string[];
  /** Everything it complained of. */
  readonly errors: readonly string[];
}

export async function decodeServed(window: LiveWindow, kind: Kind): Promise<Decoded> {
  const stretches: { readonly init: Uint8Array; readonly pieces: Uint8Array[] }[] = [];
  for (const { period, chunks } of mediaSegments(window, kind)) {
    const init = period.inits.get(kind);
    if (!init) throw new Error(`no init segment of ${kind} in period ${period.id}`);
    const pieces = chunks.map(({ bytes }) => bytes);
    const last = stretches.at(-1);
    if (last && Buffer.compare(last.init, init) === 0) last.pieces.push(...pieces);
    else stretches.push({ init, pieces: [init, ...pieces] });
  }
  const decoded = await Promise.all(stretches.map(({ pieces }) => decode(pieces)));
  return {
    frames: decoded.reduce((sum, { hashes }) => sum + hashes.length, 0),
    hashes: decoded.flatMap(({ hashes }) => hashes),
    errors: decoded.flatMap(({ errors }) => errors),
  };
}

async function decode(file: readonly Uint8Array[]): Promise<Pick<Decoded, 'hashes' | 'errors'>> {
  const { code, stdout, stderr } = await run(
    'ffmpeg',
    [
      ...['-hide_banner', '-nostats', '-loglevel', 'warning', '-err_detect', 'explode', '-copyts'],
      ...['-f', 'mp4', '-i', 'pipe:0', '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'],
    ],
    { stdin: file },
  );
  const lines = stdout.toString('utf8').split('\n');
  return {
    hashes: lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split(',').at(-1)?.trim() ?? ''),
    errors: [
      ...stderr.split('\n').filter((line) => line !== ''),
      ...(code === 0 ? [] : [`ffmpeg ended with ${code}`]),
    ],
  };
}
