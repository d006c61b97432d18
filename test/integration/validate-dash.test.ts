import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { ffmpeg, sourceArgs, type SourceFile } from '../support/ffmpeg.ts';
import { rulesOf, told } from '../support/presentation.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { serveFolder } from '../support/static-server.ts';
import { until } from '../support/until.ts';

async function validate(url: string, seconds: number): Promise<ValidationReport> {
  const fetcher = new HttpClient(systemClock);
  try {
    return await validatePresentation(
      { url, seconds },
      { fetcher, clock: systemClock, signal: new AbortController().signal },
    );
  } finally {
    fetcher.close();
  }
}

/**
 * Rules broken, but for lateness: ffmpeg writes a segment when its MPD says that it is there, so that on a busy machine
 * it may come a moment after.
 */
function deserved(report: ValidationReport): string[] {
  return rulesOf(report).filter((rule) => rule !== 'dash-edge-late');
}

/** A folder of a test's own, served as it is at the moment. */
async function inFolder<T>(work: (folder: string, url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-dash-'));
  const server = await serveFolder(folder);
  try {
    return await work(folder, server.url);
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function dash(folder: string, ...options: string[]): string[] {
  return ['-f', 'dash', '-seg_duration', '2', ...options, join(folder, 'manifest.mpd')];
}

describe('the DASH muxer of ffmpeg', () => {
  it.each<readonly [string, SourceFile, readonly string[]]>([
    ['', { seconds: 8, bFrames: 2 }, []],
    [' by number', { seconds: 8 }, ['-use_timeline', '0']],
    [' in one file', { seconds: 8 }, ['-single_file', '1']],
  ])('gives a recording%s', (_, source, options) =>
    inFolder(async (folder, url) => {
      await ffmpeg([...sourceArgs(source), ...dash(folder, ...options)]);
      expect(told(await validate(`${url}manifest.mpd`, 20))).toEqual([]);
    }),
  );

  it.each([
    [
      'H.265',
      [
        '-c:v',
        'libx265',
        '-preset',
        'ultrafast',
        '-x265-params',
        'log-level=error:keyint=60:min-keyint=60:scenecut=0',
        '-tag:v',
        'hvc1',
      ],
      ['-c:a', 'ac3'],
    ],
    ['AV1', ['-c:v', 'libsvtav1', '-preset', '12', '-g', '60'], ['-c:a', 'libopus', '-b:a', '96k']],
    [
      'VP9',
      ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', '60'],
      ['-c:a', 'flac', '-strict', '-2'],
    ],
  ])('gives a recording of %s', async (_, video, audio) => {
    const input = [
      '-f',
      'lavfi',
      '-i',
      'testsrc2=size=320x180:rate=30',
      '-f',
      'lavfi',
      '-i',
      'sine=sample_rate=48000',
    ];
    await inFolder(async (folder, url) => {
      const kind = dash(folder, '-dash_segment_type', 'mp4');
      await ffmpeg([...input, ...video, '-pix_fmt', 'yuv420p', ...audio, '-t', '6', ...kind]);
      expect(told(await validate(`${url}manifest.mpd`, 20))).toEqual([]);
    });
  });

  const live = (options: (url: string) => readonly string[]): Promise<ValidationReport> =>
    inFolder(async (folder, url) => {
      const args = ['-hide_banner', '-loglevel', 'error', '-re', ...sourceArgs({ seconds: 60 })];
      const child = spawn('ffmpeg', [...args, ...dash(folder, ...options(url))], { stdio: 'ignore' });
      const closed = once(child, 'close');
      try {
        await until(() => existsSync(join(folder, 'chunk-stream0-00003.m4s')), 'the third segment', 40_000);
        return await validate(`${url}manifest.mpd`, 9);
      } finally {
        child.kill('SIGKILL');
        await closed;
      }
    });

  it.concurrent('gives a live stream', async () => {
    const report = await live(() => ['-window_size', '5', '-extra_window_size', '5']);
    // It names no clock unless told to.
    expect({ rules: deserved(report), told: told(report) }).toMatchObject({
      rules: ['dash-utc-timing-missing'],
    });
    expect(report.watched).toMatchObject({ format: 'dash', live: true, lowLatency: false });
  });

  it.concurrent('gives a low-latency stream', async () => {
    const report = await live((url) => [
      ...['-ldash', '1', '-streaming', '1', '-use_timeline', '0', '-frag_type', 'every_frame'],
      ...['-utc_timing_url', `${url}time`, '-write_prft', '1', '-target_latency', '3'],
      ...['-window_size', '5', '-extra_window_size', '5'],
    ]);
    expect(report.watched).toMatchObject({ live: true, lowLatency: true });
    // Its files appear when they are complete, but the MPD lets players ask two seconds earlier: a web server over
    // the folder can only refuse. And it declares the encoder's bit rate, without what a moof for every frame costs.
    expect(rulesOf(report)).toEqual(['dash-bandwidth-too-low', 'dash-edge-late']);
  });
});

/** Our server with what is pushed to it; each test has its own. */
class OnAir {
  readonly server: TestServer;
  readonly mpd: string;
  readonly #pushUrl: string;
  #publisher: ChildProcess | undefined;

  private constructor(server: TestServer, pushUrl: string) {
    this.server = server;
    this.mpd = `${server.mediaUrl}/live/cam/index.mpd`;
    this.#pushUrl = pushUrl;
  }

  static async with(set: readonly string[], work: (on: OnAir) => Promise<void>): Promise<void> {
    const server = await startServer({ set });
    const on = new OnAir(server, await server.publishUrl('cam'));
    try {
      await on.publish();
      await work(on);
    } finally {
      await on.leave();
      await server.close();
    }
  }

  async publish(): Promise<void> {
    const source = sourceArgs({ seconds: 60, bFrames: 2 });
    const args = ['-loglevel', 'error', '-re', ...source, '-f', 'flv', this.#pushUrl];
    this.#publisher = spawn('ffmpeg', args, { stdio: 'ignore' });
    await until(async () => (await fetch(this.mpd)).status === 200, 'the MPD');
  }

  async leave(): Promise<void> {
    const publisher = this.#publisher;
    if (!publisher) return;
    const closed = once(publisher, 'close');
    publisher.kill('SIGKILL');
    this.#publisher = undefined;
    await closed;
  }

  /** Waits until the MPD is as is wanted. */
  async updated(wanted: RegExp, what: string): Promise<void> {
    await until(async () => wanted.test(await (await fetch(this.mpd)).text()), what);
  }
}

describe('our own server', () => {
  it.concurrent('has no finding, with every rung of a ladder', () =>
    OnAir.with(['ladder.rungs=120p:200k,90p:100k', 'ladder.preset=ultrafast'], async (on) => {
      await on.updated(/id="90p"/, 'the lowest rung');
      const report = await validate(on.mpd, 8);
      expect(told(report)).toEqual([]);
      expect(report.watched.renditions.map(({ id }) => id)).toEqual(['video', '120p', '90p', 'audio']);
      for (const { segments } of report.watched.renditions) expect(segments).toBeGreaterThan(2);
    }));

  it.concurrent('has no finding while its publisher leaves and comes back', () =>
    OnAir.with([], async (on) => {
      const validating = validate(on.mpd, 20);
      await on.leave();
      await on.updated(/endNumber=/, 'the end of the Period');
      await on.publish();
      await on.updated(/<Period[\s\S]*<Period/, 'a second Period');
      expect(told(await validating)).toEqual([]);
    }));
});
