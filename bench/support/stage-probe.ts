import { spawn } from 'node:child_process';
import { readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import { readBoxes } from '../../src/media/isobmff/box-reader.ts';
import { receiveChunks } from './cmaf-chunks.ts';
import { ageOfPictureMs, CODE_BLOCKS, readPictureClock } from '../../web/src/picture-clock.ts';

/** Where one frame's time went before a player had it, milliseconds. */
export interface FrameStages {
  /** From the drawing of the picture to its time on the stream's clock: the publisher's encoder and the push. */
  readonly drawnToClockMs: number;
  /** From there until the frame's chunk was read from the origin: hub, encoder of the ladder, packager, HTTP. */
  readonly clockToSocketMs: number;
}

interface ReceivedSegment {
  readonly bytes: Buffer;
  /** For each chunk, in order: its media time and when it was complete here; Unix ms. */
  readonly chunks: readonly { readonly mediaMs: number; readonly receivedMs: number }[];
}

const VIDEO_TIMESCALE = 90_000;
const BLOCK_PX = 6;
const ROW_PX = CODE_BLOCKS * BLOCK_PX;

/** Reads a rendition's growing segments as an LL-DASH player does, for `count` segments, and the clock in each frame. */
export async function probeStages(liveUrl: string, rendition: string, count: number): Promise<FrameStages[]> {
  const list = await text(`${liveUrl}/${rendition}.m3u8`);
  const init = await bytes(
    `${liveUrl}/${/#EXT-X-MAP:URI="([^"]+)"(?![\s\S]*#EXT-X-MAP)/.exec(list)?.[1] ?? ''}`,
  );
  const segments = await receiveNext(liveUrl, list, count);
  const clocks = await readClocks(Buffer.concat([init, ...segments.map((segment) => segment.bytes)]));
  return segments
    .flatMap((segment) => segment.chunks)
    .flatMap(({ mediaMs, receivedMs }, frame) => {
      const clock = clocks[frame];
      const drawnToClockMs = clock === undefined ? undefined : ageOfPictureMs(clock, mediaMs);
      return drawnToClockMs === undefined ? [] : [{ drawnToClockMs, clockToSocketMs: receivedMs - mediaMs }];
    });
}

/** The same without a look at the picture, which encrypted media does not give: `clockToSocketMs` of each frame. */
export async function probeDelivery(liveUrl: string, rendition: string, count: number): Promise<number[]> {
  const segments = await receiveNext(liveUrl, await text(`${liveUrl}/${rendition}.m3u8`), count);
  return segments.flatMap(({ chunks }) => chunks.map(({ mediaMs, receivedMs }) => receivedMs - mediaMs));
}

async function receiveNext(liveUrl: string, list: string, count: number): Promise<ReceivedSegment[]> {
  const last = [...list.matchAll(/^(\S+)\/(\d+)\.m4s$/gm)].at(-1);
  if (!last?.[1]) throw new Error('no segment is listed');
  const segments: ReceivedSegment[] = [];
  for (let i = 0; i < count; i++) {
    // Behind the segment that is open now: held until it begins, and then read as it grows.
    segments.push(await receive(`${liveUrl}/${last[1]}/${Number(last[2]) + 2 + i}.m4s`));
  }
  return segments;
}

async function receive(url: string): Promise<ReceivedSegment> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${response.status} for ${url}`);
  const chunks: { mediaMs: number; receivedMs: number }[] = [];
  const pieces: Buffer[] = [];
  const body = response.body as unknown as AsyncIterable<Uint8Array>;
  for await (const { bytes: piece, receivedMs } of receiveChunks(body)) {
    pieces.push(piece);
    const dts = readFragments(piece)?.[0]?.tracks[0]?.samples[0]?.dts;
    const atMs = performance.timeOrigin + receivedMs;
    if (dts !== undefined) chunks.push({ mediaMs: (dts / VIDEO_TIMESCALE) * 1000, receivedMs: atMs });
  }
  return { bytes: Buffer.concat(pieces), chunks };
}

/** The clock that is drawn in each frame of an fMP4 file, in order; undefined where it cannot be read. */
async function readClocks(file: Buffer): Promise<(number | undefined)[]> {
  if (!readBoxes(file).boxes.some(({ type }) => type === 'moov'))
    throw new Error('no initialization segment');
  const row = `format=gray,crop=iw:2:0:floor(iw/80),scale=${ROW_PX}:1:flags=area,format=rgba`;
  const ffmpeg = spawn(
    'ffmpeg',
    ['-v', 'error', '-i', 'pipe:0', '-vf', row, '-fps_mode', 'passthrough', '-f', 'rawvideo', 'pipe:1'],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  ffmpeg.stdin.end(file);
  const pieces: Buffer[] = [];
  for await (const piece of ffmpeg.stdout as AsyncIterable<Buffer>) pieces.push(piece);
  const pixels = Buffer.concat(pieces);
  const frameBytes = ROW_PX * 4;
  return Array.from({ length: Math.floor(pixels.length / frameBytes) }, (_, frame) =>
    readPictureClock(pixels.subarray(frame * frameBytes, (frame + 1) * frameBytes), ROW_PX),
  );
}

async function text(url: string): Promise<string> {
  return (await bytes(url)).toString('utf8');
}

async function bytes(url: string): Promise<Buffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} for ${url}`);
  return Buffer.from(await response.arrayBuffer());
}
