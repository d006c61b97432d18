import type { Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Authoriser, PublishDecision, PublishGrant, PublishRequest } from '../authorise.ts';
import { publishRole } from '../publish-role.ts';
import type { AuthFailures } from '../address-limits.ts';
import { type CloseReason, REJECTIONS } from './close-reason.ts';
import type { ConnectionStats, SrtConnection } from './connection.ts';
import { KeyRing } from './key-ring.ts';
import type { ConnectRequest } from './listener.ts';
import { Publication, type PublicationDeps } from './publication.ts';
import { REJECT } from './reject.ts';
import type { SrtOptions } from './srt-options.ts';
import { parseStreamId, type StreamIdRequest } from './stream-id.ts';

export interface SrtSessionDeps extends PublicationDeps {
  readonly options: SrtOptions;
  readonly authoriser: Authoriser;
  readonly authFailures: AuthFailures;
  readonly log: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
}

type State =
  | { readonly kind: 'authorising'; readonly abort: AbortController; readonly timer: Timer }
  | { readonly kind: 'publishing'; readonly publication: Publication; readonly connection: SrtConnection }
  | { readonly kind: 'closed' };

/** What the control API may show of one SRT publisher, or of one source that is pulled. */
export interface SrtSessionSnapshot {
  readonly session: string;
  readonly stream: string;
  readonly remoteAddress: string;
  readonly stats: ConnectionStats;
}

const QUIET_REASONS: ReadonlySet<CloseReason> = new Set(['unpublished', 'peer_idle', 'shutdown']);
const OUR_FAULTS: ReadonlySet<CloseReason> = new Set(['internal', 'auth_error']);

/** One caller, from its first good conclusion to its end. */
export class SrtSession {
  readonly #request: ConnectRequest;
  readonly #deps: SrtSessionDeps;
  readonly #onClosed: (session: SrtSession, connection: SrtConnection | undefined) => void;
  readonly #id: string;
  readonly #remoteAddress: string;
  readonly #log: Logger;
  #state: State = { kind: 'closed' };

  /** `onClosed` is told once, with the connection to end if there is one. */
  constructor(
    request: ConnectRequest,
    deps: SrtSessionDeps,
    onClosed: (session: SrtSession, connection: SrtConnection | undefined) => void,
  ) {
    const { address, port } = request.from;
    this.#request = request;
    this.#deps = deps;
    this.#onClosed = onClosed;
    this.#id = Buffer.from(deps.randomBytes(6)).toString('hex');
    this.#remoteAddress = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    this.#log = deps.log.child({ session: this.#id, remoteAddress: this.#remoteAddress });
  }

  /** Judges the request and asks the authoriser. */
  start(): void {
    const { authFailures, clock, metrics, options } = this.#deps;
    metrics.requested();
    const reading = parseStreamId(this.#request.offer.streamId);
    if (reading.kind === 'refused') {
      this.#turnAway(reading.code === REJECT.badMode ? 'mode_refused' : 'streamid_refused', {
        why: reading.why,
      });
      return;
    }
    if (authFailures.exhausted(this.#request.group, clock.monotonicMs())) {
      this.#turnAway('auth_rate');
      return;
    }
    const abort = new AbortController();
    const timer = clock.after(options.authTimeoutMs, () => this.#turnAway('auth_timeout'));
    const state: State = { kind: 'authorising', abort, timer };
    this.#state = state;
    void this.#authorise(state, reading.request, abort.signal);
  }

  /** About once a second. */
  watch(): void {
    if (this.#state.kind !== 'publishing') return;
    const { publication, connection } = this.#state;
    publication.watch(connection.stats());
  }

  /** Ends it because the server shuts down. Idempotent. */
  close(): void {
    if (this.#state.kind === 'authorising') this.#turnAway('shutdown');
    else if (this.#state.kind === 'publishing') this.#state.publication.close('shutdown');
  }

  snapshot(): SrtSessionSnapshot | undefined {
    if (this.#state.kind !== 'publishing') return undefined;
    const { publication, connection } = this.#state;
    const { stream } = publication;
    return { session: this.#id, stream, remoteAddress: this.#remoteAddress, stats: connection.stats() };
  }

  async #authorise(state: State, asked: StreamIdRequest, signal: AbortSignal): Promise<void> {
    const request: PublishRequest = {
      ...asked,
      protocol: 'srt',
      session: this.#id,
      remoteAddress: this.#request.from.address,
    };
    let decision: PublishDecision;
    let keys: KeyRing | 'bad_secret' | 'unsecure' | undefined;
    try {
      decision = await this.#deps.authoriser.authorise(request, signal);
      if (decision.allow) keys = await this.#openKeys(decision);
    } catch (error) {
      if (this.#state === state) this.#turnAway('auth_error', { err: error });
      return;
    }
    // Its time was up, or ours.
    if (this.#state !== state) return;
    if (!decision.allow) this.#refuse('auth_refused', { refusal: decision.code });
    else if (keys === 'bad_secret' || keys === 'unsecure') this.#refuse(keys, { stream: decision.stream });
    else this.#publish(decision.stream, asked, keys);
  }

  /** Both must encrypt or neither; one that proves itself by its passphrase must. */
  async #openKeys({ encryption }: PublishGrant): Promise<KeyRing | 'bad_secret' | 'unsecure' | undefined> {
    const { keys } = this.#request.offer;
    if (keys === undefined) return encryption?.required === true ? 'unsecure' : undefined;
    if (encryption === undefined) return 'unsecure';
    return (await KeyRing.open(encryption.passphrase, keys.material)) ?? 'bad_secret';
  }

  #publish(stream: string, asked: StreamIdRequest, keys: KeyRing | undefined): void {
    const info = {
      stream,
      role: publishRole(asked.query),
      session: this.#id,
      remoteAddress: this.#remoteAddress,
    };
    let opened: Publication | CloseReason;
    try {
      opened = Publication.open(info, this.#deps.options, this.#deps, (reason, fields) =>
        this.#ended(reason, fields),
      );
    } catch (error) {
      this.#turnAway('internal', { stream, err: error });
      return;
    }
    if (typeof opened === 'string') {
      this.#turnAway(opened, { stream });
      return;
    }
    if (this.#state.kind === 'authorising') this.#state.timer.cancel();
    const connection = this.#request.accept(keys, opened);
    if (connection === undefined) {
      opened.close('internal');
      return;
    }
    this.#state = { kind: 'publishing', publication: opened, connection };
    const { latencyMs } = connection.stats();
    this.#log.info({ stream, latencyMs, encrypted: keys !== undefined }, 'SRT publish started');
  }

  /** Refuses somebody who might be guessing. */
  #refuse(reason: CloseReason, fields: Record<string, unknown>): void {
    this.#deps.authFailures.add(this.#request.group, this.#deps.clock.monotonicMs());
    this.#turnAway(reason, fields);
  }

  #turnAway(reason: CloseReason, fields: Record<string, unknown> = {}): void {
    if (this.#state.kind === 'authorising') {
      this.#state.timer.cancel();
      this.#state.abort.abort();
    }
    this.#state = { kind: 'closed' };
    this.#deps.metrics.closed(reason);
    this.#request.reject(REJECTIONS[reason] ?? REJECT.peer);
    this.#say(reason, fields, 'SRT caller turned away');
    this.#onClosed(this, undefined);
  }

  /** The publication is over, whoever ended it. */
  #ended(reason: CloseReason, fields: Record<string, unknown>): void {
    const state = this.#state;
    this.#state = { kind: 'closed' };
    this.#deps.metrics.closed(reason);
    if (state.kind !== 'publishing') {
      this.#onClosed(this, undefined);
      return;
    }
    const { publication, connection } = state;
    const stats = connection.stats();
    publication.count(stats);
    this.#say(reason, { stream: publication.stream, ...fields, stats }, 'SRT session ended');
    this.#onClosed(this, connection);
  }

  #say(reason: CloseReason, fields: Record<string, unknown>, message: string): void {
    const line = { reason, ...fields };
    if (OUR_FAULTS.has(reason)) this.#log.error(line, message);
    else if (QUIET_REASONS.has(reason)) this.#log.info(line, message);
    else this.#log.warn(line, message);
  }
}
