import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { createIngestGate, type IngestGate } from '../../src/ingest/open-gate.ts';
import { PublishKeys } from '../../src/ingest/publish-keys.ts';
import { type AuthBackend, say, startAuthBackend } from '../support/auth-backend.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { createMemoryLog, type LogLine } from '../support/memory-log.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { startServer } from '../support/server.ts';

/** Publish tokens whose keys come from a JWKS URL, over real HTTP. */

const first = generateKeyPairSync('ed25519');
const second = generateKeyPairSync('ed25519');

let dir: string;
let idp: AuthBackend;
let gate: IngestGate;
let clock: FakeClock;
let log: LogLine[];
let metrics: Metrics;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-tokens-'));
  idp = await startAuthBackend();
  clock = new FakeClock();
  const memory = createMemoryLog();
  log = memory.lines;
  metrics = new Metrics();
  gate = createIngestGate(
    {
      auth: 'jwt',
      jwt: {
        jwksUrl: `${idp.url}/jwks.json`,
        keyPath: '',
        algorithms: 'EdDSA,ES256,RS256',
        issuer: '',
        audience: '',
        leewaySeconds: 0,
        permissionsClaim: 'mediamtx_permissions',
        cutAtExpiry: false,
      },
      webhook: {
        url: '',
        unpublishUrl: '',
        format: 'headwater',
        secretPath: '',
        timeoutMs: 100,
        maxConcurrent: 1,
        app: 'live',
        publicHost: 'localhost',
        pathPrefix: '',
      },
    },
    { keys: new PublishKeys(dir, { clock, randomBytes }), clock, log: memory, metrics, randomBytes },
  );
  await gate.open();
});

afterEach(async () => {
  await gate.close();
  await idp.close();
  await rm(dir, { recursive: true });
});

async function jwks(...keys: [string | undefined, KeyObject][]): Promise<string> {
  const list = keys.map(async ([kid, key]) => ({
    ...(await exportJWK(key)),
    ...(kid && { kid }),
    alg: 'EdDSA',
  }));
  return JSON.stringify({ keys: await Promise.all(list) });
}

function token(key: KeyObject, kid?: string, alg = 'EdDSA', atMs = clock.wallMs()): Promise<string> {
  return new SignJWT({ mediamtx_permissions: [{ action: 'publish', path: 'studio' }] })
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .setExpirationTime(Math.floor(atMs / 1000) + 36_000)
    .sign(key);
}

async function publish(jwt: string): Promise<string> {
  const decision = await gate.authoriser.authorise(
    { protocol: 'rtmp', session: 's', app: 'live', key: 'studio', query: `jwt=${jwt}`, remoteAddress: '::1' },
    new AbortController().signal,
  );
  return decision.allow ? `yes ${decision.stream}` : decision.code;
}

describe('the key set of publish tokens', () => {
  it('is fetched once for many publishers, and again after five minutes', async () => {
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    const jwt = await token(first.privateKey, 'a');
    const answers = await Promise.all(Array.from({ length: 20 }, () => publish(jwt)));
    expect(new Set(answers)).toEqual(new Set(['yes studio']));
    expect(idp.calls).toHaveLength(1);
    expect(idp.calls[0]).toMatchObject({ method: 'GET', path: '/jwks.json' });
    clock.advance(5 * 60_000);
    expect(await publish(jwt)).toBe('yes studio');
    expect(idp.calls).toHaveLength(2);
  });

  it('may be rotated: a new key counts when it is first seen, an old one no longer than five minutes', async () => {
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    const old = await token(first.privateKey, 'a');
    const young = await token(second.privateKey, 'b');
    expect([await publish(old), await publish(young)]).toEqual(['yes studio', 'token_invalid']);
    idp.answer = say(200, await jwks(['b', second.publicKey]));
    clock.advance(10_000);
    expect([await publish(young), await publish(old)]).toEqual(['yes studio', 'token_invalid']);
  });

  it('is not fetched for every made-up key id', async () => {
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    for (let i = 0; i < 50; i++) {
      expect(await publish(await token(second.privateKey, `made-up-${i}`))).toBe('token_invalid');
      clock.advance(100);
    }
    expect(idp.calls.length).toBeLessThanOrEqual(2);
  });

  it('may have keys without ids: each is tried', async () => {
    idp.answer = say(200, await jwks([undefined, second.publicKey], [undefined, first.publicKey]));
    expect(await publish(await token(first.privateKey))).toBe('yes studio');
    const stranger = generateKeyPairSync('ed25519');
    expect(await publish(await token(stranger.privateKey))).toBe('token_invalid');
  });

  it('goes on with the last one for an hour when it cannot be fetched, and refuses after that', async () => {
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    const jwt = await token(first.privateKey, 'a');
    expect(await publish(jwt)).toBe('yes studio');
    idp.answer = say(503);
    clock.advance(59 * 60_000);
    expect(await publish(jwt)).toBe('yes studio');
    clock.advance(2 * 60_000);
    await expect(publish(jwt)).rejects.toMatchObject({ code: 'INGEST_AUTH_UNAVAILABLE' });
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    clock.advance(1000);
    expect(await publish(jwt)).toBe('yes studio');
  });

  it.each<[string, AuthBackend['answer']]>([
    ['is not there', say(404)],
    ['is garbage', say(200, '<html>')],
    ['is empty', say(200, '{"keys":[]}')],
    ['is a shared secret', say(200, '{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0","alg":"HS256"}]}')],
    ['lies elsewhere', say(302, '', { Location: '/other' })],
    ['is huge', say(200, `{"keys":[${' '.repeat(300_000)}]}`)],
  ])('lets nobody in when it %s', async (_what, answer) => {
    idp.answer = answer;
    const jwt = await token(first.privateKey, 'a');
    await expect(publish(jwt)).rejects.toMatchObject({ code: 'INGEST_AUTH_UNAVAILABLE' });
    expect(idp.calls).toHaveLength(1);
    const text = JSON.stringify(log) + (await metrics.registry.metrics());
    expect(text).not.toContain(jwt);
    expect(text).toContain('headwater_ingest_jwks_fetches_total{outcome="failed"} 1');
  });
});

describe('a whole server that takes keys and tokens', () => {
  it('lets both in, cuts neither for the other, and keeps tokens out of its log', async () => {
    idp.answer = say(200, await jwks(['a', first.publicKey]));
    const server = await startServer({
      set: ['ingest.auth=keys+jwt', `ingest.jwt.jwksUrl=${idp.url}/jwks.json`],
    });
    try {
      const url = new URL(await server.publishUrl('by-key'));
      const port = Number(url.port);
      const jwt = await token(first.privateKey, 'a', 'EdDSA', systemClock.wallMs());
      const byToken = await RtmpTestClient.publishing(port, `studio?jwt=${jwt}`);
      const byKey = await RtmpTestClient.publishing(port, url.pathname.split('/')[2] ?? '');
      const wrong = await RtmpTestClient.ready(port);
      wrong.publish(`other?jwt=${jwt}`);
      await wrong.untilStatus('NetStream.Publish.BadName');
      await server.app.publishKeys.create('studio');
      await server.app.publishKeys.rotate('studio');
      await server.app.publishKeys.rotate('by-key');
      await byKey.untilClosed();
      expect(byToken.closedAtMs).toBeUndefined();
      await server.app.publishKeys.revoke('studio');
      await byToken.untilClosed();
      expect(JSON.stringify(server.log)).not.toContain(jwt.slice(0, 40));
    } finally {
      await server.close();
    }
  });
});
