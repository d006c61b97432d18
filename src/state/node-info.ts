import type { Json } from './job-queue.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** Secrets that servers which share their viewers must share too. */
export const SHARED_SECRETS = ['licenseKey', 'tokenKeys', 'contentKeks'] as const;
export type SharedSecret = (typeof SHARED_SECRETS)[number];

/**
 * A value for each key that such a secret is made of, the one in use first: the same on another server exactly if the key
 * is, and of no use for finding it. A secret that a server does not use is not there.
 */
export type Fingerprints = Readonly<Partial<Record<SharedSecret, readonly string[]>>>;

/** What a server says of itself to the others. */
export interface NodeInfo {
  readonly version: string;
  /** Ms since the Unix epoch, by its own clock. */
  readonly startedMs: number;
  /** Where it serves media and control calls, as it is configured. */
  readonly media: string;
  readonly control: string;
  readonly process: ProcessIdentity;
  readonly secrets: Fingerprints;
}

/** A server that is there. */
export interface KnownNode extends NodeInfo {
  readonly node: string;
}

export function nodeJson({ process, ...info }: NodeInfo): Json {
  const { pid, realm = null, started = null } = process;
  return { ...info, process: { pid, realm, started }, secrets: { ...info.secrets } };
}

/** Undefined for what is none: another version may say other things. */
export function parseNodeInfo(value: Json): NodeInfo | undefined {
  if (!isObject(value)) return undefined;
  const { version, startedMs, media, control, process, secrets } = value;
  if (typeof version !== 'string' || typeof startedMs !== 'number') return undefined;
  if (typeof media !== 'string' || typeof control !== 'string') return undefined;
  return {
    ...{ version, startedMs, media, control },
    process: parseProcess(process),
    secrets: parseSecrets(secrets),
  };
}

/**
 * The secrets in which two servers differ. Where there are several keys it is enough for tokens that each knows the one
 * that the other signs with, and for content keys that there is one which both have.
 */
export function differingSecrets(a: Fingerprints, b: Fingerprints): SharedSecret[] {
  return SHARED_SECRETS.filter((secret) => {
    const [mine, theirs] = [a[secret], b[secret]];
    if (mine === undefined || theirs === undefined) return false;
    if (secret === 'contentKeks') return !mine.some((each) => theirs.includes(each));
    return !theirs.includes(mine[0] ?? '') || !mine.includes(theirs[0] ?? '');
  });
}

function parseProcess(value: unknown): ProcessIdentity {
  const { pid, realm, started } = isObject(value) ? value : {};
  return {
    pid: typeof pid === 'number' ? pid : 0,
    realm: typeof realm === 'string' ? realm : undefined,
    started: typeof started === 'string' ? started : undefined,
  };
}

function parseSecrets(value: unknown): Fingerprints {
  const known = isObject(value) ? value : {};
  return Object.fromEntries(
    SHARED_SECRETS.flatMap((secret) => {
      const prints = known[secret];
      return Array.isArray(prints) && prints.every((each) => typeof each === 'string')
        ? [[secret, prints]]
        : [];
    }),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
