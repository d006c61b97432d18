import { createHash } from 'node:crypto';
import {
  KEY_TIERS,
  type DrmSystem,
  type KeyTier,
  type ProtectionScheme,
  type SystemData,
} from '../media/protection.ts';
import type { CryptoPeriod, KeyOwner } from './content-key.ts';
import { ENDLESS_MS } from './crypto-period.ts';
import { kidOfText, kidText } from './kid.ts';
import type { WrappedSecret } from './key-wrapper.ts';

/** A content key at rest. */
export interface StoredKey {
  readonly tier: KeyTier;
  readonly kid: Uint8Array;
  readonly wrapped: WrappedSecret;
  /** What a key server elsewhere wants players to be told. */
  readonly systems: readonly SystemData[] | undefined;
}

/** The keys of one owner in one crypto period: what one file holds, made at once and never changed. */
export interface KeySet {
  readonly owner: KeyOwner;
  readonly period: CryptoPeriod;
  readonly scheme: ProtectionScheme;
  readonly keys: readonly StoredKey[];
  /** A key under a KID that somebody else chose: beside the set of its period, not in its place. */
  readonly foreign: boolean;
  /**
   * A foreign key that its first owner, a live stream, has too: a title that was recorded of it has it as its own, wrapped
   * anew, without an end.
   */
  readonly adopted: boolean;
}

/** The place of a set among those of its owner; two sets of one place cannot both exist. */
export type KeySlot = Pick<KeySet, 'period' | 'scheme'> & {
  readonly tiers: readonly KeyTier[];
  /** For a foreign key. */
  readonly foreignKid: Uint8Array | undefined;
};

/** A larger file is none of ours. */
export const MAX_KEY_SET_BYTES = 256 * 1024;
/** An owner's name; longer ones are refused. */
export const MAX_OWNER_ID_LENGTH = 512;

const FORMAT = 1;
const OWNER_NAME_LENGTH = 40;
const OWNER_DIGEST_HEX_DIGITS = 16;
const SYSTEMS: readonly DrmSystem[] = ['clearkey', 'widevine', 'playready', 'fairplay'];

/**
 * The folder of an owner's keys: readable, safe on every file system, and another one for every owner (names may
 * differ in case only, or in what may not be in a file name).
 */
export function ownerFolder({ kind, id }: KeyOwner): string {
  const readable = id.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, OWNER_NAME_LENGTH);
  const digest = createHash('sha256').update(`${kind}\0${id}`).digest('hex');
  return `${kind}-${readable}-${digest.slice(0, OWNER_DIGEST_HEX_DIGITS)}`;
}

/** The name of a set's file without its ending. A changed rotation or scheme is another name, so keys never mix. */
export function slotName({ period, scheme, tiers, foreignKid }: KeySlot): string {
  if (foreignKid !== undefined) return `kid-${kidText(foreignKid)}-${scheme}`;
  const end = period.endMs === ENDLESS_MS ? 'endless' : String(period.endMs);
  const all = KEY_TIERS.every((tier) => tiers.includes(tier));
  return `${period.startMs}-${end}-${scheme}${all ? '' : `-${tiers.join('+')}`}`;
}

/** The slot that a set fills. */
export function slotOf({ period, scheme, keys, foreign }: KeySet): KeySlot {
  const tiers = keys.map(({ tier }) => tier);
  return { period, scheme, tiers, foreignKid: foreign ? keys[0]?.kid : undefined };
}

/**
 * What a wrapped key is bound to: moved to another stream, tier, period or KID, or told of otherwise, it does not
 * unwrap any more.
 */
export function wrapContext(
  set: Pick<KeySet, 'owner' | 'period' | 'scheme' | 'adopted'>,
  key: Omit<StoredKey, 'wrapped'>,
): Uint8Array {
  const { owner, period, scheme } = set;
  const bound = [
    'headwater content key 1',
    owner.kind,
    owner.id,
    key.tier,
    kidText(key.kid),
    scheme,
    period.index,
    period.startMs,
    period.endMs,
    key.systems?.map(systemJson) ?? null,
    ...(set.adopted ? ['adopted'] : []),
  ];
  return Buffer.from(JSON.stringify(bound));
}

/** As {@link parseKeySet} reads it. */
export function renderKeySet(set: KeySet): string {
  const { owner, period, scheme, foreign, adopted } = set;
  const keys = set.keys.map(({ tier, kid, wrapped, systems }) => ({
    tier,
    kid: kidText(kid),
    kek: wrapped.kekId,
    wrapped: base64(wrapped.sealed),
    ...(systems === undefined ? {} : { systems: systems.map(systemJson) }),
  }));
  const kind = adopted ? { foreign, adopted } : { foreign };
  return `${JSON.stringify({ format: FORMAT, owner, period, scheme, ...kind, keys }, undefined, 1)}\n`;
}

/** Reads the file of a set; undefined when it is not whole or not one. Never throws. */
export function parseKeySet(text: string): KeySet | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  const whole = recordOf(read);
  const owner = parseOwner(whole?.['owner']);
  const period = parsePeriod(whole?.['period']);
  const scheme = whole?.['scheme'];
  const foreign = whole?.['foreign'];
  const adopted = whole?.['adopted'] ?? false;
  const keys = parseKeys(whole?.['keys']);
  if (whole?.['format'] !== FORMAT || !owner || !period || !keys || typeof foreign !== 'boolean')
    return undefined;
  if (scheme !== 'cbcs' && scheme !== 'cenc') return undefined;
  if (foreign && keys.length !== 1) return undefined;
  if (typeof adopted !== 'boolean' || (adopted && !(foreign && owner.kind === 'vod'))) return undefined;
  return { owner, period, scheme, foreign, adopted, keys };
}

function parseOwner(read: unknown): KeyOwner | undefined {
  const owner = recordOf(read);
  const kind = owner?.['kind'];
  const id = owner?.['id'];
  if ((kind !== 'live' && kind !== 'vod') || typeof id !== 'string') return undefined;
  return { kind, id };
}

function parsePeriod(read: unknown): CryptoPeriod | undefined {
  const period = recordOf(read);
  const index = wholeNumber(period?.['index']);
  const startMs = wholeNumber(period?.['startMs']);
  const endMs = wholeNumber(period?.['endMs']);
  if (index === undefined || startMs === undefined || endMs === undefined || endMs <= startMs)
    return undefined;
  return { index, startMs, endMs };
}

/** At least one key; none of a tier or KID twice. */
function parseKeys(read: unknown): StoredKey[] | undefined {
  if (!Array.isArray(read) || read.length === 0 || read.length > KEY_TIERS.length) return undefined;
  const keys = read.map(parseKey).filter((key) => key !== undefined);
  const tiers = new Set(keys.map(({ tier }) => tier));
  const kids = new Set(keys.map(({ kid }) => kidText(kid)));
  return keys.length === read.length && tiers.size === keys.length && kids.size === keys.length
    ? keys
    : undefined;
}

function parseKey(read: unknown): StoredKey | undefined {
  const key = recordOf(read);
  const tier = KEY_TIERS.find((each) => each === key?.['tier']);
  const kid = kidOfText(key?.['kid']);
  const kekId = key?.['kek'];
  const sealed = bytesOf(key?.['wrapped']);
  const systems = parseSystems(key?.['systems']);
  if (!tier || !kid || typeof kekId !== 'string' || !sealed || systems === 'malformed') return undefined;
  return { tier, kid, wrapped: { kekId, sealed }, systems };
}

function parseSystems(read: unknown): readonly SystemData[] | undefined | 'malformed' {
  if (read === undefined) return undefined;
  if (!Array.isArray(read) || read.length > SYSTEMS.length) return 'malformed';
  const systems = read.map(parseSystem).filter((system) => system !== undefined);
  return systems.length === read.length ? systems : 'malformed';
}

function parseSystem(read: unknown): SystemData | undefined {
  const data = recordOf(read);
  const system = SYSTEMS.find((each) => each === data?.['system']);
  const url = data?.['licenseUrl'];
  if (!system || (url !== null && typeof url !== 'string')) return undefined;
  return {
    system,
    pssh: bytesOf(data?.['pssh']),
    playReadyObject: bytesOf(data?.['playReadyObject']),
    licenseUrl: url ?? undefined,
  };
}

function systemJson({ system, pssh, playReadyObject, licenseUrl }: SystemData): object {
  return {
    system,
    pssh: pssh ? base64(pssh) : null,
    playReadyObject: playReadyObject ? base64(playReadyObject) : null,
    licenseUrl: licenseUrl ?? null,
  };
}

function recordOf(read: unknown): Record<string, unknown> | undefined {
  return typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : undefined;
}

function wholeNumber(read: unknown): number | undefined {
  return Number.isSafeInteger(read) && (read as number) >= 0 ? (read as number) : undefined;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function bytesOf(read: unknown): Uint8Array | undefined {
  return typeof read === 'string' && /^[A-Za-z0-9_-]*$/.test(read)
    ? Buffer.from(read, 'base64url')
    : undefined;
}
