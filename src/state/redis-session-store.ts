import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { CallGate } from './call-gate.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { Sent } from './redis-nodes.ts';
import type {
  CreateOutcome,
  CreateRules,
  PlaybackSession,
  ReplayCache,
  Revocable,
  Revocation,
  SessionStore,
  Standing,
} from './session-store.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface RedisSessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StateMetrics;
  /** Stays with the caller. Opened with SESSION_SCRIPTS. */
  readonly redis: RedisConnection;
  readonly prefix: string;
}

/** A session as it is stored. */
interface StoredSession {
  readonly session: PlaybackSession;
  readonly ended: boolean;
}

type Taken = Exclude<Standing, 'alive' | 'ended'>;

/** As long as one call may take, however many steps it has. */
const DEADLINE_MS = 300;
/** A session that is over is kept so long, so that who asks hears why. */
const KEEP_ENDED_MS = 10 * 60_000;
/** What may be used once is remembered for longer, as clocks of servers differ. */
const CLAIM_MARGIN_MS = 5000;
/** How often what is over is thrown away that Redis does not throw away by itself. */
const SWEEP_INTERVAL_MS = 60_000;
/** Ids of all sessions are in so many sets: they spread over a Cluster. */
const INDEX_SHARDS = 16;
/** Sessions looked up at once for a list of all. */
const LIST_BATCH = 100;
/** A living id is fought for so often. */
const MAX_TURNS = 3;

/**
 * Playback sessions in Redis: a hash for each viewer, so that the limit of a viewer is decided in one script, and a key for
 * each id that leads to the viewer. Each step touches keys of one slot of a Cluster.
 */
export class RedisSessionStore implements SessionStore, ReplayCache {
  readonly #redis: RedisConnection;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #prefix: string;
  readonly #gate: CallGate;
  readonly #sweeper: Timer;

  constructor({ clock, log, metrics, redis, prefix }: RedisSessionDeps) {
    this.#redis = redis;
    this.#clock = clock;
    this.#log = log;
    this.#prefix = prefix;
    const options = { part: 'sessions', code: 'LICENSE_STATE_UNAVAILABLE', deadlineMs: DEADLINE_MS } as const;
    this.#gate = new CallGate(options, { clock, metrics });
    this.#sweeper = every(clock, SWEEP_INTERVAL_MS, () => void this.#sweep());
  }

  create(session: PlaybackSession, rules: CreateRules): Promise<CreateOutcome> {
    return this.#gate.run(async (): Promise<CreateOutcome> => {
      const { nowMs, maxAlive, replaces } = rules;
      const others = await this.#sessionsOf(session.viewer);
      const [own, ...takenOthers] = await this.#takenAway(
        [session, ...others.map((other) => other.session)],
        nowMs,
      );
      if (own !== undefined) return { kind: 'refused', standing: own };
      const pointing = await this.#takeId(session, nowMs);
      if (!pointing) return { kind: 'refused', standing: 'session_revoked' };
      const taken = others.filter((_, i) => takenOthers[i] !== undefined).map((other) => other.session.id);
      const args = [nowMs, maxAlive, replaces ?? '', KEEP_ENDED_MS, session.id, toStored(session), ...taken];
      const keys = [this.#viewerKey(session.viewer)];
      const creating = await this.#redis.runSending('sessionCreate', keys, args);
      const [kind, ...inTheWay] = creating.answer as string[];
      if (kind === 'limit') {
        return { kind, sessions: inTheWay.map((raw) => fromStored(raw).session) };
      }
      if (kind !== 'created') return { kind: 'refused', standing: 'session_revoked' };
      const indexing = this.#redis.callSafely('zadd', this.#indexKey(session.id), session.endsMs, session.id);
      await Promise.all([pointing.safe(), creating.safe(), indexing]);
      return { kind };
    });
  }

  heartbeat(id: string, aliveUntilMs: number, nowMs: number): Promise<Standing> {
    return this.#gate.run(async () => {
      const stored = await this.#find(id);
      const standing = await this.#standingOf(id, stored, nowMs);
      if (standing !== 'alive' || !stored) return standing;
      const keys = [this.#viewerKey(stored.session.viewer)];
      const isKept = await this.#redis.run('sessionHeartbeat', keys, [id, nowMs, aliveUntilMs]);
      return isKept === 1 ? 'alive' : 'ended';
    });
  }

  end(id: string, nowMs: number): Promise<boolean> {
    return this.#gate.run(async () => {
      const viewer = await this.#viewerOf(id);
      if (viewer === undefined) return false;
      return (await this.#redis.runSafely('sessionEnd', [this.#viewerKey(viewer)], [id, nowMs])) === 1;
    });
  }

  find(id: string): Promise<PlaybackSession | undefined> {
    return this.#gate.run(async () => (await this.#find(id))?.session);
  }

  standing(id: string, nowMs: number): Promise<Standing> {
    return this.#gate.run(async () => this.#standingOf(id, await this.#find(id), nowMs));
  }

  list(
    filter: { readonly viewer?: string | undefined },
    limit: number,
    nowMs: number,
  ): Promise<PlaybackSession[]> {
    return this.#gate.run(async () => {
      const { viewer } = filter;
      if (viewer === undefined) return this.#listAll(limit, nowMs);
      return (await this.#alive(await this.#sessionsOf(viewer), nowMs)).slice(0, limit);
    });
  }

  revoke({ kind, id }: Revocable, untilMs: number): Promise<void> {
    return this.#gate.run(async () => {
      await this.#redis.callSafely('zadd', this.#takenKey(), untilMs, `${kind}:${id}`);
    });
  }

  restore({ kind, id }: Revocable): Promise<boolean> {
    return this.#gate.run(
      async () => Number(await this.#redis.callSafely('zrem', this.#takenKey(), `${kind}:${id}`)) === 1,
    );
  }

  revocations(limit: number, nowMs: number): Promise<Revocation[]> {
    return this.#gate.run(async () => {
      const range = [`(${nowMs}`, '+inf', 'WITHSCORES', 'LIMIT', 0, limit];
      const flat = ((await this.#redis.call('zrangebyscore', this.#takenKey(), ...range)) as string[]).flat();
      const found: Revocation[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) {
        const [thing = '', untilMs] = flat.slice(i, i + 2);
        found.push({ ...revocableOf(thing), untilMs: Number(untilMs) });
      }
      return found;
    });
  }

  claim(id: string, untilMs: number, nowMs: number): Promise<boolean> {
    return this.#gate.run(async () => {
      const keepMs = Math.max(0, Math.ceil(untilMs - nowMs)) + CLAIM_MARGIN_MS;
      const args = [untilMs, nowMs, keepMs];
      return (await this.#redis.runSafely('sessionClaimOnce', [`${this.#prefix}once:${id}`], args)) === 1;
    });
  }

  async close(): Promise<void> {
    this.#sweeper.cancel();
    await this.#gate.close();
  }

  /** Makes the id lead to the session's viewer. Undefined when it is a living one of another viewer. */
  async #takeId(session: PlaybackSession, nowMs: number): Promise<Sent | undefined> {
    const keepMs = Math.max(0, session.endsMs - nowMs) + KEEP_ENDED_MS;
    let from = '';
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const args = [session.viewer, keepMs, from];
      const pointing = await this.#redis.runSending('sessionPoint', [this.#idKey(session.id)], args);
      const viewer = pointing.answer as string;
      if (viewer === session.viewer) return pointing;
      const holder = await this.#read(viewer, session.id);
      if (holder && isAlive(holder, nowMs)) return undefined;
      from = viewer;
    }
    throw new AppError('LICENSE_STATE_UNAVAILABLE');
  }

  async #standingOf(id: string, stored: StoredSession | undefined, nowMs: number): Promise<Standing> {
    if (stored === undefined) {
      const [untilMs = 0] = await this.#takenUntil([`session:${id}`]);
      return untilMs > nowMs ? 'session_revoked' : 'ended';
    }
    const [taken] = await this.#takenAway([stored.session], nowMs);
    return taken ?? (isAlive(stored, nowMs) ? 'alive' : 'ended');
  }

  /** What was taken from each session: itself, its viewer or its device. */
  async #takenAway(sessions: readonly PlaybackSession[], nowMs: number): Promise<(Taken | undefined)[]> {
    const things = sessions.flatMap(({ id, viewer, device }) => [
      `session:${id}`,
      `viewer:${viewer}`,
      device === undefined ? '' : `device:${device}`,
    ]);
    const untilMs = await this.#takenUntil(things);
    return sessions.map((_, i) => {
      const [session = 0, viewer = 0, device = 0] = untilMs.slice(3 * i, 3 * i + 3);
      if (session > nowMs) return 'session_revoked';
      if (viewer > nowMs) return 'viewer_revoked';
      return device > nowMs ? 'device_revoked' : undefined;
    });
  }

  async #takenUntil(things: readonly string[]): Promise<number[]> {
    return ((await this.#redis.run('sessionTaken', [this.#takenKey()], things)) as string[]).map(Number);
  }

  async #alive(stored: readonly StoredSession[], nowMs: number): Promise<PlaybackSession[]> {
    const sessions = stored.filter((each) => isAlive(each, nowMs)).map(({ session }) => session);
    const taken = await this.#takenAway(sessions, nowMs);
    return sessions.filter((_, i) => taken[i] === undefined).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  async #listAll(limit: number, nowMs: number): Promise<PlaybackSession[]> {
    const found: PlaybackSession[] = [];
    for (let shard = 0; shard < INDEX_SHARDS && found.length < limit; shard++) {
      for (let start = 0; found.length < limit; start += LIST_BATCH) {
        const range = [this.#shardKey(shard), start, start + LIST_BATCH - 1];
        const ids = (await this.#redis.call('zrange', ...(range as [string, number, number]))) as string[];
        const stored = await Promise.all(ids.map((id) => this.#find(id)));
        found.push(
          ...(await this.#alive(
            stored.filter((each) => each !== undefined),
            nowMs,
          )),
        );
        if (ids.length < LIST_BATCH) break;
      }
    }
    return found.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async #find(id: string): Promise<StoredSession | undefined> {
    const viewer = await this.#viewerOf(id);
    return viewer === undefined ? undefined : this.#read(viewer, id);
  }

  async #read(viewer: string, id: string): Promise<StoredSession | undefined> {
    const raw = (await this.#redis.call('hget', this.#viewerKey(viewer), id)) as string | null;
    return raw === null ? undefined : fromStored(raw);
  }

  async #viewerOf(id: string): Promise<string | undefined> {
    return ((await this.#redis.call('get', this.#idKey(id))) as string | null) ?? undefined;
  }

  async #sessionsOf(viewer: string): Promise<StoredSession[]> {
    const flat = (await this.#redis.run('sessionReadAll', [this.#viewerKey(viewer)], [])) as string[];
    return flat.filter((_, i) => i % 2 === 1).map(fromStored);
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#clock.wallMs();
    const keys = Array.from({ length: INDEX_SHARDS }, (_, shard) => this.#shardKey(shard));
    const sweeping = [this.#takenKey(), ...keys].map((key) =>
      this.#redis.call('zremrangebyscore', key, '-inf', nowMs),
    );
    const results = await Promise.allSettled(sweeping);
    if (results.some(({ status }) => status === 'rejected')) {
      this.#log.warn({}, 'playback sessions that are over cannot be thrown away now');
    }
  }

  #viewerKey(viewer: string): string {
    // A brace in the name would end the hash tag.
    return `${this.#prefix}s:{${encodeURIComponent(viewer)}}`;
  }

  #idKey(id: string): string {
    return `${this.#prefix}si:${id}`;
  }

  #takenKey(): string {
    return `${this.#prefix}taken`;
  }

  #indexKey(id: string): string {
    return this.#shardKey(Buffer.from(id).reduce((sum, byte) => sum + byte, 0) % INDEX_SHARDS);
  }

  #shardKey(shard: number): string {
    return `${this.#prefix}sx:${shard}`;
  }
}

function isAlive({ session, ended }: StoredSession, nowMs: number): boolean {
  return !ended && session.aliveUntilMs > nowMs && session.endsMs > nowMs;
}

/** See redis-session-scripts.ts. */
function toStored({ aliveUntilMs, ...session }: PlaybackSession): string {
  const device = encodeURIComponent(session.device ?? '');
  return `0 ${aliveUntilMs} ${session.endsMs} ${device} ${JSON.stringify(session)}`;
}

function fromStored(raw: string): StoredSession {
  const [, ended = '', alive = '', json = ''] = /^(\d+) (\d+) \d+ \S* (.*)$/s.exec(raw) ?? [];
  const session = JSON.parse(json) as Omit<PlaybackSession, 'aliveUntilMs'>;
  const aliveUntilMs = Number(alive);
  return { session: { ...session, device: session.device, aliveUntilMs }, ended: ended !== '0' };
}

function revocableOf(thing: string): Revocable {
  const colon = thing.indexOf(':');
  return { kind: thing.slice(0, colon) as Revocable['kind'], id: thing.slice(colon + 1) };
}
