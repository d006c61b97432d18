import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { chooseToneMapper, writeToneTables } from '../../src/transcode/tone-mapper.ts';
import { toneTable } from '../../src/transcode/tone-table.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation } from '../../src/validate/validator.ts';
import { broadcastFiles } from '../support/codec-broadcast.ts';
import { throughHub } from '../support/codec-files.ts';
import { fakeProgram, openEncoder, reportRung } from '../support/encoder-fixture.ts';
import { coloursInSdr, farthest, makeHdrClip, saidColours, shownColours } from '../support/hdr-clips.ts';
import { getText } from '../support/live-client.ts';
import { downloadRendition } from '../support/passed-through.ts';
import { attributes } from '../support/playlist.ts';
import { told } from '../support/presentation.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/until.ts';

/** Rungs of a live source of high dynamic range: seen and named as SDR. */

/** Of 255: pictures of 4:2:0, encoded twice. */
const TOLERANCE = 12;
const HD = { color_range: 'tv', color_space: 'bt709', color_transfer: 'bt709', color_primaries: 'bt709' };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'live-hdr-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the rungs of a live HDR source', () => {
  it('of PQ are SDR beside it, for every player that asks', async () => {
    const clip = await makeHdrClip(folder, 'pq', 'hevc', 20);
    const server = await startServer({
      set: ['ladder.rungs=120p:400k,90p:300k', 'ladder.preset=ultrafast', 'live.segmentMs=1000'],
    });
    const broadcast = await broadcastFiles(await server.publishUrl('hdr'), clip);
    try {
      const base = `${server.mediaUrl}/live/hdr/`;
      const listed = await until(async () => {
        const text = await getText(`${base}index.m3u8`).catch(() => '');
        return text.includes('90p.m3u8') ? text : undefined;
      }, 'both rungs');
      expect(variants(listed)).toEqual([
        { range: 'PQ', codec: 'hvc1', uri: 'video.m3u8' },
        { range: 'SDR', codec: 'avc1', uri: '120p.m3u8' },
        { range: 'SDR', codec: 'avc1', uri: '90p.m3u8' },
      ]);
      const looks = [findings(`${base}index.m3u8`), findings(`${base}index.mpd`)];
      expect((await Promise.all(looks)).flat()).toEqual([]);
      for (const rung of ['120p', '90p']) {
        const pieces = await until(async () => {
          const found = await downloadRendition(server.mediaUrl, 'hdr', rung);
          return found.length > 1 ? found : undefined;
        }, 'a segment');
        expect(await saidColours(pieces)).toEqual(HD);
        const shown = await shownColours(pieces, 'pq');
        expect(farthest(shown, coloursInSdr('pq')), `${rung}: ${JSON.stringify(shown)}`).toBeLessThan(
          TOLERANCE,
        );
      }
      const source = await downloadRendition(server.mediaUrl, 'hdr', 'video');
      expect(await saidColours(source)).toMatchObject({ color_transfer: 'smpte2084' });
    } finally {
      await broadcast.close();
      await server.close();
    }
  });

  it('of HLG are SDR too, frame for frame over the end of an encoder, from an ffmpeg that must be given a table', async () => {
    const source = throughHub(await makeHdrClip(folder, 'hlg', 'vp9', 3));
    const toneMapper = await writeToneTables(join(folder, "it's, a: [table]"));
    const { feed, sink, finish, close, signal, status } = await openEncoder({ toneMapper });
    try {
      // The encoder after it must not bring down again what is done, nor leave out what is not.
      const onFrame = (frame: number): void => (frame === 60 ? signal('SIGKILL') : undefined);
      await feed.run(source, { speed: 3, onFrame });
      await finish('180p', '120p');
      expect(status()?.restarts).toBe(1);
      for (const id of ['180p', '120p']) {
        expect(await reportRung(sink, id, source)).toMatchObject({ missing: 0, holes: 0, decoderSays: '' });
        expect(await saidColours(sink.file(id))).toEqual(HD);
        const shown = await shownColours(sink.file(id), 'hlg');
        expect(farthest(shown, coloursInSdr('hlg')), `${id}: ${JSON.stringify(shown)}`).toBeLessThan(
          TOLERANCE,
        );
      }
    } finally {
      await close();
    }
  });
});

describe('what an ffmpeg brings HDR down with', () => {
  const ZSCALE = ' .SC zscale            V->V       Apply resizing.';
  const TONEMAP = ' .S. tonemap           V->V       Conversion to/from different dynamic ranges.';
  const OPENCL = ' ... tonemap_opencl    V->V       Perform HDR to SDR conversion with tonemapping.';

  it('is zscale where it has that and tonemap', async () => {
    const program = await fakeProgram(`#!/bin/sh\necho '${ZSCALE}'\necho '${TONEMAP}'\n`);
    try {
      expect(await chooseToneMapper(program.path, process.env, folder)).toEqual({ kind: 'zscale' });
    } finally {
      await program.close();
    }
  });

  it('is else a table that is written once, and again when it is not whole', async () => {
    const program = await fakeProgram(`#!/bin/sh\necho '${ZSCALE}'\necho '${OPENCL}'\n`);
    const tables = join(folder, 'tables');
    const [pq, hlg] = [join(tables, 'tone-pq.cube'), join(tables, 'tone-hlg.cube')];
    try {
      for (const ffmpeg of [program.path, '/no/such/ffmpeg']) {
        expect(await chooseToneMapper(ffmpeg, process.env, tables)).toEqual({ kind: 'table', pq, hlg });
      }
      const before = await stat(hlg);
      await writeFile(pq, 'LUT_3D_SIZE 33\n0 0 0\n');
      await chooseToneMapper(program.path, process.env, tables);
      expect(await readFile(pq, 'utf8')).toBe(toneTable('pq'));
      expect((await stat(hlg)).ino).toBe(before.ino);
      expect((await readdir(tables)).sort()).toEqual(['tone-hlg.cube', 'tone-pq.cube']);
    } finally {
      await program.close();
    }
  });
});

function variants(text: string): { range: string | undefined; codec: string | undefined; uri: string }[] {
  const found = text.matchAll(/#EXT-X-STREAM-INF:(.*)\n(.*)/g);
  return [...found].map(([, line = '', uri = '']) => {
    const attrs = attributes(line);
    return { range: attrs.get('VIDEO-RANGE'), codec: attrs.get('CODECS')?.split('.')[0], uri };
  });
}

/** What our validator says of a stream after a look at it. */
async function findings(url: string): Promise<unknown[]> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    return told(await validatePresentation({ url, seconds: 2 }, deps));
  } finally {
    fetcher.close();
  }
}
