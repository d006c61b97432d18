import { describe, expect, it } from 'vitest';
import {
  type AdmittedBy,
  type Authoriser,
  createKeyAuthoriser,
  createKeyOrTokenAuthoriser,
  createOpenAuthoriser,
  type KeyLookup,
  type PublishRequest,
  withSrtPassphrase,
} from './authorise.ts';

const NO_SIGNAL = new AbortController().signal;

function request(fields: Partial<PublishRequest>): PublishRequest {
  return {
    protocol: 'rtmp',
    session: 's',
    app: 'live',
    key: 'k',
    query: '',
    remoteAddress: '127.0.0.1',
    ...fields,
  };
}

const keys: KeyLookup = {
  find: (key) => Promise.resolve(key === 'hw_good' ? 'studio' : undefined),
  srtPassphrase: (stream) => Promise.resolve(stream === 'studio' ? 'p'.repeat(32) : undefined),
};

describe('createKeyAuthoriser', () => {
  const authoriser = createKeyAuthoriser(keys);

  it('lets the stream of the key publish', async () => {
    const decision = await authoriser.authorise(request({ key: 'hw_good', query: 'x=1' }), NO_SIGNAL);
    expect(decision).toEqual({ allow: true, stream: 'studio', admittedBy: 'key' });
  });

  it.each([
    { protocol: 'cmaf', key: 'studio', password: 'hw_good' },
    { protocol: 'rtmp', key: 'hw_good', password: 'whatever' },
  ] as const)('takes the key for the name or beside it: %j', async (fields) => {
    const decision = await authoriser.authorise(request(fields), NO_SIGNAL);
    expect(decision).toEqual({ allow: true, stream: 'studio', admittedBy: 'key' });
  });

  it.each([
    [{ key: 'other', password: 'hw_good' }, 'key_unknown'],
    [{ key: 'studio', password: 'hw_bad' }, 'key_unknown'],
    [{ key: 'studio', password: '' }, 'key_unknown'],
    [{ key: 'hw_bad' }, 'key_unknown'],
    [{ key: 'studio' }, 'key_unknown'],
    [{ key: '' }, 'key_unknown'],
    [{ key: 'hw_good', app: 'vod' }, 'app_unknown'],
    [{ key: 'hw_good', app: 'live/x' }, 'app_unknown'],
    [{ protocol: 'srt', key: 'nobody' }, 'key_unknown'],
    [{ protocol: 'rtmps', key: 'studio' }, 'key_unknown'],
    [{ protocol: 'cmaf', key: 'studio' }, 'key_unknown'],
  ] as const)('refuses %j: %s', async (fields, code) => {
    expect(await authoriser.authorise(request(fields), NO_SIGNAL)).toEqual({ allow: false, code });
  });

  it.each([
    [{ key: 'hw_good' }, false],
    [{ key: 'studio', password: 'hw_good' }, false],
    [{ key: 'studio' }, true],
    [{ key: 'studio', password: 'hw_bad' }, true],
  ])('over SRT takes %j, and encryption as the only proof: %j', async (fields, required) => {
    expect(await authoriser.authorise(request({ protocol: 'srt', ...fields }), NO_SIGNAL)).toEqual({
      allow: true,
      stream: 'studio',
      admittedBy: 'key',
      encryption: { passphrase: 'p'.repeat(32), required },
    });
  });
});

describe('createKeyOrTokenAuthoriser', () => {
  const named = (by: AdmittedBy): Authoriser => ({
    authorise: () => Promise.resolve({ allow: true, stream: 'studio', admittedBy: by }),
  });
  const authoriser = createKeyOrTokenAuthoriser(named('key'), named('token'));

  it.each([
    [{ key: 'hw_good' }, 'key'],
    [{ key: 'hw_good', query: 'role=backup' }, 'key'],
    [{ key: 'studio', password: 'plain' }, 'key'],
    [{ key: 'studio', query: 'jwt=x' }, 'token'],
    [{ key: 'studio', query: 'token=x' }, 'token'],
    [{ key: 'hw_good', query: 'jwt=bad' }, 'token'],
    [{ key: 'studio', token: 'x' }, 'token'],
    [{ key: 'studio', password: 'aa.bb.cc' }, 'token'],
    [{ key: 'aa.bb.cc' }, 'token'],
  ] as const)('judges %j by %s', async (fields, by) => {
    expect(await authoriser.authorise(request(fields), NO_SIGNAL)).toMatchObject({ admittedBy: by });
  });
});

describe('withSrtPassphrase', () => {
  const inner: Authoriser = {
    authorise: ({ key }) =>
      Promise.resolve(key === 'no' ? { allow: false, code: 'denied' } : { allow: true, stream: key }),
  };
  const authoriser = withSrtPassphrase(inner, keys);

  it.each([
    [
      { protocol: 'srt', key: 'studio' },
      { passphrase: 'p'.repeat(32), required: false },
    ],
    [{ protocol: 'srt', key: 'other' }, undefined],
    [{ protocol: 'rtmp', key: 'studio' }, undefined],
    [{ protocol: 'srt', key: 'no' }, undefined],
  ] as const)('offers %j the encryption %j', async (fields, encryption) => {
    const decision = await authoriser.authorise(request(fields), NO_SIGNAL);
    expect('encryption' in decision ? decision.encryption : undefined).toEqual(encryption);
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
    expect(decision).toEqual({ allow: true, stream: key, admittedBy: 'nobody' });
  });

  it.each([
    [{ key: 'studio' }, { allow: true, stream: 'studio', admittedBy: 'nobody' }],
    [{ key: '../x' }, { allow: false, code: 'name_invalid' }],
    [
      { key: 'studio', app: 'other' },
      { allow: false, code: 'app_unknown' },
    ],
  ])('answers %j with %j', async (fields, decision) => {
    expect(await createOpenAuthoriser().authorise(request(fields), NO_SIGNAL)).toEqual(decision);
  });
});
