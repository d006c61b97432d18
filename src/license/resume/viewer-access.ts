import type { Clock } from '../../base/clock.ts';
import { AppError, type ErrorCode } from '../../base/errors.ts';
import type { HttpAnswer } from '../../http/types.ts';
import type { SessionStore, Standing } from '../../state/session-store.ts';
import type { Credentials } from '../authorised-request.ts';
import { parsePlaybackClaims } from '../playback-claims.ts';
import type { TokenGuard } from '../token-guard.ts';
import type { ViewerNames } from '../viewer-sessions.ts';

/** Whoever a token is for. */
export interface KnownViewer {
  readonly viewer: string;
  /** When the token runs out, ms since the Unix epoch. */
  readonly untilMs: number;
}

export type AccessOutcome =
  | ({ readonly ok: true } & KnownViewer)
  | { readonly ok: false; readonly error: AppError; readonly headers: NonNullable<HttpAnswer['extra']> };

export interface ViewerAccessDeps {
  readonly guard: TokenGuard;
  readonly names: ViewerNames;
  readonly sessions: SessionStore;
  readonly clock: Clock;
}

const REFUSAL_OF: Readonly<Partial<Record<Standing, ErrorCode>>> = {
  session_revoked: 'LICENSE_SESSION_REVOKED',
  viewer_revoked: 'LICENSE_VIEWER_REVOKED',
  device_revoked: 'LICENSE_DEVICE_REVOKED',
};

/** Finds out who asks: nothing that a client says counts, only its token. */
export class ViewerAccess {
  readonly #deps: ViewerAccessDeps;

  constructor(deps: ViewerAccessDeps) {
    this.#deps = deps;
  }

  /** By a login token. @throws AppError LICENSE_STATE_UNAVAILABLE */
  async byLogin(credentials: Credentials): Promise<AccessOutcome> {
    const { guard, names } = this.#deps;
    const checked = await guard.check(credentials, 'login');
    if (!checked.ok) return checked;
    const { issuer, subject, expiresMs } = checked.token;
    return { ok: true, viewer: names.of(issuer, subject), untilMs: expiresMs };
  }

  /**
   * By a login token, or by the playback token of a session of that very title, which may have ended but not have been
   * taken away. @throws AppError LICENSE_STATE_UNAVAILABLE
   */
  async byLoginOrPlayback(credentials: Credentials, title: string): Promise<AccessOutcome> {
    const login = await this.byLogin(credentials);
    // Anything else than the wrong kind of token stands: a proof counts once.
    if (login.ok || login.error.code !== 'TOKEN_INVALID') return login;
    const checked = await this.#deps.guard.check(credentials, 'playback');
    if (!checked.ok) return checked;
    const { token } = checked;
    const claims = parsePlaybackClaims(token);
    const ofTitle = claims?.owner.kind === 'vod' && claims.owner.id === title;
    if (!token.local || claims?.sessionId === undefined || !ofTitle) return refuse('TOKEN_INVALID');
    const standing = await this.#deps.sessions.standing(claims.sessionId, this.#deps.clock.wallMs());
    const refusal = REFUSAL_OF[standing];
    if (refusal !== undefined) return refuse(refusal);
    return { ok: true, viewer: token.subject, untilMs: token.expiresMs };
  }
}

function refuse(code: ErrorCode): AccessOutcome {
  return { ok: false, error: new AppError(code), headers: [] };
}
