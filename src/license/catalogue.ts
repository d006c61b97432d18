import type { KeyOwner } from '../drm/content-key.ts';
import type { Entitlement, EntitlementQuestion, Entitlements } from './entitlement.ts';
import { isTier, type KeyTier, TIERS } from './tiers.ts';
import { parseTitlePattern, type TitlePattern } from './title-pattern.ts';

/** One rule of the catalogue: for some content, under some conditions. */
export interface CatalogueRule {
  readonly content: readonly TitlePattern[];
  /** Ms since the Unix epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly tiers: readonly KeyTier[];
  /** Countries; undefined: anywhere. */
  readonly regions: readonly string[] | undefined;
  /** What the login token must have: a claim with one of these values, or one of these in its list. */
  readonly claims: ReadonlyMap<string, readonly ClaimValue[]>;
  readonly maxSessions: number | undefined;
  /** Where the credits of the titles begin. */
  readonly creditsMs: number | undefined;
}

type ClaimValue = string | number | boolean;
type Json = Readonly<Record<string, unknown>>;

const MAX_RULES = 10_000;
const MAX_LIST = 1000;
const MAX_SESSIONS = 1000;
const COUNTRY = /^[A-Z]{2}$/;
const MEMBERS: ReadonlySet<string> = new Set([
  ...['content', 'from', 'until', 'tiers', 'regions', 'claims', 'maxSessions', 'creditsMs'],
]);

/**
 * Who may play what, by rules in an order. The first that is for the content, whose window is open and whose claims and
 * region fit, says with what; content without one may be played by nobody.
 */
export class Catalogue {
  readonly #rules: readonly CatalogueRule[];

  constructor(rules: readonly CatalogueRule[]) {
    this.#rules = rules;
  }

  entitle({ owner, claims, country, nowMs }: EntitlementQuestion): Entitlement | undefined {
    const fitting = this.#rules.filter(
      (rule) => isFor(rule, owner) && isOpen(rule, nowMs) && hasClaims(rule, claims),
    );
    // Where only the region stands in the way, it is what the refusal names.
    const rule = fitting.find(({ regions }) => regions?.includes(country ?? '') ?? true) ?? fitting[0];
    return (
      rule && {
        tiers: rule.tiers,
        untilMs: rule.untilMs,
        countries: rule.regions,
        maxSessions: rule.maxSessions,
      }
    );
  }

  /** Where the credits of a title begin, by the first rule that says so. */
  creditsMs(owner: KeyOwner): number | undefined {
    return this.#rules.find((rule) => rule.creditsMs !== undefined && isFor(rule, owner))?.creditsMs;
  }
}

/**
 * Reads a catalogue: `{"rules": [{"content", "from"?, "until"?, "tiers"?, "regions"?, "claims"?, "maxSessions"?, "creditsMs"?}]}`. A
 * sentence says what is wrong, and with which rule: a rule that is not understood must not let anybody in.
 */
export function parseCatalogue(
  value: unknown,
): { readonly catalogue: Catalogue } | { readonly problem: string } {
  const rules = isObject(value) && Object.keys(value).length === 1 ? value['rules'] : undefined;
  if (!Array.isArray(rules)) return { problem: 'expected one key, "rules", with a list' };
  if (rules.length > MAX_RULES) return { problem: `expected at most ${MAX_RULES} rules` };
  const parsed: CatalogueRule[] = [];
  for (const [index, item] of rules.entries()) {
    const rule = parseRule(item);
    if (typeof rule === 'string') return { problem: `rule ${index + 1}: ${rule}` };
    parsed.push(rule);
  }
  return { catalogue: new Catalogue(parsed) };
}

/** What two sources both allow. */
export function bothEntitle(first: Entitlements, second: Entitlements): Entitlements {
  return {
    async entitle(question) {
      const a = await first.entitle(question);
      const b = a && (await second.entitle(question));
      return b && common(a, b);
    },
  };
}

function common(a: Entitlement, b: Entitlement): Entitlement {
  const countries =
    a.countries && b.countries ? a.countries.filter((code) => b.countries?.includes(code)) : undefined;
  return {
    tiers: a.tiers.filter((tier) => b.tiers.includes(tier)),
    untilMs: Math.min(a.untilMs, b.untilMs),
    countries: countries ?? a.countries ?? b.countries,
    maxSessions: leastOf(a.maxSessions, b.maxSessions),
  };
}

function leastOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function isFor({ content }: CatalogueRule, owner: KeyOwner): boolean {
  return content.some((matches) => matches(owner));
}

function isOpen({ fromMs, untilMs }: CatalogueRule, nowMs: number): boolean {
  return fromMs <= nowMs && nowMs < untilMs;
}

function hasClaims({ claims }: CatalogueRule, given: Json): boolean {
  for (const [name, wanted] of claims) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!values.some((each) => wanted.includes(each as ClaimValue))) return false;
  }
  return true;
}

function parseRule(item: unknown): CatalogueRule | string {
  if (!isObject(item)) return 'expected keys and values';
  const unknown = Object.keys(item).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) return `${JSON.stringify(unknown)} is not known`;
  const { regions, maxSessions, creditsMs } = item;
  const content = listOf(item['content']).map(parseTitlePattern);
  const tiers = item['tiers'] === undefined ? TIERS : listOf(item['tiers']);
  const fromMs = parseTime(item['from'], Number.NEGATIVE_INFINITY);
  const untilMs = parseTime(item['until'], Number.POSITIVE_INFINITY);
  const countries = regions === undefined ? undefined : listOf(regions);
  const claims = parseClaims(item['claims']);
  if (content.length === 0 || content.length > MAX_LIST || !content.every((each) => each !== undefined))
    return 'expected "content" to be such as vod/film, vod/series-*, live/* or *';
  if (fromMs === undefined || untilMs === undefined)
    return 'expected "from" and "until" to be times such as 2026-12-24T18:00:00Z';
  if (tiers.length === 0 || !tiers.every(isTier)) return 'expected "tiers" to be of AUDIO, SD, HD, UHD';
  if (countries && (countries.length === 0 || !countries.every(isCountry)))
    return 'expected "regions" to be country codes of two capital letters';
  if (claims === undefined) return 'expected "claims" to be names, each with a value or a list of values';
  if (maxSessions !== undefined && !isCount(maxSessions, MAX_SESSIONS))
    return `expected "maxSessions" to be a whole number from 1 to ${MAX_SESSIONS}`;
  if (creditsMs !== undefined && !isCount(creditsMs, Number.MAX_SAFE_INTEGER))
    return 'expected "creditsMs" to be milliseconds from the beginning';
  return {
    ...{ content, fromMs, untilMs, claims, maxSessions, creditsMs },
    tiers: TIERS.filter((tier) => tiers.includes(tier)),
    regions: countries,
  };
}

function parseClaims(value: unknown): ReadonlyMap<string, readonly ClaimValue[]> | undefined {
  if (value === undefined) return new Map();
  if (!isObject(value)) return undefined;
  const claims = new Map<string, readonly ClaimValue[]>();
  for (const [name, wanted] of Object.entries(value)) {
    const values = listOf(wanted);
    if (values.length === 0 || values.length > MAX_LIST || !values.every(isClaimValue)) return undefined;
    claims.set(name, values);
  }
  return claims;
}

/** RFC 3339 with a time zone, which YAML keeps as text; `missing` where there is none. */
function parseTime(value: unknown, missing: number): number | undefined {
  if (value === undefined) return missing;
  if (
    typeof value !== 'string' ||
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value)
  )
    return undefined;
  // oxlint-disable-next-line no-restricted-globals -- reads a given time, not the time
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCountry(value: unknown): value is string {
  return typeof value === 'string' && COUNTRY.test(value);
}

function isClaimValue(value: unknown): value is ClaimValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}
