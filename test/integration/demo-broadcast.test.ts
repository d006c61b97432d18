import { beforeAll, describe, expect, it } from 'vitest';
import { DEMO_WIDTH, demoFilterGraph } from '../../src/cli/demo-picture.ts';
import { CODE_BLOCKS, readPictureClock } from '../../web/src/picture-clock.ts';
import { ffmpeg, run } from '../support/ffmpeg.ts';

const SECONDS = 3;
const FRAMES = SECONDS * 30;
const FRAME_MS = 1000 / 30;
const SAMPLES_PER_MS = 48;
/** Far less than the demo's own bit rate: the code has to stay readable on a poor rendition too. */
const POOR = ['-b:v', '400k', '-maxrate', '400k', '-bufsize', '400k'];
/** Of one block, as the watch page takes it: a line through its middle, six pixels long. */
const LINE = { top: 0.375, height: 0.25, blockPx: 6 } as const;
/** Sound and picture are started by ffmpeg one after the other; a busy machine puts time between the two. */
const LIP_SYNC_MS = 100;

interface Recording {
  readonly flv: Buffer;
  /** Wall-clock milliseconds around the recording. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Lets the demo's picture and sound run, encoded as poorly as a picture is ever shown. */
async function record(): Promise<Recording> {
  const fromMs = Date.now();
  const { stdout } = await ffmpeg([
    ...['-nostdin', '-filter_complex', demoFilterGraph(), '-map', '[video]', '-map', '[audio]'],
    ...['-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency', '-g', '60', ...POOR],
    ...['-c:a', 'aac', '-t', `${SECONDS}`, '-f', 'flv', 'pipe:1'],
  ]);
  return { flv: stdout, fromMs, toMs: Date.now() };
}

/** The wall-clock time in each frame, NaN where none could be read, from the line that the watch page looks at. */
async function readClocks({ flv, fromMs }: Recording, width = DEMO_WIDTH): Promise<number[]> {
  const block = width / CODE_BLOCKS;
  const linePx = CODE_BLOCKS * LINE.blockPx;
  const cut = [
    `scale=${width}:-2`,
    `crop=iw:${Math.max(1, Math.round(block * LINE.height))}:0:${Math.round(block * LINE.top)}`,
    `scale=${linePx}:1:flags=area`,
    'format=rgba',
  ];
  const { stdout } = await ffmpeg(
    [
      '-i',
      'pipe:0',
      '-map',
      '0:v',
      '-vf',
      cut.join(),
      '-fps_mode',
      'passthrough',
      '-f',
      'rawvideo',
      'pipe:1',
    ],
    { stdin: flv },
  );
  const frameBytes = linePx * 4;
  return Array.from({ length: stdout.length / frameBytes }, (_, i) => {
    const clock = readPictureClock(stdout.subarray(i * frameBytes, (i + 1) * frameBytes), linePx);
    return clock === undefined ? Number.NaN : unwrap(clock, fromMs);
  });
}

/** The first time at or after `fromMs` that has these 32 low bits. */
function unwrap(clock: number, fromMs: number): number {
  const wrap = 2 ** 32;
  return fromMs + ((((clock - fromMs) % wrap) + wrap) % wrap);
}

/** Where beeps begin, milliseconds from the first frame. */
async function beepOnsets(flv: Buffer): Promise<number[]> {
  const { stdout } = await ffmpeg(['-i', 'pipe:0', '-map', '0:a', '-ac', '1', '-f', 's16le', 'pipe:1'], {
    stdin: flv,
  });
  const [videoMs, audioMs] = [await firstPacketMs(flv, 'v'), await firstPacketMs(flv, 'a')];
  const onsets: number[] = [];
  let silentSince = 0;
  for (let i = 0; i < stdout.length / 2; i++) {
    if (Math.abs(stdout.readInt16LE(i * 2)) < 1500) continue;
    if (i - silentSince > 500 * SAMPLES_PER_MS) onsets.push(i / SAMPLES_PER_MS + audioMs - videoMs);
    silentSince = i;
  }
  return onsets;
}

async function firstPacketMs(flv: Buffer, stream: 'v' | 'a'): Promise<number> {
  const show = ['-select_streams', stream, '-show_entries', 'packet=pts_time', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', ['-v', 'error', ...show, 'pipe:0'], { stdin: flv });
  return Number.parseFloat(stdout.toString('utf8')) * 1000;
}

describe('the demo broadcast, encoded with 400 kb/s', () => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await record();
  });

  it.each([DEMO_WIDTH, 854, 426])(
    'has a clock the watch page reads in every frame %i wide',
    async (width) => {
      const times = await readClocks(recording, width);
      expect(times).toHaveLength(FRAMES);
      expect(times.filter((time) => Number.isNaN(time))).toEqual([]);
      expect(Math.max(...times)).toBeLessThanOrEqual(recording.toMs);
    },
  );

  it('shows the wall-clock time at which each frame was made, a frame period apart', async () => {
    const times = await readClocks(recording);
    const first = times[0] ?? Number.NaN;
    // A busy machine makes a frame late, never early, and the next ones make up for it.
    const lateness = times.map((time, i) => time - first - i * FRAME_MS).sort((a, b) => a - b);
    expect(lateness[0]).toBeGreaterThan(-FRAME_MS);
    expect(Math.abs(lateness[FRAMES / 2] ?? Number.NaN)).toBeLessThan(FRAME_MS);
  });

  it('beeps on each full second of the clock in the picture', async () => {
    const [first = Number.NaN] = await readClocks(recording);
    const onsets = await beepOnsets(recording.flv);
    expect(onsets.length).toBeGreaterThanOrEqual(SECONDS - 1);
    for (const onset of onsets) {
      const offMs = ((first + onset + 500) % 1000) - 500;
      expect(Math.abs(offMs)).toBeLessThan(LIP_SYNC_MS);
    }
  });
});
