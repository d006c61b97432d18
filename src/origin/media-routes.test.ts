import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { OriginFixture, PARTS_PER_SEGMENT } from '../../test/support/origin-fixture.ts';

/** Last complete segment of a fresh fixture; the next one is open with three parts. */
const L = 109;
const OPEN = L + 1;
const NEXT_PART = 3;

let live: OriginFixture;

beforeEach(() => {
  live = new OriginFixture().start();
});

afterEach(() => {
  live.origin.close();
  expect(live.clock.pendingTimers).toBe(0);
});

function code(response: FakeResponse): string {
  return (JSON.parse(response.text()) as { code: string }).code;
}

/** What a segment's bytes must be, from the window itself. */
function segmentText(number: number, id: 'video' | 'audio' = 'video'): string {
  const segment = live.window.rendition(id)?.segments.find((candidate) => candidate.number === number);
  return Buffer.concat(segment?.chunks.map((chunk) => chunk.bytes) ?? []).toString();
}

describe('an initialization segment', () => {
  it('is served for each rendition and period, to be kept for long', () => {
    const response = live.get('audio/p1/init.mp4');
    expect(response.status).toBe(200);
    expect(response.text()).toBe('init audio p1');
    expect(response.header('content-type')).toBe('audio/mp4');
    expect(response.header('cache-control')).toBe('public, max-age=3600, immutable');
    expect(response.header('etag')).toBe('"p1-init-13"');
  });

  it.each(['video/p9/init.mp4', 'video9/p1/init.mp4'])('%s, which never was, is 404', (path) => {
    expect(live.get(path).status).toBe(404);
  });
});

describe('a complete segment', () => {
  it('is served in one piece, the same for everybody', async () => {
    const response = live.get(`video/p1/${L}.m4s`);
    expect(response.status).toBe(200);
    expect(response.answer?.body).toBeInstanceOf(Uint8Array);
    expect(live.get(`video/p1/${L}.m4s`).answer?.body).toBe(response.answer?.body);
    expect(await live.metric('origin_joined_bytes')).toBe(segmentText(L).length);
    expect(response.text()).toBe(segmentText(L));
    expect(response.header('content-type')).toBe('video/mp4');
    expect(response.header('cache-control')).toBe('public, max-age=3600, immutable');
    expect(response.header('accept-ranges')).toBe('bytes');
    expect(response.header('etag')).toBe(`"p1-${L}-${segmentText(L).length}"`);
    expect(response.header('vary')).toBeUndefined();
  });

  it.each([
    ['bytes=0-9', 0, 9],
    ['bytes=20-60', 20, 60],
    ['bytes=100-', 100, undefined],
    ['bytes=-7', -7, undefined],
  ])('answers %s with those bytes', (range, from, to) => {
    const whole = segmentText(L);
    const response = live.get(`video/p1/${L}.m4s`, { headers: { range } });
    const expected = to === undefined ? whole.slice(from) : whole.slice(from, to + 1);
    expect(response.status).toBe(206);
    expect(response.text()).toBe(expected);
    const first = whole.length - (from < 0 ? -from : whole.length - from);
    expect(response.header('content-range')).toBe(
      `bytes ${first}-${first + expected.length - 1}/${whole.length}`,
    );
  });

  it('is not joined for who asks for a range, its headers, or whether it changed', async () => {
    const etag = `"p1-${L}-${segmentText(L).length}"`;
    for (const init of [
      { headers: { range: 'bytes=3-60' } },
      { headers: { 'if-none-match': etag } },
      { method: 'HEAD' },
    ]) {
      expect(live.get(`video/p1/${L}.m4s`, init).header('etag')).toBe(etag);
    }
    expect(await live.metric('origin_joined_bytes')).toBe(0);
  });

  it('has the same ranges after it was joined', () => {
    const headers = { range: 'bytes=20-60' };
    const before = live.get(`video/p1/${L}.m4s`, { headers }).text();
    live.get(`video/p1/${L}.m4s`);
    expect(live.get(`video/p1/${L}.m4s`, { headers }).text()).toBe(before);
    expect(before).toBe(segmentText(L).slice(20, 61));
  });

  it('answers 416 to a range past its end, with its size', () => {
    const response = live.get(`video/p1/${L}.m4s`, { headers: { range: 'bytes=5000-' } });
    expect(response.status).toBe(416);
    expect(response.header('content-range')).toBe(`bytes */${segmentText(L).length}`);
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(response.header('cache-control')).toBe('no-store');
  });

  it('ignores a range that goes with another version', () => {
    const headers = { range: 'bytes=0-3', 'if-range': '"another"' };
    expect(live.get(`video/p1/${L}.m4s`, { headers }).status).toBe(200);
  });

  it('is not sent again to who has it', () => {
    const headers = { 'if-none-match': live.get(`video/p1/${L}.m4s`).header('etag') ?? '' };
    const response = live.get(`video/p1/${L}.m4s`, { headers });
    expect(response.status).toBe(304);
    expect(response.header('cache-control')).toBe('public, max-age=3600, immutable');
  });

  it('is not found under another period, or once it left the window', () => {
    live.window.rendition('video')?.segments.shift();
    for (const path of [`video/p2/${L}.m4s`, 'video/p1/100.m4s', 'video/p1/7.m4s']) {
      const response = live.get(path);
      expect([response.status, code(response)]).toEqual([404, 'ORIGIN_MEDIA_NOT_FOUND']);
      expect(response.header('cache-control')).toBe('public, max-age=1');
    }
  });
});

describe('a segment in progress', () => {
  it('gives its finished chunks at once and each further one as it comes, and ends with the segment', async () => {
    const response = live.get(`video/p1/${OPEN}.m4s`);
    expect(response.status).toBe(200);
    expect(response.header('cache-control')).toBe('public, max-age=3600, immutable');
    expect(response.header('x-accel-buffering')).toBe('no');
    expect(response.text()).toBe(segmentText(OPEN));
    expect(await live.metric('origin_growing_readers')).toBe(1);

    const segment = live.addChunk();
    live.settle();
    expect(response.body?.writes.at(-1)).toBe(segment.chunks.at(-1)?.bytes);
    expect(response.finished).toBe(false);

    live.closeSegment();
    live.settle();
    expect(response.finished).toBe(true);
    expect(response.text()).toBe(segmentText(OPEN));
    expect(live.get(`video/p1/${OPEN}.m4s`).text()).toBe(response.text());
    expect(await live.metric('origin_growing_readers')).toBe(0);
  });

  it('has the same bytes whenever a client joined: before it began, at any chunk, and afterwards', () => {
    const readers = [live.get(`video/p1/${OPEN + 1}.m4s`)];
    live.closeSegment();
    for (let part = 0; part < PARTS_PER_SEGMENT; part += 1) {
      live.publishPart();
      readers.push(live.get(`video/p1/${OPEN + 1}.m4s`));
      live.settle();
      readers.push(live.get(`video/p1/${OPEN + 1}.m4s`));
    }
    live.closeSegment();
    readers.push(live.get(`video/p1/${OPEN + 1}.m4s`));
    live.settle();
    expect(new Set(readers.map((reader) => reader.text()))).toEqual(new Set([segmentText(OPEN + 1)]));
    expect(readers.every((reader) => reader.finished)).toBe(true);
    const parts = Array.from({ length: PARTS_PER_SEGMENT }, (_, part) =>
      live.get(`video/p1/${OPEN + 1}.${part}.m4s`),
    );
    expect(parts.map((part) => part.text()).join('')).toBe(segmentText(OPEN + 1));
  });

  it('does not look at a range', () => {
    const response = live.get(`video/p1/${OPEN}.m4s`, { headers: { range: 'bytes=0-3' } });
    expect(response.status).toBe(200);
    expect(response.text()).toBe(segmentText(OPEN));
  });

  it('tells HEAD the headers and leaves no reader behind', async () => {
    const response = live.get(`video/p1/${OPEN}.m4s`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('video/mp4');
    expect(response.finished).toBe(true);
    expect(await live.metric('origin_growing_readers')).toBe(0);
  });

  it('forgets a reader that goes away', async () => {
    const response = live.get(`video/p1/${OPEN}.m4s`);
    const received = response.text();
    response.abort();
    live.publishPart();
    live.settle();
    expect(response.text()).toBe(received);
    expect(await live.metric('origin_growing_readers')).toBe(0);
  });

  it('ends when the publisher goes away', () => {
    const response = live.get(`video/p1/${OPEN}.m4s`);
    live.goAway();
    expect(response.finished).toBe(true);
    expect(response.text()).toBe(segmentText(OPEN));
  });
});

describe('a segment that has not begun', () => {
  it.each([1, 2])('is held when it is %i ahead, and streamed from its first chunk', (ahead) => {
    const response = live.get(`video/p1/${OPEN + ahead}.m4s`);
    for (let i = 0; i < ahead; i += 1) {
      live.settle();
      expect(response.begun).toBe(false);
      if (i > 0) live.fillSegment();
      else live.closeSegment();
    }
    live.settle();
    expect(response.begun).toBe(false);
    live.addChunk();
    live.settle();
    expect(response.status).toBe(200);
    expect(response.body?.writes).toHaveLength(1);
  });

  it.each([3, 500])('is 404 at once when it is %i ahead, and no cache may keep that', (ahead) => {
    const response = live.get(`video/p1/${OPEN + ahead}.m4s`);
    expect([response.status, code(response)]).toEqual([404, 'ORIGIN_MEDIA_NOT_YET']);
    expect(response.header('cache-control')).toBe('no-store');
  });

  it('is 404 when held for segmentHoldMs', async () => {
    const response = live.get(`video/p1/${OPEN + 1}.m4s`);
    live.advance(2_499);
    expect(response.begun).toBe(false);
    live.advance(1);
    expect([response.status, code(response)]).toEqual([404, 'ORIGIN_MEDIA_NOT_YET']);
    expect(response.header('cache-control')).toBe('no-store');
    expect(await live.metric('origin_hold_expired_total{kind="segment"}')).toBe(1);
  });

  it('is 404 as soon as an outage makes it sure that it never comes', () => {
    const response = live.get(`video/p1/${OPEN + 1}.m4s`);
    live.goAway();
    expect(response.status).toBe(404);
    expect(live.get(`video/p1/${OPEN + 1}.m4s`).status).toBe(404);
  });

  it('is 404 when it turns out to be of another period', () => {
    const response = live.get(`video/p1/${OPEN + 1}.m4s`);
    live.closeSegment();
    live.beginPeriod();
    live.addChunk();
    live.settle();
    expect(response.status).toBe(404);
    expect(live.get(`video/p2/${OPEN + 1}.m4s`).status).toBe(200);
  });

  it('is 404 as a gap, which caches keep for a second at most', () => {
    live.goAway();
    live.addGap();
    const response = live.get(`video/p1/${OPEN + 1}.m4s`);
    expect([response.status, code(response)]).toEqual([404, 'ORIGIN_MEDIA_NOT_FOUND']);
    expect(response.header('cache-control')).toBe('public, max-age=1');
  });
});

describe('a part', () => {
  it('is served whole with its length known, to be kept for long', () => {
    const response = live.get(`video/p1/${OPEN}.1.m4s`);
    expect(response.status).toBe(200);
    expect(response.text()).toBe(`video ${OPEN} chunk 1;`);
    expect(response.header('content-type')).toBe('video/mp4');
    expect(response.header('cache-control')).toBe('public, max-age=3600, immutable');
    expect(response.header('etag')).toBe(`"p1-${OPEN}.1-18"`);
    const headers = { 'if-none-match': response.header('etag') ?? '' };
    expect(live.get(`video/p1/${OPEN}.1.m4s`, { headers }).status).toBe(304);
    const range = live.get(`video/p1/${OPEN}.1.m4s`, { headers: { range: 'bytes=0-4' } });
    expect([range.status, range.text()]).toEqual([206, 'video']);
  });

  it('that is hinted is held until it is complete: not a byte before', () => {
    const response = live.get(`video/p1/${OPEN}.${NEXT_PART}.m4s`);
    live.addChunk();
    live.addChunk();
    live.settle();
    expect(response.begun).toBe(false);
    live.listPart('video');
    live.settle();
    expect(response.status).toBe(200);
    expect(response.text()).toBe(`video ${OPEN} chunk 3;video ${OPEN} chunk 4;`);
  });

  it('that is hinted while no segment is open is held until that one has it', () => {
    live.closeSegment();
    live.settle();
    const response = live.get(`video/p1/${OPEN + 1}.0.m4s`);
    expect(response.begun).toBe(false);
    live.publishPart();
    live.settle();
    expect(response.text()).toBe(`video ${OPEN + 1} chunk 0;`);
  });

  it('is 404 the moment its hint is withdrawn: the segment closed without it', () => {
    const response = live.get(`video/p1/${OPEN}.${NEXT_PART}.m4s`);
    live.closeSegment();
    live.settle();
    expect([response.status, code(response)]).toEqual([404, 'ORIGIN_MEDIA_NOT_FOUND']);
  });

  it('is 404 the moment the publisher goes away', () => {
    live.closeSegment();
    live.settle();
    const response = live.get(`video/p1/${OPEN + 1}.0.m4s`);
    expect(response.begun).toBe(false);
    live.goAway();
    expect(response.status).toBe(404);
  });

  it('within the advance limit is held, past it refused at once', () => {
    expect(live.get(`video/p1/${OPEN}.${NEXT_PART - 1 + 15}.m4s`).begun).toBe(false);
    for (const path of [`video/p1/${OPEN}.${NEXT_PART + 15}.m4s`, `video/p1/${OPEN + 5}.0.m4s`]) {
      expect(live.get(path).status).toBe(404);
    }
  });

  it('that a closed segment does not have is 404 at once', () => {
    expect(live.get(`video/p1/${L}.${PARTS_PER_SEGMENT}.m4s`).status).toBe(404);
    expect(live.get(`video/p2/${OPEN}.0.m4s`).status).toBe(404);
  });

  it('that does not come gets 503 after three target durations', () => {
    const response = live.get(`video/p1/${OPEN}.${NEXT_PART}.m4s`);
    live.advance(6_000);
    expect([response.status, code(response)]).toEqual([503, 'ORIGIN_HOLD_EXPIRED']);
    expect(response.header('retry-after')).toBe('1');
  });
});
