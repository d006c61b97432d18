import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DvrStream } from '../../test/support/dvr-stream.ts';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { renderMediaPlaylist } from '../packager/hls/media-playlist.ts';
import type { Segment } from '../stream/live-window.ts';

const TIMEOUT_MS = 60_000;

let stream: DvrStream;
/** The newest segment that is in storage only. */
let old: Segment;
let path: string;

beforeEach(() => {
  stream = new DvrStream({ dvrSeconds: 60 }).publish().run(50);
  old = newestArchived();
  path = pathOf(old);
}, TIMEOUT_MS);

afterEach(() => {
  stream.close();
});

function newestArchived(): Segment {
  const found = stream.rendition('video').segments.findLast(({ place }) => place === 'archive');
  if (!found) throw new Error('nothing is in storage');
  return found;
}

function pathOf({ period, number }: Segment): string {
  return `video/${period.id}/${number}.m4s`;
}

function packaged(): Buffer {
  return stream.packaged.get(path) ?? Buffer.alloc(0);
}

function headersOf(response: FakeResponse): (string | undefined)[] {
  return ['etag', 'cache-control', 'content-type', 'accept-ranges', 'access-control-allow-origin'].map(
    (name) => response.header(name),
  );
}

describe('a segment that is in storage only', () => {
  it('is the very answer that it was while it was in memory', { timeout: TIMEOUT_MS }, async () => {
    const young = stream.rendition('video').segments.findLast(({ state }) => state === 'closed');
    if (!young) throw new Error('no segment');
    path = pathOf(young);
    const before = await stream.get(path);
    const ranged = await stream.get(path, { headers: { range: 'bytes=5-99' } });
    expect(stream.archive.reads).toEqual([]);
    stream.run(40);
    expect(young.place).toBe('archive');
    const after = await stream.get(path);
    expect(stream.archive.reads).toHaveLength(1);
    expect(after.status).toBe(200);
    expect(after.bytes().equals(packaged())).toBe(true);
    expect(headersOf(after)).toEqual(headersOf(before));
    const again = await stream.get(path, { headers: { range: 'bytes=5-99' } });
    expect(again.status).toBe(206);
    expect(again.bytes().equals(ranged.bytes())).toBe(true);
    expect(again.header('content-range')).toBe(ranged.header('content-range'));
  });

  it('is described to HEAD, and refused past its end', async () => {
    const head = await stream.get(path, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.header('etag')).toBe(`"${old.period.id}-${old.number}-${packaged().length}"`);
    const range = await stream.get(path, { headers: { range: 'bytes=900000-' } });
    expect(range.status).toBe(416);
    expect(range.header('content-range')).toBe(`bytes */${packaged().length}`);
  });

  it('costs no read for who has it', async () => {
    const etag = (await stream.get(path)).header('etag') ?? '';
    const { length } = stream.archive.reads;
    const answer = await stream.get(path, { headers: { 'if-none-match': etag } });
    expect(answer.status).toBe(304);
    expect(answer.header('etag')).toBe(etag);
    expect(stream.archive.reads).toHaveLength(length);
  });

  it('is 503 while the store is away, to be asked for again soon, and back with it', async () => {
    stream.archive.isAway = true;
    const answer = await stream.get(path);
    expect(answer.status).toBe(503);
    expect(answer.header('retry-after')).toBe('1');
    expect(answer.header('cache-control')).toBe('public, max-age=1');
    expect(JSON.parse(answer.text())).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    stream.archive.isAway = false;
    expect((await stream.get(path)).status).toBe(200);
  });

  it('is 404 when the store has it no more, or has something else', async () => {
    const name = `cam/video/${old.period.id}/${old.number}`;
    stream.archive.blobs.set(name, Buffer.from('short'));
    expect((await stream.get(path)).status).toBe(404);
    stream.archive.blobs.delete(name);
    expect((await stream.get(path)).status).toBe(404);
  });

  it('is sent to nobody who has gone meanwhile', async () => {
    const response = stream.request(stream.folder + path, {});
    response.abort();
    await new Promise(setImmediate);
    expect(response.bytes()).toHaveLength(0);
  });

  it('has no parts any more, and its initialization segment still', async () => {
    expect((await stream.get(path.replace('.m4s', '.0.m4s'))).status).toBe(404);
    expect((await stream.get(`video/${old.period.id}/init.mp4`)).status).toBe(200);
  });

  it('is not kept in memory by those who asked for it while it was there', async () => {
    const young = stream.rendition('video').segments.findLast(({ state }) => state === 'closed');
    if (!young) throw new Error('no segment');
    await stream.get(pathOf(young));
    const { chunks } = young;
    stream.run(40);
    expect(young.place).toBe('archive');
    expect(young.chunks).toHaveLength(0);
    expect(young.parts).toHaveLength(0);
    // Who was still reading it has all of it.
    expect(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(young.sizeBytes);
  });
});

describe('a playlist of a day', () => {
  it('is the same with what is remembered of it as without', { timeout: TIMEOUT_MS }, async () => {
    const expectSame = async (): Promise<void> => {
      for (const { id } of stream.window.renditions) {
        const plain = renderMediaPlaylist(stream.window, stream.rendition(id));
        expect((await stream.get(`${id}.m3u8`)).text()).toBe(plain);
      }
    };
    stream.close();
    stream = new DvrStream({ dvrSeconds: 200 }).publish();
    for (let i = 0; i < 12; i++) {
      stream
        .run(38)
        .away()
        .run(3)
        .publish('resume', i % 4 !== 2);
      await expectSame();
    }
    // The initialization segment that gaps name is that of the last period with the track, until that is forgotten.
    stream.away().publish('resume', false);
    for (let i = 0; i < 25; i++) {
      stream.run(20);
      await expectSame();
    }
  });
});
