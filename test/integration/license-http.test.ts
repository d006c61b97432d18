import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LicenseFixture, ORIGIN, TestDevice, tiersIn } from '../support/license-fixture.ts';
import { TestListeners, type TestListener } from '../support/http-listener.ts';

/** The licence server behind the listener that serves it. */
describe('licences over HTTP', () => {
  const listeners = new TestListeners();
  let fixture: LicenseFixture;
  let listener: TestListener;

  beforeAll(async () => {
    fixture = await LicenseFixture.open();
    listener = await listeners.start('node', (request, response) =>
      fixture.service.handler(request, response),
    );
  });
  afterAll(async () => {
    await listeners.closeAll();
    await fixture.close();
  });

  const post = (headers: Record<string, string>, body: string): Promise<Response> =>
    fetch(`${listener.origin}/license/clearkey`, { method: 'POST', headers, body });

  it.each([
    ['hls.js', 'Mozilla/5.0 hls', {}],
    ['Shaka', 'Mozilla/5.0 shaka', { accept: '*/*' }],
    ['dash.js', 'Mozilla/5.0 dash', { 'content-type': 'application/json' }],
  ])('are given to what %s sends', async (_player, agent, headers) => {
    const { token } = await fixture.begin({}, fixture.login({ user: agent }));
    const response = await post(
      { ...headers, origin: 'https://page.example', 'user-agent': agent, authorization: `Bearer ${token}` },
      `{"kids":["${fixture.kid('SD')}"],"type":"temporary"}`,
    );
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(tiersIn(fixture, await response.text())).toEqual(['AUDIO', 'SD']);
  });

  it('are given to a hundred devices at once, each proof counting once', async () => {
    const device = new TestDevice();
    const { token } = await fixture.begin({ device: device.jwk }, fixture.login({ user: 'many' }));
    const url = `${ORIGIN}/license/clearkey`;
    const body = JSON.stringify(fixture.licenseBody([fixture.kid('SD')]));
    const proofs = Array.from({ length: 50 }, () =>
      device.proof({ method: 'POST', url, token, nowMs: fixture.clock.wallMs() }),
    );
    const answers = await Promise.all(
      [...proofs, ...proofs].map((dpop) => post({ authorization: `DPoP ${token}`, dpop }, body)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(50);
    expect(statuses.filter((status) => status === 401)).toHaveLength(50);
  });

  it('are refused when the body is larger than a request can be', async () => {
    const { token } = await fixture.begin({}, fixture.login({ user: 'large' }));
    const response = await post({ authorization: `Bearer ${token}` }, 'x'.repeat(16 * 1024 + 1));
    expect(response.status).toBe(413);
  });

  it('are preflighted', async () => {
    const response = await fetch(`${listener.origin}/license/clearkey`, {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example', 'access-control-request-method': 'POST' },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-headers')?.toLowerCase()).toContain('dpop');
    expect(response.headers.get('access-control-allow-methods')).toContain('POST');
  });
});
