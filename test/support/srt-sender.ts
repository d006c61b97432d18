import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { seededRandom } from './impair-plan.ts';
import { until } from './until.ts';

/** What srt-live-transmit sends at a time: seven packets of MPEG-TS. */
export const CHUNK_BYTES = 1316;

export interface LibsrtSenderOptions {
  readonly port: number;
  /** Everything behind the `?` of the URL: streamid, passphrase, pbkeylen, latency… */
  readonly query: string;
  readonly bitrateBps?: number;
  readonly seed?: number;
}

/**
 * A process of srt-live-transmit that sends what it is fed, at a steady rate. It is fed by UDP: what it reads from a pipe
 * it holds back in blocks.
 */
export class LibsrtSender {
  readonly sha256 = createHash('sha256');
  sizeBytes = 0;
  stderr = '';
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #feeder: Socket;
  readonly #inputPort: number;
  readonly #random: () => number;
  readonly #bytesPerMs: number;
  #stop = false;

  static async start(options: LibsrtSenderOptions): Promise<LibsrtSender> {
    return new LibsrtSender(options, await freeUdpPort());
  }

  private constructor(
    { port, query, bitrateBps = 4_000_000, seed = 1 }: LibsrtSenderOptions,
    inputPort: number,
  ) {
    const url = `srt://127.0.0.1:${port}?mode=caller&${query}`;
    const input = `udp://127.0.0.1:${inputPort}?rcvbuf=1000000`;
    this.#child = spawn(
      'srt-live-transmit',
      ['-loglevel:note', '-a:no', `-chunk:${CHUNK_BYTES}`, input, url],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#feeder = createSocket('udp4');
    this.#inputPort = inputPort;
    this.#random = seededRandom(seed);
    this.#bytesPerMs = bitrateBps / 8000;
    const onWords = (data: Buffer): void => {
      this.stderr += data.toString();
    };
    this.#child.stderr.on('data', onWords);
    this.#child.stdout.on('data', onWords);
    this.exited = once(this.#child, 'close').then(([code]) => {
      this.#stop = true;
      this.#feeder.close();
      return code as number | null;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits for the connection, then feeds random bytes for this long, in whole chunks. */
  async feed(ms: number): Promise<void> {
    await until(
      () => this.#stop || this.stderr.includes('SRT target connected'),
      'connection of srt-live-transmit',
    );
    await this.#feed(ms);
  }

  /** Sends one chunk. */
  write(chunk: Buffer): void {
    if (this.#stop) return;
    this.sha256.update(chunk);
    this.sizeBytes += chunk.length;
    this.#feeder.send(chunk, this.#inputPort, '127.0.0.1');
  }

  /** Ends the process, as a killed encoder would. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.kill(signal);
    await this.exited;
  }

  /** It says goodbye and ends. */
  async end(): Promise<number | null> {
    this.#child.kill('SIGINT');
    return this.exited;
  }

  async #feed(ms: number): Promise<void> {
    const startMs = performance.now();
    let fedBytes = 0;
    while (!this.#stop) {
      const elapsedMs = Math.min(ms, performance.now() - startMs);
      for (; fedBytes + CHUNK_BYTES <= elapsedMs * this.#bytesPerMs; fedBytes += CHUNK_BYTES) {
        this.write(this.#chunk());
      }
      if (elapsedMs >= ms || this.#child.exitCode !== null) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #chunk(): Buffer {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; at + 4 <= CHUNK_BYTES; at += 4)
      chunk.writeUInt32LE(Math.floor(this.#random() * 2 ** 32), at);
    return chunk;
  }
}

/** A UDP port that nothing listened on just now. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}
