import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { ffmpeg, sourceArgs } from '../support/ffmpeg.ts';
import { rulesOf, told } from '../support/presentation.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { serveFolder, type StaticServer } from '../support/static-server.ts';
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

describe('the DASH muxer of ffmpeg', () => {
  let folder: string;
  let server: StaticServer;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-dash-'));
    server = await serveFolder(folder);
  });
  afterEach(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const dash = (...options: string[]) => [
    '-f',
    'dash',
    '-seg_duration',
    '2',
    ...options,
    join(folder, 'manifest.mpd'),
  ];

  it('gives a recording', async () => {
    await ffmpeg([...sourceArgs({ seconds: 8, bFrames: 2 }), ...dash()]);
    const report = await validate(`${server.url}manifest.mpd`, 20);
    expect(told(report)).toEqual([]);
  });

  it('gives a recording by number', async () => {
    await ffmpeg([...sourceArgs({ seconds: 8 }), ...dash('-use_timeline', '0')]);
    const report = await validate(`${server.url}manifest.mpd`, 20);
    expect(told(report)).toEqual([]);
  });

  it('gives a recording in one file', async () => {
    await ffmpeg([...sourceArgs({ seconds: 8 }), ...dash('-single_file', '1')]);
    const report = await validate(`${server.url}manifest.mpd`, 20);
    expect(told(report)).toEqual([]);
  });

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
    await ffmpeg([
      ...input,
      ...video,
      '-pix_fmt',
      'yuv420p',
      ...audio,
      '-t',
      '6',
      ...dash('-dash_segment_type', 'mp4'),
    ]);
    const report = await validate(`${server.url}manifest.mpd`, 20);
    expect(told(report)).toEqual([]);
  });

  const live = async (...options: string[]): Promise<ValidationReport> => {
    const args = [
      '-hide_banner',
      '-loglevel',
      'error',
      '-re',
      ...sourceArgs({ seconds: 60 }),
      ...dash(...options),
    ];
    const child = spawn('ffmpeg', args, { stdio: 'ignore' });
    const closed = once(child, 'close');
    try {
      await until(() => existsSync(join(folder, 'chunk-stream0-00003.m4s')), 'the third segment');
      return await validate(`${server.url}manifest.mpd`, 9);
    } finally {
      child.kill('SIGKILL');
      await closed;
    }
  };

  it('gives a live stream', async () => {
    const report = await live('-window_size', '5', '-extra_window_size', '5');
    // It names no clock unless told to.
    expect({ rules: deserved(report), told: told(report) }).toMatchObject({
      rules: ['dash-utc-timing-missing'],
    });
    expect(report.watched).toMatchObject({ format: 'dash', live: true, lowLatency: false });
  });

  it('gives a low-latency stream', async () => {
    const latency = ['-ldash', '1', '-streaming', '1', '-use_timeline', '0', '-frag_type', 'every_frame'];
    const clock = ['-utc_timing_url', `${server.url}time`, '-write_prft', '1', '-target_latency', '3'];
    const report = await live(...latency, ...clock, '-window_size', '5', '-extra_window_size', '5');
    expect(report.watched).toMatchObject({ live: true, lowLatency: true });
    // Its files appear when they are complete, but the MPD lets players ask two seconds earlier: a web server over
    // the folder can only refuse. And it declares the encoder's bit rate, without what a moof for every frame costs.
    expect(rulesOf(report)).toEqual(['dash-bandwidth-too-low', 'dash-edge-late']);
  });
});

describe('our own server', () => {
  let server: TestServer;
  let publisher: ChildProcess | undefined;

  afterEach(async () => {
    await leave();
    await server.close();
  });

  async function publish(url: string): Promise<string> {
    const args = ['-loglevel', 'error', '-re', ...sourceArgs({ seconds: 60, bFrames: 2 }), '-f', 'flv', url];
    publisher = spawn('ffmpeg', args, { stdio: 'ignore' });
    const mpd = `${server.mediaUrl}/live/cam/index.mpd`;
    await until(async () => (await fetch(mpd)).status === 200, 'the MPD');
    return mpd;
  }

  async function leave(): Promise<void> {
    if (!publisher) return;
    const closed = once(publisher, 'close');
    publisher.kill('SIGKILL');
    publisher = undefined;
    await closed;
  }

  it('has no finding, with every rung of a ladder', async () => {
    const rungs = 'ladder.rungs=120p:200k,90p:100k';
    server = await startServer({ set: [rungs, 'ladder.preset=ultrafast'] });
    const pushUrl = await server.publishUrl('cam');
    const mpd = await publish(pushUrl);
    await until(async () => (await (await fetch(mpd)).text()).includes('id="90p"'), 'the lowest rung');
    const report = await validate(mpd, 8);
    expect(told(report)).toEqual([]);
    expect(report.watched.renditions.map(({ id }) => id)).toEqual(['video', '120p', '90p', 'audio']);
    for (const { segments } of report.watched.renditions) expect(segments).toBeGreaterThan(2);
  });

  it('has no finding while its publisher leaves and comes back', async () => {
    server = await startServer();
    const pushUrl = await server.publishUrl('cam');
    const mpd = await publish(pushUrl);
    const validating = validate(mpd, 20);
    const updated = async (wanted: RegExp) => wanted.test(await (await fetch(mpd)).text());
    await leave();
    await until(() => updated(/endNumber=/), 'the end of the Period');
    await publish(pushUrl);
    await until(() => updated(/<Period[\s\S]*<Period/), 'a second Period');
    const report = await validating;
    expect(told(report)).toEqual([]);
  });
});
