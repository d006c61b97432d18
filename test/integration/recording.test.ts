import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateXML } from 'xmllint-wasm';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { OwnerKeys } from '../../src/drm/content-key.ts';
import { tierOf } from '../../src/media/protection.ts';
import { initPath, segmentPath } from '../../src/packager/media-path.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { Recorder } from '../../src/vod/recorder.ts';
import { RecorderMetrics } from '../../src/vod/recorder-metrics.ts';
import { TitleCatalogue, titlePrefix } from '../../src/vod/title-catalogue.ts';
import type { AudioTrack, Sample, Track, VideoTrack } from '../../src/stream/track.ts';
import type { Title } from '../../src/stream/title.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeRecordingSource } from '../support/fake-recording-source.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { MemoryBlobStore } from '../support/memory-blob-store.ts';
import { MemoryJournal, PackagerBench } from '../support/packager-bench.ts';
import { EPOCH_MS, interleave, timeline } from '../support/sample-source.ts';
import { SignalledKeys } from '../support/signalled-keys.ts';
import { serveFolder, type StaticServer } from '../support/static-server.ts';
import {
  type BuiltTitle,
  encodeTitle,
  FRAMES,
  type SourceTrack,
  titleTexts,
  writeTitle,
} from '../support/title-fixture.ts';

/** On a busy machine; alone it takes seconds. */
const PATIENT_MS = 120_000;
/** How long the source is, seconds: what is broadcast repeats it. */
const LAP_SECONDS = (FRAMES * 1001) / 24_000;
/** Sound of a lap, in whole frames of AAC. */
const LAP_SOUND_FRAMES = Math.floor((LAP_SECONDS * 48_000) / 1024);
/** When the publisher came back. */
const BACK_SECONDS = 6 * LAP_SECONDS;
const ROTATION_MS = 9000;

let folder = '';
let sources: SourceTrack[] = [];
/** Hashes of the frames of one lap. */
let lap: readonly string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-recording-'));
  sources = await encodeTitle(folder);
  lap = await hashesOf(['-ignore_editlist', '1', '-i', sourceOf('180p').file]);
}, PATIENT_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

function sourceOf(id: string): SourceTrack {
  const source = sources.find((one) => one.id === id);
  if (!source) throw new Error(`no source ${id}`);
  return source;
}

async function hashesOf(input: readonly string[], stdin: readonly Uint8Array[] = []): Promise<string[]> {
  const output = ['-map', '0:v:0', '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'];
  const { stdout } = await ffmpeg([...input, ...output], {
    stdin,
    signal: AbortSignal.timeout(PATIENT_MS / 2),
  });
  return stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(',').at(-1)?.trim() ?? '');
}

/** The samples of a source, begun at so many seconds of the broadcast. */
function at({ track, samples }: SourceTrack, seconds: number, sound = 0): Sample[] {
  const start = Math.round((EPOCH_MS / 1000) * track.timescale + seconds * track.timescale);
  const most = track.kind === 'audio' ? LAP_SOUND_FRAMES : samples.length;
  return samples.slice(0, most).map((sample) => ({
    ...sample,
    dts: sample.dts + start + sound,
    pts: sample.pts + start + sound,
  }));
}

/** Two laps, the smaller rung joining in the second; a long time away; another lap. */
function broadcast(keys: OwnerKeys | undefined): PackagerBench {
  const bench = new PackagerBench({ windowSeconds: 3600 }, new MemoryJournal(), keys);
  const video = sourceOf('180p');
  const sound = sourceOf('audio-en');
  const rung = sourceOf('90p');
  const begin = (reason: 'start' | 'resume'): void =>
    bench.packager.begin(timeline({ video: pictures(video.track), audio: soundOf(sound.track) }, { reason }));
  const feed = (pictureSamples: Sample[], soundSamples: Sample[], rungSamples: Sample[]): void => {
    const byTime = new Map(rungSamples.map((sample) => [sample.dts, sample]));
    for (const sample of interleave(pictureSamples, soundSamples)) {
      bench.feed([sample]);
      const small = sample.kind === 'video' ? byTime.get(sample.dts) : undefined;
      if (small) bench.packager.rungs.sample('90p', small);
    }
  };
  begin('start');
  feed(at(video, 0), at(sound, 0), []);
  bench.packager.rungs.expect(['90p']);
  bench.packager.rungs.track('90p', pictures(rung.track));
  const runOn = LAP_SOUND_FRAMES * 1024 - LAP_SECONDS * 48_000;
  feed(at(video, LAP_SECONDS), at(sound, LAP_SECONDS, runOn), at(rung, LAP_SECONDS));
  bench.packager.away();
  bench.clock.advance(EPOCH_MS + BACK_SECONDS * 1000 - bench.clock.wallMs());
  begin('resume');
  bench.packager.rungs.track('90p', pictures(rung.track));
  feed(at(video, BACK_SECONDS), at(sound, BACK_SECONDS), at(rung, BACK_SECONDS));
  bench.packager.end();
  return bench;
}

function soundOf(track: Track): AudioTrack {
  if (track.kind !== 'audio') throw new Error('no sound');
  return track;
}

function pictures(track: Track): VideoTrack {
  if (track.kind !== 'video') throw new Error('no pictures');
  return track;
}

/** What the recorder makes of it, with its files. */
async function record(keys: OwnerKeys | undefined): Promise<BuiltTitle> {
  const store = new MemoryBlobStore();
  const clock = new FakeClock(EPOCH_MS + 3_600_000);
  const source = new FakeRecordingSource(store);
  await source.keep(broadcast(keys).window);
  const recorder = new Recorder(
    { keptMs: 0 },
    {
      source,
      store,
      catalogue: new TitleCatalogue(store, clock),
      keys: { adopt: async () => undefined, release: async () => undefined },
      titles: { isBeingMade: async () => false, remove: async () => false },
      clock,
      log: createMemoryLog(),
      metrics: new RecorderMetrics(new Metrics()),
    },
  );
  const wish = { stream: 'cam', id: 'show', name: undefined, fromMs: undefined, toMs: undefined };
  const title = await recorder.record(wish);
  await recorder.close();
  const prefix = titlePrefix('show');
  const files = [...store.blobs].filter(([key]) => key.startsWith(prefix));
  return { title, blobs: new Map(files.map(([key, bytes]) => [key.slice(prefix.length), bytes])) };
}

async function validate(url: string): Promise<ValidationReport> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    return await validatePresentation({ url, seconds: 60 }, deps);
  } finally {
    fetcher.close();
  }
}

/** Not of the title: a plain file server packs nothing. */
const EXPECTED = ['hls-playlist-not-packed'];

function faultsOf({ findings }: ValidationReport): string[] {
  return findings
    .filter(({ rule, severity }) => !EXPECTED.includes(rule) && severity !== 'info')
    .map(({ rule, message, url }) => `${rule}: ${message} (${url})`);
}

async function schemaErrors(text: string): Promise<string[]> {
  const fileName = 'mpd-title-subset.xsd';
  const contents = readFileSync(new URL(`../support/xsd/${fileName}`, import.meta.url), 'utf8');
  const { errors } = await validateXML({
    xml: [{ fileName: 'title.xml', contents: text }],
    schema: [{ fileName, contents }],
  });
  return errors.map(({ message }) => message);
}

describe.each([
  ['in the clear', undefined],
  ['encrypted, with keys that change', new SignalledKeys(ROTATION_MS)],
] as const)('a broadcast that was recorded %s', (_name, keys) => {
  let built: BuiltTitle;
  let server: StaticServer;

  beforeAll(async () => {
    built = await record(keys);
    const place = await mkdtemp(join(folder, 'title-'));
    await writeTitle(built, place);
    server = await serveFolder(place);
  }, PATIENT_MS);
  afterAll(() => server.close());

  it('has the very frames of the broadcast, in all its periods', { timeout: PATIENT_MS }, async () => {
    const hashes: string[] = [];
    for (const { id, tracks } of built.title.periods) {
      const own = tracks.get('video');
      if (!own) throw new Error(`${id} has no pictures`);
      const segments = own.segments.filter(({ isGap }) => !isGap);
      const paths = [
        initPath('video', id),
        ...segments.map(({ number }) => segmentPath('video', id, number)),
      ];
      const key = keyOf(keys, built.title, id, own.track);
      const input = [...(key ? ['-decryption_key', key] : []), '-i', 'pipe:0'];
      hashes.push(
        ...(await hashesOf(
          input,
          paths.map((path) => blob(built, path)),
        )),
      );
    }
    expect(hashes).toEqual([...lap, ...lap, ...lap]);
  });

  it('plays in HLS, as far as ffmpeg can', { timeout: PATIENT_MS }, async () => {
    // It takes one key only.
    const all = [...lap, ...lap, ...lap];
    const playlist = titleTexts(built.title).get('video.m3u8') ?? '';
    expect(playlist.split('#EXT-X-DISCONTINUITY').length).toBe(2);
    expect(playlist.includes('#EXT-X-KEY')).toBe(keys !== undefined);
    if (!keys) expect(await hashesOf(['-i', `${server.url}video.m3u8`])).toEqual(all);
  });

  it('has no time of the outage in it', () => {
    expect(built.title.durationMs / 1000).toBeCloseTo(3 * LAP_SECONDS, 1);
    const breaks = built.title.periods.filter(({ continues }) => !continues);
    expect(breaks).toHaveLength(2);
    expect(((breaks[1]?.liveMs ?? 0) - EPOCH_MS) / 1000).toBeCloseTo(BACK_SECONDS, 1);
  });

  it.each(['index.m3u8', 'index.mpd'])('has no finding in %s', { timeout: PATIENT_MS }, async (manifest) => {
    expect(faultsOf(await validate(`${server.url}${manifest}`))).toEqual([]);
  });

  it('has an MPD that keeps to the schema', async () => {
    expect(await schemaErrors(titleTexts(built.title).get('index.mpd') ?? '')).toEqual([]);
  });
});

function blob({ blobs }: BuiltTitle, path: string): Uint8Array {
  const bytes = blobs.get(path);
  if (!bytes) throw new Error(`no ${path}`);
  return bytes;
}

/** In hex. */
function keyOf(
  keys: SignalledKeys | undefined,
  { periods }: Title,
  id: string,
  track: Track,
): string | undefined {
  const liveMs = periods.find((period) => period.id === id)?.liveMs;
  if (!keys || liveMs === undefined) return undefined;
  const protection = periods.find((period) => period.id === id)?.tracks.get('video')?.protection;
  const found = [liveMs, liveMs - ROTATION_MS]
    .map((ms) => keys.key(keys.periodAt(ms), tierOf(track)))
    .find(({ kid }) => Buffer.compare(kid, protection?.kid ?? kid) === 0);
  return found && Buffer.from(found.key).toString('hex');
}
