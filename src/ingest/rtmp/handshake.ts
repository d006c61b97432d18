/** RTMP 1.0, 5.2: C0 and C1 come in, S0, S1 and S2 go out, then C2 comes in. */
const VERSION = 3;
const BLOCK_BYTES = 1536;

export type HandshakeStep =
  /** More bytes are needed. `reply`, when set, must be sent now. */
  | { readonly kind: 'more'; readonly reply: Buffer | undefined }
  /** Finished: `rest` is what followed C2. `reply` as above. */
  | { readonly kind: 'done'; readonly reply: Buffer | undefined; readonly rest: Buffer }
  /** Not RTMP, or a version of it that is not plain (RTMPE). */
  | { readonly kind: 'invalid' };

/**
 * The server's side of the simple handshake. Clients that do the complex one (a digest inside C1) accept the simple
 * answer, marked by a zero version in S1. C2 is counted but not compared: many senders fill it freely.
 */
export class Handshake {
  readonly #c1 = Buffer.alloc(BLOCK_BYTES);
  readonly #randomBytes: (size: number) => Uint8Array;
  #versionSeen = false;
  #c1Bytes = 0;
  #c2Bytes = 0;

  constructor(randomBytes: (size: number) => Uint8Array) {
    this.#randomBytes = randomBytes;
  }

  push(data: Buffer): HandshakeStep {
    let rest = data;
    if (!this.#versionSeen && rest.length > 0) {
      if (rest[0] !== VERSION) return { kind: 'invalid' };
      this.#versionSeen = true;
      rest = rest.subarray(1);
    }
    let reply: Buffer | undefined;
    if (this.#c1Bytes < BLOCK_BYTES) {
      const taken = rest.copy(this.#c1, this.#c1Bytes);
      this.#c1Bytes += taken;
      rest = rest.subarray(taken);
      if (this.#c1Bytes < BLOCK_BYTES) return { kind: 'more', reply };
      reply = this.#answer();
    }
    const taken = Math.min(BLOCK_BYTES - this.#c2Bytes, rest.length);
    this.#c2Bytes += taken;
    if (this.#c2Bytes < BLOCK_BYTES) return { kind: 'more', reply };
    return { kind: 'done', reply, rest: rest.subarray(taken) };
  }

  #answer(): Buffer {
    const answer = Buffer.alloc(1 + 2 * BLOCK_BYTES);
    answer[0] = VERSION;
    // S1: time 0, version 0, random. S2: the echo of C1.
    answer.set(this.#randomBytes(BLOCK_BYTES - 8), 9);
    answer.set(this.#c1, 1 + BLOCK_BYTES);
    return answer;
  }
}
