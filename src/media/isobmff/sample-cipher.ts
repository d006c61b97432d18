import { type Cipher, createCipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { CENC_IV_BYTES, CONSTANT_IV_BYTES, KEY_BYTES } from './protection-info.ts';
import type { Subsample } from './sample-protection.ts';

/** What of a sample is to be encrypted; without subsamples all of it. */
export interface PlainSample {
  readonly data: Uint8Array;
  readonly subsamples: readonly Subsample[] | undefined;
}

/** A sample as it is stored; its input is left as it was. */
export interface CipherSample {
  readonly data: Uint8Array;
  /** Undefined when `tenc` has a constant one. */
  readonly iv: Uint8Array | undefined;
}

/** Encrypts the samples of one track in the order of their IVs. */
export interface SampleCipher {
  encrypt(samples: readonly PlainSample[]): CipherSample[];
}

const BLOCK_BYTES = 16;

/** A track gets so many IVs of a key and no more: the next may be another track's. */
const IVS_OF_A_LANE = 2 ** 32;

/**
 * Below this many bytes the set-up of a cipher for a sample costs more than to make the key stream of all samples with
 * one call and to add it here (measured: 4 kB).
 */
const SMALL_SAMPLE_BYTES = 4096;

/**
 * AES-128 in counter mode (scheme `cenc`, ISO/IEC 23001-7 9.4 and 9.6): the counter of a sample begins at its IV and
 * goes on over its protected ranges as if they were one. Each sample has the next IV.
 */
export class CencCipher implements SampleCipher {
  readonly #key: KeyObject;
  readonly #blocks: Cipher;
  readonly #ivs: IvLane;

  /** @throws RangeError when `key` or `ivStart` has the wrong length */
  constructor(key: Uint8Array, ivStart: Uint8Array) {
    this.#key = secretKey(key);
    this.#blocks = createCipheriv('aes-128-ecb', this.#key, null).setAutoPadding(false);
    this.#ivs = new IvLane(ivStart);
  }

  encrypt(samples: readonly PlainSample[]): CipherSample[] {
    const sealed: CipherSample[] = [];
    const small: SmallSample[] = [];
    let blocks = 0;
    for (const { data, subsamples } of samples) {
      const iv = this.#ivs.take();
      const bytes = subsamples ? protectedBytes(subsamples) : data.length;
      if (bytes >= SMALL_SAMPLE_BYTES) {
        sealed.push({ data: this.#encryptLarge(data, subsamples, iv, bytes), iv });
        continue;
      }
      const copy = copyOf(data);
      sealed.push({ data: copy, iv });
      small.push({ iv, copy, subsamples, firstBlock: blocks });
      blocks += Math.ceil(bytes / BLOCK_BYTES);
    }
    if (blocks > 0) this.#encryptSmall(small, blocks);
    return sealed;
  }

  #encryptLarge(
    data: Uint8Array,
    subsamples: readonly Subsample[] | undefined,
    iv: Uint8Array,
    bytes: number,
  ): Uint8Array {
    if (!subsamples || subsamples.length === 1) return this.#encryptBehind(data, data.length - bytes, iv);
    const gathered = Buffer.allocUnsafe(bytes);
    let to = 0;
    forEachRange(data, subsamples, (start, end) => {
      gathered.set(data.subarray(start, end), to);
      to += end - start;
    });
    const text = createCipheriv('aes-128-ctr', this.#key, counterBlock(iv, 0)).update(gathered);
    const copy = copyOf(data);
    let from = 0;
    forEachRange(data, subsamples, (start, end) => {
      copy.set(text.subarray(from, from + end - start), start);
      from += end - start;
    });
    return copy;
  }

  /**
   * Encrypts all but the first bytes. The clear ones go through the cipher, too, with counters before the first one,
   * and are put back: so the cipher's output is the sample, and nothing else is copied.
   */
  #encryptBehind(data: Uint8Array, clearBytes: number, iv: Uint8Array): Uint8Array {
    const blocksBefore = Math.ceil(clearBytes / BLOCK_BYTES);
    const cipher = createCipheriv('aes-128-ctr', this.#key, counterBlock(iv, blocksBefore));
    const unused = blocksBefore * BLOCK_BYTES - clearBytes;
    if (unused > 0) cipher.update(data.subarray(0, unused));
    const sealed = cipher.update(data);
    sealed.set(data.subarray(0, clearBytes));
    return sealed;
  }

  /** One call for all: the key stream is the counters, encrypted. */
  #encryptSmall(samples: readonly SmallSample[], blocks: number): void {
    const counters = new Uint8Array(blocks * BLOCK_BYTES);
    const view = new DataView(counters.buffer);
    for (let index = 0; index < samples.length; index++) {
      const sample = samples[index];
      if (sample) fillCounters(view, sample, samples[index + 1]?.firstBlock ?? blocks);
    }
    const keyStream = this.#blocks.update(counters);
    for (const { copy, subsamples, firstBlock } of samples) {
      let from = firstBlock * BLOCK_BYTES;
      forEachRange(copy, subsamples, (start, end) => {
        addKeyStream(copy, start, end, keyStream, from);
        from += end - start;
      });
    }
  }
}

/** A sample whose key stream is made together with that of others. */
interface SmallSample {
  readonly iv: Uint8Array;
  /** Its bytes, to be encrypted in place. */
  readonly copy: Uint8Array;
  readonly subsamples: readonly Subsample[] | undefined;
  /** Where its key stream begins. */
  readonly firstBlock: number;
}

/** The counter `blocksBefore` blocks before a sample's first one, which is its IV and a block number of 0. */
function counterBlock(iv: Uint8Array, blocksBefore: number): Uint8Array {
  const counter = new Uint8Array(BLOCK_BYTES);
  counter.set(iv);
  const view = new DataView(counter.buffer);
  let borrow = blocksBefore;
  for (let at = 12; borrow > 0 && at >= 0; at -= 4) {
    const word = view.getUint32(at) - borrow;
    view.setUint32(at, word);
    borrow = word < 0 ? 1 : 0;
  }
  return counter;
}

/** Adds key stream, from its byte `from` on, to the bytes from `start` to `end`. */
function addKeyStream(
  bytes: Uint8Array,
  start: number,
  end: number,
  keyStream: Uint8Array,
  from: number,
): void {
  const shift = from - start;
  for (let at = start; at < end; at++) bytes[at] = (bytes[at] ?? 0) ^ (keyStream[at + shift] ?? 0);
}

function fillCounters(view: DataView, { iv, firstBlock }: SmallSample, endBlock: number): void {
  const words = new DataView(iv.buffer, iv.byteOffset, iv.byteLength);
  const high = words.getUint32(0);
  const low = words.getUint32(4);
  for (let block = firstBlock; block < endBlock; block++) {
    view.setUint32(block * BLOCK_BYTES, high);
    view.setUint32(block * BLOCK_BYTES + 4, low);
    view.setUint32(block * BLOCK_BYTES + 12, block - firstBlock);
  }
}

/** The IVs of one track: 8 bytes, one after the other. */
class IvLane {
  #high: number;
  #low: number;
  #left = IVS_OF_A_LANE;

  constructor(start: Uint8Array) {
    if (start.length !== CENC_IV_BYTES) throw new RangeError(`an IV has 8 bytes, not ${start.length}`);
    const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
    this.#high = view.getUint32(0);
    this.#low = view.getUint32(4);
  }

  take(): Uint8Array {
    if (this.#left-- <= 0) throw new RangeError('all IVs of this track are used up');
    const iv = new Uint8Array(CENC_IV_BYTES);
    const view = new DataView(iv.buffer);
    view.setUint32(0, this.#high);
    view.setUint32(4, this.#low);
    this.#low = (this.#low + 1) >>> 0;
    if (this.#low === 0) this.#high = (this.#high + 1) >>> 0;
    return iv;
  }
}

/**
 * AES-128 in CBC mode (scheme `cbcs`, ISO/IEC 23001-7 9.4 and 9.6): the chain begins with the constant IV at each
 * subsample. Subsamples are encrypted in the pattern 1:9 and what is no whole block stays clear; a sample without
 * subsamples is encrypted in all its whole blocks.
 */
export class CbcsCipher implements SampleCipher {
  readonly #cipher: Cipher;
  readonly #constantIv: Uint8Array;
  /** The last block that the cipher has put out: it adds that to the next one. */
  #last: Uint8Array;

  /** @throws RangeError when `key` or `constantIv` has the wrong length */
  constructor(key: Uint8Array, constantIv: Uint8Array) {
    if (constantIv.length !== CONSTANT_IV_BYTES)
      throw new RangeError(`a constant IV has 16 bytes, not ${constantIv.length}`);
    this.#constantIv = constantIv.slice();
    this.#last = this.#constantIv;
    this.#cipher = createCipheriv('aes-128-cbc', secretKey(key), this.#constantIv).setAutoPadding(false);
  }

  encrypt(samples: readonly PlainSample[]): CipherSample[] {
    return samples.map(({ data, subsamples }) => {
      const copy = copyOf(data);
      if (subsamples) forEachRange(data, subsamples, (start, end) => this.#encryptPattern(copy, start, end));
      else this.#encryptWhole(copy);
      return { data: copy, iv: undefined };
    });
  }

  #encryptWhole(copy: Uint8Array): void {
    const plain = copy.slice(0, copy.length - (copy.length % BLOCK_BYTES));
    if (plain.length > 0) copy.set(this.#chain(plain));
  }

  #encryptPattern(copy: Uint8Array, start: number, end: number): void {
    const blocks = Math.ceil(Math.floor((end - start) / BLOCK_BYTES) / PATTERN_BLOCKS);
    if (blocks === 0) return;
    const plain = new Uint8Array(blocks * BLOCK_BYTES);
    const sample = viewOf(copy);
    copyBlocks(sample, start, PATTERN_BYTES, viewOf(plain), 0, BLOCK_BYTES, blocks);
    copyBlocks(viewOf(this.#chain(plain)), 0, BLOCK_BYTES, sample, start, PATTERN_BYTES, blocks);
  }

  /**
   * Encrypts whole blocks as a chain that begins with the constant IV. One cipher lives as long as the key: adding the
   * last block it put out to the first plain one takes the old chain off, which costs less than a new cipher.
   */
  #chain(plain: Uint8Array): Uint8Array {
    for (let at = 0; at < BLOCK_BYTES; at++) {
      plain[at] = (plain[at] ?? 0) ^ (this.#constantIv[at] ?? 0) ^ (this.#last[at] ?? 0);
    }
    const text = this.#cipher.update(plain);
    this.#last = text.subarray(text.length - BLOCK_BYTES);
    return text;
  }
}

const PATTERN_BLOCKS = 10;
const PATTERN_BYTES = PATTERN_BLOCKS * BLOCK_BYTES;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Copies blocks that stand `step` bytes apart; word by word, as calls to copy 16 bytes cost twenty times as much. */
function copyBlocks(
  from: DataView,
  fromStart: number,
  fromStep: number,
  to: DataView,
  toStart: number,
  toStep: number,
  blocks: number,
): void {
  for (let block = 0; block < blocks; block++) {
    const fromAt = fromStart + block * fromStep;
    const toAt = toStart + block * toStep;
    for (let word = 0; word < BLOCK_BYTES; word += 4) {
      to.setUint32(toAt + word, from.getUint32(fromAt + word));
    }
  }
}

function secretKey(key: Uint8Array): KeyObject {
  if (key.length !== KEY_BYTES) throw new RangeError(`a content key has 16 bytes, not ${key.length}`);
  return createSecretKey(key);
}

/** May share its memory with others: it lives only until the chunk with it is written. */
function copyOf(data: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafe(data.length);
  copy.set(data);
  return copy;
}

function protectedBytes(subsamples: readonly Subsample[]): number {
  let bytes = 0;
  for (const subsample of subsamples) bytes += subsample.protectedBytes;
  return bytes;
}

/** Calls `visit` with the bounds of each protected range that is not empty. */
function forEachRange(
  data: Uint8Array,
  subsamples: readonly Subsample[] | undefined,
  visit: (start: number, end: number) => void,
): void {
  if (!subsamples) {
    visit(0, data.length);
    return;
  }
  let at = 0;
  for (const { clearBytes, protectedBytes: bytes } of subsamples) {
    at += clearBytes;
    if (bytes > 0) visit(at, at + bytes);
    at += bytes;
  }
}
