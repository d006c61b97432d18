import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { runCli } from '../support/cli.ts';
import { ffmpeg, sourceArgs, type SourceFile } from '../support/ffmpeg.ts';
import { rulesOf, told } from '../support/presentation.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { serveFolder } from '../support/static-server.ts';
import { until } from '../support/until.ts';

async function validate(url: string, seconds: number): Promise<ValidationReport> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    return await validatePresentation({ url, seconds }, deps);
  } finally {
    fetcher.close();
  }
}

/** Runs ffmpeg while `work` goes on. */
async function during<T>(args: readonly string[], work: () => Promise<T>): Promise<T> {
  const child = spawn('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-re', ...args], { stdio: 'ignore' });
  const closed = once(child, 'close');
  try {
    return await work();
  } finally {
    child.kill('SIGKILL');
    await closed;
  }
}

/** A stream on the air on a server of its own, until `work` is done. */
async function onAir<T>(
  source: SourceFile,
  set: readonly string[],
  work: (base: string, server: TestServer) => Promise<T>,
): Promise<T> {
  const server = await startServer({ set });
  try {
    const url = await server.publishUrl('cam');
    const base = `${server.mediaUrl}/live/cam/`;
    return await during([...sourceArgs(source), '-f', 'flv', url], async () => {
      await until(async () => (await fetch(`${base}index.m3u8`)).ok, 'the stream');
      return work(base, server);
    });
  } finally {
    await server.close();
  }
}

describe('our own server', () => {
  it.concurrent.each<readonly [string, SourceFile]>([
    ['pictures and sound', { seconds: 60 }],
    [
      'B-frames at 29.97 fps and 44.1 kHz',
      { seconds: 60, bFrames: 2, rate: '30000/1001', sampleRate: 44_100 },
    ],
  ])('has no finding, in HLS and DASH: %s', async (_what, source) => {
    await onAir(source, [], async (base) => {
      const [hls, dash] = await Promise.all([
        validate(`${base}index.m3u8`, 8),
        validate(`${base}index.mpd`, 8),
      ]);
      expect(told(hls)).toEqual([]);
      expect(told(dash)).toEqual([]);
      expect(hls.watched).toMatchObject({ format: 'hls', live: true, lowLatency: true });
      expect(hls.watched.renditions.map(({ kind }) => kind)).toEqual(['video', 'audio']);
      for (const { parts, segments } of hls.watched.renditions) {
        expect(parts).toBeGreaterThan(30);
        expect(segments).toBeGreaterThanOrEqual(3);
      }
    });
  });

  it.concurrent('is judged from the command line, in lines and in JSON', async () => {
    await onAir({ seconds: 60 }, [], async (base, server) => {
      const [lines, json] = await Promise.all([
        runCli(['validate', `${base}index.m3u8`, '--seconds', '4'], { cwd: server.dataDir }),
        runCli(['validate', `${base}index.m3u8`, '--seconds', '4', '--json'], { cwd: server.dataDir }),
      ]);
      expect(lines).toMatchObject({ code: 0, stderr: '' });
      expect(lines.stdout).toMatch(
        /^low-latency HLS, live, watched for \d+\.\d s: http.*\n( {2}(video|audio) .*\n){2}0 errors, 0 warnings\n$/,
      );
      expect(json).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(json.stdout)).toMatchObject({
        schemaVersion: 1,
        url: `${base}index.m3u8`,
        format: 'hls',
        live: true,
        lowLatency: true,
        errors: 0,
        warnings: 0,
        findings: [],
        renditions: [{ kind: 'video', id: `${base}video.m3u8` }, { kind: 'audio' }],
      });
    });
  });

  it('has no finding with an encoded ladder, in HLS and DASH', async () => {
    const ladder = ['ladder.rungs=240p:400k,120p:150k', 'ladder.preset=ultrafast', 'ladder.maxChannels=8'];
    await onAir({ seconds: 60, size: '640x360' }, ladder, async (base) => {
      const [hls, dash] = await Promise.all([
        validate(`${base}index.m3u8`, 8),
        validate(`${base}index.mpd`, 8),
      ]);
      expect(told(hls)).toEqual([]);
      expect(told(dash)).toEqual([]);
      expect(hls.watched.renditions.map(({ kind }) => kind)).toEqual(['video', 'video', 'video', 'audio']);
    });
  });
});

describe('headwater validate', () => {
  it.concurrent.each([
    [['validate'], 2, /^headwater validate: URL is missing; see headwater validate --help\n$/],
    [['validate', 'index.m3u8'], 2, /"index.m3u8" is not an http or https URL/],
    [['validate', 'ftp://a.test/x'], 2, /is not an http or https URL/],
    [['validate', 'http://127.0.0.1:1/x', '--seconds', '0'], 2, /--seconds must be/],
    [['validate', 'http://127.0.0.1:1/x', '--seconds', 'ten'], 2, /--seconds must be/],
    [['validate', 'http://127.0.0.1:1/x', '--fast'], 2, /Unknown option '--fast'/],
    [
      ['validate', 'http://127.0.0.1:1/index.m3u8'],
      1,
      /^headwater: cannot fetch http:\/\/127.0.0.1:1\/index.m3u8: connect ECONNREFUSED .*\n$/,
    ],
  ])('ends %j with exit code %i', async (args, code, stderr) => {
    const result = await runCli(args, { cwd: tmpdir() });
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(stderr);
  });

  it.concurrent('ends with 1 when there is an error, and tells it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-vod-'));
    const server = await serveFolder(folder);
    try {
      await writeFile(
        join(folder, 'a.m3u8'),
        '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:9,\nb.ts\n#EXT-X-ENDLIST\n',
      );
      const { code, stdout } = await runCli(['validate', `${server.url}a.m3u8`], { cwd: folder });
      expect(code).toBe(1);
      expect(stdout).toMatch(
        /^error {4}hls-segment-too-long {2}line 4: segment 0 is 9 s long, TARGETDURATION is 2\n/,
      );
      expect(stdout).toMatch(/\n2 errors, 0 warnings\n$/);
    } finally {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** A folder of a test's own, served as it is at the moment. */
async function inFolder<T>(work: (folder: string, url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-hls-'));
  const server = await serveFolder(folder);
  try {
    return await work(folder, server.url);
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the HLS muxer of ffmpeg', () => {
  const hls = (folder: string, ...options: string[]): string[] => [
    ...['-f', 'hls', '-hls_time', '2'],
    ...options,
    join(folder, 'index.m3u8'),
  ];

  const recording = (
    source: SourceFile,
    output: (folder: string) => readonly string[],
  ): Promise<ValidationReport> =>
    inFolder(async (folder, url) => {
      await ffmpeg([...sourceArgs(source), ...output(folder)]);
      return validate(`${url}index.m3u8`, 20);
    });

  it('gives a recording in transport streams', async () => {
    const report = await recording({ seconds: 8 }, (folder) => hls(folder, '-hls_playlist_type', 'vod'));
    expect(told(report)).toEqual([]);
    expect(report.watched).toMatchObject({ live: false, lowLatency: false, renditions: [{ segments: 4 }] });
  });

  it('gives a recording in one file', async () => {
    const flags = ['-hls_playlist_type', 'vod', '-hls_flags', 'single_file'];
    const report = await recording({ seconds: 8, bFrames: 2 }, (folder) => hls(folder, ...flags));
    expect(told(report)).toEqual([]);
  });

  it('gives a recording in fragmented MP4, in a multivariant playlist', async () => {
    const map = [
      '-var_stream_map',
      'v:0,agroup:aud a:0,agroup:aud,language:eng',
      '-master_pl_name',
      'index.m3u8',
    ];
    const output = [
      '-f',
      'hls',
      '-hls_time',
      '2',
      '-hls_playlist_type',
      'vod',
      '-hls_segment_type',
      'fmp4',
      ...map,
    ];
    const report = await recording({ seconds: 8 }, (folder) => [
      ...output,
      '-hls_fmp4_init_filename',
      'init_%v.mp4',
      join(folder, '%v.m3u8'),
    ]);
    // It says version 7 where 6 is enough, and leaves out what Apple wants of variants and audio renditions, and (but
    // for a flag) EXT-X-INDEPENDENT-SEGMENTS.
    expect(rulesOf(report), told(report).join('\n')).toEqual([
      'hls-average-bandwidth-missing',
      'hls-channels-missing',
      'hls-frame-rate-missing',
      'hls-independent-missing',
      'hls-version-too-high',
    ]);
    expect(report.findings.every(({ severity }) => severity === 'warning')).toBe(true);
    expect(report.watched.renditions.map(({ kind }) => kind)).toEqual(['video', 'audio']);
  });

  it.concurrent.each([
    ['fragmented MP4', ['-hls_segment_type', 'fmp4'], ['hls-date-missing', 'hls-version-too-high']],
    ['dated transport streams', ['-hls_flags', 'program_date_time'], []],
  ])('gives a live stream in %s', async (_what, options, rules) => {
    // Whole segments appear at once, as a server's must: by renaming.
    const flags = options.includes('-hls_flags') ? 'program_date_time+temp_file' : 'temp_file';
    const rest = options.filter((option) => !/hls_flags|program/.test(option));
    await inFolder(async (folder, url) => {
      const list = hls(folder, '-hls_list_size', '4', '-hls_flags', flags, ...rest);
      await during([...sourceArgs({ seconds: 60 }), ...list], async () => {
        const segments = () => readdirSync(folder).filter((name) => /index\d+\.(ts|m4s)$/.test(name));
        await until(() => segments().length >= 3, 'three segments', 40_000);
        const report = await validate(`${url}index.m3u8`, 9);
        expect(rulesOf(report), told(report).join('\n')).toEqual(rules);
        expect(report.watched).toMatchObject({ live: true, lowLatency: false });
        expect(report.watched.renditions[0]?.segments).toBeGreaterThanOrEqual(6);
      });
    });
  });
});
