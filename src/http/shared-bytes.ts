import type { SharedBytes } from './types.ts';

class FramedOnce implements SharedBytes {
  readonly data: Uint8Array;
  #framed: Uint8Array | undefined;

  constructor(data: Uint8Array) {
    this.data = data;
  }

  framed(): Uint8Array {
    this.#framed ??= frame(this.data);
    return this.#framed;
  }
}

/** One chunk of the chunked transfer coding, closing CRLF included (RFC 9112 7.1). */
function frame(data: Uint8Array): Uint8Array {
  // A chunk of no bytes would be read as the end of the body.
  if (data.length === 0) return data;
  const head = `${data.length.toString(16)}\r\n`;
  const framed = Buffer.allocUnsafe(head.length + data.length + 2);
  framed.write(head, 0, 'latin1');
  framed.set(data, head.length);
  framed.write('\r\n', framed.length - 2, 'latin1');
  return framed;
}

/** Wraps bytes that many readers will get. The bytes must not change afterwards. */
export function sharedBytes(data: Uint8Array): SharedBytes {
  return new FramedOnce(data);
}
