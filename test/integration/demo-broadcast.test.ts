import { describe, expect, it } from 'vitest';
import { DEMO_WIDTH, demoFilterGraph } from '../../src/cli/demo-picture.ts';
import { CODE_BLOCKS, readPictureClock } from '../../web/src/picture-clock.ts';
import { ffmpeg } from '../support/ffmpeg.ts';

const SECONDS = 3;
const FRAMES = SECONDS * 30;
const FRAME_MS = 1000 / 30;
/** Far less than the demo's own bit rate: the code has to stay readable on a poor rendition too. */
const POOR = ['-b:v', '400k', '-maxrate', '400k', '-bufsize', '400k'];
/** Of one block, as the watch page takes it: a line through its middle, six pixels long. */
const LINE = { top: 0.375, height: 0.25, blockPx: 6 } as const;

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

/** The time in each frame; undefined where it could not be read. Only the line the watch page reads is looked at. */
async function readClocks(flv: Buffer, filters = ''): Promise<(number | undefined)[]> {
  const block = DEMO_WIDTH / CODE_BLOCKS;
  const width = CODE_BLOCKS * LINE.blockPx;
  const line = `crop=iw:${block * LINE.height}:0:${block * LINE.top},scale=${width}:1:flags=area,format=rgba`;
  const { stdout } = await ffmpeg(
    [
      '-i',
      'pipe:0',
      '-map',
      '0:v',
      '-vf',
      `${filters}${line}`,
      '-fps_mode',
      'passthrough',
      '-f',
      'rawvideo',
      'pipe:1',
    ],
    { stdin: flv },
  );
  const frameBytes = width * 4;
  return Array.from({ length: stdout.length / frameBytes }, (_, i) =>
    readPictureClock(stdout.subarray(i * frameBytes, (i + 1) * frameBytes), width),
  );
}

describe('the clock in the demo picture', () => {
  it('is read by the watch page from every frame, at 400 kb/s, and is the wall-clock time', async () => {
    const { flv, fromMs, toMs } = await record();
    const clocks = await readClocks(flv);
    expect(clocks).toHaveLength(FRAMES);
    expect(clocks.filter((clock) => clock === undefined)).toEqual([]);
    const times = clocks.map((clock) => fromMs + (((((clock ?? 0) - fromMs) % 2 ** 32) + 2 ** 32) % 2 ** 32));
    expect(Math.max(...times)).toBeLessThanOrEqual(toMs);
    // One frame of the picture is one frame of time: what is late on a busy machine is made up for.
    const drift = times.map((time, i) => time - (times[0] ?? 0) - i * FRAME_MS).sort((a, b) => a - b);
    expect(Math.abs(drift[Math.floor(drift.length / 2)] ?? Number.NaN)).toBeLessThan(FRAME_MS);
    console.log('drift', drift[0], drift.at(-1), 'start delay', (times[0] ?? 0) - fromMs);
  });
});
