import { describe, expect, it } from 'vitest';
import { FakeSdkClock, FakeServer, json, type SeenRequest } from '../../test/support/sdk-fakes.ts';
import { ApiCaller } from './api-caller.ts';
import { ApiError } from './api-error.ts';
import type { DeviceKey } from './device-key.ts';
import { Login } from './login.ts';

const KEY: DeviceKey = {
  publicJwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' },
  sign: () => Promise.resolve(new Uint8Array(64)),
};
const BOUND = { text: 'token', isBound: true };

function apiOf(server: FakeServer, clock = new FakeSdkClock()): ApiCaller {
  const device = (): Promise<DeviceKey> => Promise.resolve(KEY);
  return new ApiCaller({ baseUrl: 'https://media.example', fetch: server.fetch, device, clock });
}

function claimsOf({ headers }: SeenRequest): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(headers['DPoP']?.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >;
}

function jwtOf(claims: object): string {
  return `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
}

describe('a call with a bound token', () => {
  it('is sent again with the nonce that the server asks for, and later ones have it from the start', async () => {
    const server = new FakeServer((request) =>
      claimsOf(request)['nonce'] === 'n-1'
        ? json(200, { ok: true })
        : json(401, { code: 'TOKEN_PROOF_NONCE' }, { 'DPoP-Nonce': 'n-1' }),
    );
    const api = apiOf(server);
    const call = { method: 'POST', path: '/v1/sessions/a/heartbeat', body: {} } as const;
    expect(await api.call(call, BOUND)).toEqual({ ok: true });
    expect(server.seen).toHaveLength(2);
    const [one, other] = server.seen.map((request) => claimsOf(request)['jti']);
    expect(one).not.toBe(other);
    await api.call(call, BOUND);
    expect(server.seen).toHaveLength(3);
  });

  it('is not repeated for ever', async () => {
    let nonce = 0;
    const server = new FakeServer(() =>
      json(401, { code: 'TOKEN_PROOF_NONCE' }, { 'DPoP-Nonce': `n-${nonce++}` }),
    );
    const answer = apiOf(server).call({ method: 'GET', path: '/v1/x' }, BOUND);
    await expect(answer).rejects.toMatchObject({ status: 401, code: 'TOKEN_PROOF_NONCE' });
    expect(server.seen).toHaveLength(2);
  });
});

describe('a failed call', () => {
  it('tells a passing trouble from a refusal', async () => {
    const server = new FakeServer(() => 'no network');
    const api = apiOf(server);
    const call = { method: 'GET', path: '/v1/x' } as const;
    const failed = (): Promise<ApiError> =>
      api.call(call, BOUND).catch((error: unknown) => error) as Promise<ApiError>;
    expect(await failed()).toMatchObject({ code: 'NETWORK', isPassing: true });
    server.answer = () => json(503, { code: 'RESUME_UNAVAILABLE' }, { 'Retry-After': '2' });
    expect(await failed()).toMatchObject({ code: 'RESUME_UNAVAILABLE', isPassing: true, retryAfterMs: 2000 });
    server.answer = () => json(403, { code: 'LICENSE_NOT_ENTITLED', detail: 'not you' });
    expect(await failed()).toMatchObject({ isPassing: false, message: 'not you' });
  });

  it('has no answer when none comes in time', async () => {
    const clock = new FakeSdkClock();
    const api = new ApiCaller({
      baseUrl: 'https://media.example',
      device: () => Promise.resolve(KEY),
      clock,
      fetch: (_url, { signal }) =>
        new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError'))),
        ),
    });
    const answer = expect(api.call({ method: 'GET', path: '/' }, BOUND)).rejects.toMatchObject({
      code: 'NETWORK',
    });
    await clock.advance(10_000);
    await answer;
  });
});

describe('a login', () => {
  it('that has run out is asked for again, once', async () => {
    const tokens = ['old', 'new', 'newer'];
    const server = new FakeServer(({ headers }) =>
      headers['Authorization'] === 'Bearer new' ? json(200, {}) : json(401, { code: 'TOKEN_EXPIRED' }),
    );
    const login = new Login(() => Promise.resolve(tokens.shift() ?? ''));
    const call = { method: 'GET', path: '/v1/resume' } as const;
    await login.call(apiOf(server), call);
    await login.call(apiOf(server), call);
    expect(tokens).toEqual(['newer']);
    server.answer = () => json(401, { code: 'TOKEN_EXPIRED' });
    await expect(login.call(apiOf(server), call)).rejects.toBeInstanceOf(ApiError);
    expect(server.seen).toHaveLength(5);
  });

  it('bound to a device comes with a proof, and so does one for which the server wants it', async () => {
    const bound = new FakeServer(() => json(200, {}));
    await new Login(() => Promise.resolve(jwtOf({ cnf: { jkt: 'k' } }))).call(apiOf(bound), {
      method: 'GET',
      path: '/',
    });
    expect(bound.seen[0]?.headers['Authorization']).toMatch(/^DPoP /);
    const asked = new FakeServer(({ headers }) =>
      'DPoP' in headers ? json(200, {}) : json(401, { code: 'TOKEN_PROOF_MISSING' }),
    );
    await new Login(() => Promise.resolve(jwtOf({}))).call(apiOf(asked), { method: 'GET', path: '/' });
    expect(asked.seen.map(({ headers }) => headers['Authorization']?.split(' ')[0])).toEqual([
      'Bearer',
      'DPoP',
    ]);
  });
});
