import type { ApiCaller } from './api-caller.ts';
import { ApiError } from './api-error.ts';
import { backOffMs, type SdkClock } from './clock.ts';
import type { ServerEvent } from './event-parser.ts';
import { EventStream } from './event-stream.ts';
import { Farewell } from './farewell.ts';
import type { Login } from './login.ts';
import type { OfflineQueue } from './offline-queue.ts';
import type { BatchResult, OfflineReport, ResumeRecord } from './resume-types.ts';
import type { ResumeClaim } from './session-types.ts';
import { TitleResume, type TitleTransport } from './title-resume.ts';

export interface ResumeDeps {
  readonly api: ApiCaller;
  readonly login: Login;
  readonly queue: OfflineQueue;
  readonly clock: SdkClock;
  /** The name that this device goes by. */
  readonly device: string;
  /** Hands a request to the browser that outlives the page; false: it does not take it. */
  readonly beacon: (url: string, text: string) => boolean;
  /** A session of the user is over, or these are the ones alive. */
  readonly onSessions: (news: SessionNews) => void;
}

export type SessionNews =
  | { readonly kind: 'over'; readonly sessionId: string; readonly state: string }
  | { readonly kind: 'alive'; readonly sessionIds: readonly string[] };

const FLUSH_BACK_OFF = { firstMs: 2000, mostMs: 60_000 };

/** Where one profile of the viewer is, in all titles: here, and as other devices go on. */
export class Resume {
  readonly profile: string;
  readonly #deps: ResumeDeps;
  readonly #open = new Set<TitleResume>();
  readonly #records = new Map<string, ResumeRecord>();
  readonly #listeners = new Set<(record: ResumeRecord) => void>();
  readonly #farewells = new Map<string, Farewell>();
  #events: EventStream | undefined;
  #flushing = false;
  #flushFailures = 0;
  #cancelFlush: (() => void) | undefined;
  #closed = false;

  constructor(profile: string, deps: ResumeDeps) {
    this.profile = profile;
    this.#deps = deps;
    this.flush();
  }

  /**
   * A play gesture: from now on other devices' reports of the title do not hold. Without an answer the title is open all
   * the same and claims later; what is known of it by events is where it begins. @throws ApiError for a refusal
   */
  async open(title: string): Promise<TitleResume> {
    try {
      return this.adopt(title, await this.#transport.claim(title));
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isPassing) throw error;
      return this.adopt(title, undefined);
    }
  }

  /** The same with a claim that was made at the start of a session. The caller closes it. */
  adopt(title: string, claim: ResumeClaim | undefined): TitleResume {
    const { queue, clock, api, login } = this.#deps;
    // A gesture on this page ends the one before.
    for (const before of [...this.#open]) if (before.title === title) this.release(before);
    const transport = this.#transport;
    const resume = new TitleResume(title, claim, { transport, queue, profile: this.profile, clock });
    this.#open.add(resume);
    if (!this.#farewells.has(title)) {
      this.#farewells.set(title, new Farewell(api, login, clock, api.url(reportPath(title))));
    }
    return resume;
  }

  /** What other devices change from now on. The returned function ends it. */
  onRecord(listener: (record: ResumeRecord) => void): () => void {
    this.#listeners.add(listener);
    this.listen();
    return () => this.#listeners.delete(listener);
  }

  /** Keeps a connection on which the server tells of changes, and of sessions that are over. Idempotent. */
  listen(): void {
    if (this.#closed) return;
    this.#events ??= new EventStream({
      connect: (lastId, signal) => this.#connect(lastId, signal),
      onEvent: (event) => this.#onEvent(event),
      onRefused: async (error) =>
        (await this.#deps.login.renew(error, await this.#deps.login.token())) !== undefined,
      clock: this.#deps.clock,
    });
  }

  /** What may be gone on with, the newest first. @throws ApiError */
  async continueWatching(limit = 50): Promise<readonly ResumeRecord[]> {
    const path = `/v1/resume/continue?profile=${encodeURIComponent(this.profile)}&limit=${limit}`;
    const { records } = await this.#call<{ readonly records: readonly ResumeRecord[] }>({
      method: 'GET',
      path,
    });
    return records;
  }

  /** Takes a title off the list. @throws ApiError */
  async remove(title: string): Promise<void> {
    const path = `/v1/resume/${encodeURIComponent(title)}?profile=${encodeURIComponent(this.profile)}`;
    await this.#call({ method: 'DELETE', path });
  }

  /** Sends what waits; by itself it happens when reports go through again. */
  readonly flush = (): void => {
    this.#cancelFlush?.();
    if (!this.#flushing && !this.#closed) void this.#flush();
  };

  /** The network is back: everything that waits goes on at once. */
  online(): void {
    this.#events?.hurry();
    for (const resume of this.#open) resume.retry();
    this.flush();
  }

  /** No more reports of one title. */
  release(resume: TitleResume): void {
    resume.close();
    this.#open.delete(resume);
    if ([...this.#open].some(({ title }) => title === resume.title)) return;
    this.#farewells.get(resume.title)?.close();
    this.#farewells.delete(resume.title);
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#events?.close();
    this.#cancelFlush?.();
    for (const resume of [...this.#open]) this.release(resume);
    this.#listeners.clear();
  }

  readonly #transport: TitleTransport = {
    claim: (title) =>
      this.#call({ method: 'POST', path: `/v1/resume/${encodeURIComponent(title)}`, body: this.#named }),
    report: (title, report) =>
      this.#call({
        method: 'PUT',
        path: `/v1/resume/${encodeURIComponent(title)}`,
        body: { ...this.#named, ...report },
      }),
    beacon: (title, report) => {
      const who = this.#farewells.get(title)?.take();
      if (!who) return false;
      const url = this.#deps.api.url(reportPath(title)).href;
      return this.#deps.beacon(url, JSON.stringify({ ...this.#named, ...report, ...who }));
    },
    flush: () => this.flush(),
  };

  get #named(): { readonly profile: string; readonly device: string } {
    return { profile: this.profile, device: this.#deps.device };
  }

  #call<T>(call: Parameters<ApiCaller['call']>[0]): Promise<T> {
    return this.#deps.login.call<T>(this.#deps.api, call);
  }

  async #connect(lastId: string, signal: AbortSignal): Promise<Response> {
    const { api, login } = this.#deps;
    const path = `/v1/resume/events?profile=${encodeURIComponent(this.profile)}`;
    const headers: Record<string, string> = lastId === '' ? {} : { 'Last-Event-ID': lastId };
    return api.send({ method: 'GET', path, headers }, await login.token(), signal);
  }

  #onEvent({ type, data }: ServerEvent): void {
    const value = parse(data);
    if (value === undefined) return;
    if (type === 'record') this.#learn(value as ResumeRecord);
    else if (type === 'reset') this.#records.clear();
    else if (type === 'session') {
      const { sessionId, state } = value as { readonly sessionId: string; readonly state: string };
      this.#deps.onSessions({ kind: 'over', sessionId, state });
    } else if (type === 'sessions') {
      const { alive } = value as { readonly alive: readonly string[] };
      this.#deps.onSessions({ kind: 'alive', sessionIds: alive });
    }
  }

  #learn(record: ResumeRecord): void {
    this.#records.set(record.title, record);
    for (const resume of this.#open) if (resume.title === record.title) resume.noticed(record);
    for (const listener of this.#listeners) listener(record);
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    try {
      const reports = await this.#deps.queue.list(this.profile);
      if (reports.length > 0) await this.#sendBatch(reports);
      this.#flushFailures = 0;
    } catch (error) {
      if (!(error instanceof ApiError) || error.isPassing) this.#flushLater();
    } finally {
      this.#flushing = false;
    }
  }

  async #sendBatch(reports: readonly OfflineReport[]): Promise<void> {
    const body = { ...this.#named, clientNowMs: this.#deps.clock.nowMs(), reports };
    const { results } = await this.#call<{ readonly results: readonly BatchResult[] }>({
      method: 'POST',
      path: '/v1/resume/batch',
      body,
    });
    let isLeft = false;
    for (const [index, report] of reports.entries()) {
      const result = results[index];
      if (!result || result.outcome === 'unavailable') isLeft = true;
      else void this.#deps.queue.remove(this.profile, report);
      if (result?.record) this.#learn(result.record);
    }
    if (isLeft) this.#flushLater();
  }

  #flushLater(): void {
    const { clock } = this.#deps;
    this.#cancelFlush = clock.after(
      backOffMs(++this.#flushFailures, FLUSH_BACK_OFF, clock.random()),
      this.flush,
    );
  }
}

function reportPath(title: string): string {
  return `/v1/resume/${encodeURIComponent(title)}/report`;
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
