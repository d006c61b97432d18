import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { OriginFixture } from '../../test/support/origin-fixture.ts';

const SMALL = { prefix: '/live/cam/', tiers: new Set(['AUDIO', 'SD'] as const) };

let live: OriginFixture;

beforeEach(() => {
  live = new OriginFixture().start();
  live.tokens.set('good-1', SMALL);
});

afterEach(() => {
  live.origin.close();
});

function code(response: FakeResponse): string {
  return (JSON.parse(response.text()) as { code: string }).code;
}

describe('a path with a token', () => {
  it.each([
    'index.m3u8',
    'index.mpd',
    'video.m3u8',
    'video/p1/init.mp4',
    'video/p1/105.m4s',
    'video/p1/105.1.m4s',
  ])('serves %s as the path without it does', (path) => {
    const plain = live.get(path);
    const scoped = live.request(`/t/good-1/live/cam/${path}`);
    expect([plain.status, scoped.status]).toEqual([200, 200]);
    expect(scoped.text()).toBe(plain.text());
  });

  it('keeps the query', () => {
    const kept = (path: string): string | undefined => live.request(path).header('cache-control');
    const directed = '/live/cam/video.m3u8?_HLS_msn=105&_HLS_part=1';
    expect(kept(`/t/good-1${directed}`)).toBe(kept(directed));
    expect(kept(`/t/good-1${directed}`)).not.toBe(kept('/live/cam/video.m3u8'));
  });

  it('gives the clock that relative URLs of the MPD lead to', () => {
    expect(live.request('/t/good-1/time').status).toBe(200);
  });

  it('lets shared caches keep media and playlists, but not what names one viewer’s renditions', () => {
    const cached = (path: string): string | undefined =>
      live.request(`/t/good-1/live/cam/${path}`).header('cache-control');
    expect(cached('video/p1/105.m4s')).toBe(live.get('video/p1/105.m4s').header('cache-control'));
    expect(cached('video.m3u8')).toBe(live.get('video.m3u8').header('cache-control'));
    expect([cached('index.m3u8'), cached('index.mpd')]).toEqual(['private, max-age=1', 'private, max-age=1']);
  });

  it.each([
    ['another token', '/t/bad-1/live/cam/index.m3u8'],
    ['no token', '/t//live/cam/index.m3u8'],
    ['another stream', '/t/good-1/live/other/index.m3u8'],
    ['a stream whose name begins so', '/t/good-1/live/camera/index.m3u8'],
    ['what is no presentation', '/t/good-1/live/streams.json'],
    ['a token in front of a token', '/t/good-1/t/good-1/live/cam/index.m3u8'],
    ['a path that climbs', '/t/good-1/../live/cam/index.m3u8'],
    ['nothing behind it', '/t/good-1'],
  ])('refuses %s', (_, path) => {
    const response = live.request(path);
    expect([response.status, code(response)]).toEqual([403, 'ORIGIN_TOKEN_REFUSED']);
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(response.header('cache-control')).toBe('no-store');
  });

  it('answers a preflight whatever the token, since it tells nothing', () => {
    expect(live.request('/t/bad-1/live/cam/index.m3u8', { method: 'OPTIONS' }).status).toBe(204);
  });

  it('is refused once the token is not good any more', () => {
    expect(live.request('/t/good-1/live/cam/video.m3u8').status).toBe(200);
    live.tokens.delete('good-1');
    expect(live.request('/t/good-1/live/cam/video.m3u8').status).toBe(403);
  });
});
