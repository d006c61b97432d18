import { afterEach, describe, expect, it } from 'vitest';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { OriginFixture, PARTS_PER_SEGMENT } from '../../test/support/origin-fixture.ts';

/** Last complete segment of a fresh fixture, and the last part of the open one after it. */
const L = 109;
const P = 2;

let live: OriginFixture;

function start(...args: ConstructorParameters<typeof OriginFixture>): OriginFixture {
  live = new OriginFixture(...args).start();
  return live;
}

afterEach(() => {
  live.origin.close();
  expect(live.clock.pendingTimers).toBe(0);
});

function lists(response: FakeResponse, uri: string): boolean {
  return response
    .text()
    .split('\n')
    .some((line) => line === uri || (line.includes(`"${uri}"`) && line.startsWith('#EXT-X-PART:')));
}

describe('a media playlist request (RFC 8216bis 6.2.5.2)', () => {
  it('is answered at once with the current playlist when it has no directive', () => {
    const response = start().get('video.m3u8');
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('application/vnd.apple.mpegurl');
    expect(response.header('cache-control')).toBe('public, max-age=0, s-maxage=1');
    expect(lists(response, `video/p1/${L + 1}.${P}.m4s`)).toBe(true);
  });

  it.each([
    ['_HLS_part=1', 'is missing its _HLS_msn'],
    ['_HLS_msn=x', 'is not a number'],
    ['_HLS_msn=-1', 'is negative'],
    ['_HLS_msn=110&_HLS_part=1.5', 'is not whole'],
    [`_HLS_msn=${L + 3}`, 'is three segments ahead'],
    [`_HLS_msn=${L + 1}&_HLS_part=${P + 16}`, 'is past the advance part limit'],
    [`_HLS_msn=${L + 9}&_HLS_part=0`, 'is far ahead'],
  ])('is refused with 400 at once: %s %s', (query) => {
    const response = start().get(`video.m3u8?${query}`);
    expect(response.status).toBe(400);
    expect(JSON.parse(response.text())).toMatchObject({ code: 'ORIGIN_DIRECTIVES_REFUSED', status: 400 });
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(response.header('cache-control')).toBe('no-store');
  });

  it.each([
    [`_HLS_msn=${L}`, 'a complete segment'],
    ['_HLS_msn=7', 'a segment that left the window long ago'],
    [`_HLS_msn=${L}&_HLS_part=0`, 'a part of a complete segment'],
    [`_HLS_msn=${L + 1}&_HLS_part=${P}`, 'the newest part'],
    [`_HLS_part=${P}&extra=1&_HLS_msn=${L + 1}`, 'the newest part, parameters in any order'],
    [
      `_HLS_msn=${L}&_HLS_part=${PARTS_PER_SEGMENT}`,
      'past the final part of a closed segment, the next one begun',
    ],
  ])('is answered at once: %s, %s', (query) => {
    const response = start().get(`video.m3u8?${query}`);
    expect(response.status).toBe(200);
    expect(response.header('cache-control')).toBe('public, max-age=12');
  });

  it('is held for the next part, and answered when that is listed', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    live.settle();
    expect(response.begun).toBe(false);
    live.addChunk();
    live.settle();
    expect(response.begun).toBe(false);
    live.listPart('video');
    live.settle();
    expect(response.status).toBe(200);
    expect(response.header('cache-control')).toBe('public, max-age=12');
    expect(lists(response, `video/p1/${L + 1}.${P + 1}.m4s`)).toBe(true);
  });

  it('is held through several parts when it asks for a later one', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 4}`);
    for (let part = P + 1; part < P + 4; part += 1) {
      live.publishPart();
      live.settle();
      expect(response.begun).toBe(false);
    }
    live.publishPart();
    live.settle();
    expect(response.status).toBe(200);
  });

  it.each([L + 1, L + 2])('is held for whole segment %i, parts of it do not satisfy it', (msn) => {
    const response = start().get(`video.m3u8?_HLS_msn=${msn}`);
    while ((live.window.rendition('video')?.segments.at(-1)?.number ?? 0) <= msn) {
      const number = live.window.rendition('video')?.segments.at(-1)?.number ?? 0;
      live.publishPart();
      live.settle();
      expect(response.begun).toBe(false);
      if (live.window.rendition('video')?.open?.parts.length !== PARTS_PER_SEGMENT) continue;
      live.closeSegment();
      live.settle();
      if (number === msn) break;
      expect(response.begun).toBe(false);
    }
    expect(response.status).toBe(200);
    expect(lists(response, `video/p1/${msn}.m4s`)).toBe(true);
  });

  it('for a part that never came, its segment closed early, waits for part 0 of the next one', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 2}`);
    live.publishPart();
    live.closeSegment();
    live.settle();
    expect(response.begun).toBe(false);
    live.publishPart();
    live.settle();
    expect(lists(response, `video/p1/${L + 2}.0.m4s`)).toBe(true);
  });

  it('is not answered by what happens in another rendition', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    live.addChunk('audio');
    live.listPart('audio');
    live.settle();
    expect(response.begun).toBe(false);
    expect(live.get(`audio.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`).status).toBe(200);
  });

  it('is answered with ENDLIST the moment the stream ends, and directives mean nothing from then on', () => {
    const held = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    live.end();
    expect(held.text()).toContain('#EXT-X-ENDLIST');
    expect(held.header('cache-control')).toBe('public, max-age=0, s-maxage=1');
    const after = live.get('video.m3u8?_HLS_msn=99999');
    expect(after.status).toBe(200);
    expect(after.text()).toContain('#EXT-X-ENDLIST');
  });

  it('gets 503 when held for three target durations, never an unchanged playlist', async () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    live.advance(5_999);
    expect(response.begun).toBe(false);
    live.advance(1);
    expect(response.status).toBe(503);
    expect(response.header('cache-control')).toBe('public, max-age=1');
    expect(response.header('retry-after')).toBe('1');
    expect(JSON.parse(response.text())).toMatchObject({ code: 'ORIGIN_HOLD_EXPIRED' });
    expect(await live.metric('origin_hold_expired_total{kind="playlist"}')).toBe(1);
    expect(await live.metric('origin_waiters{kind="playlist"}')).toBe(0);
  });

  it('stays held while the publisher is away, until a gap segment is listed', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 2}&_HLS_part=0`);
    live.goAway();
    expect(response.begun).toBe(false);
    live.advance(1_000);
    expect(response.begun).toBe(false);
    live.addGap();
    expect(response.status).toBe(200);
    expect(response.text()).toContain('#EXT-X-GAP');
  });

  it('is forgotten when its client goes away', async () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    expect(await live.metric('origin_waiters{kind="playlist"}')).toBe(1);
    response.abort();
    expect(await live.metric('origin_waiters{kind="playlist"}')).toBe(0);
    expect(await live.metric('origin_hold_abandoned_total{kind="playlist"}')).toBe(1);
    live.publishPart();
    live.settle();
    expect(response.begun).toBe(false);
  });

  it('gets 503 when the stream already holds as many as it may', async () => {
    start({ maxWaiters: 2 });
    const query = `_HLS_msn=${L + 1}&_HLS_part=${P + 1}`;
    const held = [live.get(`video.m3u8?${query}`), live.get(`video/p1/${L + 1}.${P + 1}.m4s`)];
    const refused = live.get(`audio.m3u8?${query}`);
    expect(refused.status).toBe(503);
    expect(JSON.parse(refused.text())).toMatchObject({ code: 'ORIGIN_WAITERS_FULL' });
    expect(await live.metric('origin_hold_refused_total{kind="playlist"}')).toBe(1);
    expect(live.get('audio.m3u8').status).toBe(200);
    live.publishPart();
    live.settle();
    expect(held.map((response) => response.status)).toEqual([200, 200]);
  });

  it('gets 503 when the server closes', () => {
    const response = start().get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`);
    live.origin.close();
    expect(response.status).toBe(503);
    expect(JSON.parse(response.text())).toMatchObject({ code: 'ORIGIN_CLOSING' });
  });
});

describe('a window that cannot be rendered', () => {
  it('costs its held requests a 500 and the operator one log line, not the server', () => {
    start();
    const held = Array.from({ length: 20 }, () =>
      live.get(`video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`),
    );
    const video = live.window.rendition('video');
    Object.defineProperty(video, 'firstListed', {
      get: () => {
        throw new Error('broken window');
      },
    });
    live.publishPart();
    live.settle();
    expect(held.map((response) => response.status)).toEqual(held.map(() => 500));
    expect(held[0]?.text()).not.toContain('broken');
    expect(live.log.lines.filter((line) => line.level === 'error')).toHaveLength(1);
  });
});

describe('a thousand players that wait for the same part', () => {
  it('cost one rendering, get identical bodies, and come in batches', async () => {
    start();
    const renders = 'origin_renders_total{kind="playlist"}';
    const before = await live.metric(renders);
    const query = `video.m3u8?_HLS_msn=${L + 1}&_HLS_part=${P + 1}`;
    const gzip = { headers: { 'accept-encoding': 'gzip, br' } };
    const waiting = Array.from({ length: 1000 }, (_, i) => live.get(query, i % 2 === 0 ? gzip : {}));
    expect(await live.metric('origin_waiters{kind="playlist"}')).toBe(1000);

    live.publishPart();
    expect(waiting.filter((response) => response.begun)).toHaveLength(0);
    live.turns.shift()?.();
    expect(waiting.filter((response) => response.begun)).toHaveLength(500);
    live.settle();

    expect(new Set(waiting.map((response) => response.answer?.body)).size).toBe(2);
    expect(new Set(waiting.map((response) => response.text())).size).toBe(1);
    expect((await live.metric(renders)) - before).toBe(1);
    live.get('video.m3u8');
    expect((await live.metric(renders)) - before).toBe(1);
  });

  it('may ask for the full playlist or for an update: one rendering each', async () => {
    live = new OriginFixture().start(14);
    const number = live.window.rendition('video')?.segments.at(-1)?.number ?? 0;
    const renders = 'origin_renders_total{kind="playlist"}';
    const before = await live.metric(renders);
    const kinds = ['', '&_HLS_skip=YES', '&_HLS_skip=v2', '&_HLS_skip=maybe'];
    const waiting = kinds.flatMap((skip) =>
      Array.from({ length: 20 }, () => live.get(`video.m3u8?_HLS_msn=${number}&_HLS_part=${P + 1}${skip}`)),
    );
    live.publishPart();
    live.settle();
    expect((await live.metric(renders)) - before).toBe(3);
    expect(new Set(waiting.map((response) => response.text())).size).toBe(3);
  });
});

describe('a playlist', () => {
  it('is packed when the client takes gzip, and says so to caches either way', () => {
    start();
    const packed = live.get('video.m3u8', { headers: { 'accept-encoding': 'gzip' } });
    const plain = live.get('video.m3u8');
    expect(packed.header('content-encoding')).toBe('gzip');
    expect(packed.bytes().length).toBeLessThan(plain.bytes().length / 3);
    expect(packed.text()).toBe(plain.text());
    expect([packed.header('vary'), plain.header('vary')]).toEqual(['Accept-Encoding', 'Accept-Encoding']);
    expect(plain.header('content-encoding')).toBeUndefined();
    expect(packed.header('etag')).not.toBe(plain.header('etag'));
  });

  it('is not sent again to a client that has it, and is once it changed', () => {
    start();
    const etag = live.get('video.m3u8').header('etag') ?? '';
    const headers = { 'if-none-match': etag };
    expect(live.get('video.m3u8', { headers }).status).toBe(304);
    live.publishPart();
    expect(live.get('video.m3u8', { headers }).status).toBe(200);
  });

  it('lists both renditions in the multivariant playlist', () => {
    const response = start().get('index.m3u8');
    expect(response.status).toBe(200);
    expect(response.header('cache-control')).toBe('public, max-age=1');
    expect(response.text()).toContain('video.m3u8');
    expect(response.text()).toContain('audio.m3u8');
  });

  it('of a rendition that does not exist is 404', () => {
    const response = start().get('video9.m3u8');
    expect(response.status).toBe(404);
    expect(JSON.parse(response.text())).toMatchObject({ code: 'HTTP_NOT_FOUND' });
  });
});
