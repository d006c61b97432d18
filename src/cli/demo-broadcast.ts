import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Clock, Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { demoFilterGraph } from './demo-picture.ts';

/** A test broadcast that is running. */
export interface DemoBroadcast {
  /** Stops ffmpeg and waits until it is gone. Idempotent. */
  close(): Promise<void>;
}

export interface DemoBroadcastOptions {
  /** Server part of the RTMP URL, `rtmp://127.0.0.1:1935/live`. */
  readonly serverUrl: string;
  /** The publish key. It reaches ffmpeg by an open file: everybody on the machine can read a command line. */
  readonly publishKey: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 10_000;
/** A broadcast that ran this long is started again without delay. */
const HEALTHY_MS = 10_000;
/** ffmpeg that does not end on SIGTERM within this time is killed. */
const KILL_AFTER_MS = 3000;

/** File descriptor on which ffmpeg finds its preset, which holds the publish key. */
const PRESET_FD = 3;

/**
 * Pushes a test picture with a clock and a beep on every full second to an RTMP server, as any broadcaster would,
 * until closed; starts ffmpeg again, ever more slowly, when it ends by itself.
 * @throws AppError TOOL_MISSING when there is no ffmpeg.
 */
export function startDemoBroadcast(options: DemoBroadcastOptions): DemoBroadcast {
  if (!isInstalled('ffmpeg'))
    throw new AppError('TOOL_MISSING', 'ffmpeg is not installed: apt-get install ffmpeg');
  return new Broadcaster(options);
}

class Broadcaster implements DemoBroadcast {
  readonly #options: DemoBroadcastOptions;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #restart: Timer | undefined;
  #restartMs = RESTART_MIN_MS;
  #closed = false;

  constructor(options: DemoBroadcastOptions) {
    this.#options = options;
    this.#start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#restart?.cancel();
    const child = this.#child;
    if (child) {
      child.kill('SIGTERM');
      const killer = this.#options.clock.after(KILL_AFTER_MS, () => child.kill('SIGKILL'));
      await this.#gone;
      killer.cancel();
    }
  }

  #start(): void {
    const { clock, log, serverUrl, publishKey } = this.#options;
    const startedMs = clock.monotonicMs();
    const preset = openNamelessFile(`rtmp_playpath=${publishKey}\n`);
    const child = spawn('ffmpeg', demoArguments(serverUrl), {
      stdio: ['ignore', 'ignore', 'pipe', preset],
      env: { PATH: process.env['PATH'] ?? '' },
    });
    closeSync(preset);
    this.#child = child;
    let lastWords = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-500);
    });
    this.#gone = new Promise((resolve) => {
      child.once('error', (error) => {
        lastWords = error.message;
      });
      child.once('close', (code) => {
        this.#child = undefined;
        resolve();
        if (this.#closed) return;
        log.warn(
          { code, detail: lastWords.replaceAll(publishKey, '***') },
          'the demo broadcast ended; starting it again',
        );
        this.#startAgain(clock.monotonicMs() - startedMs);
      });
    });
  }

  #startAgain(ranMs: number): void {
    if (ranMs > HEALTHY_MS) this.#restartMs = RESTART_MIN_MS;
    this.#restart = this.#options.clock.after(this.#restartMs, () => this.#start());
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }
}

/** 720p30 at 2.5 Mb/s, a key frame every 2 s, AAC; one x264 thread: about a third of a core. */
function demoArguments(serverUrl: string): string[] {
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning', '-filter_complex_threads', '1'],
    ...['-filter_complex', demoFilterGraph(), '-map', '[video]', '-map', '[audio]'],
    ...['-c:v', 'libx264', '-preset', 'superfast', '-tune', 'zerolatency', '-threads', '1'],
    ...['-g', '60', '-keyint_min', '60', '-sc_threshold', '0'],
    ...['-b:v', '2500k', '-maxrate', '2500k', '-bufsize', '2500k', '-pix_fmt', 'yuv420p'],
    ...['-c:a', 'aac', '-b:a', '128k', '-ar', '48000', '-ac', '2'],
    ...['-f', 'flv', '-fpre', `/dev/fd/${PRESET_FD}`, serverUrl],
  ];
}

/** A descriptor to read `content` from; the file behind it has no name any more, so that nobody else can open it. */
function openNamelessFile(content: string): number {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-'));
  const path = join(folder, 'preset');
  try {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    return openSync(path, 'r');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}
