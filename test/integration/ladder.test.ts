import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import { ffmpeg, frameHashes, sourceArgs, type SourceFile } from '../support/ffmpeg.ts';
import { get, getText, listMedia } from '../support/live-client.ts';
import { parsePlaylist } from '../support/playlist.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-ladder-'));
  server = await startServer({
    set: [
      'live.graceMs=60000',
      'ladder.rungs=240p:400k,120p:150k',
      'ladder.preset=ultrafast',
      'ladder.maxChannels=8',
    ],
  });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const RUNGS = ['240p', '120p'];

/** Pushes a file in real time over RTMP, untouched; resolves when ffmpeg has sent it all. */
async function push(stream: string, source: SourceFile): Promise<void> {
  const file = join(folder, `${stream}.mp4`);
  await ffmpeg([...sourceArgs({ size: '640x360', ...source }), file]);
  const url = await server.publishUrl(stream);
  await ffmpeg(['-re', '-i', file, '-c', 'copy', '-f', 'flv', url]);
  await until(() => closedEverywhere(stream), 'every rung at its end');
}

/** The publisher is gone, so that nothing more is hinted at, and every rung is as long as the source. */
async function closedEverywhere(stream: string): Promise<boolean> {
  const texts = await Promise.all(['video', ...RUNGS].map((id) => playlist(stream, id)));
  const lengths = texts.map((text) => listMedia(text).segments.length);
  return texts.every((text) => !text.includes('PRELOAD-HINT')) && new Set(lengths).size === 1;
}

function playlist(stream: string, rendition: string): Promise<string> {
  return getText(`${server.mediaUrl}/live/${stream}/${rendition}.m3u8`);
}

interface Downloaded {
  readonly inits: Buffer[];
  readonly segments: Buffer[];
}

async function download(stream: string, rendition: string): Promise<Downloaded> {
  const base = `${server.mediaUrl}/live/${stream}/`;
  const listed = listMedia(await playlist(stream, rendition));
  const all = (uris: readonly string[]): Promise<Buffer[]> => Promise.all(uris.map((uri) => get(base + uri)));
  return { inits: await all(listed.maps), segments: await all(listed.segments) };
}

function samplesOf(segment: Buffer) {
  return (readFragments(segment) ?? []).flatMap(({ tracks }) => tracks.flatMap(({ samples }) => samples));
}

/** Presentation times of all frames, in order. */
function times({ segments }: Downloaded): number[] {
  return segments
    .flatMap(samplesOf)
    .map(({ pts }) => pts)
    .toSorted((a, b) => a - b);
}

/** Durations of all parts that are listed, by segment. */
async function parts(stream: string, rendition: string): Promise<(readonly number[])[]> {
  const { segments } = parsePlaylist(await playlist(stream, rendition));
  return segments.map((segment) => segment.parts.map(({ duration }) => duration));
}

/** Those of a rung and of its source at one moment: a gap is added to both each time a segment's time has passed. */
function partsOfBoth(stream: string, rung: string): Promise<(readonly number[])[][]> {
  return until(async () => {
    const both = await Promise.all([parts(stream, rung), parts(stream, 'video')]);
    return both[0].length === both[1].length ? both : undefined;
  }, `as many segments of ${rung} as of the source`);
}

const starts = ({ segments }: Downloaded): (number | undefined)[] =>
  segments.map((segment) => samplesOf(segment)[0]?.dts);

const SOURCES: readonly (readonly [name: string, source: SourceFile])[] = [
  ['plain', { seconds: 9 }],
  ['b-frames', { seconds: 9, bFrames: 3 }],
  ['ntsc', { seconds: 9, rate: '30000/1001', sampleRate: 44_100 }],
  ['variable-rate', { seconds: 9, variable: true }],
];

/** Side by side: most of the time they wait for the clock of their media. */
describe.concurrent('the rungs of a stream that is pushed over RTMP', () => {
  it.each(SOURCES)(
    'have every frame of the source %s once, at its time, and its segments',
    async (name, source) => {
      await push(name, source);
      const original = await download(name, 'video');
      expect((await parts(name, 'video')).flat().length).toBeGreaterThan(10);
      for (const rung of RUNGS) {
        const encoded = await download(name, rung);
        expect(times(encoded), rung).toEqual(times(original));
        expect(starts(encoded), rung).toEqual(starts(original));
        const [own, cuts] = await partsOfBoth(name, rung);
        expect(own, rung).toEqual(cuts);
        expect(encoded.segments.map((segment) => samplesOf(segment)[0]?.key)).not.toContain(false);
        expect(encoded.inits).toHaveLength(1);
        const { hashes, stderr } = await frameHashes([...encoded.inits, ...encoded.segments], '0:v');
        expect(stderr).toBe('');
        expect(hashes).toHaveLength(times(original).length);
      }
    },
  );

  it('are offered with their sizes, codecs and rates in both manifests, and report each other', async () => {
    await push('offered', { seconds: 7 });
    const base = `${server.mediaUrl}/live/offered`;
    const multivariant = await getText(`${base}/index.m3u8`);
    const variants = multivariant.match(/#EXT-X-STREAM-INF:.*\n.*/g) ?? [];
    expect(variants.map((variant) => /RESOLUTION=(\S+?),/.exec(variant)?.[1])).toEqual([
      '640x360',
      '426x240',
      '214x120',
    ]);
    expect(variants.map((variant) => variant.split('\n')[1])).toEqual([
      'video.m3u8',
      '240p.m3u8',
      '120p.m3u8',
    ]);
    const rates = variants.map((variant) => Number(/[:,]BANDWIDTH=(\d+)/.exec(variant)?.[1]));
    expect(rates).toEqual(rates.toSorted((a, b) => b - a));
    const mpd = await getText(`${base}/index.mpd`);
    expect(mpd.match(/<Representation id="\w+"/g)).toEqual(
      ['video', '240p', '120p', 'audio'].map((id) => `<Representation id="${id}"`),
    );
    const { reports } = parsePlaylist(await playlist('offered', '240p'));
    expect(reports.map(({ uri }) => uri)).toEqual(['video.m3u8', '120p.m3u8', 'audio.m3u8']);
  });
});
