import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { validateXML } from 'xmllint-wasm';
import { systemClock } from '../../src/base/clock.ts';
import type { ProtectionScheme } from '../../src/media/protection.ts';
import { tierOf } from '../../src/media/protection.ts';
import { initPath, segmentPath } from '../../src/packager/media-path.ts';
import type { TitleSegment } from '../../src/stream/title.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { SignalledKeys } from '../support/signalled-keys.ts';
import { ffmpeg, frameHashes } from '../support/ffmpeg.ts';
import { serveFolder, type StaticServer } from '../support/static-server.ts';
import {
  type BuiltTitle,
  buildTitle,
  encodeTitle,
  FRAME_RATE,
  FRAMES,
  type SourceTrack,
  splitTitle,
  titleTexts,
  writeTitle,
} from '../support/title-fixture.ts';

/** On a busy machine; alone it takes seconds. */
const PATIENT_MS = 120_000;
const SCHEMES: readonly ProtectionScheme[] = ['cbcs', 'cenc'];
const SEGMENT_FRAMES = 48;

let folder = '';
let sources: SourceTrack[] = [];
/** Hashes of the frames that the encoder's own files decode to, by rendition. */
const truth = new Map<string, readonly string[]>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-title-'));
  sources = await encodeTitle(folder);
  for (const { id, file } of sources) truth.set(id, await hashesOf(['-ignore_editlist', '1', '-i', file]));
}, PATIENT_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Hashes of every decoded frame of the first stream, or another, of an input. */
async function hashesOf(
  input: readonly string[],
  stdin: readonly Uint8Array[] = [],
  map = '0:0',
): Promise<string[]> {
  const output = ['-map', map, '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'];
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

function blob({ blobs }: BuiltTitle, path: string): Uint8Array {
  const bytes = blobs.get(path);
  if (!bytes) throw new Error(`no ${path}`);
  return bytes;
}

function segmentsOf({ title }: BuiltTitle, id: string): readonly TitleSegment[] {
  return title.periods[0]?.tracks.get(id)?.segments ?? [];
}

/** Initialization segment and all segments of a rendition. */
function wholeFile(built: BuiltTitle, id: string): Uint8Array[] {
  const period = built.title.periods[0]?.id ?? '';
  return [
    blob(built, initPath(id, period)),
    ...segmentsOf(built, id).map(({ number }) => blob(built, segmentPath(id, period, number))),
  ];
}

async function validate(url: string, seconds: number): Promise<ValidationReport> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    return await validatePresentation({ url, seconds }, deps);
  } finally {
    fetcher.close();
  }
}

/** Not of the title: a plain file server packs nothing, and counter mode is what it is. */
const EXPECTED = ['hls-playlist-not-packed', 'hls-key-counter-mode'];

/** What is wrong with a presentation. */
function faultsOf({ findings }: ValidationReport): string[] {
  return findings
    .filter(({ rule, severity }) => !EXPECTED.includes(rule) && severity !== 'info')
    .map(({ rule, message, url }) => `${rule}: ${message} (${url})`);
}

async function schemaErrors(documents: readonly string[]): Promise<string[]> {
  const fileName = 'mpd-title-subset.xsd';
  const contents = readFileSync(new URL(`../support/xsd/${fileName}`, import.meta.url), 'utf8');
  const xml = documents.map((text, index) => ({ fileName: `${index}.xml`, contents: text }));
  const { errors } = await validateXML({ xml, schema: [{ fileName, contents }] });
  return errors.map(({ message }) => message);
}

function mpdOf(built: BuiltTitle): string {
  return titleTexts(built.title).get('index.mpd') ?? '';
}

describe('a title that was packaged', () => {
  let built: BuiltTitle;
  let server: StaticServer;

  beforeAll(async () => {
    built = buildTitle(sources);
    await writeTitle(built, join(folder, 'clear'));
    server = await serveFolder(join(folder, 'clear'));
  }, PATIENT_MS);
  afterAll(() => server.close());

  it.each(['180p', '90p', 'audio-en', 'audio-de', 'audio-en-surround'])(
    'plays to the very frames of %s in HLS',
    { timeout: PATIENT_MS },
    async (id) => {
      const hashes = await hashesOf(['-i', `${server.url}${id}.m3u8`]);
      expect(hashes.length).toBe(id.endsWith('p') ? FRAMES : truth.get(id)?.length);
      expect(hashes).toEqual(truth.get(id));
    },
  );

  it('plays to the very frames in DASH, pictures and sound', { timeout: PATIENT_MS }, async () => {
    const input = ['-i', `${server.url}index.mpd`];
    expect(await hashesOf(input, [], '0:v:0')).toEqual(truth.get('180p'));
    expect(await hashesOf(input, [], '0:a:0')).toEqual(truth.get('audio-en'));
  });

  it('has key frames that are decoded from their byte ranges alone', { timeout: PATIENT_MS }, async () => {
    const [init = new Uint8Array(), ...files] = wholeFile(built, '180p');
    const segments = segmentsOf(built, '180p');
    expect(segments.map(({ keyFrameBytes }) => keyFrameBytes > 0)).toEqual(segments.map(() => true));
    for (const [index, { keyFrameBytes }] of segments.entries()) {
      const hashes = await hashesOf(
        ['-i', 'pipe:0'],
        [init, files[index]?.subarray(0, keyFrameBytes) ?? init],
      );
      expect(hashes).toEqual([truth.get('180p')?.[index * SEGMENT_FRAMES]]);
    }
  });

  it('is read by mp4box sample by sample, each shown when it is to be', () => {
    for (const { id, samples } of sources) {
      const file = createFile();
      let offset = 0;
      for (const piece of wholeFile(built, id)) {
        file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(piece).buffer, offset));
        offset += piece.length;
      }
      file.flush();
      const read = file.getTrackSamplesInfo(1);
      expect(
        read.map(({ cts, dts, duration, is_sync, size }) => [cts, dts, duration, is_sync, size]),
      ).toEqual(samples.map(({ pts, dts, duration, key, data }) => [pts, dts, duration, key, data.length]));
      if (!id.endsWith('p')) continue;
      const { numerator, denominator } = FRAME_RATE;
      const shown = read.map(({ cts }) => cts).toSorted((one, other) => one - other);
      expect(shown).toEqual(shown.map((_, n) => Math.round((n * 90_000 * denominator) / numerator)));
      expect(shown.length).toBe(FRAMES);
    }
  });

  it('has no finding by the validator, in HLS and DASH', { timeout: PATIENT_MS }, async () => {
    const hls = await validate(`${server.url}index.m3u8`, 60);
    const dash = await validate(`${server.url}index.mpd`, 60);
    expect(faultsOf(hls)).toEqual([]);
    expect(faultsOf(dash)).toEqual([]);
    const read = (report: ValidationReport) => report.watched.renditions.map(({ segments }) => segments);
    expect(read(hls)).toEqual([4, 4, 4, 4, 4, 4, 4, 1]);
    expect(read(dash)).toEqual([4, 4, 4, 4, 4, 4, 1, 2]);
  });

  it('has an MPD that keeps to the schema, whole or growing, in the clear or encrypted', async () => {
    const encryption = { keys: new SignalledKeys(1e15), clearAudio: false };
    const all = [built, ...[1, 2, 3].map((segments) => buildTitle(sources, { segments }))];
    const sealed = [buildTitle(sources, { encryption }), buildTitle(sources, { encryption, segments: 2 })];
    expect(await schemaErrors([...all, ...sealed].map(mpdOf))).toEqual([]);
    const broken = mpdOf(built).replace('<Label>', '<Role schemeIdUri="a" value="b"/><Label>');
    expect(await schemaErrors([broken])).not.toEqual([]);
  });
});

describe('a title that was live', () => {
  it('has no finding, with another period that runs on and a gap in one rung', {
    timeout: PATIENT_MS,
  }, async () => {
    const place = join(folder, 'recording');
    const built = splitTitle(buildTitle(sources), 2, { rendition: '90p', number: 1 });
    await writeTitle(built, place);
    const server = await serveFolder(place);
    try {
      expect(faultsOf(await validate(`${server.url}index.m3u8`, 60))).toEqual([]);
      expect(faultsOf(await validate(`${server.url}index.mpd`, 60))).toEqual([]);
      expect(await hashesOf(['-i', `${server.url}180p.m3u8`])).toEqual(truth.get('180p'));
      expect(await schemaErrors([mpdOf(built)])).toEqual([]);
    } finally {
      await server.close();
    }
  });
});

describe('a title that grows', () => {
  let server: StaticServer;
  let growing = '';
  let timer: ReturnType<typeof setInterval> | undefined;

  beforeEach(async () => {
    growing = await mkdtemp(join(folder, 'growing-'));
    server = await serveFolder(growing);
  });
  afterEach(async () => {
    clearInterval(timer);
    await server.close();
  });

  it.each(['index.m3u8', 'index.mpd'])(
    'has no finding in %s from its first segment until it is whole',
    { timeout: PATIENT_MS },
    async (manifest) => {
      const createdMs = Date.now();
      const write = (segments: number | undefined): Promise<void> => {
        const built = buildTitle(sources, { segments });
        const title = { ...built.title, createdMs, updatedMs: Date.now() };
        return writeTitle({ ...built, title }, growing);
      };
      await write(1);
      let segments = 1;
      timer = setInterval(() => {
        segments += 1;
        if (segments <= 4) void write(segments < 4 ? segments : undefined);
      }, 1500);
      const report = await validate(`${server.url}${manifest}`, 10);
      expect(faultsOf(report)).toEqual([]);
      // Who follows a live MPD need not read on when it has become static.
      expect(report.watched.renditions[0]?.segments).toBeGreaterThanOrEqual(3);
    },
  );
});

describe.each(SCHEMES)('a title that is encrypted with %s', (scheme) => {
  let built: BuiltTitle;
  const keys = new SignalledKeys(1e15, scheme);

  beforeAll(() => {
    built = buildTitle(sources, { encryption: { keys, clearAudio: false } });
  });

  it('is decrypted to the very frames', { timeout: PATIENT_MS }, async () => {
    for (const { id, track } of sources) {
      const { key } = keys.key(keys.periodAt(0), tierOf(track));
      const input = ['-decryption_key', Buffer.from(key).toString('hex'), '-i', 'pipe:0'];
      expect(await hashesOf(input, wholeFile(built, id))).toEqual(truth.get(id));
    }
  });

  it('has key frames that are decrypted from their byte ranges alone', { timeout: PATIENT_MS }, async () => {
    const { key } = keys.key(keys.periodAt(0), 'SD');
    const [init = new Uint8Array(), first = new Uint8Array()] = wholeFile(built, '180p');
    const range = first.subarray(0, segmentsOf(built, '180p')[0]?.keyFrameBytes);
    const input = ['-decryption_key', Buffer.from(key).toString('hex'), '-i', 'pipe:0'];
    expect(await hashesOf(input, [init, range])).toEqual([truth.get('180p')?.[0]]);
  });

  it('is not the media in the clear', { timeout: PATIENT_MS }, async () => {
    const hashes = await frameHashes(wholeFile(built, '180p'), '0:v').catch(() => ({ hashes: [] }));
    expect(hashes.hashes).not.toEqual(truth.get('180p'));
  });

  it('has no finding by the validator, in HLS and DASH', { timeout: PATIENT_MS }, async () => {
    const place = join(folder, scheme);
    await writeTitle(built, place);
    const server = await serveFolder(place);
    try {
      expect(faultsOf(await validate(`${server.url}index.m3u8`, 60))).toEqual([]);
      expect(faultsOf(await validate(`${server.url}index.mpd`, 60))).toEqual([]);
    } finally {
      await server.close();
    }
  });
});
