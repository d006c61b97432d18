import type { RawConnection } from './raw-connection.ts';
import { spread } from './report.ts';

/** How long many clients took to get the same answer. */
export interface AnswerFigures {
  /** From the first client's first byte to the last client's last. */
  readonly releaseMs: number;
  readonly p50Ms: number;
  /** Head and body. */
  readonly answerBytes: number;
}

const PATIENCE_MS = 10_000;
const MAX_HEAD_BYTES = 1024;

/** One answer on each of many connections, all expected at the same time. */
export class AnswerTimes {
  count = 0;
  readonly #firstMs: number[] = [];
  readonly #lastMs: number[] = [];
  readonly #bytes: number[] = [];
  /** Looked at when all is over: what is done meanwhile delays those who come after. */
  readonly #heads: Buffer[] = [];
  readonly #connections: readonly RawConnection[];

  constructor(connections: readonly RawConnection[]) {
    this.#connections = connections;
    for (const [index, connection] of connections.entries()) {
      connection.onBytes = (bytes) => this.#received(index, bytes);
    }
  }

  async all(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.count < this.#connections.length) {
      if (performance.now() > deadline) throw new Error(`only ${this.count} were answered`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // What may still come of the last answers.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  figures(): AnswerFigures {
    const start = Math.min(...this.#firstMs);
    const waits = spread(this.#lastMs.map((at) => at - start));
    for (const [index, head] of this.#heads.entries()) checkComplete(head, this.#bytes[index] ?? 0);
    return { releaseMs: waits.max, p50Ms: waits.median, answerBytes: spread(this.#bytes).max };
  }

  #received(index: number, bytes: Uint8Array): void {
    const now = performance.now();
    if (this.#firstMs[index] === undefined) {
      this.#firstMs[index] = now;
      this.#bytes[index] = 0;
      this.#heads[index] = Buffer.from(bytes.subarray(0, MAX_HEAD_BYTES));
      this.count += 1;
    }
    this.#lastMs[index] = now;
    this.#bytes[index] = (this.#bytes[index] ?? 0) + bytes.length;
  }
}

function checkComplete(start: Buffer, receivedBytes: number): void {
  const text = start.toString('latin1');
  const headBytes = text.indexOf('\r\n\r\n') + 4;
  const length = /\r\nContent-Length: (\d+)\r\n/i.exec(text.slice(0, headBytes))?.[1];
  if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(`a waiter got ${text.slice(0, 30)}`);
  if (Number(length) + headBytes !== receivedBytes) throw new Error('a waiter did not get the whole answer');
}
