import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlaybackSession, ReplayCache, SessionStore } from '../../src/state/session-store.ts';

type Store = SessionStore & ReplayCache;

/** One driver under test. */
export interface StoreUnderTest {
  /** A store with nothing in it. */
  open(): Promise<Store>;
  /** What another process, or the next one, would see of it; the one before it is closed already or still open. */
  openAgain(): Promise<Store>;
  /** Throws everything away. */
  dispose(): Promise<void>;
}

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);
const TTL = 90_000;

export function aSession(fields: Partial<PlaybackSession> = {}): PlaybackSession {
  return {
    id: 'session-1',
    viewer: 'viewer-1',
    device: 'device-1',
    content: 'live/studio',
    robustness: 'L3',
    tiers: ['AUDIO', 'SD', 'HD'],
    startedMs: NOW,
    aliveUntilMs: NOW + TTL,
    endsMs: NOW + 24 * 3_600_000,
    ...fields,
  };
}

const rules = (maxAlive: number, nowMs = NOW, replaces?: string) => ({ maxAlive, nowMs, replaces });

/** What every driver of the session store and the replay cache must do. */
export function describeSessionStore(name: string, create: () => StoreUnderTest): void {
  describe(`${name} as a session store`, () => {
    let under: StoreUnderTest;
    const opened: Store[] = [];
    let store: Store;

    beforeEach(async () => {
      under = create();
      store = await under.open();
      opened.push(store);
    });
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
      await under.dispose();
    });
    const again = async (): Promise<Store> => {
      const other = await under.openAgain();
      opened.push(other);
      return other;
    };

    it('keeps what a session was begun with', async () => {
      expect(await store.create(aSession(), rules(2))).toEqual({ kind: 'created' });
      expect(await store.find('session-1')).toEqual(aSession());
      expect(await store.standing('session-1', NOW)).toBe('alive');
      expect(await store.find('nobody')).toBeUndefined();
      expect(await store.standing('nobody', NOW)).toBe('ended');
    });

    it('keeps a session of a device that showed no key', async () => {
      const session = aSession({ device: undefined });
      await store.create(session, rules(2));
      expect(await store.find('session-1')).toEqual(session);
    });

    it('lets exactly two of a hundred parallel starts win at a limit of two', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, i) => store.create(aSession({ id: `s${i}` }), rules(2))),
      );
      expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(2);
      expect(outcomes.filter(({ kind }) => kind === 'limit')).toHaveLength(98);
      expect(await store.list({ viewer: 'viewer-1' }, 100, NOW)).toHaveLength(2);
    });

    it('lets exactly two win when two holders of the store race', async () => {
      const other = await again();
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, (_, i) =>
          (i % 2 ? store : other).create(aSession({ id: `s${i}` }), rules(2)),
        ),
      );
      expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(2);
    });

    it('names the sessions in the way, and counts each viewer alone', async () => {
      await store.create(aSession(), rules(1));
      const outcome = await store.create(aSession({ id: 'session-2' }), rules(1));
      expect(outcome).toEqual({ kind: 'limit', sessions: [aSession()] });
      expect(await store.create(aSession({ id: 's3', viewer: 'viewer-2' }), rules(1))).toEqual({
        kind: 'created',
      });
    });

    it('frees the place of a session whose heartbeats stopped', async () => {
      await store.create(aSession(), rules(1));
      const later = NOW + TTL;
      expect(await store.standing('session-1', later)).toBe('ended');
      const next = aSession({ id: 'session-2', startedMs: later, aliveUntilMs: later + TTL });
      expect(await store.create(next, rules(1, later))).toEqual({ kind: 'created' });
    });

    it('prolongs by heartbeat, never past the end, and wakes nothing that is over', async () => {
      await store.create(aSession({ endsMs: NOW + 200_000 }), rules(1));
      expect(await store.heartbeat('session-1', NOW + 80_000 + TTL, NOW + 80_000)).toBe('alive');
      expect(await store.standing('session-1', NOW + 100_000)).toBe('alive');
      expect(await store.heartbeat('session-1', NOW + 150_000 + TTL, NOW + 150_000)).toBe('alive');
      expect((await store.find('session-1'))?.aliveUntilMs).toBe(NOW + 200_000);
      expect(await store.heartbeat('session-1', NOW + 300_000, NOW + 200_000)).toBe('ended');
      expect(await store.heartbeat('nobody', NOW + TTL, NOW)).toBe('ended');
    });

    it('ends a session once, and frees its place', async () => {
      await store.create(aSession(), rules(1));
      expect(await store.end('session-1', NOW)).toBe(true);
      expect(await store.end('session-1', NOW)).toBe(false);
      expect(await store.standing('session-1', NOW)).toBe('ended');
      expect(await store.heartbeat('session-1', NOW + TTL, NOW)).toBe('ended');
      expect(await store.create(aSession({ id: 'session-2' }), rules(1))).toEqual({ kind: 'created' });
    });

    it('replaces a session of the same viewer, and leaves that of another alone', async () => {
      await store.create(aSession(), rules(1));
      expect(await store.create(aSession({ id: 's2' }), rules(1, NOW, 'session-1'))).toEqual({
        kind: 'created',
      });
      expect(await store.standing('session-1', NOW)).toBe('ended');
      const foreign = aSession({ id: 's3', viewer: 'viewer-2' });
      expect(await store.create(foreign, rules(1, NOW, 's2'))).toEqual({ kind: 'created' });
      expect(await store.standing('s2', NOW)).toBe('alive');
    });

    it('gives a living id to nobody else', async () => {
      await store.create(aSession(), rules(5));
      const thief = aSession({ viewer: 'viewer-2' });
      expect((await store.create(thief, rules(5))).kind).toBe('refused');
      expect((await store.create(aSession({ device: 'device-2' }), rules(5))).kind).toBe('refused');
      expect(await store.create(aSession(), rules(5))).toEqual({ kind: 'created' });
    });

    it.each([
      ['session', 'session-1', 'session_revoked'],
      ['viewer', 'viewer-1', 'viewer_revoked'],
      ['device', 'device-1', 'device_revoked'],
    ] as const)('takes a %s away until it is given back', async (kind, id, standing) => {
      await store.create(aSession(), rules(1));
      await store.revoke({ kind, id }, NOW + 60_000);
      expect(await store.standing('session-1', NOW)).toBe(standing);
      expect(await store.heartbeat('session-1', NOW + TTL, NOW)).toBe(standing);
      expect(await store.create(aSession(), rules(1))).toEqual({ kind: 'refused', standing });
      expect(await store.revocations(10, NOW)).toEqual([{ kind, id, untilMs: NOW + 60_000 }]);
      expect(await store.restore({ kind, id })).toBe(true);
      expect(await store.restore({ kind, id })).toBe(false);
      expect(await store.standing('session-1', NOW)).toBe('alive');
      await store.revoke({ kind, id }, NOW + 60_000);
      expect(await store.standing('session-1', NOW + 60_000)).toBe('alive');
    });

    it('does not count a session that was taken away', async () => {
      await store.create(aSession(), rules(1));
      await store.revoke({ kind: 'session', id: 'session-1' }, NOW + 60_000);
      expect(await store.create(aSession({ id: 'session-2' }), rules(1))).toEqual({ kind: 'created' });
    });

    it('lists what is alive, and no more than asked for', async () => {
      for (const id of ['a', 'b', 'c']) await store.create(aSession({ id, viewer: `of-${id}` }), rules(5));
      await store.end('b', NOW);
      expect((await store.list({}, 10, NOW)).map(({ id }) => id)).toEqual(['a', 'c']);
      expect(await store.list({}, 1, NOW)).toHaveLength(1);
      expect((await store.list({ viewer: 'of-c' }, 10, NOW)).map(({ id }) => id)).toEqual(['c']);
      expect(await store.list({ viewer: 'nobody' }, 10, NOW)).toEqual([]);
    });

    it('gives a claim to one of many, whoever they ask, and anew when it is over', async () => {
      const other = await again();
      const claims = await Promise.all(
        Array.from({ length: 100 }, (_, i) => (i % 2 ? store : other).claim('proof', NOW + 60_000, NOW)),
      );
      expect(claims.filter(Boolean)).toHaveLength(1);
      expect(await store.claim('proof', NOW + 120_000, NOW + 59_999)).toBe(false);
      expect(await store.claim('another', NOW + 60_000, NOW)).toBe(true);
      expect(await store.claim('proof', NOW + 120_000, NOW + 60_000)).toBe(true);
      expect(await store.claim('proof', NOW + 120_000, NOW + 60_000)).toBe(false);
    });

    it('has everything after a restart', async () => {
      await store.create(aSession(), rules(1));
      await store.revoke({ kind: 'device', id: 'lost' }, NOW + 60_000);
      await store.claim('proof', NOW + 60_000, NOW);
      await store.close();
      const next = await again();
      expect(await next.find('session-1')).toEqual(aSession());
      expect(await next.create(aSession({ id: 's2', device: 'lost' }), rules(5))).toEqual({
        kind: 'refused',
        standing: 'device_revoked',
      });
      expect((await next.create(aSession({ id: 's3' }), rules(1))).kind).toBe('limit');
      expect(await next.claim('proof', NOW + 60_000, NOW)).toBe(false);
    });

    it('refuses every call once it is closed, and closes twice', async () => {
      await store.close();
      await store.close();
      await expect(store.standing('session-1', NOW)).rejects.toThrow(
        expect.objectContaining({ code: 'LICENSE_STATE_UNAVAILABLE' }),
      );
    });
  });
}
