import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { stop } from './headwater-process.ts';
import type { SrtReceiverQuestion } from './srt-receiver.ts';
import { epochMs, RECORD_BYTES, RecordTally, writeRecord } from './srt-record.ts';

const PASSPHRASE = 'correct horse battery';

export interface Damage {
  readonly packets: number;
  readonly frames: number;
}

/** Something that receives SRT, one port a channel or one for all. */
export interface SrtReceiver {
  /** UDP port of this channel. */
  port(channel: number): number;
  /** UDP port that takes records without SRT, where there is one. */
  readonly plainPort?: number;
  /** Processes whose CPU time counts. */
  readonly pids: readonly number[];
  clear(): Promise<void>;
  /** From the sender's input to the receiver's output, milliseconds. */
  delays(): Promise<readonly number[]>;
  records(): Promise<number>;
  /** Of the first `count` records of channel 0: those that never came, and groups of `groupSize` with one of them. */
  damage(count: number, groupSize: number): Promise<Damage>;
  close(): Promise<void>;
}

/** Query of a sender's or receiver's URL for AES with keys of so many bits. */
export function encryptionQuery(bits: number): string {
  return bits === 0 ? '' : `&passphrase=${PASSPHRASE}&pbkeylen=${bits / 8}`;
}

/** Headwater in one process. */
export async function startHeadwaterReceiver(): Promise<SrtReceiver> {
  const child = fork(fileURLToPath(new URL('./srt-receiver.js', import.meta.url)), [PASSPHRASE], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  const answer = async (): Promise<unknown> => ((await once(child, 'message')) as [unknown])[0];
  const port = (await answer()) as number;
  const ask = async (question: SrtReceiverQuestion): Promise<unknown> => {
    child.send(question);
    return answer();
  };
  return {
    port: () => port,
    pids: [child.pid ?? 0],
    clear: async () => void (await ask({ kind: 'clear' })),
    delays: async () => (await ask({ kind: 'delays' })) as number[],
    records: async () => (await ask({ kind: 'records' })) as number,
    damage: async (count, groupSize) => (await ask({ kind: 'damage', count, groupSize })) as Damage,
    close: () => stop(child),
  };
}

/**
 * libsrt: one srt-live-transmit a channel, each on a port of its own, which hands on by UDP; or, `discard`, writes to
 * nowhere, which is the least it can do with what comes.
 */
export async function startLibsrtReceivers(
  channels: number,
  query: string,
  discard = false,
): Promise<SrtReceiver> {
  const tally = new RecordTally();
  const sink = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  sink.on('message', (bytes) => tally.take(bytes));
  sink.bind(0, '127.0.0.1');
  await once(sink, 'listening');
  const output = discard ? 'file://con' : `udp://127.0.0.1:${sink.address().port}`;
  const ports: number[] = [];
  const children: ChildProcess[] = [];
  for (let i = 0; i < channels; i++) {
    const port = await freeUdpPort();
    ports.push(port);
    children.push(transmit(`srt://127.0.0.1:${port}?mode=listener&latency=120${query}`, output));
  }
  return {
    port: (channel) => ports[channel] ?? 0,
    plainPort: sink.address().port,
    pids: children.map(({ pid }) => pid ?? 0),
    clear: async () => tally.clear(),
    delays: async () => tally.delaysMs,
    records: async () => tally.records,
    damage: async (count, groupSize) => ({
      packets: tally.missing(0, count),
      frames: tally.damagedGroups(0, count, groupSize),
    }),
    async close() {
      await Promise.all(children.map((child) => stop(child)));
      sink.close();
    },
  };
}

/** libsrt senders, one a channel, fed by UDP at an even rate. */
export class SrtSenders {
  readonly #children: ChildProcess[];
  readonly #inputs: readonly number[];
  readonly #feeder: Socket;
  readonly #recordsPerMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** Records given to each channel since the start. */
  fed = 0;

  static async start(ports: readonly number[], bitrateBps: number, query: string): Promise<SrtSenders> {
    const inputs: number[] = [];
    const children: ChildProcess[] = [];
    for (const [channel, port] of ports.entries()) {
      const input = await freeUdpPort();
      inputs.push(input);
      const target = `srt://127.0.0.1:${port}?mode=caller&latency=120&streamid=publish:c${channel}${query}`;
      children.push(transmit(`udp://127.0.0.1:${input}?rcvbuf=1000000`, target));
    }
    await Promise.all(children.map((child) => connection(child)));
    return new SrtSenders(children, inputs, bitrateBps / 8000 / RECORD_BYTES);
  }

  /** One sender that hands on by plain UDP: what its own input and output take. */
  static async startPlain(port: number, bitrateBps: number): Promise<SrtSenders> {
    const input = await freeUdpPort();
    const child = transmit(`udp://127.0.0.1:${input}?rcvbuf=1000000`, `udp://127.0.0.1:${port}`);
    return new SrtSenders([child], [input], bitrateBps / 8000 / RECORD_BYTES);
  }

  private constructor(children: ChildProcess[], inputs: readonly number[], recordsPerMs: number) {
    this.#children = children;
    this.#inputs = inputs;
    this.#recordsPerMs = recordsPerMs;
    this.#feeder = createSocket('udp4');
  }

  /** Feeds all channels until `stop`. */
  feed(): void {
    const startMs = performance.now();
    this.#timer = setInterval(() => {
      const due = (performance.now() - startMs) * this.#recordsPerMs;
      for (; this.fed < due; this.fed++) {
        for (const [channel, input] of this.#inputs.entries()) {
          const record = writeRecord({ channel, index: this.fed, sentMs: epochMs() });
          this.#feeder.send(record, input, '127.0.0.1');
        }
      }
    }, 2);
  }

  stopFeeding(): void {
    clearInterval(this.#timer);
  }

  async close(): Promise<void> {
    this.stopFeeding();
    await Promise.all(this.#children.map((child) => stop(child)));
    this.#feeder.close();
  }
}

function transmit(from: string, to: string): ChildProcess {
  const args = ['-loglevel:fatal', `-chunk:${RECORD_BYTES}`, from, to];
  return spawn('srt-live-transmit', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Settles once a sender says that it is connected: on a bad network its handshake takes several attempts. */
function connection(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (words: Buffer) => {
      if (words.toString().includes('SRT target connected')) resolve();
    });
    child.once('exit', () => reject(new Error('srt-live-transmit did not connect')));
  });
}

/** A UDP port that nothing listened on just now. */
async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}
