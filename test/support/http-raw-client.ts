import { connect, type Socket } from 'node:net';
import { HttpReader, type WireAnswer } from './http-reader.ts';
import { until } from './until.ts';

/** How a slow client reads: at most so many bytes, then a pause. */
export interface Pace {
  readonly bytes: number;
  readonly everyMs: number;
}

/** A client made of a bare socket, so that tests decide each byte and when anything is read. */
export class RawClient {
  readonly socket: Socket;
  readonly reader = new HttpReader();
  closed = false;
  /** What the strict reader found wrong. */
  fault: Error | undefined;
  receivedBytes = 0;
  readonly #pace: Pace | undefined;
  #allowance: number;

  constructor(port: number, options: { pace?: Pace; paused?: boolean; localAddress?: string } = {}) {
    this.#pace = options.pace;
    this.#allowance = options.pace?.bytes ?? Number.POSITIVE_INFINITY;
    this.socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(options.localAddress ? { localAddress: options.localAddress } : {}),
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.reader.end();
    });
    if (!options.paused) this.startReading();
  }

  startReading(): void {
    this.socket.on('data', (bytes) => this.#received(bytes));
    this.socket.resume();
  }

  /** Writes a request without a body. */
  request(method: string, target: string, headers: Record<string, string> = {}): void {
    this.reader.expect(method);
    const lines = Object.entries({ Host: 'test', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    this.write(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Waits for the answer number `index` (from 0) of this connection. */
  async answer(index = 0): Promise<WireAnswer> {
    await until(
      () => this.reader.answers.length > index || this.closed || this.fault,
      `answer ${index}`,
      40_000,
    );
    if (this.fault) throw this.fault;
    const found = this.reader.answers[index];
    if (!found) throw new Error(`connection closed before answer ${index}`);
    return found;
  }

  async untilClosed(withinMs = 20_000): Promise<void> {
    await until(() => this.closed, 'the connection to be closed', withinMs);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #received(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    try {
      if (!this.fault) this.reader.push(bytes);
    } catch (error) {
      this.fault = error as Error;
    }
    this.#allowance -= bytes.length;
    if (!this.#pace || this.#allowance > 0) return;
    this.socket.pause();
    this.#allowance = this.#pace.bytes;
    setTimeout(() => this.socket.resume(), this.#pace.everyMs);
  }
}
