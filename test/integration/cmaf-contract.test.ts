import { afterEach, describe, expect, it } from 'vitest';
import { createOpenAuthoriser } from '../../src/ingest/authorise.ts';
import {
  AUDIO,
  emsgBytes,
  fragmentBytes,
  initBytes,
  labelled,
  stypBytes,
  VIDEO,
  type TestRun,
} from '../support/cmaf-bytes.ts';
import { bearer, type CmafFixture, type CmafFixtureOptions, startCmaf } from '../support/cmaf-fixture.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { box, concat } from '../support/media-bytes.ts';
import { until } from '../support/until.ts';

const open: CmafFixture[] = [];
const clients: RawClient[] = [];

async function start(options: CmafFixtureOptions = {}): Promise<CmafFixture> {
  const fixture = await startCmaf(options);
  open.push(fixture);
  return fixture;
}

function dial(port: number): RawClient {
  const client = new RawClient(port);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const fixture of open.splice(0)) await fixture.close();
});

const EPOCH = 1_795_000_000n;
const FRAME = 3000;

/** Segment `n` of a second of video, 30 frames labelled by their number. */
function video(n: number, label = 'v'): Uint8Array {
  const baseTicks = (EPOCH + BigInt(n)) * 90_000n;
  return fragmentBytes([labelled(label, { baseTicks, count: 30, duration: FRAME, from: n * 30 })], n + 1);
}

/** Segment `n` of a second of sound, 47 frames: as near as 1024 samples come. */
function audio(n: number): TestRun {
  const baseTicks = EPOCH * 48_000n + BigInt(n * 47 * 1024);
  return labelled('a', { baseTicks, count: 47, duration: 1024, from: n * 47 });
}

async function send(
  { url }: CmafFixture,
  path: string,
  body?: Uint8Array | string,
  init: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; code: string | undefined; headers: Headers }> {
  const response = await fetch(`${url}${path}`, {
    method: init.method ?? 'PUT',
    headers: { ...bearer('studio'), ...init.headers },
    redirect: 'manual',
    ...(body !== undefined && { body: new Uint8Array(typeof body === 'string' ? Buffer.from(body) : body) }),
  });
  const text = await response.text();
  const code = text === '' ? undefined : (JSON.parse(text) as { code: string }).code;
  return { status: response.status, code, headers: response.headers };
}

const statusOf = async (...args: Parameters<typeof send>): Promise<number> => (await send(...args)).status;

describe('the order of CMAF ingest', () => {
  it('takes probe, MPD, init and segments of each track, and makes one publisher of them', async () => {
    const cmaf = await start();
    expect(await statusOf(cmaf, 'studio/', undefined, { method: 'POST' })).toBe(200);
    expect(
      await statusOf(cmaf, 'studio/live.mpd', '<MPD/>', {
        headers: { 'content-type': 'application/dash+xml' },
      }),
    ).toBe(200);
    expect(await statusOf(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]))).toBe(200);
    expect(await statusOf(cmaf, 'studio/a/init.mp4', initBytes([AUDIO]))).toBe(200);
    expect(cmaf.hub.publishers).toHaveLength(0);
    for (const n of [0, 1, 2]) {
      expect(await statusOf(cmaf, `studio/v/${n}.m4s`, video(n))).toBe(200);
      expect(await statusOf(cmaf, `studio/a/${n}.m4s`, fragmentBytes([audio(n)]))).toBe(200);
    }
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === 231, 'all samples');
    expect(cmaf.hub.publishers).toHaveLength(1);
    expect(publisher.stream).toBe('studio');
    expect(publisher.info).toMatchObject({ protocol: 'cmaf', role: 'primary', timescale: 90_000 });
    expect(publisher.videoConfigs).toEqual([VIDEO.config?.body]);
    expect(publisher.audioConfigs).toEqual([Uint8Array.of(0x11, 0x90)]);
    expect(publisher.announcements).toEqual([{ video: true, audio: true }]);
    const pictures = publisher.samples.filter(({ kind }) => kind === 'video');
    expect(pictures.map(({ data }) => Buffer.from(data).toString())).toEqual(
      Array.from({ length: 90 }, (_, i) => `v${i};`),
    );
    expect(pictures.map(({ dts }) => dts - (pictures[0]?.dts ?? 0))).toEqual(
      Array.from({ length: 90 }, (_, i) => i * FRAME),
    );
    expect(pictures.filter(({ key }) => key).map(({ dts }) => BigInt(dts))).toEqual(
      [0n, 1n, 2n].map((n) => (EPOCH + n) * 90_000n),
    );
    const sounds = publisher.samples.filter(({ kind }) => kind === 'audio');
    expect(sounds.map(({ dts }) => dts)).toEqual(
      sounds.map((_, i) => Number(EPOCH * 90_000n) + Math.round((i * 1024 * 90_000) / 48_000)),
    );
  });

  it.each([
    ['one name for init and segments', 'Streams(v.cmfv)', 'Streams(v.cmfv)', 'Streams(v.cmfv)'],
    ['the same without Streams()', 'v.cmfv', 'v.cmfv', 'v.cmfv'],
    ['names as ffmpeg makes them', 'init-stream0.m4s', 'chunk-stream0-00001.m4s', 'chunk-stream0-00002.m4s'],
  ])('takes %s', async (_what, init, first, second) => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    expect(await statusOf(cmaf, `studio/${init}`, initBytes([VIDEO]))).toBe(200);
    expect(await statusOf(cmaf, `studio/${first}`, video(0))).toBe(200);
    expect(await statusOf(cmaf, `studio/${second}`, video(1), { method: 'POST' })).toBe(200);
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === 60, 'both segments');
  });

  it('takes a whole broadcast in one body, and gives each frame on at its last byte', async () => {
    const cmaf = await start();
    const client = dial(cmaf.port);
    const chunk = (bytes: Uint8Array): void => {
      client.write(`${bytes.length.toString(16)}\r\n`);
      client.write(bytes);
      client.write('\r\n');
    };
    client.write(
      `PUT /ingest/studio/all HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-of-studio\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const sound = { ...AUDIO, id: 2 };
    chunk(initBytes([VIDEO, sound]));
    const fragment = fragmentBytes([
      labelled('v', { baseTicks: 0n, count: 3, duration: FRAME }),
      labelled('a', { trackId: 2, baseTicks: 0n, count: 2, duration: 1024 }),
    ]);
    chunk(fragment.subarray(0, fragment.length - 5));
    const publisher = await cmaf.publisher();
    await until(() => publisher.texts.length === 3, 'the pictures while the mdat is incomplete');
    expect(client.reader.answers).toHaveLength(0);
    chunk(fragment.subarray(fragment.length - 5));
    await until(() => publisher.texts.length === 5, 'the sound');
    chunk(box('mfra', new Uint8Array(4)));
    client.write('0\r\n\r\n');
    client.reader.expect('PUT');
    expect((await client.answer()).status).toBe(200);
    expect(publisher.closes).toEqual(['unpublished']);
    expect(publisher.texts).toEqual(['v0;', 'v1;', 'v2;', 'a0;', 'a1;']);
  });

  it('asks for the body only when the peer may send it (Expect: 100-continue)', async () => {
    const cmaf = await start();
    const good = dial(cmaf.port);
    const init = initBytes([VIDEO]);
    const head = (key: string): string =>
      `PUT /ingest/studio/v/init.mp4 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\nExpect: 100-continue\r\nContent-Length: ${init.length}\r\n\r\n`;
    let got = '';
    good.socket.on('data', (data) => (got += data.toString('latin1')));
    good.write(head('key-of-studio'));
    await until(() => got.includes('100 Continue'), 'the interim answer');
    good.write(init);
    await until(() => got.includes('HTTP/1.1 200 OK'), 'the answer');
    const bad = dial(cmaf.port);
    bad.reader.expect('PUT');
    bad.write(head('wrong'));
    expect((await bad.answer()).status).toBe(403);
    await bad.untilClosed();
  });

  it('takes the same path again as an overwrite: nothing is doubled', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    for (let i = 0; i < 2; i++) {
      expect(await statusOf(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]))).toBe(200);
      expect(await statusOf(cmaf, 'studio/v/0.m4s', video(0))).toBe(200);
    }
    expect(await statusOf(cmaf, 'studio/v/1.m4s', video(1))).toBe(200);
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === 60, 'both segments once');
    expect(publisher.videoConfigs).toHaveLength(1);
    expect(await cmaf.metric('ingest_cmaf_duplicate_samples_total')).toBe(30);
  });

  it('asks about a segment only once it has the answer about its init, which it could overtake else', async () => {
    const said: string[] = [];
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const cmaf = await start({
      authoriser: {
        async authorise({ key, query }) {
          said.push(`${query}?`);
          if (query === 'init') await answered;
          said.push(`${query}!`);
          return { allow: true, stream: key };
        },
      },
    });
    const put = (query: string, body: Uint8Array) =>
      cmaf.ingest.handle({
        ...{ method: 'PUT', path: '/ingest/studio/v.cmfv', query, remoteAddress: '127.0.0.1' },
        header: (name) => bearer('studio')[name] ?? '',
        bodyPieces: async function* () {
          yield body;
        },
      });
    const replies = [put('init', initBytes([VIDEO])), put('segment', video(0))];
    await new Promise((resolve) => setImmediate(resolve));
    expect(said).toEqual(['init?']);
    answer();
    expect((await Promise.all(replies)).map(({ error }) => error?.code)).toEqual([undefined, undefined]);
    expect(said).toEqual(['init?', 'init!', 'segment?', 'segment!']);
  });

  it('numbers several video tracks by their size and rate, the best first', async () => {
    const cmaf = await start();
    const rungs = [
      { name: 'low', width: 640, height: 360, bitrateBps: 1e6 },
      { name: 'top', width: 1920, height: 1080, bitrateBps: 6e6 },
      { name: 'mid', width: 1280, height: 720, bitrateBps: 2e6 },
      { name: 'high', width: 1280, height: 720, bitrateBps: 3e6 },
    ];
    for (const { name, ...size } of rungs)
      await send(cmaf, `studio/${name}/init.mp4`, initBytes([{ ...VIDEO, ...size }]));
    for (const { name } of rungs) await send(cmaf, `studio/${name}/0.m4s`, video(0, name));
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === 120, 'all samples');
    const names = publisher.samples.map(
      ({ track, data }) => `${track}:${Buffer.from(data).toString().replace(/\d+;/, '')}`,
    );
    expect([...new Set(names)].sort()).toEqual(['0:top', '1:high', '2:mid', '3:low']);
  });

  it('gives on timed events once, however many tracks carry them', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    const scte35 = {
      scheme: 'urn:scte:scte35:2013:bin',
      timescale: 1000,
      id: 5,
      data: Buffer.from('splice'),
    };
    const absolute = emsgBytes(1, { ...scte35, time: EPOCH * 1000n + 1500n });
    const relative = emsgBytes(0, { ...scte35, scheme: 'https://aomedia.org/emsg/ID3', time: 250n });
    const other = emsgBytes(1, { ...scte35, scheme: 'urn:other', time: 0n });
    await send(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]));
    await send(cmaf, 'studio/a/init.mp4', initBytes([AUDIO]));
    await send(cmaf, 'studio/v/1.m4s', concat([absolute, relative, other, video(1)]));
    await send(cmaf, 'studio/a/0.m4s', concat([absolute, fragmentBytes([audio(0)])]));
    const publisher = await cmaf.publisher();
    await until(() => publisher.events.length === 2, 'both events');
    const start90 = Number(EPOCH * 90_000n);
    expect(publisher.events.map((event) => ({ ...event, data: Buffer.from(event.data) }))).toEqual([
      { kind: 'scte35', pts: start90 + 135_000, data: Buffer.from('splice') },
      { kind: 'id3', pts: start90 + 90_000 + 22_500, data: Buffer.from('splice') },
    ]);
    expect(await cmaf.metric('ingest_cmaf_ignored_total', { what: 'event_scheme' })).toBe(1);
  });

  it('applies edit lists, so that sound and picture stay in step', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    const sound = { ...AUDIO, id: 2, editMediaTime: 960 };
    await send(
      cmaf,
      'studio/all.mp4',
      concat([
        initBytes([{ ...VIDEO, editMediaTime: 6000 }, sound]),
        fragmentBytes([
          labelled('v', { baseTicks: 12_000n, count: 1, duration: FRAME }),
          labelled('a', { trackId: 2, baseTicks: 960n, count: 1, duration: 1024 }),
        ]),
      ]),
    );
    const publisher = await cmaf.publisher();
    expect(publisher.samples.map(({ dts }) => dts)).toEqual([6000, 0]);
  });

  it('ends with the last segment of all tracks, and begins anew with an init', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/a.cmfa', initBytes([AUDIO]));
    await send(cmaf, 'studio/v.cmfv', concat([stypBytes('lmsg'), video(0)]));
    const publisher = await cmaf.publisher();
    expect(publisher.closes).toEqual([]);
    await send(cmaf, 'studio/a.cmfa', concat([stypBytes('lmsg'), fragmentBytes([audio(0)])]));
    expect(publisher.closes).toEqual(['unpublished']);
    expect(cmaf.ingest.sessionCount).toBe(0);
    expect(await send(cmaf, 'studio/v.cmfv', video(1))).toMatchObject({ status: 412 });
    expect(await statusOf(cmaf, 'studio/v.cmfv', initBytes([VIDEO]))).toBe(200);
    expect(await statusOf(cmaf, 'studio/v.cmfv', video(1))).toBe(200);
    await until(() => cmaf.hub.publishers.length === 2, 'the next publisher');
    const ended = cmaf.log.find(({ message }) => message === 'CMAF session ended');
    expect(ended?.fields).toMatchObject({ stream: 'studio', reason: 'last_segment' });
  });

  it.each([
    ['the publishing point', 'studio/'],
    ['the MPD', 'studio/live.mpd'],
    ['the only track', 'studio/v.cmfv'],
  ])('ends with DELETE of %s', async (_what, path) => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    expect(await statusOf(cmaf, path, undefined, { method: 'DELETE' })).toBe(200);
    expect(publisher.closes).toEqual(['unpublished']);
  });

  it('goes on after DELETE of a segment, which encoders do all the time', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]));
    for (const n of [0, 1]) await send(cmaf, `studio/v/${n}.m4s`, video(n));
    expect(await statusOf(cmaf, 'studio/v/0.m4s', undefined, { method: 'DELETE' })).toBe(200);
    expect(await statusOf(cmaf, 'studio/v/2.m4s', video(2))).toBe(200);
    const publisher = await cmaf.publisher();
    expect(publisher.samples).toHaveLength(90);
    expect(publisher.closes).toEqual([]);
  });

  it('keeps primary and backup apart', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    for (const query of ['', '?role=backup']) {
      await send(cmaf, `studio/v.cmfv${query}`, initBytes([VIDEO]));
      // The recording hub takes one publisher a stream; the roles are what is looked at.
      await send(cmaf, `studio/v.cmfv${query}`, video(0));
      await until(() => cmaf.hub.publishers.some(({ closes }) => closes.length === 0), 'its publisher');
      cmaf.hub.publishers.at(-1)?.close('disconnected');
    }
    expect(cmaf.hub.publishers.map(({ info }) => info.role)).toEqual(['primary', 'backup']);
  });
});

describe('the answers of CMAF ingest', () => {
  const json = { 'content-type': 'application/json' };
  const html = { 'content-type': 'text/html' };
  const init = initBytes([VIDEO]);
  interface Row {
    readonly what: string;
    readonly path: string;
    readonly status: number;
    readonly code: string;
    readonly body?: Uint8Array | string;
    readonly method?: string;
    readonly headers?: Record<string, string>;
    /** Sent before, and taken. */
    readonly before?: readonly (readonly [path: string, body: Uint8Array])[];
  }
  const declared = [['studio/v/init.mp4', init]] as const;
  const rows: Row[] = [
    {
      what: 'no credentials',
      path: 'studio/v/init.mp4',
      body: init,
      headers: { authorization: '' },
      status: 401,
      code: 'INGEST_CMAF_UNAUTHORIZED',
    },
    {
      what: 'a wrong key',
      path: 'studio/v/init.mp4',
      body: init,
      headers: { authorization: 'Bearer nobody' },
      status: 403,
      code: 'INGEST_CMAF_FORBIDDEN',
    },
    {
      what: "another stream's key",
      path: 'studio/v/init.mp4',
      body: init,
      headers: bearer('other'),
      status: 403,
      code: 'INGEST_CMAF_FORBIDDEN',
    },
    {
      what: 'a wrong password',
      path: 'studio/v/init.mp4',
      body: init,
      headers: { authorization: `Basic ${btoa('studio:no')}` },
      status: 403,
      code: 'INGEST_CMAF_FORBIDDEN',
    },
    {
      what: 'the stream name as key',
      path: 'studio/v/init.mp4',
      body: init,
      headers: { authorization: 'Bearer studio' },
      status: 403,
      code: 'INGEST_CMAF_FORBIDDEN',
    },
    {
      what: 'a path that leads out',
      path: 'studio/%2e%2e%2fother/init.mp4',
      body: init,
      status: 403,
      code: 'INGEST_CMAF_PATH_REFUSED',
    },
    {
      what: 'an encoded slash',
      path: 'studio/v%2finit.mp4',
      body: init,
      status: 403,
      code: 'INGEST_CMAF_PATH_REFUSED',
    },
    {
      what: 'an empty level',
      path: 'studio//init.mp4',
      body: init,
      status: 403,
      code: 'INGEST_CMAF_PATH_REFUSED',
    },
    { what: 'no publishing point', path: '', body: init, status: 404, code: 'INGEST_CMAF_POINT_UNKNOWN' },
    {
      what: 'a name no stream can have',
      path: 'no.such.point/init.mp4',
      body: init,
      status: 404,
      code: 'INGEST_CMAF_POINT_UNKNOWN',
    },
    { what: 'GET', path: 'studio/v/init.mp4', method: 'GET', status: 405, code: 'HTTP_METHOD_NOT_ALLOWED' },
    {
      what: 'media without init',
      path: 'studio/v/1.m4s',
      body: video(1),
      status: 412,
      code: 'INGEST_CMAF_INIT_MISSING',
    },
    {
      what: 'media of a track without init',
      path: 'studio/a/1.m4s',
      body: fragmentBytes([{ ...audio(1), trackId: 2 }]),
      before: declared,
      status: 412,
      code: 'INGEST_CMAF_INIT_MISSING',
    },
    {
      what: 'an init that is none',
      path: 'studio/v/init.mp4',
      body: 'this is not an init at all',
      status: 412,
      code: 'INGEST_CMAF_INIT_UNUSABLE',
    },
    {
      what: 'half an init',
      path: 'studio/v/init.mp4',
      body: init.subarray(0, -9),
      status: 412,
      code: 'INGEST_CMAF_INIT_UNUSABLE',
    },
    {
      what: 'an init without codec configuration',
      path: 'studio/v/init.mp4',
      body: initBytes([{ id: 1, handler: 'vide', entry: 'avc1', timescale: 1000 }]),
      status: 412,
      code: 'INGEST_CMAF_INIT_UNUSABLE',
    },
    {
      what: 'an init whose clock is too fast',
      path: 'studio/v/init.mp4',
      body: initBytes([{ ...VIDEO, timescale: 4_000_000_000 }]),
      status: 412,
      code: 'INGEST_CMAF_INIT_UNUSABLE',
    },
    {
      what: 'an HTML page',
      path: 'studio/v/init.mp4',
      body: init,
      headers: html,
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'JSON',
      path: 'studio/v/init.mp4',
      body: init,
      headers: json,
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'an MPD that says it is JSON',
      path: 'studio/live.mpd',
      body: '<MPD/>',
      headers: json,
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'a transport stream',
      path: 'studio/1.ts',
      body: 'G',
      headers: { 'content-type': 'video/mp2t' },
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'a codec that is not carried',
      path: 'studio/v/init.mp4',
      body: initBytes([{ ...VIDEO, entry: 'mp4v' }]),
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'encrypted media',
      path: 'studio/v/init.mp4',
      body: initBytes([{ ...VIDEO, entry: 'encv' }]),
      status: 415,
      code: 'INGEST_CMAF_MEDIA_TYPE',
    },
    {
      what: 'a compressed body',
      path: 'studio/v/init.mp4',
      body: init,
      headers: { 'content-encoding': 'gzip' },
      status: 415,
      code: 'HTTP_UNSUPPORTED_ENCODING',
    },
    {
      what: 'garbage where media should be',
      path: 'studio/v/1.m4s',
      body: 'garbage, garbage, garbage',
      before: declared,
      status: 400,
      code: 'INGEST_CMAF_MALFORMED',
    },
    {
      what: 'half a segment',
      path: 'studio/v/1.m4s',
      body: video(1).subarray(0, -50),
      before: declared,
      status: 400,
      code: 'INGEST_CMAF_MALFORMED',
    },
    {
      what: 'a large init',
      path: 'studio/v/init.mp4',
      body: box('moov', new Uint8Array(9000)),
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'a large fragment',
      path: 'studio/v/1.m4s',
      body: box('mdat', new Uint8Array(200_000)),
      before: declared,
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'a large frame',
      path: 'studio/v/1.m4s',
      body: fragmentBytes([
        { trackId: 1, baseTicks: 0n, samples: [{ data: new Uint8Array(40_000), duration: 1 }] },
      ]),
      before: declared,
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'too many frames',
      path: 'studio/v/1.m4s',
      body: fragmentBytes([labelled('v', { baseTicks: 0n, count: 101, duration: 1 })]),
      before: declared,
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'a large MPD',
      path: 'studio/live.mpd',
      body: ' '.repeat(5000),
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'a body for the point itself',
      path: 'studio/',
      body: init,
      status: 413,
      code: 'HTTP_BODY_TOO_LARGE',
    },
    {
      what: 'a track too many',
      path: 'studio/c/init.mp4',
      body: init,
      before: [...declared, ['studio/b/init.mp4', init]],
      status: 400,
      code: 'INGEST_CMAF_TRACK_LIMIT',
    },
  ];

  it.each(rows)(
    'refuses $what with $status',
    async ({ path, body, method, headers, before = [], status, code }) => {
      const cmaf = await start({
        options: {
          gatherMs: 0,
          maxInitBytes: 8192,
          maxFragmentBytes: 100_000,
          maxFragmentSamples: 100,
          maxSampleBytes: 30_000,
          maxManifestBytes: 4096,
          maxTracks: 2,
        },
      });
      for (const [where, bytes] of before) expect(await statusOf(cmaf, where, bytes)).toBe(200);
      const answer = await send(cmaf, path, body, { ...(method && { method }), ...(headers && { headers }) });
      expect(answer).toMatchObject({ status, code });
      expect(await cmaf.metric('ingest_cmaf_refused_total', { code })).toBe(1);
      expect(await cmaf.metric('ingest_cmaf_requests_total', { status_class: '4xx' })).toBe(1);
      if (status === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /);
      if (status === 405) expect(answer.headers.get('allow')).toBe('DELETE, POST, PUT');
      expect(JSON.stringify(cmaf.log)).not.toContain('key-of');
    },
  );

  it('takes the key as Basic password, whatever the user', async () => {
    const cmaf = await start();
    const headers = { authorization: `Basic ${btoa('anybody:key-of-studio')}` };
    expect(await statusOf(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]), { headers })).toBe(200);
  });

  it('lets anybody publish where nobody is asked for a key', async () => {
    const cmaf = await start({ authoriser: createOpenAuthoriser() });
    const headers = { authorization: '' };
    expect(await statusOf(cmaf, 'studio/v/init.mp4', initBytes([VIDEO]), { headers })).toBe(200);
  });

  it('does not let a key of one stream into the session of another, nor in without one', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    for (const headers of [bearer('other'), { authorization: '' }, { authorization: 'Bearer x' }]) {
      expect(await statusOf(cmaf, 'studio/v.cmfv', video(1, 'evil'), { headers })).toBeGreaterThanOrEqual(
        401,
      );
      expect(
        await statusOf(cmaf, 'studio/', undefined, { method: 'DELETE', headers }),
      ).toBeGreaterThanOrEqual(401);
    }
    expect(publisher.samples).toHaveLength(30);
    expect(publisher.closes).toEqual([]);
  });

  it('lets nobody publish a stream that the authoriser did not name', async () => {
    const cmaf = await start({
      authoriser: {
        async authorise() {
          return { allow: true, stream: 'other' };
        },
      },
    });
    expect(await send(cmaf, 'studio/', undefined, { method: 'POST' })).toMatchObject({ status: 403 });
  });

  it('asks nobody about an address that was wrong too often, and says so', async () => {
    let asked = 0;
    const cmaf = await start({
      options: { maxAuthFailuresPerMinute: 3 },
      authoriser: {
        async authorise() {
          asked++;
          return { allow: false, code: 'key_unknown' };
        },
      },
    });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push(await statusOf(cmaf, 'studio/', undefined, { method: 'POST' }));
    expect(statuses).toEqual([403, 403, 403, 429, 429]);
    expect(asked).toBe(3);
  });

  it.each([
    ['fails', () => Promise.reject(new Error('down'))],
    ['does not answer', () => new Promise<never>(() => undefined)],
  ])('answers 503 when the authoriser %s', async (_what, authorise) => {
    const cmaf = await start({ options: { authTimeoutMs: 100 }, authoriser: { authorise } });
    expect(await send(cmaf, 'studio/', undefined, { method: 'POST' })).toMatchObject({
      status: 503,
      code: 'INGEST_AUTH_UNAVAILABLE',
    });
  });

  it('answers 503 past the limit of open requests, 500 to a fault of its own', async () => {
    const cmaf = await start({ options: { maxRequests: 1 } });
    const client = dial(cmaf.port);
    client.write(
      'PUT /ingest/studio/v.cmfv HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-of-studio\r\nContent-Length: 1000\r\n\r\nx',
    );
    await until(async () => (await cmaf.metric('ingest_cmaf_open_requests')) === 1, 'the open request');
    const full = await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    expect(full).toMatchObject({ status: 503, code: 'INGEST_CMAF_BUSY' });
    expect(full.headers.get('retry-after')).toBe('1');
    client.destroy();
    await until(async () => (await cmaf.metric('ingest_cmaf_open_requests')) === 0, 'the request to be gone');

    cmaf.hub.failure = new Error('a bug');
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    expect(
      await send(cmaf, 'studio/all.mp4', concat([initBytes([VIDEO, { ...AUDIO, id: 2 }]), video(0)])),
    ).toMatchObject({
      status: 500,
      code: 'INTERNAL',
    });
  });
});

describe('a CMAF session', () => {
  const putHead = 'PUT /ingest/studio/v.cmfv HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key-of-studio\r\n';

  it('is left by its publisher when no media comes, and is free again', async () => {
    const cmaf = await start({ options: { gatherMs: 0, silenceTimeoutMs: 600 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    await until(() => publisher.closes.length > 0, 'the end', 3000);
    expect(publisher.closes).toEqual(['timeout']);
    expect(await cmaf.metric('ingest_cmaf_sessions_ended_total', { reason: 'silence' })).toBe(1);
    expect(await cmaf.metric('ingest_cmaf_sessions')).toBe(0);
    expect(cmaf.ingest.sessionCount).toBe(0);
  });

  it('goes on after an outage without its init, with what is known of it', async () => {
    const cmaf = await start({ options: { gatherMs: 0, silenceTimeoutMs: 600 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    await until(() => publisher.closes.length > 0, 'the end', 3000);
    expect(await statusOf(cmaf, 'studio/v.cmfv', video(5), { headers: bearer('other') })).toBe(403);
    expect(await statusOf(cmaf, 'studio/v.cmfv', video(5))).toBe(200);
    await until(() => cmaf.hub.publishers[1]?.samples.length === 30, 'the stream to go on');
    expect(cmaf.hub.publishers[1]?.videoConfigs).toHaveLength(1);
  });

  it('does not go on by itself after it was kicked', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    publisher.kick('STREAM_KICKED');
    expect(await statusOf(cmaf, 'studio/v.cmfv', video(1))).toBe(412);
  });

  it('holds no more requests of one stream than it may', async () => {
    const cmaf = await start({ options: { maxRequestsPerStream: 2 } });
    for (const name of ['v', 'w']) {
      const client = dial(cmaf.port);
      client.write(`${putHead.replace('/v.', `/${name}.`)}Transfer-Encoding: chunked\r\n\r\n`);
    }
    await until(async () => (await cmaf.metric('ingest_cmaf_open_requests')) === 2, 'both');
    expect(await send(cmaf, 'studio/x.cmfv', initBytes([VIDEO]))).toMatchObject({ status: 503 });
    const headers = bearer('other');
    expect(await statusOf(cmaf, 'other/x.cmfv', initBytes([VIDEO]), { headers })).toBe(200);
  });

  it('cuts a body that drips in without ever becoming media, and lives as long as media comes', async () => {
    const cmaf = await start({
      options: { gatherMs: 0, silenceTimeoutMs: 600 },
      limits: { requestTimeoutMs: 700 },
    });
    const slow = dial(cmaf.port);
    slow.reader.expect('PUT');
    slow.write(`${putHead}Content-Length: 100000\r\n\r\n\0\0\x40\0moov`);
    const alive = dial(cmaf.port);
    alive.write(putHead.replace('/v.', '/w.') + 'Transfer-Encoding: chunked\r\n\r\n');
    let n = 0;
    const chunk = (bytes: Uint8Array): void => {
      alive.write(`${bytes.length.toString(16)}\r\n`);
      alive.write(bytes);
      alive.write('\r\n');
    };
    chunk(initBytes([VIDEO]));
    const startMs = performance.now();
    let cutMs = 0;
    await until(
      () => {
        if (slow.reader.answers.length === 0 && !slow.closed) slow.write('\0');
        else cutMs ||= performance.now() - startMs;
        if (performance.now() - startMs > n * 100) chunk(video(n++));
        return performance.now() - startMs > 2500;
      },
      'two and a half seconds',
      5000,
    );
    expect((await slow.answer()).status).toBe(408);
    expect(cutMs).toBeLessThan(1600);
    expect(alive.closed).toBe(false);
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === n * 30, 'all that was sent');
    expect(publisher.closes).toEqual([]);
  });

  it('ends its requests when the hub ends it', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    const client = dial(cmaf.port);
    client.reader.expect('PUT');
    const bytes = concat([initBytes([VIDEO]), video(0)]);
    client.write(`${putHead}Transfer-Encoding: chunked\r\n\r\n${bytes.length.toString(16)}\r\n`);
    client.write(bytes);
    client.write('\r\n');
    const publisher = await cmaf.publisher();
    publisher.kick('STREAM_KICKED');
    const answer = await client.answer();
    expect(answer.status).toBe(409);
    await client.untilClosed();
    expect(cmaf.ingest.sessionCount).toBe(0);
  });

  it('refuses a stream that is sent faster than it may be', async () => {
    const cmaf = await start({ options: { gatherMs: 0, maxBitrateBps: 10_000 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    const run = { trackId: 1, baseTicks: 0n, samples: [{ data: new Uint8Array(20_000), duration: 1 }] };
    expect(await send(cmaf, 'studio/v.cmfv', fragmentBytes([run]))).toMatchObject({
      status: 429,
      code: 'INGEST_CMAF_BITRATE',
    });
  });

  it('goes on without a hole when one of two redundant sources dies', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    const sources = [dial(cmaf.port), dial(cmaf.port)];
    const chunk = (i: number, bytes: Uint8Array): void => {
      sources[i]?.write(
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]),
      );
    };
    for (const i of [0, 1]) {
      sources[i]?.write(`${putHead}Transfer-Encoding: chunked\r\n\r\n`);
      chunk(i, initBytes([VIDEO]));
    }
    for (const n of [0, 1, 2]) for (const i of [0, 1]) chunk(i, video(n));
    const publisher = await cmaf.publisher();
    await until(() => publisher.samples.length === 90, 'three seconds');
    chunk(0, video(3).subarray(0, 700));
    chunk(1, video(3));
    sources[0]?.destroy();
    await until(() => publisher.samples.length === 120, 'the second it died in');
    chunk(1, video(4));
    await until(() => publisher.samples.length === 150, 'what follows');
    expect(publisher.texts).toEqual(Array.from({ length: 150 }, (_, i) => `v${i};`));
    expect(publisher.closes).toEqual([]);
    expect(cmaf.hub.publishers).toHaveLength(1);
    expect(await cmaf.metric('ingest_cmaf_duplicate_samples_total')).toBeGreaterThanOrEqual(90);
  });

  it('goes on when one of two redundant sources says that it is done', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    const other = dial(cmaf.port);
    const chunk = (bytes: Uint8Array): void => {
      other.write(
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]),
      );
    };
    other.write(`${putHead}Transfer-Encoding: chunked\r\n\r\n`);
    chunk(concat([initBytes([VIDEO]), video(0)]));
    const publisher = await cmaf.publisher();
    const done = concat([initBytes([VIDEO]), video(0), stypBytes('lmsg'), video(1)]);
    expect(await statusOf(cmaf, 'studio/v.cmfv', done)).toBe(200);
    chunk(concat([video(1), video(2)]));
    await until(() => publisher.samples.length === 90, 'what the other sends');
    expect(publisher.closes).toEqual([]);
    expect(cmaf.hub.publishers).toHaveLength(1);
  });

  it('leaves nothing behind when it closes', async () => {
    const cmaf = await start({ options: { gatherMs: 0 } });
    await send(cmaf, 'studio/v.cmfv', initBytes([VIDEO]));
    await send(cmaf, 'studio/v.cmfv', video(0));
    const publisher = await cmaf.publisher();
    const client = dial(cmaf.port);
    client.reader.expect('PUT');
    client.write(`${putHead}Transfer-Encoding: chunked\r\n\r\n`);
    await until(async () => (await cmaf.metric('ingest_cmaf_open_requests')) === 1, 'the open request');
    cmaf.ingest.close();
    cmaf.ingest.close();
    expect(publisher.closes).toEqual(['disconnected']);
    expect((await client.answer()).status).toBe(503);
    expect(await statusOf(cmaf, 'studio/v.cmfv', video(1))).toBe(503);
    expect(await cmaf.metric('ingest_cmaf_open_requests')).toBe(0);
  });
});
