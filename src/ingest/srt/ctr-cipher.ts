import { type Cipher, createCipheriv } from 'node:crypto';
import { addSequence, sequenceDistance } from './sequence.ts';

const BLOCK_BYTES = 16;
/** The salt's part of the counter: 112 bits (draft-sharabayko-srt 6.2.2). */
const NONCE_BYTES = 14;
/** Packets whose key stream is made in one call: a call costs as much as the key stream of several packets. */
const BATCH_PACKETS = 16;
/** Longer payloads than an Ethernet frame holds are not worth a batch. */
const MAX_BATCH_BLOCKS = 96;

/** The key stream of consecutive packets. */
interface Batch {
  readonly firstSequence: number;
  readonly packets: number;
  readonly blocksEach: number;
  readonly stream: Buffer;
}

/**
 * AES in counter mode under one stream key. The counters of packets follow from their numbers, so the key stream of the
 * packets that come next is made ahead, many packets in one call of AES; what then remains for a packet is an XOR.
 */
export class CtrCipher {
  readonly #ecb: Cipher;
  readonly #nonce: Buffer;
  readonly #counters = Buffer.alloc(BATCH_PACKETS * MAX_BATCH_BLOCKS * BLOCK_BYTES);
  #batch: Batch | undefined;

  /** `key` of 16, 24 or 32 bytes; `salt` of the key material. */
  constructor(key: Buffer, salt: Buffer) {
    // Counter mode is the block cipher over counters: ECB is how that is asked for, no text goes through it.
    this.#ecb = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
    this.#nonce = salt.subarray(0, NONCE_BYTES);
  }

  /** Encrypts or decrypts the payload of the packet of this number, in place. */
  apply(sequence: number, payload: Buffer): void {
    const blocks = Math.ceil(payload.length / BLOCK_BYTES);
    if (blocks === 0) return;
    const batch = this.#batchWith(sequence, blocks);
    const at = sequenceDistance(batch.firstSequence, sequence) * batch.blocksEach * BLOCK_BYTES;
    xor(payload, batch.stream, at);
  }

  #batchWith(sequence: number, blocks: number): Batch {
    const held = this.#batch;
    const ahead = held ? sequenceDistance(held.firstSequence, sequence) : 0;
    if (held && ahead >= 0 && ahead < held.packets && blocks <= held.blocksEach) return held;
    // A packet sent again, or a giant: the batch of those to come is kept.
    if (blocks > MAX_BATCH_BLOCKS || (held && ahead < 0)) return this.#make(sequence, 1, blocks);
    const made = this.#make(sequence, BATCH_PACKETS, Math.max(blocks, held?.blocksEach ?? 0));
    this.#batch = made;
    return made;
  }

  #make(firstSequence: number, packets: number, blocksEach: number): Batch {
    const sizeBytes = packets * blocksEach * BLOCK_BYTES;
    const counters =
      sizeBytes <= this.#counters.length ? this.#counters.subarray(0, sizeBytes) : Buffer.alloc(sizeBytes);
    const view = new DataView(counters.buffer, counters.byteOffset, sizeBytes);
    const nonce = this.#nonce;
    const [word0, word1, half4, half5, half6] = [
      nonce.readUInt32BE(0),
      nonce.readUInt32BE(4),
      nonce.readUInt16BE(8),
      nonce.readUInt16BE(10),
      nonce.readUInt16BE(12),
    ];
    let at = 0;
    for (let packet = 0; packet < packets; packet++) {
      const sequence = addSequence(firstSequence, packet);
      const word2 = (half4 << 16) | (half5 ^ (sequence >>> 16));
      const upper3 = (half6 ^ (sequence & 0xffff)) << 16;
      for (let block = 0; block < blocksEach; block++) {
        view.setUint32(at, word0);
        view.setUint32(at + 4, word1);
        view.setInt32(at + 8, word2);
        view.setInt32(at + 12, upper3 | block);
        at += BLOCK_BYTES;
      }
    }
    return { firstSequence, packets, blocksEach, stream: this.#ecb.update(counters) };
  }
}

function xor(target: Buffer, stream: Buffer, at: number): void {
  const aligned = target.byteOffset % 4 === 0 && (stream.byteOffset + at) % 4 === 0;
  const words = aligned ? target.length >>> 2 : 0;
  if (words > 0) {
    const into = new Int32Array(target.buffer, target.byteOffset, words);
    const from = new Int32Array(stream.buffer, stream.byteOffset + at, words);
    for (let i = 0; i < words; i++) into[i] = (into[i] ?? 0) ^ (from[i] ?? 0);
  }
  for (let i = words * 4; i < target.length; i++) target[i] = (target[i] ?? 0) ^ (stream[at + i] ?? 0);
}
