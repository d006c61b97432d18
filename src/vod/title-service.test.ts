import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../base/errors.ts';
import { STREAM_READER_LIMITS, StreamReader } from '../media/isobmff/stream-reader.ts';
import type { Title } from '../stream/title.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { FPS, frameData, MadeTitles, pieceBytes } from '../../test/support/made-titles.ts';
import { until } from '../../test/support/until.ts';
import type { TitleRequest } from './title-service.ts';

let folder: string;
let made: MadeTitles;
let master: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-vod-'));
  master = join(folder, 'film.mov');
  await writeFile(master, 'a master');
  made = new MadeTitles(folder);
  await made.service.open();
});

afterEach(async () => {
  await made.service.close();
  await rm(folder, { recursive: true });
});

function wish(changes: Partial<TitleRequest> = {}): TitleRequest {
  return {
    id: 'film',
    name: 'A film',
    master: { path: master },
    sidecars: [],
    isProtected: undefined,
    ladder: undefined,
    ...changes,
  };
}

function whenShown(condition: (title: Title) => boolean): Promise<Title> {
  return until(async () => {
    const title = await made.catalogue.find('film');
    return title && condition(title) ? title : undefined;
  }, 'the title shows it');
}

function segmentsOf(title: Title, rendition: string) {
  return title.periods[0]?.tracks.get(rendition)?.segments ?? [];
}

/** Numbers of the frames in a stored segment, in order, with their times. */
function framesIn(bytes: Uint8Array, init: Uint8Array): { frame: number; seconds: number }[] {
  const frames: { frame: number; seconds: number }[] = [];
  const reader = new StreamReader(
    {
      init: () => true,
      fragment: () => undefined,
      sample: ({ data, baseTicks, offsetTicks, track }) =>
        void frames.push({
          frame: Buffer.from(data).readUInt32BE(8),
          seconds: (Number(baseTicks) + offsetTicks) / track.timescale,
        }),
      event: () => undefined,
      last: () => undefined,
    },
    STREAM_READER_LIMITS,
  );
  expect(reader.push(init) ?? reader.push(bytes)).toBeUndefined();
  return frames;
}

describe('the making of a title', () => {
  it('shows its beginning as soon as all renditions have one, and grows in order', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 1);
    await made.doPiece(flow, 0);
    expect(await made.catalogue.find('film')).toBeUndefined();
    await made.doSound(flow, 0);
    const title = await whenShown(({ state }) => state === 'growing');
    expect(title).toMatchObject({ id: 'film', name: 'A film', durationMs: 10_000, segmentMs: 2000 });
    expect(title.renditions.map(({ id }) => id)).toEqual(['720p', '240p', 'audio-en']);
    const grown = await whenShown((shown) => segmentsOf(shown, '720p').length === 3);
    expect(segmentsOf(grown, '240p').map(({ number }) => number)).toEqual([0, 1, 2]);
  });

  it('has every frame once, at its time, and everything that is listed is stored', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doAll(flow);
    const title = await whenShown(({ state }) => state === 'complete');
    expect(title.durationMs).toBe(10_000);
    const period = title.periods[0]?.id ?? '';
    const frames = ['720p', '240p'].map((id) =>
      segmentsOf(title, id).flatMap(({ number, sizeBytes }) => {
        const bytes = made.store.blobs.get(`titles/film/${id}/${period}/${number}.m4s`) ?? new Uint8Array();
        expect(bytes.length).toBe(sizeBytes);
        return framesIn(bytes, title.periods[0]?.tracks.get(id)?.init ?? new Uint8Array());
      }),
    );
    const expected = Array.from({ length: 250 }, (_, frame) => ({ frame, seconds: frame / FPS }));
    expect(frames).toEqual([expected, expected]);
    expect(made.store.blobs.has(`titles/film/text-en/${period}/text.vtt`)).toBe(true);
    expect(made.store.blobs.has(`titles/film/thumbnails/${period}/0.jpg`)).toBe(true);
    await until(
      () => ![...made.store.blobs.keys()].some((key) => key.startsWith('work/')),
      'its work is gone',
    );
  });

  it('ends where the master does, should that be where its last piece would begin', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doPiece(flow, 1);
    made.queue.finish(flow, 'piece-0-2', { frames: 0, outputs: [] });
    for (const n of [0, 1, 2]) await made.doSound(flow, n, n === 2);
    await made.doExtras(flow);
    const title = await whenShown(({ state }) => state === 'complete');
    expect(title.durationMs).toBe(6000);
  });

  it('never lists what is not stored yet', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doAll(flow);
    await whenShown(({ state }) => state === 'complete');
    const seen = new Set<string>();
    for (const key of made.store.puts) {
      if (key === 'catalogue/film.json') break;
      seen.add(key);
    }
    const first = [...seen].filter((key) => key.startsWith('titles/film/720p/'));
    expect(first.some((key) => key.endsWith('/0.m4s'))).toBe(true);
    expect(made.store.puts.at(-1)).toBe('catalogue/film.json');
  });

  it('goes on after a restart where it was, with the same segments', async () => {
    const once = new MadeTitles(folder);
    await once.service.open();
    const whole = await once.service.add(wish());
    await once.doAll(whole.id);
    await until(async () => (await once.catalogue.find('film'))?.state === 'complete', 'made in one go');
    await once.service.close();

    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doPiece(flow, 1);
    await made.doSound(flow, 0);
    await whenShown((title) => segmentsOf(title, '720p').length >= 3);
    await made.restart();
    await made.doPiece(flow, 2);
    await made.doSound(flow, 1);
    await made.doSound(flow, 2, true);
    await made.doExtras(flow);
    await whenShown(({ state }) => state === 'complete');
    const media = (from: MadeTitles) =>
      new Map(
        [...from.store.blobs]
          .filter(([key]) => key.startsWith('titles/'))
          .map(([key, bytes]) => [
            key.replace(/\/p[0-9a-z]+\//, '/p/'),
            Buffer.from(bytes).toString('base64'),
          ]),
      );
    expect(media(made)).toEqual(media(once));
  });

  it('puts no segment twice that was listed before a restart', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doSound(flow, 0);
    await whenShown((title) => segmentsOf(title, 'audio-en').length > 0);
    await made.restart();
    await made.doAll(flow);
    await whenShown(({ state }) => state === 'complete');
    const segments = made.store.puts.filter((key) => key.endsWith('.m4s'));
    expect(segments.length).toBe(new Set(segments).size);
  });

  it('waits for a store that is away, and loses nothing', async () => {
    const { id: flow } = await made.service.add(wish());
    made.store.failure = new AppError('STORAGE_UNAVAILABLE');
    made.queue.set(flow, 'sound-audio-en', { state: 'active', attempt: 1 });
    await until(
      () => made.log.lines.some(({ message }) => message.includes('cannot go on being made yet')),
      'it says so',
    );
    made.store.failure = undefined;
    await made.doAll(flow);
    await until(async () => {
      made.clock.advance(1000);
      return (await made.catalogue.find('film'))?.state === 'complete';
    }, 'it is made all the same');
  });

  it('stores again what a store that went away in the middle did not take', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doSound(flow, 0);
    await whenShown(() => true);
    const put = made.store.put.bind(made.store);
    let refusals = 0;
    made.store.put = (key, ...rest) => {
      const refused = refusals === 0 && /\/240p\/.*\/2\.m4s$/.test(key);
      if (refused) refusals += 1;
      return refused ? Promise.reject(new AppError('STORAGE_UNAVAILABLE')) : put(key, ...rest);
    };
    await made.doAll(flow);
    await until(async () => {
      made.clock.advance(1000);
      return (await made.catalogue.find('film'))?.state === 'complete';
    }, 'it is made all the same');
    expect(refusals).toBe(1);
    const title = await whenShown(() => true);
    const period = title.periods[0]?.id ?? '';
    for (const { number } of segmentsOf(title, '240p')) {
      expect(made.store.blobs.has(`titles/film/240p/${period}/${number}.m4s`), `segment ${number}`).toBe(
        true,
      );
    }
  });

  it('fails loudly when the store is full, and lists nothing then', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doSound(flow, 0);
    await made.doPiece(flow, 0);
    await whenShown(() => true);
    made.store.failure = new AppError('STORAGE_FULL');
    made.queue.set(flow, 'thumbnails', { progress: 0.5 });
    const view = await until(async () => {
      const job = await made.service.making(flow);
      return job?.state === 'failed' ? job : undefined;
    }, 'the job has failed');
    expect(view.error?.code).toBe('STORAGE_FULL');
  });

  it('takes a title that has failed off the list, and goes on with it when it is tried again', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doSound(flow, 0);
    const shown = await whenShown(() => true);
    made.queue.fail(flow, 'piece-0-1', 'the encoder died');
    await until(async () => (await made.catalogue.find('film')) === undefined, 'it is not to be found');
    expect(await made.service.making(flow)).toMatchObject({
      state: 'failed',
      error: { message: 'the encoder died' },
    });
    expect(await made.service.retry(flow)).toBe(true);
    await made.doAll(flow);
    const title = await whenShown(({ state }) => state === 'complete');
    expect(title.periods[0]?.id).toBe(shown.periods[0]?.id);
    const segments = made.store.puts.filter((key) => key.endsWith('.m4s'));
    expect(segments.length).toBe(new Set(segments).size);
  });

  it.each([
    ['a frame is missing', () => Buffer.from(pieceBytes(0)).subarray(0, -60)],
    ['it is no media', () => Buffer.from('hello')],
  ])('fails when what a worker made is damaged: %s', async (_what, bytes) => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0, bytes());
    const view = await until(async () => {
      const job = await made.service.making(flow);
      return job?.state === 'failed' ? job : undefined;
    }, 'the job has failed');
    expect(view.error?.code).toBe('VOD_WORK_DAMAGED');
  });

  it.each([
    ['in one go', false],
    ['over a restart', true],
  ])('fails when a piece has other parameter sets than the one before: %s', async (_how, isRestarted) => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doSound(flow, 0);
    await whenShown(() => true);
    if (isRestarted) await made.restart();
    const other = Buffer.from(pieceBytes(1));
    const level = other.indexOf('avcC') + 7;
    other.writeUInt8(other.readUInt8(level) + 1, level);
    await made.doPiece(flow, 1, other);
    const view = await until(async () => {
      const job = await made.service.making(flow);
      return job?.state === 'failed' ? job : undefined;
    }, 'the job has failed');
    expect(view.error).toMatchObject({
      code: 'VOD_WORK_DAMAGED',
      message: expect.stringContaining('parameter sets'),
    });
  });

  it('encrypts what is to be protected, with a key for each tier', async () => {
    made.encryption = () => ({ keys: new FakeKeys(300_000), clearAudio: false });
    const { id: flow } = await made.service.add(wish({ isProtected: true }));
    await made.doAll(flow);
    const title = await whenShown(({ state }) => state === 'complete');
    const tracks = title.periods[0]?.tracks;
    expect(tracks?.get('audio-en')?.protection?.tier).toBe('AUDIO');
    expect(tracks?.get('240p')?.protection?.scheme).toBe('cbcs');
    const period = title.periods[0]?.id ?? '';
    const bytes = made.store.blobs.get(`titles/film/240p/${period}/0.m4s`);
    expect(Buffer.from(bytes ?? []).includes('senc')).toBe(true);
  });

  it('refuses to protect where there are no keys, rather than to go out in the clear', async () => {
    await expect(made.service.add(wish({ isProtected: true }))).rejects.toMatchObject({
      code: 'VOD_TITLE_INVALID',
    });
  });
});

describe('what may be made a title', () => {
  it('is a file below an allowed folder, by its real path', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'headwater-outside-'));
    await writeFile(join(outside, 'secret.mov'), 'x');
    await symlink(join(outside, 'secret.mov'), join(folder, 'link.mov'));
    for (const path of [
      join(outside, 'secret.mov'),
      join(folder, 'link.mov'),
      join(folder, '..', 'x'),
      '/etc/passwd',
      `${folder}-other/film.mov`,
      join(folder, 'none.mov'),
    ]) {
      await expect(made.service.add(wish({ master: { path } }))).rejects.toMatchObject({
        code: 'VOD_MASTER_REFUSED',
      });
    }
    await rm(outside, { recursive: true });
  });

  it('has a name that nobody has yet', async () => {
    const { id: flow } = await made.service.add(wish());
    await expect(made.service.add(wish())).rejects.toMatchObject({ code: 'VOD_TITLE_EXISTS' });
    await made.doAll(flow);
    await whenShown(({ state }) => state === 'complete');
    await expect(made.service.add(wish())).rejects.toMatchObject({ code: 'VOD_TITLE_EXISTS' });
    await expect(made.service.add(wish({ id: '../x' }))).rejects.toMatchObject({ code: 'VOD_TITLE_INVALID' });
  });
});

describe('a title that is taken away', () => {
  it('leaves nothing behind, whole or half made', async () => {
    const { id: flow } = await made.service.add(wish());
    await made.doPiece(flow, 0);
    await made.doSound(flow, 0);
    await whenShown(() => true);
    expect(await made.service.remove('film')).toBe(true);
    expect([...made.store.blobs.keys()]).toEqual([]);
    expect(await made.queue.flow(flow)).toBeUndefined();
    expect(await made.service.remove('film')).toBe(false);
    const again = await made.service.add(wish());
    expect(again.title).toBe('film');
  });
});

describe('how far it is', () => {
  it('counts frames by what they cost', async () => {
    made.queue.nowMs = made.clock.wallMs();
    const { id: flow } = await made.service.add(wish());
    expect(await made.service.making(flow)).toMatchObject({ progress: 0, etaSeconds: undefined });
    await made.doPiece(flow, 0);
    made.clock.advance(2000);
    const view = await made.service.making(flow);
    expect(view?.rungs).toEqual([
      { id: '720p', progress: 0.2 },
      { id: '240p', progress: 0.2 },
    ]);
    expect(view?.progress).toBeCloseTo(0.2 / 1.02, 2);
    expect(view?.etaSeconds).toBe(8);
  });

  it('knows the frames of the pieces it made', () => {
    expect(Buffer.from(frameData(7)).readUInt32BE(8)).toBe(7);
  });
});
