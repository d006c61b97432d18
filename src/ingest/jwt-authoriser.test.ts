import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { PublishRequest } from './authorise.ts';
import type { JwtOptions } from './ingest-options.ts';
import { createJwtAuthoriser } from './jwt-authoriser.ts';
import { PublicKeyFile, SharedSecretFile, type TokenKeys } from '../base/token-keys.ts';

const NO_SIGNAL = new AbortController().signal;
const OPTIONS: JwtOptions = {
  jwksUrl: '',
  keyPath: 'set below',
  algorithms: 'EdDSA,ES256,RS256',
  issuer: 'https://id.example',
  audience: 'headwater',
  leewaySeconds: 30,
  permissionsClaim: 'mediamtx_permissions',
  cutAtExpiry: false,
};
const ed = generateKeyPairSync('ed25519');
const otherEd = generateKeyPairSync('ed25519');
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();

let dir: string;
let clock: FakeClock;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-jwt-'));
  clock = new FakeClock();
});
afterEach(() => rm(dir, { recursive: true }));

interface TokenParts {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly key?: KeyObject | Uint8Array;
  readonly alg?: string;
  readonly expiresInSeconds?: number | undefined;
}

function nowSeconds(): number {
  return Math.floor(clock.wallMs() / 1000);
}

function token(parts: TokenParts = {}): Promise<string> {
  const { claims = {}, header = {}, key = ed.privateKey, alg = 'EdDSA' } = parts;
  const exp = 'expiresInSeconds' in parts ? parts.expiresInSeconds : 60;
  const payload = {
    iss: 'https://id.example',
    aud: 'headwater',
    publish: 'studio',
    ...(exp !== undefined && { exp: nowSeconds() + exp }),
    ...claims,
  };
  return new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(key);
}

async function keyFile(text: string, mode = 0o644): Promise<string> {
  const path = join(dir, 'token-key');
  await writeFile(path, text, { mode });
  return path;
}

function request(fields: Partial<PublishRequest>): PublishRequest {
  return {
    protocol: 'rtmp',
    session: 's',
    app: 'live',
    key: 'studio',
    query: '',
    remoteAddress: '127.0.0.1',
    ...fields,
  };
}

async function decide(
  jwt: string,
  {
    options = {},
    fields = {},
    keys,
  }: {
    options?: Partial<JwtOptions>;
    fields?: Partial<PublishRequest>;
    keys?: TokenKeys;
  } = {},
) {
  const used = keys ?? new PublicKeyFile(await keyFile(pem(ed.publicKey)));
  const authoriser = createJwtAuthoriser({ ...OPTIONS, ...options }, { keys: used, clock });
  return authoriser.authorise(request({ query: `jwt=${jwt}`, ...fields }), NO_SIGNAL);
}

const YES = { allow: true, stream: 'studio', admittedBy: 'token' };
const no = (code: string) => ({ allow: false, code });

describe('createJwtAuthoriser', () => {
  it('lets the stream of a good token publish, wherever the token stands', async () => {
    const jwt = await token();
    for (const fields of [
      { query: `jwt=${jwt}` },
      { query: `role=backup&token=${jwt}` },
      { query: '', token: jwt },
      { query: '', user: 'any', password: jwt },
      { query: '', key: jwt },
    ]) {
      expect(await decide(jwt, { fields }), JSON.stringify(fields)).toEqual(YES);
    }
  });

  it('takes every kind of key the algorithms allow, PEM, certificate, JWK and JWKS alike', async () => {
    const cases: [KeyObject, KeyObject, string][] = [
      [ed.privateKey, ed.publicKey, 'EdDSA'],
      [ec.privateKey, ec.publicKey, 'ES256'],
      [rsa.privateKey, rsa.publicKey, 'RS256'],
    ];
    for (const [key, publicKey, alg] of cases) {
      const jwt = await token({ key, alg });
      const jwk = await exportJWK(publicKey);
      for (const text of [pem(publicKey), JSON.stringify(jwk), JSON.stringify({ keys: [jwk] })]) {
        const keys = new PublicKeyFile(await keyFile(text));
        await keys.verify();
        expect(await decide(jwt, { keys }), alg).toEqual(YES);
      }
    }
  });

  it.each<[string, TokenParts, string]>([
    ['signed by somebody else', { key: otherEd.privateKey }, 'token_invalid'],
    ['of another issuer', { claims: { iss: 'https://evil.example' } }, 'token_invalid'],
    ['of no issuer', { claims: { iss: undefined } }, 'token_invalid'],
    ['for another audience', { claims: { aud: 'other' } }, 'token_invalid'],
    ['for no audience', { claims: { aud: undefined } }, 'token_invalid'],
    ['expired beyond the leeway', { expiresInSeconds: -31 }, 'token_expired'],
    ['without an expiry', { expiresInSeconds: undefined }, 'token_invalid'],
    ['not valid yet', { claims: { nbf: 4_000_000_000 } }, 'token_invalid'],
    ['with a critical header nobody knows', { header: { crit: ['x'], x: 1 } }, 'token_invalid'],
    ['for another stream', { claims: { publish: 'other' } }, 'stream_not_in_token'],
    ['for no stream', { claims: { publish: undefined } }, 'stream_not_in_token'],
    [
      'that may only read',
      { claims: { publish: undefined, mediamtx_permissions: [{ action: 'read', path: 'studio' }] } },
      'stream_not_in_token',
    ],
  ])('refuses a token %s', async (_what, parts, code) => {
    const jwt = await (parts.header ? handMade(parts) : token(parts));
    expect(await decide(jwt)).toEqual(no(code));
  });

  it.each([
    ['expired within the leeway', -29],
    ['that begins within it', 3600],
  ])('takes a token %s', async (what, expiresInSeconds) => {
    const nbf = what.startsWith('that') ? { nbf: nowSeconds() + 29 } : {};
    expect(await decide(await token({ expiresInSeconds, claims: nbf }))).toEqual(YES);
  });

  it.each(['', 'x', 'a.b.c', '..', `${'a'.repeat(9000)}.b.c`, 'eyJhbGciOiJub25lIn0.e30.', '%00', 'null'])(
    'refuses %j without throwing',
    async (jwt) => {
      const decision = await decide(jwt, { fields: { query: `jwt=${encodeURIComponent(jwt)}` } });
      expect(decision).toEqual(no(jwt === '' ? 'token_missing' : 'token_invalid'));
    },
  );

  it('refuses a token that says its algorithm is none, or a public key taken for a shared secret', async () => {
    const claims = { iss: 'https://id.example', aud: 'headwater', publish: 'studio', exp: nowSeconds() + 60 };
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    expect(await decide(`${part({ alg: 'none' })}.${part(claims)}.`)).toEqual(no('token_invalid'));
    const confused = `${part({ alg: 'HS256' })}.${part(claims)}`;
    const mac = createHmac('sha256', pem(rsa.publicKey)).update(confused).digest('base64url');
    const keys = new PublicKeyFile(await keyFile(pem(rsa.publicKey)));
    expect(await decide(`${confused}.${mac}`, { keys })).toEqual(no('token_invalid'));
    const careless = { algorithms: 'RS256,HS256' };
    expect(await decide(`${confused}.${mac}`, { keys, options: careless })).toEqual(no('token_invalid'));
  });

  it('refuses an algorithm that is not on the list', async () => {
    const keys = new PublicKeyFile(await keyFile(pem(ec.publicKey)));
    const jwt = await token({ key: ec.privateKey, alg: 'ES256' });
    expect(await decide(jwt, { keys, options: { algorithms: 'EdDSA' } })).toEqual(no('token_invalid'));
  });

  it('needs the name of the stream from somewhere', async () => {
    const one = await token();
    const two = await token({ claims: { publish: ['a', 'b'] } });
    expect(await decide(one, { fields: { key: '../studio' } })).toEqual(no('name_invalid'));
    expect(await decide('', { fields: { key: two, query: '' } })).toEqual(no('stream_not_in_token'));
    expect(await decide('', { fields: { query: '' } })).toEqual(no('token_missing'));
    expect(await decide(one, { fields: { app: 'vod' } })).toEqual(no('app_unknown'));
  });

  it('says until when only if publishers are to be cut at the expiry', async () => {
    const jwt = await token({ expiresInSeconds: 60 });
    const untilMs = (nowSeconds() + 60 + 30) * 1000;
    expect(await decide(jwt, { options: { cutAtExpiry: true } })).toEqual({ ...YES, untilMs });
  });

  it('checks HS256 with the secret of a file that nobody else may read', async () => {
    const secret = 's'.repeat(40);
    const jwt = await token({ key: Buffer.from(secret), alg: 'HS256' });
    const options = { algorithms: 'HS256' };
    const keys = new SharedSecretFile(await keyFile(`${secret}\n`, 0o600));
    await keys.verify();
    expect(await decide(jwt, { keys, options })).toEqual(YES);
    const forged = await token({ key: Buffer.from('t'.repeat(40)), alg: 'HS256' });
    expect(await decide(forged, { keys, options })).toEqual(no('token_invalid'));
  });
});

/** A header that jose would not sign, over a good signature. */
async function handMade({ header }: TokenParts): Promise<string> {
  const { sign } = await import('node:crypto');
  const claims = { iss: 'https://id.example', aud: 'headwater', publish: 'studio', exp: nowSeconds() + 60 };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part({ alg: 'EdDSA', ...header })}.${part(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), ed.privateKey).toString('base64url')}`;
}

describe('the key file', () => {
  it.each([
    ['nothing', '', 'holds no public key'],
    ['a word', 'secret', 'holds no public key'],
    ['an empty set', '{"keys":[]}', 'holds no public key'],
    ['a shared secret as JWK', '{"kty":"oct","k":"c2VjcmV0"}', 'holds no public key'],
    ['half of a JSON', '{"keys":[', 'holds no public key'],
    [
      'a private key',
      ed.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'holds a private key',
    ],
  ])('is refused at start when it holds %s', async (_what, text, why) => {
    const keys = new PublicKeyFile(await keyFile(text));
    await expect(keys.verify()).rejects.toMatchObject({
      code: 'TOKEN_KEY_UNUSABLE',
      message: expect.stringContaining(why),
    });
  });

  it('is refused at start when it is missing, and as a secret when it is short or others may read it', async () => {
    await expect(new PublicKeyFile(join(dir, 'no')).verify()).rejects.toMatchObject({
      code: 'TOKEN_KEY_UNUSABLE',
    });
    const short = new SharedSecretFile(await keyFile('short\n', 0o600));
    await expect(short.verify()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    await rm(join(dir, 'token-key'));
    const open = new SharedSecretFile(await keyFile('s'.repeat(40), 0o644));
    await expect(open.verify()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });

  it('counts from the moment it is replaced', async () => {
    const keys = new PublicKeyFile(await keyFile(pem(ed.publicKey)));
    const old = await token();
    const next = await token({ key: otherEd.privateKey });
    expect([await decide(old, { keys }), await decide(next, { keys })]).toEqual([YES, no('token_invalid')]);
    await keyFile(pem(otherEd.publicKey));
    expect([await decide(old, { keys }), await decide(next, { keys })]).toEqual([no('token_invalid'), YES]);
  });
});
