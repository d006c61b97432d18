import { describe, expect, it } from 'vitest';
import { fakeRequest, RecordedResponse } from '../../test/support/http-exchange.ts';
import { headerBlock } from './header-block.ts';
import { createRouter, type PathParams, type Route } from './router.ts';

function named(name: string, seen: string[]): Route['handler'] {
  return (_request, response, params: PathParams) => {
    seen.push(`${name} ${JSON.stringify(params)}`);
    response.send({ status: 200, headers: headerBlock([]) });
  };
}

function route(method: string, path: string): { seen: string[]; response: RecordedResponse } {
  const seen: string[] = [];
  const handler = createRouter([
    { method: 'GET', path: '/healthz', handler: named('health', seen) },
    { method: 'GET', path: '/live/:stream/index.m3u8', handler: named('playlist', seen) },
    { method: 'GET', path: '/live/:stream/:file', handler: named('file', seen) },
    { method: 'GET', path: '/live/:stream/:rendition/*media', handler: named('media', seen) },
    { method: 'POST', path: '/v1/assets', handler: named('create', seen) },
    { method: 'GET', path: '/v1/assets', handler: named('list', seen) },
    { method: 'POST', path: '/license/clearkey', handler: named('licence', seen) },
  ]);
  const response = new RecordedResponse();
  void handler(fakeRequest({ method, path }), response);
  return { seen, response };
}

describe('createRouter', () => {
  it.each([
    ['GET', '/healthz', 'health {}'],
    ['HEAD', '/healthz', 'health {}'],
    ['GET', '/live/cam-1/index.m3u8', 'playlist {"stream":"cam-1"}'],
    ['GET', '/live/cam-1/audio.m3u8', 'file {"stream":"cam-1","file":"audio.m3u8"}'],
    ['GET', '/live/s/video/p1/17.2.m4s', 'media {"stream":"s","rendition":"video","media":"p1/17.2.m4s"}'],
    ['POST', '/v1/assets', 'create {}'],
    ['GET', '/v1/assets', 'list {}'],
  ])('%s %s', (method, path, expected) => {
    expect(route(method, path).seen).toEqual([expected]);
  });

  it.each([
    '/',
    '',
    '*',
    '/healthz/',
    '//healthz',
    '/HEALTHZ',
    '/live/cam-1',
    '/live//index.m3u8',
    '/live/../index.m3u8',
    '/live/./index.m3u8',
    '/live/%2e%2e/index.m3u8',
    '/live/a%00/index.m3u8',
    '/live/a\\b/index.m3u8',
    '/live/ü/index.m3u8',
    '/live/s/video/../../x',
    '/live/s/video/',
    '/live/s/video//x',
    `/live/${'a'.repeat(256)}/index.m3u8`,
    `/live/s/video/${'a/'.repeat(600)}b`,
  ])('finds nothing at %s', (path) => {
    const { seen, response } = route('GET', path);
    expect(seen).toEqual([]);
    expect(response.answers[0]?.status).toBe(404);
  });

  it('takes patterns in the order given, and a path only where all of it matches', () => {
    const seen: string[] = [];
    const handler = createRouter([
      { method: 'GET', path: '/:a/fixed/:b', handler: named('first', seen) },
      { method: 'GET', path: '/:a/:b/:c', handler: named('second', seen) },
      { method: 'GET', path: '/*rest', handler: named('rest', seen) },
    ]);
    for (const path of ['/x/fixed/y', '/x/fixed2/y', '/x/fixe/y', '/x/fixed/y/z', '/x', '/x/fixed/y']) {
      void handler(fakeRequest({ method: 'GET', path }), new RecordedResponse());
    }
    expect(seen).toEqual([
      'first {"a":"x","b":"y"}',
      'second {"a":"x","b":"fixed2","c":"y"}',
      'second {"a":"x","b":"fixe","c":"y"}',
      'rest {"rest":"x/fixed/y/z"}',
      'rest {"rest":"x"}',
      'first {"a":"x","b":"y"}',
    ]);
  });

  it.each(['.a', 'a.', '...', 'a'.repeat(255), '~', '@=,+-_'])('takes %s for a parameter', (name) => {
    expect(route('GET', `/live/${name}/index.m3u8`).seen).toEqual([`playlist {"stream":"${name}"}`]);
  });

  it('answers another method with 405, Allow and a problem a page can read', () => {
    const { response } = route('DELETE', '/v1/assets');
    const [answer] = response.answers;
    expect(answer?.status).toBe(405);
    expect(answer?.extra).toEqual([['Allow', 'POST, GET, HEAD, OPTIONS']]);
    expect(new Map(answer?.headers.entries).get('Access-Control-Allow-Origin')).toBe('*');
  });

  it('answers OPTIONS with the preflight of that URL', () => {
    const [answer] = route('OPTIONS', '/license/clearkey').response.answers;
    expect(answer?.status).toBe(204);
    expect(new Map(answer?.headers.entries).get('Access-Control-Allow-Methods')).toBe('POST, OPTIONS');
  });

  it('refuses two routes for the same method and path', () => {
    const handler = (): void => undefined;
    expect(() =>
      createRouter([
        { method: 'GET', path: '/a', handler },
        { method: 'GET', path: '/a', handler },
      ]),
    ).toThrow('two routes');
  });
});
