import { describe, expect, it } from 'vitest';
import { createKeyAuthoriser, createOpenAuthoriser, type PublishRequest } from './authorise.ts';

const NO_SIGNAL = new AbortController().signal;

function request(fields: Partial<PublishRequest>): PublishRequest {
  return { protocol: 'rtmp', app: 'live', key: 'k', query: '', remoteAddress: '127.0.0.1', ...fields };
}

describe('createKeyAuthoriser', () => {
  const keys = { find: (key: string) => Promise.resolve(key === 'hw_good' ? 'studio' : undefined) };
  const authoriser = createKeyAuthoriser(keys);

  it('lets the stream of the key publish', async () => {
    const decision = await authoriser.authorise(request({ key: 'hw_good', query: 'x=1' }), NO_SIGNAL);
    expect(decision).toEqual({ allow: true, stream: 'studio' });
  });

  it.each([
    [{ key: 'hw_bad' }, 'key_unknown'],
    [{ key: 'studio' }, 'key_unknown'],
    [{ key: '' }, 'key_unknown'],
    [{ key: 'hw_good', app: 'vod' }, 'app_unknown'],
    [{ key: 'hw_good', app: 'live/x' }, 'app_unknown'],
  ])('refuses %j: %s', async (fields, code) => {
    expect(await authoriser.authorise(request(fields), NO_SIGNAL)).toEqual({ allow: false, code });
  });
});

describe('createOpenAuthoriser', () => {
  const bad = [
    '',
    'x'.repeat(65),
    'x'.repeat(70_000),
    '.',
    '..',
    '../../etc/passwd',
    '..%2f',
    '..\\x',
    'a/b',
    '/a',
    'a\n',
    'a\0',
    'a b',
    'ä',
    'C:',
    'a.',
    ';id',
    '$(id)',
    '<b>',
    '%00',
    '🎥',
  ];
  it.each(bad)('refuses the name %j', async (key) => {
    const decision = await createOpenAuthoriser().authorise(request({ key }), NO_SIGNAL);
    expect(decision).toEqual({ allow: false, code: 'name_invalid' });
  });

  it.each(['a', 'Studio_1-B', '-', 'x'.repeat(64)])('takes the name %j', async (key) => {
    const decision = await createOpenAuthoriser().authorise(request({ key }), NO_SIGNAL);
    expect(decision).toEqual({ allow: true, stream: key });
  });

  it.each([
    [{ key: 'studio' }, { allow: true, stream: 'studio' }],
    [{ key: '../x' }, { allow: false, code: 'name_invalid' }],
    [
      { key: 'studio', app: 'other' },
      { allow: false, code: 'app_unknown' },
    ],
  ])('answers %j with %j', async (fields, decision) => {
    expect(await createOpenAuthoriser().authorise(request(fields), NO_SIGNAL)).toEqual(decision);
  });
});
