/**
 * What does encryption cost? Frames of video and sound through the sample encryptor, as the packager calls it, beside
 * `openssl speed` of the same cipher on blocks of the same size on one core, in turns. Throughput is of the media that
 * goes in; of video `cbcs` encrypts one block in ten, so that it may well be faster than its cipher. Beside them what a
 * bare cipher of node:crypto does with one call a sample, which is the most there is without leaving Node.
 */
import { createCipheriv, randomFillSync } from 'node:crypto';
import { parseArgs } from 'node:util';
import { buildAvcConfig } from '../src/media/h264.ts';
import { writeChunk } from '../src/media/isobmff/chunk.ts';
import type { TrackInit } from '../src/media/isobmff/init-segment.ts';
import { SampleEncryptor } from '../src/media/isobmff/sample-encryptor.ts';
import type { SampleProtection } from '../src/media/isobmff/sample-protection.ts';
import type { ProtectionScheme } from '../src/media/protection.ts';
import { run } from '../test/support/ffmpeg.ts';
import { formatSpread, printTable, saveResults, spread, type Spread } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    /** Time of one measurement. */
    seconds: { type: 'string', default: '0.5' },
  },
});
const ROUNDS = Number(values.rounds);
const SECONDS = Number(values.seconds);
/** `openssl speed` takes whole seconds. */
const OPENSSL_SECONDS = Math.max(1, Math.round(SECONDS));
const GOAL_RATIO = 0.5;
const WARM_UP_CALLS = 2000;

const SCHEMES: readonly ProtectionScheme[] = ['cenc', 'cbcs'];
const CIPHERS = { cenc: 'aes-128-ctr', cbcs: 'aes-128-cbc' } as const;

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Parameter sets of x264, and the beginning of one of its P slices: its header takes the first five bytes. */
const VIDEO: TrackInit = {
  kind: 'video',
  codec: 'avc1',
  timescale: 90_000,
  config:
    buildAvcConfig([hex('6764000aacb421360220000003002000000641e244d4')], [hex('68ef0472c0')]) ?? hex(''),
  width: 1280,
  height: 720,
};
const SLICE_HEAD = hex('419a26210f');
const AUDIO: TrackInit = {
  kind: 'audio',
  codec: 'mp4a',
  timescale: 48_000,
  config: hex('1190'),
  channels: 2,
};

/** Random bytes after the head: no frame of a real encoder is more alike. */
function slice(sizeBytes: number): Buffer {
  const unit = randomFillSync(Buffer.alloc(sizeBytes));
  unit.writeUInt32BE(sizeBytes - 4);
  unit.set(SLICE_HEAD, 4);
  return unit;
}

interface Work {
  readonly name: string;
  readonly track: TrackInit;
  /** What one call gets. */
  readonly samples: readonly Uint8Array[];
  /** Block size for openssl: what one sample has. */
  readonly sampleBytes: number;
}

function video(name: string, sampleBytes: number, slices: number): Work {
  const sample = Buffer.concat(Array.from({ length: slices }, () => slice(sampleBytes / slices)));
  return { name, track: VIDEO, samples: [sample], sampleBytes };
}

function sound(name: string, sampleBytes: number, samples: number): Work {
  const frames = Array.from({ length: samples }, () => randomFillSync(Buffer.alloc(sampleBytes)));
  return { name, track: AUDIO, samples: frames, sampleBytes };
}

const WORKS: readonly Work[] = [
  video('video, frames of 10 KiB', 10 * 1024, 1),
  video('video, frames of 10 KiB, 4 slices', 10 * 1024, 4),
  video('video, frames of 60 KiB', 60 * 1024, 1),
  sound('AAC, frames of 320 B, 9 at once', 320, 9),
  sound('AAC, frames of 320 B, each alone', 320, 1),
];

interface Figure {
  readonly work: Work;
  readonly scheme: ProtectionScheme;
  readonly megabytesPerSecond: number[];
  readonly opensslMegabytesPerSecond: number[];
  /** One cipher that is set up once, one call a sample: as fast as Node lets anybody be. */
  readonly nodeMegabytesPerSecond: number[];
  /** One call of `encrypt`, and what `writeChunk` takes longer for the result. */
  readonly callMicros: number[];
  readonly chunkMicros: number[];
  readonly clearChunkMicros: number[];
}

function encryptorOf(track: TrackInit, scheme: ProtectionScheme): SampleEncryptor {
  const [key, kid, constantIv] = [16, 16, 16].map((bytes) => randomFillSync(new Uint8Array(bytes)));
  const ivStart = scheme === 'cenc' ? new Uint8Array(8) : undefined;
  const fixed = { tier: 'SD', systems: [] } as const;
  const protection = { scheme, kid: kid ?? hex(''), constantIv, ...fixed };
  return new SampleEncryptor(track, protection, key ?? hex(''), ivStart);
}

/** CPU time of `call` in microseconds, garbage collection included: what openssl measures, too. */
function microsOf(call: () => void): number {
  for (let warm = 0; warm < WARM_UP_CALLS; warm++) call();
  const before = process.cpuUsage();
  let calls = 0;
  let usedMicros = 0;
  while (usedMicros < SECONDS * 1e6) {
    for (let batch = 0; batch < 100; batch++) call();
    calls += 100;
    const { user, system } = process.cpuUsage(before);
    usedMicros = user + system;
  }
  return usedMicros / calls;
}

function chunkOf(samples: readonly (SampleProtection & { readonly data: Uint8Array })[]): Uint8Array {
  return writeChunk({
    sequence: 1,
    position: 'inside',
    reference: { wallMs: 1_795_348_800_000, mediaTicks: 0, flags: 24 },
    samples: samples.map(({ data, iv, subsamples }, index) => {
      const ticks = 1_795_348_800 * 90_000 + index * 3000;
      return { data, iv, subsamples, dts: ticks, pts: ticks, duration: 3000, key: false };
    }),
  });
}

function measure(figure: Figure): void {
  const { work, scheme } = figure;
  const encryptor = encryptorOf(work.track, scheme);
  const callMicros = microsOf(() => encryptor.encrypt(work.samples));
  figure.callMicros.push(callMicros);
  figure.megabytesPerSecond.push((work.samples.length * work.sampleBytes) / callMicros);
  const cipher = createCipheriv(CIPHERS[scheme], randomFillSync(new Uint8Array(16)), new Uint8Array(16));
  const block = randomFillSync(Buffer.alloc(work.sampleBytes));
  figure.nodeMegabytesPerSecond.push(work.sampleBytes / microsOf(() => cipher.update(block)));
  const clear = work.samples.map((data) => ({ data }));
  figure.clearChunkMicros.push(microsOf(() => chunkOf(clear)));
  figure.chunkMicros.push(microsOf(() => chunkOf(encryptor.encrypt(work.samples))));
}

async function openssl(scheme: ProtectionScheme, blockBytes: number): Promise<number> {
  const args = ['speed', '-mr', '-seconds', `${OPENSSL_SECONDS}`, '-bytes', `${blockBytes}`];
  const { stdout } = await run('openssl', [...args, '-evp', CIPHERS[scheme]]);
  const [, bytesPerSecond] = /^\+F:\d+:[^:]+:([\d.]+)$/m.exec(stdout.toString('utf8')) ?? [];
  if (bytesPerSecond === undefined) throw new Error('cannot read what openssl says');
  return Number(bytesPerSecond) / 1e6;
}

requireTools('openssl');
const figures: Figure[] = WORKS.flatMap((work) =>
  SCHEMES.map((scheme) => ({
    ...{ work, scheme, megabytesPerSecond: [], opensslMegabytesPerSecond: [], nodeMegabytesPerSecond: [] },
    ...{ callMicros: [], chunkMicros: [], clearChunkMicros: [] },
  })),
);
for (let round = 0; round < ROUNDS; round++) {
  for (const figure of figures) {
    figure.opensslMegabytesPerSecond.push(await openssl(figure.scheme, figure.work.sampleBytes));
    measure(figure);
  }
  console.log(`round ${round + 1} of ${ROUNDS}`);
}

const results = figures.map((figure) => {
  const own = spread(figure.megabytesPerSecond);
  const cipher = spread(figure.opensslMegabytesPerSecond);
  return {
    what: figure.work.name,
    scheme: figure.scheme,
    megabytesPerSecond: own,
    opensslMegabytesPerSecond: cipher,
    nodeMegabytesPerSecond: spread(figure.nodeMegabytesPerSecond),
    ratio: own.median / cipher.median,
    encryptMicros: spread(figure.callMicros),
    chunkMicros: spread(figure.chunkMicros),
    clearChunkMicros: spread(figure.clearChunkMicros),
  };
});
const micros = (figure: Spread): string => formatSpread(figure, 1);
printTable(
  ['media', 'scheme', 'MB/s', 'node:crypto', 'openssl', 'of openssl', 'µs a call', 'µs a chunk', 'clear'],
  results.map((row) => [
    row.what,
    row.scheme,
    formatSpread(row.megabytesPerSecond, 0),
    formatSpread(row.nodeMegabytesPerSecond, 0),
    formatSpread(row.opensslMegabytesPerSecond, 0),
    `${(row.ratio * 100).toFixed(0)} %`,
    micros(row.encryptMicros),
    micros(row.chunkMicros),
    micros(row.clearChunkMicros),
  ]),
);
const short = results
  .filter(({ ratio }) => ratio < GOAL_RATIO)
  .map(({ what, scheme }) => `${what} (${scheme})`);
console.log(short.length === 0 ? '\ngoal of 50 % kept' : `\nbelow the goal of 50 %: ${short.join('; ')}`);
saveResults('encryption-cost', { rounds: ROUNDS, seconds: SECONDS, goalRatio: GOAL_RATIO, results });
