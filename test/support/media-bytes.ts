import { type Box, findBox, readBoxes } from '../../src/media/isobmff/box-reader.ts';
import { writeChunk } from '../../src/media/isobmff/chunk.ts';
import { writeInitSegment } from '../../src/media/isobmff/init-segment.ts';
import { audioTrack, videoTrack } from './sample-source.ts';

/** Small CMAF files made by our own writers, and tools to break one thing in them. */

export const VIDEO_TIMESCALE = 90_000;
export const AUDIO_TIMESCALE = 48_000;
const AAC_FRAME = 1024;
/** What a prft of ours says: captured, in real time. */
const CAPTURED = 24;

export function videoInit(): Uint8Array {
  const { codec, config, timescale, width, height } = videoTrack();
  return writeInitSegment({ kind: 'video', codec, config, timescale, width, height });
}

export function audioInit(): Uint8Array {
  const { codec, config, timescale, channels } = audioTrack();
  return writeInitSegment({ kind: 'audio', codec, config, timescale, channels });
}

export interface SegmentOptions {
  readonly startTicks: number;
  /** Samples in the segment; 60 for video, 94 for audio. */
  readonly samples?: number;
  readonly chunkSamples?: number;
  /** Ticks of a sample; 3000 for video, 1024 for audio. */
  readonly sampleTicks?: number;
  /** Bytes of one sample. */
  readonly sampleBytes?: number;
  /** The first sample is not an IDR. */
  readonly dependent?: boolean;
  /** No prft. */
  readonly withoutReference?: boolean;
  /** Milliseconds by which the wall time of the prft is off its media time. */
  readonly referenceShiftMs?: number;
  readonly timescale?: number;
}

/** The chunks of a video segment: an IDR picture, then others that depend on it. */
export function videoChunks(options: SegmentOptions): Uint8Array[] {
  const samples = options.samples ?? 60;
  return chunks('video', { sampleTicks: 3000, timescale: VIDEO_TIMESCALE, ...options, samples });
}

/** The chunks of an audio segment. */
export function audioChunks(options: SegmentOptions): Uint8Array[] {
  const samples = options.samples ?? 94;
  return chunks('audio', { sampleTicks: AAC_FRAME, timescale: AUDIO_TIMESCALE, ...options, samples });
}

export function videoSegment(options: SegmentOptions): Uint8Array {
  return concat(videoChunks(options));
}

export function audioSegment(options: SegmentOptions): Uint8Array {
  return concat(audioChunks(options));
}

type Filled = SegmentOptions & Required<Pick<SegmentOptions, 'samples' | 'sampleTicks' | 'timescale'>>;

function chunks(kind: 'video' | 'audio', options: Filled): Uint8Array[] {
  const { samples, chunkSamples = 10 } = options;
  const made: Uint8Array[] = [];
  for (let first = 0; first < samples; first += chunkSamples) {
    made.push(oneChunk(kind, options, first, Math.min(chunkSamples, samples - first)));
  }
  return made;
}

function oneChunk(kind: 'video' | 'audio', options: Filled, first: number, count: number): Uint8Array {
  const { startTicks, sampleTicks, timescale, sampleBytes = 64, dependent = false } = options;
  const mediaTicks = startTicks + first * sampleTicks;
  const wallMs = (mediaTicks / timescale) * 1000 + (options.referenceShiftMs ?? 0);
  return writeChunk({
    sequence: 1 + first,
    position: first === 0 ? 'segment-start' : 'inside',
    reference: options.withoutReference ? undefined : { wallMs, mediaTicks, flags: CAPTURED },
    samples: Array.from({ length: count }, (_, i) => {
      const dts = mediaTicks + i * sampleTicks;
      const key = kind === 'audio' || (first + i === 0 && !dependent);
      return {
        dts,
        pts: dts,
        duration: sampleTicks,
        key,
        data: kind === 'audio' ? new Uint8Array(sampleBytes) : picture(key, sampleBytes),
      };
    }),
  });
}

/** One NAL unit behind its length: an IDR slice or another. */
function picture(idr: boolean, sizeBytes: number): Uint8Array {
  const data = new Uint8Array(sizeBytes);
  new DataView(data.buffer).setUint32(0, sizeBytes - 4);
  data[4] = idr ? 0x65 : 0x41;
  return data;
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** The box at `path` in a copy of `bytes`, for `edit` to write to. `path` begins at the top. */
export function editBox(
  bytes: Uint8Array,
  path: readonly string[],
  edit: (view: DataView, box: Box) => void,
): Uint8Array {
  const copy = bytes.slice();
  const found = findBox(readBoxes(copy).boxes, path);
  if (!found) throw new Error(`no box ${path.join('/')}`);
  edit(new DataView(copy.buffer), found);
  return copy;
}

/** Makes the box at `path` a `free` one: everything else stays where it is. */
export function withoutBox(bytes: Uint8Array, path: readonly string[]): Uint8Array {
  return editBox(bytes, path, (view, { start }) => view.setUint32(start + 4, 0x66726565));
}

/** A copy with `extra` put in front of the first top-level box of that type. */
export function insertBefore(bytes: Uint8Array, type: string, extra: Uint8Array): Uint8Array {
  const found = findBox(readBoxes(bytes).boxes, [type]);
  if (!found) throw new Error(`no box ${type}`);
  return concat([bytes.subarray(0, found.start), extra, bytes.subarray(found.start)]);
}

/** A box of that type with that body. */
export function box(type: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  new DataView(bytes.buffer).setUint32(0, bytes.length);
  bytes.set(Buffer.from(type, 'latin1'), 4);
  bytes.set(body, 8);
  return bytes;
}

/** The bytes of 32-bit numbers, big endian. */
export function u32s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value);
  return bytes;
}
