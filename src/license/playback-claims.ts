import type { KeyOwner } from '../drm/content-key.ts';
import type { VerifiedToken } from './issuer-tokens.ts';
import { isThumbprint } from './jwk-thumbprint.ts';
import { isRobustness, isTier, type KeyTier, type Robustness, TIERS } from './tiers.ts';

/** What a playback token says that its bearer may play, and as whom. */
export interface PlaybackClaims {
  /** `sid`; undefined in a token of a back end that has no sessions. */
  readonly sessionId: string | undefined;
  /** `cid`: `live/<stream>` or `vod/<title>`. */
  readonly owner: KeyOwner;
  /** `tiers`: what the user is entitled to, whatever the device; all when the token has none. */
  readonly tiers: readonly KeyTier[];
  /** `rb`: what the device claims to be; L3 when the token has none. */
  readonly robustness: Robustness;
  /** `cnf.jkt`: the device that must prove itself. */
  readonly device: string | undefined;
  /** `ent`: until when it may be played, where that is another time than the token's own end; ms since the epoch. */
  readonly entitledUntilMs: number;
  /** `nbf` or `ent_from`: not before. */
  readonly entitledFromMs: number;
  /** `maxTtl`: longest licence, ms. */
  readonly maxTtlMs: number;
  /** `geo`: countries it may be played in; undefined: the token does not say. */
  readonly countries: readonly string[] | undefined;
  /** `once`: the token counts for one licence, by its `jti`. */
  readonly onceId: string | undefined;
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const COUNTRY = /^[A-Z]{2}$/;
const MAX_COUNTRIES = 250;

/** `live/<stream>` or `vod/<title>` as an owner of keys; undefined for anything else. */
export function parseContent(value: unknown): KeyOwner | undefined {
  const [, kind, id] = typeof value === 'string' ? (/^(live|vod)\/(.*)$/s.exec(value) ?? []) : [];
  if ((kind !== 'live' && kind !== 'vod') || id === undefined || !NAME.test(id)) return undefined;
  return { kind, id };
}

/** As tokens and logs name it. */
export function contentName({ kind, id }: KeyOwner): string {
  return `${kind}/${id}`;
}

/** The claims of a playback token; undefined when one is missing or has another form than it must. */
export function parsePlaybackClaims({ claims, expiresMs }: VerifiedToken): PlaybackClaims | undefined {
  const owner = parseContent(claims['cid']);
  const tiers = optional(claims['tiers'], parseTiers, TIERS);
  const robustness = optional(claims['rb'], parseRobustness, 'L3');
  const device = optional(claims['cnf'], parseConfirmation, undefined);
  const entitledUntilMs = optional(claims['ent'], parseSeconds, expiresMs);
  const entitledFromMs = optional(
    claims['ent_from'] ?? claims['nbf'],
    parseSeconds,
    Number.NEGATIVE_INFINITY,
  );
  const maxTtlMs = optional(claims['maxTtl'], parseSeconds, Number.POSITIVE_INFINITY);
  const countries = optional(claims['geo'], parseCountries, undefined);
  const { sid, jti, once } = claims;
  if (sid !== undefined && (typeof sid !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(sid))) return undefined;
  if (once !== undefined && typeof once !== 'boolean') return undefined;
  if (once === true && (typeof jti !== 'string' || jti === '' || jti.length > 128)) return undefined;
  if (
    owner === undefined ||
    tiers === WRONG ||
    robustness === WRONG ||
    device === WRONG ||
    entitledUntilMs === WRONG ||
    entitledFromMs === WRONG ||
    maxTtlMs === WRONG ||
    countries === WRONG
  ) {
    return undefined;
  }
  return {
    sessionId: sid,
    owner,
    tiers,
    robustness,
    device,
    entitledUntilMs,
    entitledFromMs,
    maxTtlMs,
    countries,
    onceId: once === true ? String(jti) : undefined,
  };
}

/** A claim that is there and not what it must be: the token is refused, nothing is guessed. */
const WRONG = Symbol('wrong claim');
type Wrong = typeof WRONG;

function optional<T, D>(value: unknown, parse: (value: unknown) => T | Wrong, missing: D): T | D | Wrong {
  return value === undefined ? missing : parse(value);
}

function parseTiers(value: unknown): readonly KeyTier[] | Wrong {
  return Array.isArray(value) && value.every(isTier) ? TIERS.filter((tier) => value.includes(tier)) : WRONG;
}

function parseRobustness(value: unknown): Robustness | Wrong {
  return isRobustness(value) ? value : WRONG;
}

/** `cnf` (RFC 7800) with `jkt` (RFC 9449 6.1); a confirmation of another kind cannot be checked and so counts as wrong. */
function parseConfirmation(value: unknown): string | Wrong {
  if (typeof value !== 'object' || value === null || !('jkt' in value)) return WRONG;
  return isThumbprint(value.jkt) ? value.jkt : WRONG;
}

function parseSeconds(value: unknown): number | Wrong {
  return typeof value === 'number' && value >= 0 && value < 1e11 ? value * 1000 : WRONG;
}

function parseCountries(value: unknown): readonly string[] | Wrong {
  if (!Array.isArray(value) || value.length > MAX_COUNTRIES) return WRONG;
  return value.every((country): country is string => typeof country === 'string' && COUNTRY.test(country))
    ? value
    : WRONG;
}
