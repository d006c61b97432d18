import type { KeyOwner } from '../drm/content-key.ts';
import { contentName } from './playback-claims.ts';
import { isTier, type KeyTier, TIERS } from './tiers.ts';

/** Who wants to play what. */
export interface EntitlementQuestion {
  readonly issuer: string;
  readonly subject: string;
  /** Of the login token, verified. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly owner: KeyOwner;
  /** Two letters, upper case; undefined when nobody has said. */
  readonly country: string | undefined;
  readonly nowMs: number;
}

/** What a user may do with a title. */
export interface Entitlement {
  readonly tiers: readonly KeyTier[];
  /** Ms since the Unix epoch; infinite when it does not end. */
  readonly untilMs: number;
  /** Countries it may be played in; undefined: anywhere the server allows. */
  readonly countries: readonly string[] | undefined;
  /** Sessions at once; undefined: as configured. */
  readonly maxSessions: number | undefined;
}

/** Knows what users may play: from the token, a catalogue, a back end. */
export interface Entitlements {
  /** Undefined: nothing. A rejected promise refuses too. */
  entitle(question: EntitlementQuestion): Promise<Entitlement | undefined>;
}

/** Claims that change with every token and say nothing of the user. */
const PASSING: ReadonlySet<string> = new Set(['iat', 'exp', 'nbf', 'jti', 'auth_time', 'nonce', 'at_hash']);

/** What a token says of its user, in an order: the same for each token of the user. */
export function lastingClaims(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const lasting = Object.entries(claims).filter(([name]) => !PASSING.has(name));
  return Object.fromEntries(lasting.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const MAX_RULES = 1000;
const MAX_SESSIONS = 1000;
const COUNTRY = /^[A-Z]{2}$/;

/**
 * Entitlement by the login token itself. Without any of these claims a user may play everything:
 * `content` (list of `live/<stream>`, `vod/<title>`, `live/*`, `vod/*`), `tiers`, `ent` (end, seconds since the epoch),
 * `ent_from`, `geo` (countries), `maxSessions`. A claim that is there and wrong entitles to nothing.
 */
export const claimEntitlements: Entitlements = {
  async entitle({ claims, owner, nowMs }) {
    const { content, tiers = TIERS, ent, ent_from: from, geo, maxSessions } = claims;
    if (content !== undefined && !isListed(content, owner)) return undefined;
    if (!Array.isArray(tiers) || !tiers.every(isTier)) return undefined;
    if (!isTimeOrNone(ent) || !isTimeOrNone(from)) return undefined;
    if (ent !== undefined && ent * 1000 <= nowMs) return undefined;
    if (from !== undefined && from * 1000 > nowMs) return undefined;
    if (geo !== undefined && !isCountryList(geo)) return undefined;
    if (maxSessions !== undefined && !isCount(maxSessions)) return undefined;
    return {
      tiers: TIERS.filter((tier) => tiers.includes(tier)),
      untilMs: ent === undefined ? Number.POSITIVE_INFINITY : ent * 1000,
      countries: geo,
      maxSessions,
    };
  },
};

function isListed(content: unknown, owner: KeyOwner): boolean {
  if (!Array.isArray(content) || content.length > MAX_RULES) return false;
  return content.includes(contentName(owner)) || content.includes(`${owner.kind}/*`);
}

function isTimeOrNone(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && value >= 0 && value < 1e11);
}

function isCountryList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && COUNTRY.test(item));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SESSIONS;
}
