import { afterEach, describe, expect, it } from 'vitest';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { OriginFixture } from '../../test/support/origin-fixture.ts';
import { pageFile, type PageFiles } from './page-files.ts';

const PAGES: PageFiles = new Map(
  Object.entries({
    'index.html': '<!doctype html><title>Live</title>',
    'watch.html': `<!doctype html><title>Watch</title>${'<p>text</p>'.repeat(50)}`,
    'assets/watch-1a2b.js': 'play();'.repeat(100),
    'favicon.ico': 'icon',
  }).map(([name, text]) => [name, pageFile(name, Buffer.from(text))]),
);

let live: OriginFixture;

afterEach(() => {
  live.origin.close();
  expect(live.clock.pendingTimers).toBe(0);
});

function create(...args: ConstructorParameters<typeof OriginFixture>): OriginFixture {
  live = new OriginFixture(...args);
  return live;
}

function code(response: FakeResponse): string {
  return (JSON.parse(response.text()) as { code: string }).code;
}

describe('a stream that cannot be played', () => {
  it.each(['index.m3u8', 'video.m3u8', 'index.mpd', 'patch.mpp', 'video/p1/5.m4s'])(
    'that nobody knows has no %s',
    (path) => {
      create().start();
      const response = live.request(`/live/nobody/${path}`);
      expect([response.status, code(response)]).toEqual([404, 'STREAM_NOT_FOUND']);
      expect(response.header('content-type')).toBe('application/problem+json');
      expect(response.header('cache-control')).toBe('public, max-age=1');
      expect(response.header('access-control-allow-origin')).toBe('*');
    },
  );

  it('that is known but was never published is offline', () => {
    create().known.add('stage');
    const response = live.request('/live/stage/index.m3u8');
    expect([response.status, code(response)]).toEqual([404, 'STREAM_OFFLINE']);
  });

  it('is offline until its first segment is complete', () => {
    create().beginPeriod();
    live.publishPart();
    expect([live.get('index.m3u8').status, code(live.get('index.m3u8'))]).toEqual([404, 'STREAM_OFFLINE']);
    expect(live.get('video.m3u8?_HLS_msn=100&_HLS_part=1').status).toBe(404);
    live.closeSegment();
    expect(live.get('index.m3u8').status).toBe(200);
  });

  it('is offline again while it begins anew', () => {
    create().start();
    expect(live.get('index.m3u8').status).toBe(200);
    live.end();
    live.window.restart(110);
    expect(live.get('index.m3u8').status).toBe(404);
  });

  it.each(['bad name', '%2e%2e', 'a'.repeat(65), 'dot.ted'])('has a name like "%s"', (name) => {
    create().start();
    expect(live.request(`/live/${name}/index.m3u8`).status).toBe(404);
    expect(live.request(`/live/${name}`).status).toBe(404);
  });
});

describe('a window that left the directory', () => {
  it('is let go, with everybody who waits on it', () => {
    create().start();
    live.advance(8_000);
    const held = live.get('video.m3u8?_HLS_msn=110&_HLS_part=3');
    live.windows.delete('cam');
    live.advance(2_000);
    expect([held.status, code(held)]).toEqual([503, 'ORIGIN_CLOSING']);
    expect(live.get('index.m3u8').status).toBe(404);
  });

  it('makes room for the one that follows it', () => {
    create().start();
    expect(live.get('index.m3u8').status).toBe(200);
    const next = new OriginFixture({}, new Map(), 500).start();
    next.origin.close();
    live.windows.set('cam', next.window);
    expect(live.get('video.m3u8').text()).toContain('#EXT-X-MEDIA-SEQUENCE:500');
  });
});

describe('the MPD', () => {
  it('is served for a second, and not again to who has it', () => {
    create().start();
    const response = live.get('index.mpd');
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('application/dash+xml');
    expect(response.header('cache-control')).toBe('public, max-age=1');
    expect(response.text()).toContain('value="../../time"');
    const headers = { 'if-none-match': response.header('etag') ?? '' };
    live.publishPart();
    expect(live.get('index.mpd', { headers }).status).toBe(304);
    live.beginPeriod();
    live.publishPart();
    expect(live.get('index.mpd', { headers }).status).toBe(200);
  });

  it('is packed for who takes gzip', () => {
    create().start();
    const response = live.get('index.mpd', { headers: { 'accept-encoding': 'gzip' } });
    expect(response.header('content-encoding')).toBe('gzip');
    expect(response.text()).toBe(live.get('index.mpd').text());
  });

  it('can be patched from the state a player has', async () => {
    create().start();
    const publishTime = /publishTime="([^"]+)"/.exec(live.get('index.mpd').text())?.[1] ?? '';
    const url = `patch.mpp?publishTime=${encodeURIComponent(publishTime)}`;
    const early = live.get(url);
    expect([early.status, code(early), early.header('cache-control')]).toEqual([
      425,
      'ORIGIN_PATCH_TOO_EARLY',
      'no-store',
    ]);
    live.clock.advance(1_000);
    live.closeSegment();
    live.beginPeriod();
    live.fillSegment();
    const patch = live.get(url);
    expect(patch.status).toBe(200);
    expect(patch.header('content-type')).toBe('application/dash-patch+xml');
    expect(patch.text()).toContain(`originalPublishTime="${publishTime}"`);
    live.get(url);
    expect(await live.metric('origin_renders_total{kind="patch"}')).toBe(1);
  });

  it('cannot be patched from a state we do not hold, or from nonsense', () => {
    create().start();
    const gone = live.get('patch.mpp?publishTime=2020-01-01T00:00:00.000Z');
    expect([gone.status, code(gone)]).toEqual([410, 'ORIGIN_PATCH_GONE']);
    expect(live.get('patch.mpp?publishTime=yesterday').status).toBe(400);
    expect(live.get('patch.mpp').status).toBe(400);
  });
});

describe('the clock', () => {
  it('tells the time to the millisecond and is never cached', () => {
    create().clock.advance(123);
    const response = live.request('/time');
    expect(response.text()).toBe('2026-11-22T12:00:00.123Z');
    expect(response.header('cache-control')).toBe('no-store');
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(live.request('/time', { method: 'HEAD' }).status).toBe(200);
  });
});

describe('the pages', () => {
  it('has a watch page for every stream, live or not, that may not be kept unasked', () => {
    create({}, PAGES);
    const response = live.request('/live/stage/', { headers: { 'accept-encoding': 'gzip' } });
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('text/html; charset=utf-8');
    expect(response.header('cache-control')).toBe('no-cache');
    expect(response.header('content-encoding')).toBe('gzip');
    expect(response.header('content-security-policy')).toContain("default-src 'self'");
    expect(response.text()).toContain('Watch');
    const headers = { 'if-none-match': live.request('/live/stage/').header('etag') ?? '' };
    expect(live.request('/live/stage/', { headers }).status).toBe(304);
  });

  it('leads to it from the address without a slash', () => {
    const response = create({}, PAGES).request('/live/stage?latency=1');
    expect(response.status).toBe(308);
    expect(response.header('location')).toBe('stage/?latency=1');
  });

  it('keeps assets, whose names carry their hash, for ever', () => {
    const response = create({}, PAGES).request('/assets/watch-1a2b.js');
    expect(response.header('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(response.header('content-type')).toBe('text/javascript; charset=utf-8');
    expect(live.request('/favicon.ico').header('cache-control')).toBe('no-cache');
  });

  it.each([
    '/assets/none.js',
    '/assets/../watch.html',
    '/assets/',
    '/none.txt',
    '/watch.html',
    '/live/',
    '/live',
    '/vod/x',
    '//',
    '/live/cam/../cam/',
  ])('has no %s', (path) => {
    expect(create({}, PAGES).request(path).status).toBe(404);
  });

  it('lists the streams that can be watched, unless told not to', () => {
    create({}, PAGES).start();
    live.windows.set('warming-up', new OriginFixture().window);
    expect(live.request('/').text()).toContain('Live');
    expect(JSON.parse(live.request('/live/streams.json').text())).toEqual({
      streams: [
        { name: 'cam', watch: '/live/cam/', hls: '/live/cam/index.m3u8', dash: '/live/cam/index.mpd' },
      ],
    });
    live.origin.close();
    create({ publicIndex: false }, PAGES);
    expect(live.request('/').status).toBe(404);
    expect(live.request('/live/streams.json').status).toBe(404);
  });
});

describe('every route', () => {
  const PATHS = [
    '/',
    '/time',
    '/live/streams.json',
    '/live/cam',
    '/live/cam/',
    '/live/cam/index.m3u8',
    '/live/cam/video.m3u8',
    '/live/cam/index.mpd',
    '/live/cam/patch.mpp',
    '/live/cam/video/p1/init.mp4',
    '/live/cam/video/p1/109.m4s',
    '/live/cam/video/p1/110.m4s',
    '/live/cam/video/p1/110.0.m4s',
    '/live/cam/nothing',
    '/assets/watch-1a2b.js',
  ];

  it.each(PATHS)('%s lets every page of every site read its answers, by GET and HEAD', (path) => {
    create({}, PAGES).start();
    for (const method of ['GET', 'HEAD']) {
      const response = live.request(path, { method });
      expect(response.header('access-control-allow-origin'), method).toBe('*');
      expect(response.header('access-control-expose-headers'), method).toContain('Date');
      expect(response.header('access-control-allow-credentials'), method).toBeUndefined();
      expect(response.header('timing-allow-origin'), method).toBe('*');
      expect(response.header('x-content-type-options'), method).toBe('nosniff');
      expect(response.header('cache-control'), method).toBeDefined();
    }
  });

  it.each(PATHS)('%s answers a preflight, and 405 to what changes things', (path) => {
    create({}, PAGES).start();
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'GET' };
    const preflight = live.request(path, { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(204);
    expect(preflight.header('access-control-allow-origin')).toBe('*');
    expect(preflight.header('access-control-allow-headers')).toContain('Range');
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const refused = live.request(path, { method });
      expect(refused.status, method).toBe(405);
      expect(refused.header('allow'), method).toContain('GET');
      expect(refused.header('access-control-allow-origin'), method).toBe('*');
    }
  });

  it('counts its answers by kind and status', async () => {
    create().start();
    live.get('video.m3u8');
    live.get('video/p1/109.m4s');
    live.get('video/p1/99.m4s');
    expect(await live.metric('origin_responses_total{kind="playlist",status="200"}')).toBe(1);
    expect(await live.metric('origin_responses_total{kind="segment",status="200"}')).toBe(1);
    expect(await live.metric('origin_responses_total{kind="missing",status="404"}')).toBe(1);
  });

  it('answers 503 once the origin is closed', () => {
    create().start().origin.close();
    expect(live.get('video.m3u8').status).toBe(503);
  });
});
