import type { Clock, Timer } from '../../base/clock.ts';
import { sharedBytes } from '../../http/shared-bytes.ts';
import type { SharedBytes } from '../../http/types.ts';
import type { Subscription } from '../../state/pub-sub.ts';
import type { ResumeList, ResumeRecord, ResumeStore } from '../../state/resume-store.ts';
import type { SessionStore } from '../../state/session-store.ts';
import type { EventClient } from './event-client.ts';
import { recordsText, RESET, sessionsText, sessionText } from './event-text.ts';
import type { ResumeMetrics } from './resume-metrics.ts';
import type { Turns } from './turns.ts';
import type { ViewerNotice, ViewerNotices } from './viewer-notices.ts';

export interface FeedDeps {
  readonly store: ResumeStore;
  readonly sessions: SessionStore;
  readonly notices: ViewerNotices;
  /** Shared by all feeds: after a gap all of them want to read at once. */
  readonly turns: Turns;
  readonly clock: Clock;
  readonly metrics: ResumeMetrics;
  /** A client is too far behind. */
  readonly onBehind: (client: EventClient) => void;
}

/** Sessions that are told of; a user has a handful. */
const MAX_SESSIONS = 200;
/** A state that cannot be read is tried again so much later, and twice as late each further time. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 4_000;
/** A report that is older was made offline: its age says nothing of how fast we are. */
const MAX_PUSH_MS = 10_000;

/**
 * The devices of one user that listen here. A notice only marks a profile as changed; then the state is read and each
 * device gets what is newer than what it has. So nothing depends on which notices came, how often, or in what order.
 */
export class ViewerFeed {
  readonly clients = new Set<EventClient>();
  /** Devices that are here or about to be. */
  holders = 0;
  readonly #viewer: string;
  readonly #deps: FeedDeps;
  readonly #subscription: Promise<Subscription>;
  readonly #stale = new Set<string>();
  #sessionsStale = false;
  /** Erasures since the beginning. */
  #era = 0;
  #running = false;
  #failures = 0;
  #retry: Timer | undefined;
  #closed = false;

  constructor(viewer: string, deps: FeedDeps) {
    this.#viewer = viewer;
    this.#deps = deps;
    this.#subscription = deps.notices.listen(viewer, (notice) => this.#heard(notice));
    this.#subscription.catch(() => undefined);
  }

  /** Resolves when notices come. Rejects with AppError PUBSUB_UNAVAILABLE. */
  async listening(): Promise<void> {
    await this.#subscription;
  }

  /** From here on the device gets what it has not seen. */
  join(client: EventClient): void {
    this.clients.add(client);
    this.#sessionsStale = true;
    this.#changed(client.profile);
  }

  /** Something may have been missed: everything is compared. */
  compareAll(): void {
    this.#sessionsStale = true;
    for (const { profile } of this.clients) this.#stale.add(profile);
    this.#run();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#retry?.cancel();
    this.#subscription.then(
      (subscription) => subscription.close(),
      () => undefined,
    );
  }

  #heard(notice: ViewerNotice): void {
    if (this.#closed) return;
    switch (notice.kind) {
      case 'changed':
        if (this.#isNews(notice.profile, notice.version)) this.#changed(notice.profile);
        return;
      case 'erased':
        this.#era += 1;
        for (const client of this.clients) {
          this.#beginAnew(client);
          this.#changed(client.profile);
        }
        return;
      case 'session':
        this.#toAll(sessionText(notice.sessionId, notice.end), 'session');
        return;
    }
  }

  /** A lower version than what was sent means that the profile began anew. */
  #isNews(profile: string, version: number): boolean {
    for (const client of this.clients) {
      if (client.profile === profile && client.sentVersion !== version) return true;
    }
    return false;
  }

  #changed(profile: string): void {
    this.#stale.add(profile);
    this.#run();
  }

  #run(): void {
    if (this.#running || this.#closed) return;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#running = true;
    void this.#syncAll().finally(() => {
      this.#running = false;
      // Marked in the very moment between the last look and here.
      if (this.#retry === undefined && this.#isStale()) this.#run();
    });
  }

  #isStale(): boolean {
    return this.#stale.size > 0 || this.#sessionsStale;
  }

  async #syncAll(): Promise<void> {
    const { turns, metrics, clock } = this.#deps;
    try {
      while (!this.#closed && this.#isStale()) {
        await turns.run(() => this.#syncNext());
        metrics.syncs.inc({ outcome: 'ok' });
      }
      this.#failures = 0;
    } catch {
      metrics.syncs.inc({ outcome: 'failed' });
      const delayMs = Math.min(RETRY_MS * 2 ** this.#failures, MAX_RETRY_MS);
      this.#failures += 1;
      if (!this.#closed) this.#retry = clock.after(delayMs, () => this.#run());
    }
  }

  async #syncNext(): Promise<void> {
    if (this.#sessionsStale) await this.#syncSessions();
    const [profile] = this.#stale;
    if (profile === undefined || this.#closed) return;
    this.#stale.delete(profile);
    try {
      await this.#syncProfile(profile);
    } catch (error) {
      this.#stale.add(profile);
      throw error;
    }
  }

  async #syncSessions(): Promise<void> {
    const { sessions, clock } = this.#deps;
    this.#sessionsStale = false;
    try {
      const alive = await sessions.list({ viewer: this.#viewer }, MAX_SESSIONS, clock.wallMs());
      this.#toAll(sessionsText(alive.map(({ id }) => id)), 'sessions');
    } catch (error) {
      this.#sessionsStale = true;
      throw error;
    }
  }

  /** Devices that have seen the same get the same bytes. */
  async #syncProfile(profile: string): Promise<void> {
    const groups = new Map<number, EventClient[]>();
    for (const client of this.clients) {
      if (client.profile !== profile) continue;
      groups.set(client.sentVersion, [...(groups.get(client.sentVersion) ?? []), client]);
    }
    const era = this.#era;
    for (const [after, clients] of groups) {
      const list = await this.#deps.store.list({ viewer: this.#viewer, profile }, after);
      // What was read before an erasure is not to be sent after it; the profile has been marked again.
      if (this.#closed || this.#era !== era) return;
      this.#bring(
        clients.filter((client) => this.clients.has(client)),
        list,
      );
    }
  }

  #bring(clients: readonly EventClient[], { version, records, isWhole }: ResumeList): void {
    const bytes = records.length > 0 ? sharedBytes(Buffer.from(recordsText(records))) : undefined;
    for (const client of clients) {
      if (isWhole && client.sentVersion > 0) this.#beginAnew(client);
      client.sentVersion = version;
      if (bytes) {
        this.#write(client, bytes);
        this.#count(client, records);
      }
      client.isNew = false;
    }
  }

  /** What it has is not to be brought up to date, or is gone. */
  #beginAnew(client: EventClient): void {
    client.sentVersion = 0;
    this.#write(client, sharedBytes(Buffer.from(RESET)));
    this.#deps.metrics.events.inc({ event: 'reset' });
  }

  #count({ isNew }: EventClient, news: readonly ResumeRecord[]): void {
    const { metrics, clock } = this.#deps;
    metrics.events.inc({ event: 'record' }, news.length);
    if (isNew) return;
    const nowMs = clock.wallMs();
    for (const { eventMs, isDeleted } of news) {
      const tookMs = nowMs - eventMs;
      if (!isDeleted && tookMs >= 0 && tookMs <= MAX_PUSH_MS) metrics.pushSeconds.observe(tookMs / 1000);
    }
  }

  #toAll(text: string, event: 'session' | 'sessions'): void {
    const bytes = sharedBytes(Buffer.from(text));
    for (const client of [...this.clients]) {
      this.#write(client, bytes);
      this.#deps.metrics.events.inc({ event });
    }
  }

  #write(client: EventClient, bytes: SharedBytes): void {
    if (client.isBehind) return this.#deps.onBehind(client);
    client.write(bytes);
  }
}
