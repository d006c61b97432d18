import type { MalformedReason } from './http-metrics.ts';
import { MAX_HEADER_LINES } from './types.ts';
import type { NativeRequest } from './uws-native.ts';

const LENGTH = /^\d{1,15}$/;

/**
 * Looks for what the native parser lets through and should not: header lines that two parties could read
 * differently (more than one Host or Content-Length, a length that is no number, a transfer coding other than
 * `chunked`, or both), and blocks over the limit that came in one read, where the parser does not count.
 */
export class HeaderScan {
  readonly #maxBytes: number;
  #bytes = 0;
  #lines = 0;
  #hosts = 0;
  #lengths = 0;
  #codings = 0;
  #badValue = false;

  constructor(maxHeaderBytes: number) {
    this.#maxBytes = maxHeaderBytes;
  }

  /** 'framing' when it is unsure where the request ends; after the others the connection can still be answered. */
  faultOf(req: NativeRequest, path: string, query: string): MalformedReason | undefined {
    this.#bytes = path.length + query.length;
    this.#lines = 0;
    this.#hosts = 0;
    this.#lengths = 0;
    this.#codings = 0;
    this.#badValue = false;
    req.forEach(this.#look);
    if (this.#badValue || this.#lengths + this.#codings > 1) return 'framing';
    if (this.#bytes > this.#maxBytes || this.#lines > MAX_HEADER_LINES) return 'too_large';
    return this.#hosts === 1 ? undefined : 'host';
  }

  /** Header names come in lower case. Told apart by length first: this runs for every line of every request. */
  readonly #look = (name: string, value: string): void => {
    this.#lines++;
    this.#bytes += name.length + value.length + 4;
    if (name.length === 4) {
      if (name === 'host') this.#hosts++;
    } else if (name.length === 14) {
      if (name !== 'content-length') return;
      this.#lengths++;
      if (!LENGTH.test(value)) this.#badValue = true;
    } else if (name.length === 17) {
      if (name !== 'transfer-encoding') return;
      this.#codings++;
      if (value.toLowerCase() !== 'chunked') this.#badValue = true;
    }
  };
}
