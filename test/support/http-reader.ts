import { createHash, type Hash } from 'node:crypto';

/** One answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number;
  /** Names in lower case; repeated ones joined with ', '. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bodyBytes: number;
  readonly sha256: string;
  /** The first 64 KiB of the body. */
  readonly body: Buffer;
  /** Sizes of the chunks; empty when the body was not chunked. */
  readonly chunkSizes: readonly number[];
}

type Step = 'head' | 'counted' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer' | 'to-close';

const KEEP_BYTES = 65_536;

/**
 * A strict reader of HTTP/1.1 answers, written for the tests so that no library smooths over a framing mistake.
 * Push bytes in; finished answers come out of `answers`.
 */
export class HttpReader {
  readonly answers: WireAnswer[] = [];
  /** Body bytes of the answer under way. */
  bodyBytes = 0;
  /** Status of the answer under way; 0 before its head is complete. */
  status = 0;
  readonly #methods: string[] = [];
  #pending: Buffer = Buffer.alloc(0);
  #step: Step = 'head';
  #left = 0;
  #headers = new Map<string, string>();
  #hash: Hash = createHash('sha256');
  #kept: Buffer[] = [];
  #chunkSizes: number[] = [];

  /** Tells which request the next answer belongs to: HEAD has no body. */
  expect(method: string): void {
    this.#methods.push(method);
  }

  push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (this.#advance());
  }

  /** The connection has ended: completes an answer that is delimited by that. */
  end(): void {
    if (this.#step === 'to-close') this.#finish();
  }

  #advance(): boolean {
    switch (this.#step) {
      case 'head':
        return this.#readHead();
      case 'counted':
      case 'chunk-data':
        return this.#readCounted();
      case 'chunk-size':
        return this.#readLine((line) => {
          if (!/^[0-9a-fA-F]{1,8}$/.test(line))
            throw new Error(`bad chunk size line ${JSON.stringify(line.slice(0, 60))}`);
          this.#left = Number.parseInt(line, 16);
          if (this.#left > 0) this.#chunkSizes.push(this.#left);
          this.#step = this.#left > 0 ? 'chunk-data' : 'trailer';
        });
      case 'chunk-end':
        return this.#readLine((line) => {
          if (line !== '') throw new Error(`chunk is not closed: ${JSON.stringify(line.slice(0, 60))}`);
          this.#step = 'chunk-size';
        });
      case 'trailer':
        return this.#readLine((line) => {
          if (line !== '') throw new Error(`unexpected trailer ${JSON.stringify(line.slice(0, 60))}`);
          this.#finish();
        });
      case 'to-close':
        this.#take(this.#pending);
        this.#pending = Buffer.alloc(0);
        return false;
      default:
        throw new Error('no such step');
    }
  }

  #readLine(use: (line: string) => void): boolean {
    const end = this.#pending.indexOf('\r\n');
    if (end < 0) {
      if (this.#pending.length > 100) throw new Error('no line where one must be');
      return false;
    }
    const line = this.#pending.toString('latin1', 0, end);
    this.#pending = this.#pending.subarray(end + 2);
    use(line);
    return true;
  }

  #readHead(): boolean {
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#pending.length > 0 && !'HTTP/1.1 '.startsWith(this.#pending.toString('latin1', 0, 9))) {
        throw new Error(`no status line: ${JSON.stringify(this.#pending.toString('latin1', 0, 60))}`);
      }
      return false;
    }
    const [statusLine = '', ...lines] = this.#pending.toString('latin1', 0, end).split('\r\n');
    this.#pending = this.#pending.subarray(end + 4);
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1];
    if (!status) throw new Error(`no status line: ${JSON.stringify(statusLine.slice(0, 60))}`);
    this.#headers = new Map();
    for (const line of lines) this.#addHeader(line);
    if (status === '100') return true;
    this.status = Number(status);
    this.#chooseFraming(this.#methods.shift() ?? 'GET');
    return true;
  }

  #addHeader(line: string): void {
    const colon = line.indexOf(': ');
    if (colon < 1) throw new Error(`bad header line ${JSON.stringify(line)}`);
    const name = line.slice(0, colon).toLowerCase();
    const before = this.#headers.get(name);
    if (before !== undefined && name === 'content-length') throw new Error('two Content-Length');
    this.#headers.set(
      name,
      before === undefined ? line.slice(colon + 2) : `${before}, ${line.slice(colon + 2)}`,
    );
  }

  #chooseFraming(method: string): void {
    const length = this.#headers.get('content-length');
    const coding = this.#headers.get('transfer-encoding');
    if (length !== undefined && coding !== undefined)
      throw new Error('both Content-Length and Transfer-Encoding');
    if (method === 'HEAD' || this.status === 204 || this.status === 304) return this.#finish();
    if (coding === 'chunked') this.#step = 'chunk-size';
    else if (length === undefined) this.#step = 'to-close';
    else {
      this.#left = Number(length);
      this.#step = 'counted';
      if (this.#left === 0) this.#finish();
    }
  }

  #readCounted(): boolean {
    if (this.#pending.length === 0) return false;
    const piece = this.#pending.subarray(0, this.#left);
    this.#pending = this.#pending.subarray(piece.length);
    this.#left -= piece.length;
    this.#take(piece);
    if (this.#left > 0) return false;
    if (this.#step === 'chunk-data') this.#step = 'chunk-end';
    else this.#finish();
    return true;
  }

  #take(piece: Buffer): void {
    if (this.bodyBytes < KEEP_BYTES)
      this.#kept.push(Buffer.from(piece.subarray(0, KEEP_BYTES - this.bodyBytes)));
    this.#hash.update(piece);
    this.bodyBytes += piece.length;
  }

  #finish(): void {
    this.answers.push({
      status: this.status,
      headers: this.#headers,
      bodyBytes: this.bodyBytes,
      sha256: this.#hash.digest('hex'),
      body: Buffer.concat(this.#kept),
      chunkSizes: this.#chunkSizes,
    });
    this.#step = 'head';
    this.status = 0;
    this.bodyBytes = 0;
    this.#hash = createHash('sha256');
    this.#kept = [];
    this.#chunkSizes = [];
  }
}
