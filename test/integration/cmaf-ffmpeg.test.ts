import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RecordedPublisher } from '../support/rtmp-hub.ts';
import { type CmafFixture, startCmaf } from '../support/cmaf-fixture.ts';
import { ffmpeg, run, sourceArgs } from '../support/ffmpeg.ts';
import { until } from '../support/until.ts';

let dir: string;
let source: string;
let cmaf: CmafFixture;
const children: ChildProcess[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-cmaf-'));
  source = join(dir, 'source.mp4');
  await ffmpeg([...sourceArgs({ seconds: 4, rate: '25', gop: 25, bFrames: 2, sampleRate: 48_000 }), source]);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await cmaf.close();
});

interface Packet {
  readonly seconds: number;
  readonly compositionSeconds: number;
  readonly md5: string;
}

/** The packets of one stream of the source, in decode order, as ffmpeg's framemd5 tells them. */
async function packets(stream: '0:v:0' | '0:a:0'): Promise<Packet[]> {
  const { stdout } = await ffmpeg(['-i', source, '-map', stream, '-c', 'copy', '-f', 'framemd5', 'pipe:1']);
  const lines = stdout.toString().split('\n');
  const base =
    lines
      .find((line) => line.startsWith('#tb'))
      ?.split(' ')
      .at(-1) ?? '';
  const [numerator = 0, denominator = 1] = base.split('/').map(Number);
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, dts = '', pts = '', , , md5 = ''] = line.split(',').map((field) => field.trim());
      const seconds = (Number(dts) * numerator) / denominator;
      return { seconds, compositionSeconds: (Number(pts) * numerator) / denominator - seconds, md5 };
    });
}

function received(publisher: RecordedPublisher, kind: 'video' | 'audio', track = 0): Packet[] {
  const { timescale } = publisher.info;
  return publisher.samples
    .filter((sample) => sample.kind === kind && (sample.track ?? 0) === track)
    .map(({ dts, compositionOffset, data }) => ({
      seconds: dts / timescale,
      compositionSeconds: compositionOffset / timescale,
      md5: createHash('md5').update(data).digest('hex'),
    }));
}

/** Same payloads in the same order, times the same but for where they begin and half a tick of rounding. */
function expectSame(got: readonly Packet[], sent: readonly Packet[], wrapSeconds: number): void {
  expect(got.map(({ md5 }) => md5)).toEqual(sent.map(({ md5 }) => md5));
  const shift = (got[0]?.seconds ?? 0) - (sent[0]?.seconds ?? 0);
  const composition = (got[0]?.compositionSeconds ?? 0) - (sent[0]?.compositionSeconds ?? 0);
  for (const [i, packet] of got.entries()) {
    const from = sent[i] ?? packet;
    let off = packet.seconds - from.seconds - shift;
    if (off > wrapSeconds / 2) off -= wrapSeconds;
    if (off < -wrapSeconds / 2) off += wrapSeconds;
    expect(Math.abs(off)).toBeLessThan(1e-4);
    expect(Math.abs(packet.compositionSeconds - from.compositionSeconds - composition)).toBeLessThan(1e-4);
  }
}

/** Starts ffmpeg with its key in a header; the caller's test ends it. */
function encoder(args: readonly string[]): ChildProcess {
  const child = spawn('ffmpeg', ['-hide_banner', '-nostats', '-loglevel', 'error', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  return child;
}

const KEY = ['-headers', 'Authorization: Bearer key-of-studio\r\n'];
/** The same for the DASH muxer, which opens its files itself. */
const DASH_KEY = ['-http_opts', 'headers=Authorization\\: Bearer key-of-studio\r\n'];
const MUXED = ['-f', 'mp4', '-movflags', 'cmaf+frag_keyframe+default_base_moof'];

async function expectSource(publisher: RecordedPublisher): Promise<void> {
  const wrapSeconds = 2 ** publisher.info.wrapBits / publisher.info.timescale;
  expectSame(received(publisher, 'video'), await packets('0:v:0'), wrapSeconds);
  expectSame(received(publisher, 'audio'), await packets('0:a:0'), wrapSeconds);
}

describe('CMAF from ffmpeg', () => {
  it('is taken as one body, payload and times as in the source', async () => {
    cmaf = await startCmaf();
    const target = `${cmaf.url}studio/all.mp4`;
    const input = ['-i', source, '-c', 'copy'];
    await ffmpeg([...input, ...MUXED, '-method', 'PUT', ...KEY, target]);
    const publisher = await cmaf.publisher();
    await until(() => publisher.closes.length > 0, 'the end');
    expect(publisher.closes).toEqual(['unpublished']);
    await expectSource(publisher);
    expect(publisher.samples.filter(({ kind, key }) => kind === 'video' && key)).toHaveLength(4);
  });

  it('is taken with the key in the URL as userinfo, which ffmpeg sends as Basic when asked', async () => {
    cmaf = await startCmaf();
    const target = `${cmaf.url}studio/all.mp4`.replace('://', '://studio:key-of-studio@');
    await ffmpeg(['-i', source, '-c', 'copy', ...MUXED, '-method', 'PUT', target]);
    const publisher = await cmaf.publisher();
    await until(() => publisher.closes.length > 0, 'the end');
    await expectSource(publisher);
    expect(JSON.stringify(cmaf.log)).not.toContain('key-of');
  });

  it.each([
    ['streaming', ['-ldash', '1', '-streaming', '1']],
    ['segment by segment', ['-streaming', '0']],
    ['segment by segment on a kept connection', ['-streaming', '0', '-http_persistent', '1']],
  ])('is taken from its DASH muxer, %s, a request for each segment', async (_what, options) => {
    cmaf = await startCmaf();
    const dash = ['-f', 'dash', '-seg_duration', '1', '-use_timeline', '0', '-use_template', '1', ...options];
    const input = ['-re', '-i', source, '-c', 'copy'];
    await ffmpeg([...input, ...dash, '-method', 'PUT', ...DASH_KEY, `${cmaf.url}studio/live.mpd`]);
    const publisher = await cmaf.publisher();
    const sent = await packets('0:v:0');
    await until(() => received(publisher, 'video').length >= sent.length, 'all pictures', 10_000);
    await expectSource(publisher);
    expect(cmaf.hub.publishers).toHaveLength(1);
    expect(await cmaf.metric('ingest_cmaf_requests_total', { status_class: '4xx' })).toBe(0);
  });

  it('makes rungs of several video streams, the largest first', async () => {
    cmaf = await startCmaf();
    const maps = ['-map', '0:v', '-map', '0:v', '-map', '0:a', '-c:a', 'copy'];
    const x264 = [
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-g',
      '25',
      '-s:v:0',
      '160x90',
      '-s:v:1',
      '320x180',
    ];
    const dash = ['-f', 'dash', '-seg_duration', '1', '-ldash', '1', '-streaming', '1', '-method', 'PUT'];
    await ffmpeg([
      '-re',
      '-t',
      '3',
      '-i',
      source,
      ...maps,
      ...x264,
      ...dash,
      ...DASH_KEY,
      `${cmaf.url}studio/live.mpd`,
    ]);
    const publisher = await cmaf.publisher();
    await until(() => received(publisher, 'video', 1).length >= 75, 'both rungs', 10_000);
    const rungs = [0, 1].map((track) => received(publisher, 'video', track));
    expect(rungs.map((rung) => rung.length)).toEqual([75, 75]);
    expect(rungs[0]?.map(({ seconds }) => seconds)).toEqual(rungs[1]?.map(({ seconds }) => seconds));
    const bytes = [0, 1].map((track) =>
      publisher.samples
        .filter((sample) => sample.kind === 'video' && sample.track === track)
        .reduce((sum, { data }) => sum + data.length, 0),
    );
    expect(bytes[0]).toBeGreaterThan(bytes[1] ?? Number.POSITIVE_INFINITY);
  });

  it('goes on from the other of two redundant encoders when one is killed, without a hole', async () => {
    cmaf = await startCmaf();
    const args = (name: string): string[] => [
      ...['-re', '-i', source, '-c', 'copy', ...MUXED, '-frag_duration', '200000', '-flush_packets', '1'],
      ...['-method', 'PUT', ...KEY, `${cmaf.url}studio/all.mp4?from=${name}`],
    ];
    const first = encoder(args('a'));
    const second = encoder(args('b'));
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length > 150, 'two seconds or so');
    first.kill('SIGKILL');
    await until(() => publisher.closes.length > 0, 'the end', 15_000);
    expect(second.exitCode === 0 || second.exitCode === null).toBe(true);
    expect(cmaf.hub.publishers).toHaveLength(1);
    await expectSource(publisher);
    expect(await cmaf.metric('ingest_cmaf_duplicate_samples_total')).toBeGreaterThan(100);
  });

  it('is told apart from a broken sender by its exit code', async () => {
    cmaf = await startCmaf();
    const wrong = ['-headers', 'Authorization: Bearer wrong\r\n'];
    const input = ['-re', '-i', source, '-c', 'copy'];
    const args = [
      ...input,
      ...MUXED,
      '-frag_duration',
      '100000',
      '-method',
      'PUT',
      ...wrong,
      `${cmaf.url}studio/all.mp4`,
    ];
    const { code } = await run('ffmpeg', ['-loglevel', 'error', ...args]);
    expect(code).not.toBe(0);
    expect(cmaf.hub.publishers).toHaveLength(0);
  });
});
