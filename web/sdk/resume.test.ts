import { beforeEach, describe, expect, it } from 'vitest';
import {
  type Answer,
  FakeSdkClock,
  FakeServer,
  json,
  type SeenRequest,
  settle,
} from '../../test/support/sdk-fakes.ts';
import { ApiCaller } from './api-caller.ts';
import { memoryStore } from './key-value-store.ts';
import { Login } from './login.ts';
import { OfflineQueue } from './offline-queue.ts';
import { type ResumeDeps, Resume } from './resume.ts';
import type { Position, ResumeRecord } from './resume-types.ts';
import type { TitleResume } from './title-resume.ts';

const RECORD: ResumeRecord = {
  title: 'film',
  positionMs: 754_000,
  durationMs: 5_400_000,
  state: 'paused',
  device: 'tv-1',
  epoch: 6,
  seq: 12,
  eventMs: 1,
  version: 31,
  isDeleted: false,
};

function at(seconds: number, state: Position['state'] = 'playing'): Position {
  return { positionMs: seconds * 1000, durationMs: 5_400_000, state };
}

let clock: FakeSdkClock;
let server: FakeServer;
let isOnline: boolean;
let epoch: number;
let onPut: (request: SeenRequest) => Answer;
let beacons: { url: string; body: Record<string, unknown> }[];
let resume: Resume;
let store: ReturnType<typeof memoryStore>;

function answer(request: SeenRequest): Answer | Promise<Answer> {
  if (!isOnline) return 'no network';
  if (request.path.startsWith('/v1/resume/events')) return new Promise(() => undefined);
  if (request.method === 'POST' && request.path === '/v1/resume/film') {
    return json(201, { epoch: ++epoch, record: RECORD, serverTimeMs: 77 });
  }
  if (request.method === 'POST' && request.path === '/v1/resume/batch') {
    const reports = request.body?.['reports'] as { title: string }[];
    const results = reports.map(({ title }) => ({ title, outcome: 'stored', record: null }));
    return json(200, { results, serverTimeMs: 1 });
  }
  return onPut(request);
}

beforeEach(() => {
  clock = new FakeSdkClock();
  isOnline = true;
  epoch = 6;
  beacons = [];
  onPut = ({ body }) => json(200, { record: { ...RECORD, ...body }, serverTimeMs: 1 });
  server = new FakeServer(answer);
  store = memoryStore();
  resume = makeResume('token');
});

function makeResume(token: string): Resume {
  const device = (): Promise<never> => Promise.reject(new Error('no key'));
  const deps: ResumeDeps = {
    api: new ApiCaller({ baseUrl: 'https://media.example', fetch: server.fetch, clock, device }),
    login: new Login(() => Promise.resolve(token)),
    queue: new OfflineQueue(store),
    clock,
    device: 'laptop',
    beacon(url, text) {
      beacons.push({ url, body: JSON.parse(text) as Record<string, unknown> });
      return true;
    },
    onSessions: () => undefined,
  };
  return new Resume('main', deps);
}

function puts(): readonly SeenRequest['body'][] {
  return server.of('PUT', '/v1/resume/film').map(({ body }) => body);
}

describe('a title that is opened', () => {
  it('begins where the viewer was, with an epoch of its own', async () => {
    const film = await resume.open('film');
    expect(film.startPositionMs).toBe(754_000);
    expect(film.epoch).toBe(7);
    const again = await resume.open('film');
    expect(again.epoch).toBe(8);
  });

  it('begins at the start when it was watched to the end', async () => {
    const done = { ...RECORD, state: 'completed', positionMs: 0 };
    server.answer = () => json(201, { epoch: 9, record: done, serverTimeMs: 1 });
    expect((await resume.open('film')).startPositionMs).toBe(0);
  });

  it('reports each change of state and each seek at once, else every 10 s, with numbers that grow', async () => {
    const film = await resume.open('film');
    film.update(at(754));
    await settle();
    film.update(at(755));
    film.update(at(756));
    await settle();
    expect(puts()).toHaveLength(1);
    film.seeked(at(3000));
    await settle();
    film.update(at(3001, 'paused'));
    await settle();
    film.update(at(3002, 'paused'));
    await clock.advance(10_000);
    expect(puts()).toMatchObject([
      { epoch: 7, seq: 1, positionMs: 754_000, state: 'playing', device: 'laptop', profile: 'main' },
      { epoch: 7, seq: 2, positionMs: 3_000_000 },
      { epoch: 7, seq: 3, state: 'paused' },
      { epoch: 7, seq: 4, positionMs: 3_002_000 },
    ]);
    await clock.advance(60_000);
    expect(puts()).toHaveLength(4);
  });

  it('says so when the viewer went back to the start', async () => {
    const film = await resume.open('film');
    film.seeked(at(0));
    await settle();
    film.seeked(at(100));
    await settle();
    expect(puts().map((body) => body?.['force'])).toEqual([true, undefined]);
  });
});

describe('another device', () => {
  const theirs = { ...RECORD, epoch: 8, positionMs: 900_000, device: 'phone', version: 40 };
  let film: TitleResume;
  let told: (ResumeRecord | undefined)[];

  beforeEach(async () => {
    told = [];
    film = await resume.open('film');
    film.onSuperseded = (record) => told.push(record);
  });

  it('that goes on ends the reports of this one, until the viewer takes it back', async () => {
    onPut = () => json(409, { code: 'RESUME_CONFLICT', record: theirs });
    film.update(at(754));
    await settle();
    expect(told).toEqual([theirs]);
    film.update(at(760, 'paused'));
    film.leave(at(760, 'stopped'));
    await clock.advance(60_000);
    expect(puts()).toHaveLength(1);
    expect(beacons).toEqual([]);
    onPut = ({ body }) => json(200, { record: { ...RECORD, ...body } });
    epoch = 8;
    await film.takeBack();
    film.update(at(900));
    await settle();
    expect(puts().at(-1)).toMatchObject({ epoch: 9, seq: 1, positionMs: 900_000 });
  });

  it('is noticed by an event, before this one reports', () => {
    film.noticed(theirs);
    film.noticed({ ...theirs, version: 41 });
    expect(told).toEqual([theirs]);
    expect(film.isSuperseded).toBe(true);
  });

  it('is not there when only a later report of this one came first', async () => {
    onPut = () => json(409, { code: 'RESUME_CONFLICT', record: { ...RECORD, epoch: 7, seq: 9 } });
    film.update(at(754));
    await settle();
    film.noticed({ ...RECORD, epoch: 7, seq: 9, version: 50 });
    expect(told).toEqual([]);
    expect(film.isSuperseded).toBe(false);
  });
});

describe('without a network', () => {
  it('the last report of each gesture is kept, and sent as one batch when reports go through again', async () => {
    const film = await resume.open('film');
    isOnline = false;
    film.update(at(754));
    await settle();
    film.update(at(780, 'paused'));
    await clock.advance(1000);
    film.update(at(800));
    await clock.advance(30_000);
    const lastTriedMs = clock.nowMs();
    isOnline = true;
    resume.online();
    await clock.advance(0);
    const batches = server.of('POST', '/v1/resume/batch').filter(({ body }) => body?.['reports']);
    expect(batches.at(-1)?.body).toMatchObject({
      device: 'laptop',
      clientNowMs: lastTriedMs,
      reports: [{ title: 'film', epoch: 7, positionMs: 800_000, state: 'playing' }],
    });
    expect(await new OfflineQueue(store).list('main')).toEqual([]);
  });

  it('attempts are further and further apart', async () => {
    const film = await resume.open('film');
    isOnline = false;
    film.update(at(1));
    await settle();
    const before = puts().length;
    for (let second = 0; second < 60; second++) {
      film.update(at(2 + second));
      // oxlint-disable-next-line no-await-in-loop
      await clock.advance(1000);
    }
    const attempts = puts().length - before;
    expect(attempts).toBeGreaterThan(3);
    expect(attempts).toBeLessThan(9);
  });

  it('what waits is sent by the next page', async () => {
    const queue = new OfflineQueue(store);
    await queue.put('main', { ...at(5), title: 'film', epoch: 3, seq: 4, atMs: 1000 });
    resume.close();
    makeResume('token');
    await settle();
    expect(server.of('POST', '/v1/resume/batch')).toHaveLength(1);
    expect(await queue.list('main')).toEqual([]);
  });

  it('a title still opens, and claims when the network is back', async () => {
    isOnline = false;
    const film = await resume.open('film');
    expect(film.startPositionMs).toBe(0);
    film.update(at(30));
    isOnline = true;
    await clock.advance(5000);
    expect(puts()).toMatchObject([{ epoch: 7, seq: 1, positionMs: 30_000 }]);
  });

  it('a refusal is none of its business', async () => {
    server.answer = () => json(403, { code: 'LICENSE_VIEWER_REVOKED' });
    await expect(resume.open('film')).rejects.toMatchObject({ code: 'LICENSE_VIEWER_REVOKED' });
  });
});

describe('a page that goes', () => {
  it('hands its last report to the browser, with its token in the body', async () => {
    const film = await resume.open('film');
    await settle();
    film.update(at(754));
    await settle();
    film.leave(at(757, 'stopped'));
    expect(beacons).toEqual([
      {
        url: 'https://media.example/v1/resume/film/report',
        body: {
          profile: 'main',
          device: 'laptop',
          token: 'token',
          epoch: 7,
          seq: 2,
          ...at(757, 'stopped'),
        },
      },
    ]);
  });

  it('keeps it for the next page while nothing goes through', async () => {
    const film = await resume.open('film');
    isOnline = false;
    film.update(at(754));
    await settle();
    film.leave(at(757, 'stopped'));
    await settle();
    expect(await new OfflineQueue(store).list('main')).toMatchObject([
      { seq: 2, positionMs: 757_000, claimedMs: 77 },
    ]);
  });
});

describe('the offline queue', () => {
  it('keeps the newest 200 titles, and of a gesture the last report whatever the order', async () => {
    const queue = new OfflineQueue(store);
    const report = { ...at(5), epoch: 1, seq: 4 };
    for (let n = 0; n < 205; n++) {
      // oxlint-disable-next-line no-await-in-loop
      await queue.put('main', { ...report, title: `t${n}`, atMs: n });
    }
    await queue.put('main', { ...report, seq: 3, positionMs: 1, title: 't204', atMs: 500 });
    const kept = await queue.list('main');
    expect(kept).toHaveLength(200);
    expect(kept[0]?.title).toBe('t5');
    expect(kept.at(-1)).toMatchObject({ title: 't204', seq: 4, positionMs: 5000 });
  });

  it('takes nothing out that is newer than what was sent', async () => {
    const queue = new OfflineQueue(store);
    await queue.put('main', { ...at(5), title: 'film', epoch: 1, seq: 5, atMs: 1 });
    await queue.remove('main', { title: 'film', epoch: 1, seq: 4 });
    expect(await queue.list('main')).toHaveLength(1);
  });
});
