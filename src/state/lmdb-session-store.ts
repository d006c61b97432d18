import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { hearCause, hearCommit } from './lmdb-commits.ts';
import type { Logger } from '../base/log.ts';
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

export interface LmdbSessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** A session as it is stored. */
interface StoredSession {
  readonly session: PlaybackSession;
  /** Ended at the viewer's wish, or because another took its place. */
  readonly ended: boolean;
}

/** How often what is over is thrown away. */
const SWEEP_INTERVAL_MS = 60_000;
/** What one sweep throws away of each kind at most: it must not hold up the writes of viewers. */
const SWEEP_BATCH = 5_000;
/** A session that is over is kept so long, so that who asks hears why. */
const KEEP_ENDED_MS = 10 * 60_000;
/** Writers that change one viewer's sessions at once all try again but one; past this many turns something is wrong. */
const MAX_TURNS = 1_000;
/** Largest that the file may grow; the address space is reserved, not the disk. */
const MAP_BYTES = 8 * 1024 ** 3;

/**
 * Opens the embedded store: one file, shared by every process that opens it, nothing to install. The caller closes it.
 * @throws AppError LICENSE_STATE_UNAVAILABLE when the file cannot be opened
 */
export async function openLmdbSessionStore(
  path: string,
  deps: LmdbSessionDeps,
): Promise<SessionStore & ReplayCache> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const root = open({ path, noSubdir: true, maxDbs: 8, mapSize: MAP_BYTES, commitDelay: 0 });
    await Promise.all([path, `${path}-lock`].map((file) => chmod(file, 0o600)));
    return new LmdbSessionStore(root, deps);
  } catch (cause) {
    throw new AppError('LICENSE_STATE_UNAVAILABLE', `cannot open the session store ${path}`, { cause });
  }
}

/**
 * Every change is a conditional write on a version: the store's own transactions decide between writers, those of other
 * processes too, and the event loop never waits for the disk.
 */
class LmdbSessionStore implements SessionStore, ReplayCache {
  readonly #root: RootDatabase;
  readonly #sessions: Database<StoredSession, string>;
  /** The ids of each viewer's sessions that were alive when one was last begun. */
  readonly #viewers: Database<readonly string[], string>;
  readonly #revoked: Database<number, string>;
  /** What was claimed → until when it counts. */
  readonly #claims: Database<number, string>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sweeper: Timer;
  /** Under way. */
  #sweeping: Promise<void> | undefined;
  #closed = false;

  constructor(root: RootDatabase, { clock, log }: LmdbSessionDeps) {
    this.#root = root;
    this.#clock = clock;
    this.#log = log;
    this.#sessions = root.openDB({ name: 'sessions', useVersions: true });
    this.#viewers = root.openDB({ name: 'viewers', useVersions: true });
    this.#revoked = root.openDB({ name: 'revoked' });
    this.#claims = root.openDB({ name: 'claims', useVersions: true });
    this.#sweeper = every(clock, SWEEP_INTERVAL_MS, () => {
      if (this.#sweeping === undefined)
        this.#sweeping = this.#sweep().finally(() => (this.#sweeping = undefined));
    });
  }

  create(session: PlaybackSession, rules: CreateRules): Promise<CreateOutcome> {
    return this.#guarded(async () => {
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        const outcome = await this.#tryCreate(session, rules);
        if (outcome === 'again') continue;
        if (outcome.kind === 'created') await this.#root.flushed;
        return outcome;
      }
      throw new AppError('LICENSE_STATE_UNAVAILABLE');
    });
  }

  async #tryCreate(session: PlaybackSession, rules: CreateRules): Promise<CreateOutcome | 'again'> {
    const { nowMs } = rules;
    const taken = this.#takenAway(session, nowMs);
    if (taken !== undefined) return { kind: 'refused', standing: taken };
    const entry = this.#viewers.getEntry(session.viewer);
    const old = this.#sessions.getEntry(session.id);
    if (old && !isSameHolder(old.value.session, session) && isAlive(old.value, nowMs)) {
      return { kind: 'refused', standing: 'session_revoked' };
    }
    const others = this.#aliveOf(entry?.value ?? [], nowMs).filter(({ id }) => id !== session.id);
    const staying = others.filter(({ id }) => id !== rules.replaces);
    if (staying.length >= rules.maxAlive) return { kind: 'limit', sessions: staying };
    const replaced = others.find(({ id }) => id === rules.replaces);
    const write = (): void => {
      void this.#viewers.put(
        session.viewer,
        [...staying.map(({ id }) => id), session.id],
        (entry?.version ?? 0) + 1,
      );
      void this.#sessions.put(session.id, { session, ended: false }, (old?.version ?? 0) + 1);
      if (replaced) this.#putEnded(replaced.id, replaced);
    };
    const written = entry
      ? await this.#written(this.#viewers.ifVersion(session.viewer, entry.version ?? 0, write))
      : await this.#written(this.#viewers.ifNoExists(session.viewer, write));
    return written ? { kind: 'created' } : 'again';
  }

  heartbeat(id: string, aliveUntilMs: number, nowMs: number): Promise<Standing> {
    return this.#guarded(async () => {
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        const entry = this.#sessions.getEntry(id);
        const standing = this.#standingOf(id, entry?.value, nowMs);
        if (standing !== 'alive' || !entry) return standing;
        const { session } = entry.value;
        const next = { ...session, aliveUntilMs: Math.min(aliveUntilMs, session.endsMs) };
        const written = await this.#written(
          this.#sessions.ifVersion(id, entry.version ?? 0, () => {
            void this.#sessions.put(id, { session: next, ended: false }, (entry.version ?? 0) + 1);
          }),
        );
        if (written) return 'alive';
      }
      throw new AppError('LICENSE_STATE_UNAVAILABLE');
    });
  }

  end(id: string, nowMs: number): Promise<boolean> {
    return this.#guarded(async () => {
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        const entry = this.#sessions.getEntry(id);
        if (!entry || !isAlive(entry.value, nowMs)) return false;
        const { session } = entry.value;
        const written = await this.#written(
          this.#sessions.ifVersion(id, entry.version ?? 0, () => this.#putEnded(id, session, entry.version)),
        );
        if (written) {
          await this.#root.flushed;
          return true;
        }
      }
      throw new AppError('LICENSE_STATE_UNAVAILABLE');
    });
  }

  find(id: string): Promise<PlaybackSession | undefined> {
    return this.#guarded(async () => this.#sessions.get(id)?.session);
  }

  standing(id: string, nowMs: number): Promise<Standing> {
    return this.#guarded(async () => this.#standingOf(id, this.#sessions.get(id), nowMs));
  }

  list(
    filter: { readonly viewer?: string | undefined },
    limit: number,
    nowMs: number,
  ): Promise<PlaybackSession[]> {
    return this.#guarded(async () => {
      const { viewer } = filter;
      if (viewer !== undefined) {
        return this.#aliveOf(this.#viewers.get(viewer) ?? [], nowMs).slice(0, limit);
      }
      const found: PlaybackSession[] = [];
      for (const { key, value } of this.#sessions.getRange()) {
        if (found.length >= limit) break;
        if (this.#standingOf(key, value, nowMs) === 'alive') found.push(value.session);
      }
      return found;
    });
  }

  revoke(what: Revocable, untilMs: number): Promise<void> {
    return this.#guarded(async () => {
      await this.#written(this.#revoked.put(revocationKey(what), untilMs));
      await this.#root.flushed;
    });
  }

  restore(what: Revocable): Promise<boolean> {
    return this.#guarded(async () => {
      const known = this.#revoked.get(revocationKey(what)) !== undefined;
      await this.#written(this.#revoked.remove(revocationKey(what)));
      await this.#root.flushed;
      return known;
    });
  }

  revocations(limit: number, nowMs: number): Promise<Revocation[]> {
    return this.#guarded(async () => {
      const found: Revocation[] = [];
      for (const { key, value: untilMs } of this.#revoked.getRange()) {
        if (found.length >= limit) break;
        if (untilMs > nowMs) found.push({ ...revocableOf(key), untilMs });
      }
      return found;
    });
  }

  claim(id: string, untilMs: number, nowMs: number): Promise<boolean> {
    return this.#guarded(async () => {
      const old = this.#claims.getEntry(id);
      if (old === undefined)
        return this.#written(this.#claims.ifNoExists(id, () => void this.#claims.put(id, untilMs, 1)));
      if (old.value > nowMs) return false;
      // Over and not swept yet: as if it were not there.
      const version = old.version ?? 0;
      return this.#written(
        this.#claims.ifVersion(id, version, () => void this.#claims.put(id, untilMs, version + 1)),
      );
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#sweeper.cancel();
    await this.#sweeping;
    await this.#root.flushed;
    await this.#root.close();
  }

  #standingOf(id: string, stored: StoredSession | undefined, nowMs: number): Standing {
    if (stored === undefined) {
      return this.#isRevoked({ kind: 'session', id }, nowMs) ? 'session_revoked' : 'ended';
    }
    const taken = this.#takenAway(stored.session, nowMs);
    if (taken !== undefined) return taken;
    return isAlive(stored, nowMs) ? 'alive' : 'ended';
  }

  #takenAway(
    { id, viewer, device }: PlaybackSession,
    nowMs: number,
  ): Exclude<Standing, 'alive' | 'ended'> | undefined {
    if (this.#isRevoked({ kind: 'session', id }, nowMs)) return 'session_revoked';
    if (this.#isRevoked({ kind: 'viewer', id: viewer }, nowMs)) return 'viewer_revoked';
    if (device !== undefined && this.#isRevoked({ kind: 'device', id: device }, nowMs))
      return 'device_revoked';
    return undefined;
  }

  #isRevoked(what: Revocable, nowMs: number): boolean {
    return (this.#revoked.get(revocationKey(what)) ?? Number.NEGATIVE_INFINITY) > nowMs;
  }

  #aliveOf(ids: readonly string[], nowMs: number): PlaybackSession[] {
    return ids.flatMap((id) => {
      const stored = this.#sessions.get(id);
      return stored && this.#standingOf(id, stored, nowMs) === 'alive' ? [stored.session] : [];
    });
  }

  /** To be called inside a conditional write. */
  #putEnded(id: string, session: PlaybackSession, version = this.#sessions.getEntry(id)?.version): void {
    void this.#sessions.put(id, { session, ended: true }, (version ?? 0) + 1);
  }

  async #sweep(): Promise<void> {
    try {
      const nowMs = this.#clock.wallMs();
      await removeAll(this.#claims, (untilMs) => untilMs <= nowMs);
      await removeAll(this.#revoked, (untilMs) => untilMs <= nowMs);
      await removeAll(
        this.#sessions,
        ({ session, ended }) => (ended ? session.startedMs : session.aliveUntilMs) + KEEP_ENDED_MS <= nowMs,
      );
      await this.#forgetViewers(nowMs);
    } catch (error) {
      hearCause(error);
      this.#log.error({ err: error }, 'playback sessions that are over cannot be thrown away');
    }
  }

  /** Conditional, as a viewer may begin a session at that very moment. */
  async #forgetViewers(nowMs: number): Promise<void> {
    const idle: { readonly key: string; readonly version: number }[] = [];
    for (const { key, value, version = 0 } of this.#viewers.getRange({ versions: true })) {
      if (idle.length >= SWEEP_BATCH) break;
      if (this.#aliveOf(value, nowMs).length === 0) idle.push({ key, version });
    }
    await Promise.all(
      idle.map(({ key, version }) =>
        this.#written(this.#viewers.ifVersion(key, version, () => void this.#viewers.remove(key))),
      ),
    );
  }

  #written<T>(write: Promise<T>): Promise<T> {
    hearCommit(this.#root);
    return write;
  }

  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new AppError('LICENSE_STATE_UNAVAILABLE');
    try {
      return await run();
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      hearCause(cause);
      throw new AppError('LICENSE_STATE_UNAVAILABLE', undefined, { cause });
    }
  }
}

function isAlive({ session, ended }: StoredSession, nowMs: number): boolean {
  return !ended && session.aliveUntilMs > nowMs && session.endsMs > nowMs;
}

function isSameHolder(a: PlaybackSession, b: PlaybackSession): boolean {
  return a.viewer === b.viewer && a.device === b.device;
}

function revocationKey({ kind, id }: Revocable): string {
  return `${kind}:${id}`;
}

function revocableOf(key: string): Revocable {
  const colon = key.indexOf(':');
  return { kind: key.slice(0, colon) as Revocable['kind'], id: key.slice(colon + 1) };
}

async function removeAll<V>(db: Database<V, string>, isOver: (value: V) => boolean): Promise<void> {
  const over: string[] = [];
  for (const { key, value } of db.getRange()) {
    if (over.length >= SWEEP_BATCH) break;
    if (isOver(value)) over.push(key);
  }
  if (over.length > 0) hearCommit(db);
  await Promise.all(over.map((key) => db.remove(key)));
}
