/**
 * How does the SRT listener compare with libsrt? Senders are srt-live-transmit; the receiver is Headwater's listener in
 * one process, or srt-live-transmit, one process a channel as its ports are. Three questions, each asked of both in
 * alternating order: the time a packet takes when nothing is lost, the CPU of many channels in the clear and encrypted,
 * and what is lost for good on a bad network, with the same seeds.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { impairUdp } from '../test/support/impair.ts';
import { cpuMicrosOf } from './support/process-usage.ts';
import { formatSpread, percentile, printTable, saveResults, spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import {
  encryptionQuery,
  SrtSenders,
  type SrtReceiver,
  startHeadwaterReceiver,
  startLibsrtReceivers,
} from './support/srt-peers.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '8' },
    channels: { type: 'string', default: '20' },
    seeds: { type: 'string', default: '1,2,3' },
    losses: { type: 'string', default: '3,10,15' },
  },
});
const ROUNDS = Number(values.rounds);
const SECONDS = Number(values.seconds);
const CHANNELS = Number(values.channels);
const SEEDS = values.seeds.split(',').map(Number);
const LOSSES = values.losses.split(',').map(Number);
const BITRATE_BPS = 4_300_000;
/** At this bit rate, 30 frames a second: what one frame is in packets. */
const FRAME_PACKETS = 14;
const ONE_WAY_MS = 10;
const SETTLE_MS = 2_000;

const RECEIVERS = ['Headwater', 'libsrt'] as const;
type ReceiverName = (typeof RECEIVERS)[number];
/** The sender handing on by UDP: what it takes before any SRT. */
const PLAIN = 'no SRT';

const NOTE = [
  'Latency of both: 120 ms. Delay is from the input of the sending srt-live-transmit to the output of the receiver; on',
  'the libsrt side one UDP hop more. No SRT: what the sender itself takes, handing on by UDP; the rest is added by SRT.',
  'CPU is all threads of all receiving processes, with payload that is only counted, or written to nowhere by libsrt.',
  `Loss is in both directions, independent, with ${ONE_WAY_MS} ms each way; a frame is ${FRAME_PACKETS} packets, and lost with any of them.`,
].join(' ');

interface Delays {
  readonly receiver: ReceiverName | typeof PLAIN;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}
interface Cpu {
  readonly receiver: ReceiverName;
  readonly keyBits: number;
  readonly cpuPercent: number;
  readonly records: number;
}
interface Loss {
  readonly receiver: ReceiverName;
  readonly lossPercent: number;
  readonly seed: number;
  readonly sentPackets: number;
  readonly lostPackets: number;
  readonly lostFrames: number;
}

requireTools('srt-live-transmit');
const delays: Delays[] = [];
const cpu: Cpu[] = [];
const losses: Loss[] = [];
for (let round = 0; round < ROUNDS; round++) {
  delays.push(await measurePlainDelay());
  for (const receiver of round % 2 === 0 ? RECEIVERS : RECEIVERS.toReversed()) {
    delays.push(await measureDelay(receiver));
    for (const keyBits of [0, 256]) cpu.push(await measureCpu(receiver, keyBits));
  }
}
for (const lossPercent of LOSSES) {
  for (const seed of SEEDS) {
    for (const receiver of RECEIVERS) losses.push(await measureLoss(receiver, lossPercent, seed));
  }
}
report();

function start(name: ReceiverName, channels: number, query: string): Promise<SrtReceiver> {
  if (name === 'Headwater') return startHeadwaterReceiver();
  // One channel is measured by what comes out, many by their CPU.
  return startLibsrtReceivers(channels, query, channels > 1);
}

/** Runs `measure` on a receiver with its senders feeding. */
async function withSenders<T>(
  name: ReceiverName,
  channels: number,
  keyBits: number,
  measure: (receiver: SrtReceiver) => Promise<T>,
): Promise<T> {
  const query = encryptionQuery(keyBits);
  const receiver = await start(name, channels, query);
  try {
    await delay(500);
    const ports = Array.from({ length: channels }, (_, i) => receiver.port(i));
    const senders = await SrtSenders.start(ports, BITRATE_BPS, query);
    try {
      await delay(1_000);
      senders.feed();
      await delay(SETTLE_MS);
      return await measure(receiver);
    } finally {
      await senders.close();
    }
  } finally {
    await receiver.close();
  }
}

function measureDelay(name: ReceiverName): Promise<Delays> {
  return withSenders(name, 1, 0, async (receiver) => {
    return delaysOf(name, receiver);
  });
}

async function measurePlainDelay(): Promise<Delays> {
  const receiver = await startLibsrtReceivers(0, '');
  const senders = await SrtSenders.startPlain(receiver.plainPort ?? 0, BITRATE_BPS);
  try {
    await delay(1_000);
    senders.feed();
    await delay(SETTLE_MS);
    return await delaysOf(PLAIN, receiver);
  } finally {
    await senders.close();
    await receiver.close();
  }
}

async function delaysOf(name: Delays['receiver'], receiver: SrtReceiver): Promise<Delays> {
  await receiver.clear();
  await delay(SECONDS * 1000);
  const all = await receiver.delays();
  const [p50Ms, p95Ms, p99Ms] = [percentile(all, 0.5), percentile(all, 0.95), percentile(all, 0.99)];
  console.log(`${name}: delay p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms`);
  return { receiver: name, p50Ms, p95Ms, p99Ms };
}

function measureCpu(name: ReceiverName, keyBits: number): Promise<Cpu> {
  return withSenders(name, CHANNELS, keyBits, async (receiver) => {
    await receiver.clear();
    const startMs = performance.now();
    const startMicros = cpuMicrosOf(receiver.pids);
    await delay(SECONDS * 1000);
    const usedMicros = cpuMicrosOf(receiver.pids) - startMicros;
    const cpuPercent = usedMicros / 10 / (performance.now() - startMs);
    const records = await receiver.records();
    console.log(
      `${name}, ${CHANNELS} channels, AES-${keyBits}: ${cpuPercent.toFixed(1)} %, ${records} packets`,
    );
    return { receiver: name, keyBits, cpuPercent, records };
  });
}

async function measureLoss(name: ReceiverName, lossPercent: number, seed: number): Promise<Loss> {
  const receiver = await start(name, 1, '');
  const bad = { loss: lossPercent / 100, delayMs: ONE_WAY_MS };
  const path = await impairUdp({ target: receiver.port(0), seed, ...bad });
  try {
    await delay(500);
    const senders = await SrtSenders.start([path.port], BITRATE_BPS, '');
    try {
      await delay(1_000);
      senders.feed();
      await delay(SECONDS * 1000);
      const sentPackets = senders.fed;
      senders.stopFeeding();
      await delay(1_000);
      // What is lost at the very end shows only when something follows it: the last half second is not judged.
      const judged = sentPackets - Math.ceil(BITRATE_BPS / 8 / 1316 / 2);
      const { packets, frames } = await receiver.damage(judged, FRAME_PACKETS);
      console.log(
        `${name}, ${lossPercent} % loss, seed ${seed}: ${packets} packets, ${frames} frames lost of ${judged}`,
      );
      return {
        receiver: name,
        lossPercent,
        seed,
        sentPackets: judged,
        lostPackets: packets,
        lostFrames: frames,
      };
    } finally {
      await senders.close();
    }
  } finally {
    await path.close();
    await receiver.close();
  }
}

function report(): void {
  const delayRows = [PLAIN, ...RECEIVERS].map((name) => {
    const of = delays.filter(({ receiver }) => receiver === name);
    return [
      name,
      formatSpread(spread(of.map(({ p50Ms }) => p50Ms))),
      formatSpread(spread(of.map(({ p95Ms }) => p95Ms))),
      formatSpread(spread(of.map(({ p99Ms }) => p99Ms))),
    ];
  });
  printTable(['delay, nothing lost', 'p50 ms', 'p95 ms', 'p99 ms'], delayRows);
  console.log('');
  const cpuOf = (name: ReceiverName, bits: number) =>
    spread(cpu.filter((m) => m.receiver === name && m.keyBits === bits).map(({ cpuPercent }) => cpuPercent));
  printTable(
    [`${CHANNELS} × 4.3 Mb/s`, 'Headwater % of a core', 'libsrt %', 'Headwater/libsrt'],
    [0, 256].map((bits) => {
      const [ours, theirs] = [cpuOf('Headwater', bits), cpuOf('libsrt', bits)];
      const ratio = `${(ours.median / theirs.median).toFixed(2)}×`;
      return [bits === 0 ? 'clear' : `AES-${bits}`, formatSpread(ours), formatSpread(theirs), ratio];
    }),
  );
  console.log('');
  const total = (name: ReceiverName, percent: number, figure: (loss: Loss) => number): string =>
    `${losses
      .filter((loss) => loss.receiver === name && loss.lossPercent === percent)
      .reduce((sum, loss) => sum + figure(loss), 0)}`;
  printTable(
    ['loss', 'packets lost, Headwater', 'libsrt', 'frames lost, Headwater', 'libsrt'],
    LOSSES.map((percent) => [
      `${percent} %`,
      total('Headwater', percent, ({ lostPackets }) => lostPackets),
      total('libsrt', percent, ({ lostPackets }) => lostPackets),
      total('Headwater', percent, ({ lostFrames }) => lostFrames),
      total('libsrt', percent, ({ lostFrames }) => lostFrames),
    ]),
  );
  console.log(`\n${NOTE}`);
  saveResults('srt-ingest', {
    note: NOTE,
    channels: CHANNELS,
    bitrateBps: BITRATE_BPS,
    seconds: SECONDS,
    rounds: ROUNDS,
    delays,
    cpu,
    losses,
  });
}
