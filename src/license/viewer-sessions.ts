import { createHash, createHmac } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { CreateOutcome, PlaybackSession, SessionStore, Standing } from '../state/session-store.ts';
import type { VerifiedToken } from './issuer-tokens.ts';
import { contentName, type PlaybackClaims } from './playback-claims.ts';

/** The session that a playback token plays in. */
export interface PlaybackHolder {
  readonly id: string;
  readonly viewer: string;
}

/** Longer than any session and any token of one: what is taken away does not come back. */
export const SESSION_REVOCATION_MS = 48 * 3_600_000;

/** A name for a user that is the same every time and tells nobody who it is. */
export class ViewerNames {
  readonly #secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** 22 characters. */
  of(issuer: string, subject: string): string {
    return createHmac('sha256', this.#secret)
      .update(`viewer\0${issuer}\0${subject}`)
      .digest()
      .subarray(0, 16)
      .toString('base64url');
  }
}

export interface ForeignSessionOptions {
  /** Sessions that one viewer may have at once. */
  readonly maxSessions: number;
  /** A session begun by a licence is over when no further one is asked for so long. */
  readonly idleMs: number;
}

/**
 * Whose playback session a token stands for. Tokens of our own name one that `POST /v1/sessions` began. A token of
 * somebody else's back end begins one with its first licence, so that it counts and can be revoked like any other.
 */
export class TokenSessions {
  readonly #store: SessionStore;
  readonly #names: ViewerNames;
  readonly #options: ForeignSessionOptions;
  readonly #clock: Clock;

  constructor(store: SessionStore, names: ViewerNames, options: ForeignSessionOptions, clock: Clock) {
    this.#store = store;
    this.#names = names;
    this.#options = options;
    this.#clock = clock;
  }

  /** Undefined for a token of ours that names no session: there is none such. */
  holderOf(token: VerifiedToken, claims: PlaybackClaims): PlaybackHolder | undefined {
    if (token.local) {
      return claims.sessionId === undefined ? undefined : { id: claims.sessionId, viewer: token.subject };
    }
    const viewer = this.#names.of(token.issuer, token.subject);
    return { id: foreignSessionId(token, claims), viewer };
  }

  /**
   * How the session stands; one of a foreign token is begun or kept going by the question.
   * @throws AppError LICENSE_TOO_MANY_STREAMS, LICENSE_STATE_UNAVAILABLE
   */
  async standing(token: VerifiedToken, claims: PlaybackClaims, holder: PlaybackHolder): Promise<Standing> {
    const nowMs = this.#clock.wallMs();
    if (token.local) return this.#store.standing(holder.id, nowMs);
    const aliveUntilMs = nowMs + this.#options.idleMs;
    const standing = await this.#store.heartbeat(holder.id, aliveUntilMs, nowMs);
    if (standing !== 'ended') return standing;
    const session: PlaybackSession = {
      id: holder.id,
      viewer: holder.viewer,
      device: claims.device,
      content: contentName(claims.owner),
      robustness: claims.robustness,
      tiers: claims.tiers,
      startedMs: nowMs,
      aliveUntilMs,
      endsMs: Math.max(token.expiresMs, claims.entitledUntilMs),
    };
    return standingOf(await this.#store.create(session, { maxAlive: this.#options.maxSessions, nowMs }));
  }
}

function standingOf(outcome: CreateOutcome): Standing {
  if (outcome.kind === 'limit') throw new AppError('LICENSE_TOO_MANY_STREAMS');
  return outcome.kind === 'created' ? 'alive' : outcome.standing;
}

/** The same for every token of one session; without `sid`, for all of one user, device and title. */
function foreignSessionId({ issuer, subject }: VerifiedToken, claims: PlaybackClaims): string {
  const { sessionId, device = '', owner } = claims;
  const of =
    sessionId === undefined ? ['', subject, device, contentName(owner)] : ['sid', subject, sessionId];
  return `x_${createHash('sha256')
    .update(JSON.stringify([issuer, ...of]))
    .digest('base64url')}`;
}
