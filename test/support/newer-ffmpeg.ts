import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { demoFilterGraph } from '../../src/cli/demo-picture.ts';
import { type ProcessResult, run } from './ffmpeg.ts';

const PROGRAM = join(import.meta.dirname, 'newer-ffmpeg', 'publish.mjs');

/** Publishes every track of a file, as it is and in its own time, by an FFmpeg that speaks Enhanced RTMP. */
export function publishEnhanced(path: string, url: string): Promise<ProcessResult> {
  return run(process.execPath, [PROGRAM, path, url]);
}

/** One of the pictures that a publisher sends. */
export interface SentPicture {
  readonly width: number;
  readonly height: number;
  readonly bitrateKbps: number;
}

/** A broadcaster that encodes its picture several times by itself and sends all of them on one connection, as OBS does. */
export class LadderBroadcast {
  readonly #children: readonly ChildProcess[];
  readonly #ended: readonly Promise<unknown>[];

  /** The demo's picture with its clock, and its sound. */
  constructor(pictures: readonly SentPicture[], url: string) {
    const encoder = spawn('ffmpeg', encoderArguments(pictures), { stdio: ['ignore', 'pipe', 'ignore'] });
    const publisher = spawn(process.execPath, [PROGRAM, 'pipe:0', url], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // They are killed at the end of the test, in the middle of everything.
    publisher.stdin.on('error', () => {});
    encoder.stdout.pipe(publisher.stdin);
    this.#children = [encoder, publisher];
    this.#ended = this.#children.map((child) => once(child, 'close'));
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(this.#ended);
  }
}

function encoderArguments(pictures: readonly SentPicture[]): string[] {
  const ids = pictures.map((_, i) => i);
  const split = `[video]split=${ids.length}${ids.map((i) => `[split${i}]`).join('')}`;
  const scaled = pictures.map(({ width, height }, i) => `[split${i}]scale=${width}:${height}[out${i}]`);
  const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-threads', '1'];
  return [
    ...['-hide_banner', '-nostdin', '-loglevel', 'error'],
    ...['-filter_complex', [demoFilterGraph(), split, ...scaled].join(';')],
    ...ids.flatMap((i) => ['-map', `[out${i}]`]),
    ...[
      '-map',
      '[audio]',
      ...x264,
      '-g',
      '60',
      '-keyint_min',
      '60',
      '-sc_threshold',
      '0',
      '-pix_fmt',
      'yuv420p',
    ],
    ...pictures.flatMap(({ bitrateKbps }, i) => [
      `-b:v:${i}`,
      `${bitrateKbps}k`,
      `-maxrate:v:${i}`,
      `${bitrateKbps}k`,
    ]),
    ...pictures.flatMap(({ bitrateKbps }, i) => [`-bufsize:v:${i}`, `${bitrateKbps}k`]),
    ...['-c:a', 'aac', '-b:a', '128k', '-ac', '2', '-f', 'matroska', '-cluster_time_limit', '0'],
    ...['-flush_packets', '1', 'pipe:1'],
  ];
}
