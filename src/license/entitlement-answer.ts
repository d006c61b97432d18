import type { Entitlement } from './entitlement.ts';
import { isTier, TIERS } from './tiers.ts';

/** What a back end says. `broken`: it does not speak as it should, or is ill. */
export type EntitlementVerdict =
  | { readonly kind: 'allowed'; readonly entitlement: Entitlement; readonly ttlMs: number | undefined }
  | { readonly kind: 'denied'; readonly ttlMs: number | undefined }
  | { readonly kind: 'broken' };

const BROKEN: EntitlementVerdict = { kind: 'broken' };
const COUNTRY = /^[A-Z]{2}$/;
const MAX_COUNTRIES = 250;
const MAX_SESSIONS = 1000;
const MAX_MS = 1e14;

/**
 * Reads `{"allow": true, "tiers"?, "untilMs"?, "countries"?, "maxSessions"?, "ttlSeconds"?}` or `{"allow": false}`; 4xx is a no
 * too. A member that is there and wrong makes the whole answer broken: nothing is guessed.
 */
export function parseEntitlementAnswer(status: number, body: string): EntitlementVerdict {
  if (status >= 400 && status <= 499) return { kind: 'denied', ttlMs: undefined };
  const json = status >= 200 && status <= 299 ? parseObject(body) : undefined;
  if (json === undefined) return BROKEN;
  const { allow, tiers = TIERS, untilMs, countries, maxSessions, ttlSeconds } = json;
  if (!isAbsentOr(ttlSeconds, (value) => isBetween(value, 0, 86_400))) return BROKEN;
  const ttlMs = typeof ttlSeconds === 'number' ? ttlSeconds * 1000 : undefined;
  if (allow === false) return { kind: 'denied', ttlMs };
  if (allow !== true || !Array.isArray(tiers) || !tiers.every(isTier)) return BROKEN;
  if (!isAbsentOr(untilMs, (value) => isBetween(value, 0, MAX_MS))) return BROKEN;
  if (!isAbsentOr(countries, isCountryList)) return BROKEN;
  if (!isAbsentOr(maxSessions, (value) => Number.isInteger(value) && isBetween(value, 1, MAX_SESSIONS)))
    return BROKEN;
  return {
    kind: 'allowed',
    ttlMs,
    entitlement: {
      tiers: TIERS.filter((tier) => tiers.includes(tier)),
      untilMs: typeof untilMs === 'number' ? untilMs : Number.POSITIVE_INFINITY,
      countries: isCountryList(countries) ? countries : undefined,
      maxSessions: typeof maxSessions === 'number' ? maxSessions : undefined,
    },
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function isAbsentOr(value: unknown, isRight: (value: unknown) => boolean): boolean {
  return value === undefined || isRight(value);
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && value >= min && value <= max;
}

function isCountryList(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_COUNTRIES &&
    value.every((item) => typeof item === 'string' && COUNTRY.test(item))
  );
}
