import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Redis, startRedis } from '../support/redis.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import { ViewerDevice } from '../support/viewer-device.ts';
import { startViewerServer, type ViewerServer } from '../support/viewer-server.ts';

/** What an answer may take while Redis is away: its own limit, and what a busy machine adds. */
const AWAY_MS = 2_000;

/** Two servers with one Redis between them, and without licences. */
describe('viewers of two servers', () => {
  let folder: string;
  let redis: Redis;
  let one: ViewerServer;
  let two: ViewerServer;
  const devices: ViewerDevice[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-viewers-'));
    redis = await startRedis();
    const set = [
      ...['drm.enabled=false', 'license.enabled=false', 'state.driver=redis', `state.redis.url=${redis.url}`],
      ...['viewers.maxCallsPerViewerPerSecond=0', 'viewers.maxCallsPerAddressPerSecond=0'],
    ];
    // Servers that share viewers share their secrets: whose token is whose must be the same everywhere.
    one = await startViewerServer({ dataDir: folder, set });
    two = await startViewerServer({ dataDir: folder, set });
  });
  afterAll(async () => {
    await Promise.all([one.close(), two.close()]);
    await redis.stop();
    await rm(folder, { recursive: true });
  });
  afterEach(() => {
    for (const each of devices.splice(0)) each.close();
  });

  async function device(server: ViewerServer, user: string, name: string): Promise<ViewerDevice> {
    const made = new ViewerDevice(server.controlUrl, await loginAt(server, user), name);
    devices.push(made);
    return made;
  }

  async function listening(server: ViewerServer, user: string, name: string): Promise<ViewerDevice> {
    const made = await device(server, user, name);
    expect(await made.listen()).toBe(200);
    await until(() => made.of('sessions').length > 0, 'the stream begins');
    return made;
  }

  const positionsOf = (on: ViewerDevice): unknown[] =>
    on.of('record').map(({ data }) => (data as { positionMs: number }).positionMs);

  it('find their place on a device of the other server within two seconds', async () => {
    const [tv, phone] = [await device(one, 'anna', 'tv'), await listening(two, 'anna', 'phone')];
    const epoch = await tv.claim('film');
    const sentMs = performance.now();
    await tv.reported('film', epoch, 1, 754_000);
    await until(() => phone.of('record').length > 0, 'the phone hears of it');
    expect((phone.of('record')[0]?.atMs ?? Number.POSITIVE_INFINITY) - sentMs).toBeLessThan(2000);
    expect(positionsOf(phone)).toEqual([754_000]);
    const later = await phone.claim('film');
    expect(later).toBeGreaterThan(epoch);
    await phone.reported('film', later, 1, 760_000);
    expect((await tv.report('film', epoch, 2, 755_000)).status).toBe(409);
  });

  it('hear within two seconds that a session was taken away at the other', async () => {
    const tv = await listening(two, 'bert', 'tv');
    const { status, json } = await tv.call('POST', '/v1/sessions', { content: { kind: 'vod', id: 'film' } });
    expect(status).toBe(201);
    const sessionId = String(json['sessionId']);
    const sentMs = performance.now();
    const killed = await fetch(`${one.controlUrl}/v1/sessions/${sessionId}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${one.adminToken}` },
    });
    expect(killed.status).toBe(204);
    await until(() => tv.of('session').length > 0, 'the event');
    const [event] = tv.of('session');
    expect([event?.data, (event?.atMs ?? Number.POSITIVE_INFINITY) - sentMs < 2000]).toEqual([
      { sessionId, state: 'revoked' },
      true,
    ]);
    const beat = await tv.call('POST', `/v1/sessions/${sessionId}/heartbeat`, {}, String(json['token']));
    expect(beat.status).toBe(410);
  });

  it('play on while Redis is gone, lose nothing that was stored, and hear of what they missed', async () => {
    const [tv, phone] = [await listening(one, 'cora', 'tv'), await listening(two, 'cora', 'phone')];
    const epoch = await tv.claim('film');
    await tv.reported('film', epoch, 1, 100_000);
    await until(() => positionsOf(phone).includes(100_000), 'the first report');

    await redis.kill('SIGKILL');
    const sentMs = performance.now();
    const refused = await tv.callOnce('PUT', '/v1/resume/film', tv.place(epoch, 2, 110_000));
    expect([refused.status, refused.json['code']]).toEqual([503, 'RESUME_UNAVAILABLE']);
    expect(performance.now() - sentMs).toBeLessThan(AWAY_MS);
    expect(refused.headers.get('retry-after')).toBe('2');
    expect(phone.streamEnded).toBe(false);

    await redis.restart();
    await tv.reported('film', epoch, 3, 120_000);
    await until(() => positionsOf(phone).includes(120_000), 'the phone hears again');
    expect(positionsOf(phone)).not.toContain(110_000);
    const stored = await phone.call('GET', '/v1/resume/film');
    expect(stored.json['record']).toMatchObject({ positionMs: 120_000, epoch, seq: 3 });
  });

  it('are answered at once while Redis says nothing', async () => {
    const tv = await device(one, 'dora', 'tv');
    const epoch = await tv.claim('film');
    await redis.kill('SIGSTOP');
    try {
      const sentMs = performance.now();
      const refused = await tv.callOnce('PUT', '/v1/resume/film', tv.place(epoch, 1, 100_000));
      expect([refused.status, performance.now() - sentMs < AWAY_MS]).toEqual([503, true]);
    } finally {
      await redis.kill('SIGCONT');
    }
    await tv.reported('film', epoch, 2, 100_000);
  });
});
