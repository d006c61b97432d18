import type { ApiCaller, Token } from './api-caller.ts';
import { ApiError } from './api-error.ts';
import { backOffMs, type SdkClock } from './clock.ts';
import { type LicenseClient, LicenseCounter, type LicenseStatus } from './license-client.ts';
import type { SessionEnd, SessionGrant } from './session-types.ts';
import type { TitleResume } from './title-resume.ts';

export interface SessionDeps {
  readonly api: ApiCaller;
  readonly clock: SdkClock;
  /** Of a VOD title: where its reports go along with heartbeats. */
  readonly resume: TitleResume | undefined;
  /** Sends a request that outlives the page. */
  readonly fetch: (url: string, init: RequestInit) => Promise<unknown>;
  readonly device: string;
  readonly profile: string;
}

/** What a session is to a page. */
export interface SessionStatus extends LicenseStatus {
  readonly sessionId: string;
  /** Tiers of quality that its licences open. */
  readonly tiers: readonly string[];
  /** When the session ends, ms since the Unix epoch. */
  readonly expiresMs: number;
}

const BACK_OFF = { firstMs: 1000, mostMs: 15_000 };
/** Part of the time between heartbeats that chance takes off, so that not all come at once. */
const JITTER = 0.2;
/** The token in the path of everything that a session fetches. */
const PATH_TOKEN = /\/t\/[^/]+\//;

/**
 * The viewer's leave to play one thing: its own manifests and licences, bound to this browser's key. Kept alive by
 * heartbeats, which renew its tokens, until it is closed or taken away.
 */
export class Session {
  /** What players need; it follows the session as its tokens are renewed. */
  readonly licenses: LicenseClient;
  /** Where the viewer is in a VOD title; undefined for live. */
  readonly resume: TitleResume | undefined;
  /** It is over, by itself or by another's doing. */
  onEnded: ((reason: SessionEnd) => void) | undefined;
  readonly #deps: SessionDeps;
  readonly #counter: LicenseCounter;
  #grant: SessionGrant;
  #ended: SessionEnd | undefined;
  #failures = 0;
  #beating: Promise<void> | undefined;
  #cancelBeat: (() => void) | undefined;
  /** Made ahead: when the page goes there is no time to sign. */
  #farewell: Readonly<Record<string, string>> = {};
  /** The first licence request waits for a heartbeat, from which the nonce is known that its proof may need. */
  #isPrimed = false;

  constructor(grant: SessionGrant, deps: SessionDeps) {
    this.#grant = grant;
    this.#deps = deps;
    this.#counter = new LicenseCounter(() => deps.clock.nowMs());
    this.resume = deps.resume;
    this.licenses = this.#createLicenses();
    this.#schedule();
    void this.#prepareFarewell();
  }

  get id(): string {
    return this.#grant.sessionId;
  }

  /** Where its manifests are. They move when tokens are renewed; players that go on are kept up by {@link licenses}. */
  get manifests(): { readonly hls: URL; readonly dash: URL } {
    const { hls, dash } = this.#grant.manifests;
    return { hls: this.#deps.api.url(hls), dash: this.#deps.api.url(dash) };
  }

  /** Undefined: it goes on. */
  get ended(): SessionEnd | undefined {
    return this.#ended;
  }

  get status(): SessionStatus {
    const { sessionId, tiers, expiresAt } = this.#grant;
    return { sessionId, tiers, expiresMs: Date.parse(expiresAt), ...this.#counter.status };
  }

  /** A heartbeat now: after the network was away, say. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  /** Somebody else knows that it is over. */
  endedBy(reason: SessionEnd): void {
    this.#end(reason);
  }

  /** Ends the session, so that it does not count among the viewer's any more. Idempotent. */
  close(): void {
    if (this.#ended !== undefined) return;
    this.#end('closed');
    const url = this.#url('');
    const gone = this.#deps.fetch(url.href, { method: 'DELETE', keepalive: true, headers: this.#farewell });
    gone.catch(() => undefined);
  }

  get #token(): Token {
    const { token, tokenType } = this.#grant;
    return { text: token, isBound: tokenType === 'DPoP' };
  }

  #url(rest: string): URL {
    return this.#deps.api.url(this.#path(rest));
  }

  #path(rest: string): string {
    return `/v1/sessions/${encodeURIComponent(this.id)}${rest}`;
  }

  #schedule(): void {
    const { clock } = this.#deps;
    this.#cancelBeat?.();
    const everyMs = this.#grant.heartbeatSeconds * 1000;
    const random = clock.random();
    const delayMs =
      this.#failures > 0 ? backOffMs(this.#failures, BACK_OFF, random) : everyMs * (1 - JITTER * random);
    this.#cancelBeat = clock.after(Math.min(delayMs, everyMs), () => void this.beat());
  }

  async #beat(): Promise<void> {
    if (this.#ended !== undefined) return;
    const { api, resume, device, profile } = this.#deps;
    const report = resume?.forHeartbeat();
    const body = report ? { resume: { profile, device, ...report } } : {};
    try {
      this.#grant = await api.call<SessionGrant>(
        { method: 'POST', path: this.#path('/heartbeat'), body },
        this.#token,
      );
      this.#failures = 0;
      if (report) resume?.heartbeatDone(report, this.#grant.resume);
    } catch (error) {
      if (report) resume?.heartbeatDone(report, undefined);
      this.#failures++;
      if (error instanceof ApiError && !error.isPassing) return this.#end(endOf(error));
    }
    if (this.#ended !== undefined) return;
    this.#schedule();
    await this.#prepareFarewell();
  }

  async #prepareFarewell(): Promise<void> {
    this.#farewell = await this.#deps.api.headers('DELETE', this.#url(''), this.#token).catch(() => ({}));
  }

  #end(reason: SessionEnd): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#cancelBeat?.();
    this.onEnded?.(reason);
  }

  #createLicenses(): LicenseClient {
    const { api } = this.#deps;
    const url = api.url(this.#grant.licenseUrl);
    return {
      url,
      headers: async (body) => {
        this.#counter.asked(body);
        await this.#prime();
        return api.headers('POST', url, this.#token);
      },
      freshUrl: (old) => old.replace(PATH_TOKEN, PATH_TOKEN.exec(this.manifests.hls.pathname)?.[0] ?? '$&'),
      answered: (answer) => {
        this.#counter.answered(answer);
        api.noteNonce(answer.nonce ?? null);
      },
    };
  }

  /** A player does not send a licence request again with another proof. */
  async #prime(): Promise<void> {
    if (this.#isPrimed || !this.#token.isBound) return;
    this.#isPrimed = true;
    await this.beat();
  }
}

function endOf({ code, status }: ApiError): SessionEnd {
  if (code.endsWith('_REVOKED')) return 'revoked';
  return status === 404 || status === 410 || code.endsWith('_ENDED') ? 'ended' : 'refused';
}
