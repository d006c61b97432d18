import { type Ac3Frame, parseAc3AccessUnit, parseAc3Frame } from '../ac3.ts';
import type { FrameResult, SoundFramer } from './sound-framer.ts';

/** Enough for {@link parseAc3Frame}: syncinfo and the first of bsi. */
const HEADER_BYTES = 8;
const MAX_UNIT_BYTES = 32 * 1024;
/** Syncframes of a sample: more than any encoder makes. */
const MAX_SYNCFRAMES = 64;
/** An E-AC-3 sample holds six blocks of each substream (ETSI TS 102 366 F.6). */
const UNIT_SAMPLES = 1536;
/** data_rate of `dec3`: what varies from one access unit to the next is no other sound. */
const DATA_RATE_BITS = 0xfff8;

type Range = readonly [start: number, end: number];

/**
 * AC-3 and E-AC-3. A sample is an access unit: for E-AC-3 all syncframes of six blocks, the dependent substreams with
 * the independent one before them, other programmes than the first left out.
 */
export class Ac3Framer implements SoundFramer {
  readonly maxFrameBytes = MAX_UNIT_BYTES;
  readonly firstByte = 0x0b;
  #config: Uint8Array | undefined;

  frame(bytes: Buffer, at: number): FrameResult {
    const first = syncframe(bytes, at);
    if (first === 'more') return { kind: 'more' };
    if (!first) return { kind: 'damaged' };
    // Another programme, or channels for a frame that is lost. One at a time: what follows may be ours.
    if (!isMain(first)) {
      const end = at + first.frameBytes;
      return end > bytes.length ? { kind: 'more' } : { kind: 'skip', end };
    }
    const parts: Range[] = [];
    let samples = 0;
    let end = at;
    let ours = false;
    for (let frames = 0; frames < MAX_SYNCFRAMES; frames++) {
      const next = end === bytes.length && samples >= UNIT_SAMPLES ? undefined : syncframe(bytes, end);
      if (next === 'more') return { kind: 'more' };
      if (!next || (samples >= UNIT_SAMPLES && isMain(next))) break;
      if (next.codec !== first.codec) return { kind: 'damaged' };
      if (end + next.frameBytes > bytes.length) return { kind: 'more' };
      if (!next.dependent) ours = next.substream === 0;
      if (ours) parts.push([end, end + next.frameBytes]);
      if (isMain(next)) samples += next.frameSamples;
      end += next.frameBytes;
    }
    return samples >= UNIT_SAMPLES ? this.#describe(bytes, parts, end) : { kind: 'damaged' };
  }

  #describe(bytes: Buffer, parts: readonly Range[], end: number): FrameResult {
    const data = Buffer.concat(parts.map(([start, stop]) => bytes.subarray(start, stop)));
    const unit = parseAc3AccessUnit(data);
    if (!unit) return { kind: 'damaged' };
    if (!this.#config || !areAlike(unit.codec, unit.config, this.#config)) this.#config = unit.config;
    const next = parseAc3Frame(bytes.subarray(end, end + HEADER_BYTES));
    const here = parseAc3Frame(data);
    return {
      kind: 'frame',
      end,
      codec: unit.codec,
      config: this.#config,
      confirmed: next !== undefined && here !== undefined && areAlike(unit.codec, next.config, here.config),
      data: Uint8Array.from(data),
      samples: unit.frameSamples,
      sampleRate: unit.sampleRate,
    };
  }
}

function isMain(frame: Ac3Frame): boolean {
  return !frame.dependent && frame.substream === 0;
}

function syncframe(bytes: Buffer, at: number): Ac3Frame | 'more' | undefined {
  if (bytes.length - at < HEADER_BYTES) return 'more';
  return parseAc3Frame(bytes.subarray(at, at + HEADER_BYTES));
}

/** The same but for the data rate. */
function areAlike(codec: 'ac-3' | 'ec-3', a: Uint8Array, b: Uint8Array): boolean {
  if (codec === 'ac-3' || a.length !== b.length) return Buffer.compare(a, b) === 0;
  const first = ((a[0] ?? 0) * 256 + (a[1] ?? 0)) & ~DATA_RATE_BITS;
  const second = ((b[0] ?? 0) * 256 + (b[1] ?? 0)) & ~DATA_RATE_BITS;
  return first === second && Buffer.compare(a.subarray(2), b.subarray(2)) === 0;
}
