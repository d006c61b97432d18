import type { Clock } from '../../base/clock.ts';
import type { ReplayCache } from '../../state/session-store.ts';
import { LOCAL_ISSUER, type TokenRing } from '../token-ring.ts';
import type { KnownViewer } from './viewer-access.ts';

/** What a ticket has as `aud`: it counts for nothing but one event stream. */
const AUDIENCE = 'headwater:events';
/** EventSource connects at once. */
const TICKET_LIFE_MS = 30_000;
const JTI_BYTES = 12;

export interface TicketDeps {
  readonly ring: TokenRing;
  readonly replay: ReplayCache;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** One-time tickets for EventSource, which cannot send headers: a token that lasts does not belong in a URL. */
export class EventTickets {
  readonly #deps: TicketDeps;

  constructor(deps: TicketDeps) {
    this.#deps = deps;
  }

  /** For one stream, which ends when the token does that the ticket was had with. */
  mint({ viewer, untilMs }: KnownViewer): { readonly ticket: string; readonly expiresMs: number } {
    const { ring, clock, randomBytes } = this.#deps;
    const nowSeconds = Math.floor(clock.wallMs() / 1000);
    const exp = nowSeconds + TICKET_LIFE_MS / 1000;
    const ticket = ring.sign({
      iss: LOCAL_ISSUER,
      aud: AUDIENCE,
      sub: viewer,
      iat: nowSeconds,
      exp,
      until: Math.floor(untilMs / 1000),
      jti: Buffer.from(randomBytes(JTI_BYTES)).toString('base64url'),
    });
    return { ticket, expiresMs: exp * 1000 };
  }

  /** Undefined: not ours, run out, or used. Rejects with AppError LICENSE_STATE_UNAVAILABLE. */
  async redeem(ticket: string): Promise<KnownViewer | undefined> {
    const { ring, replay, clock } = this.#deps;
    const claims = await ring.verify(ticket);
    if (claims === undefined || claims['aud'] !== AUDIENCE) return undefined;
    const { sub, exp, until, jti } = claims;
    if (typeof sub !== 'string' || typeof jti !== 'string') return undefined;
    if (typeof exp !== 'number' || typeof until !== 'number') return undefined;
    const nowMs = clock.wallMs();
    if (exp * 1000 <= nowMs || !(await replay.claim(`e:${jti}`, exp * 1000, nowMs))) return undefined;
    return { viewer: sub, untilMs: until * 1000 };
  }
}
