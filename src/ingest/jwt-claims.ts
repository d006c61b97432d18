import { isStreamName } from '../stream/stream-name.ts';

/** Which streams a token lets its bearer publish: never throws, whatever the claims are. */
export interface PublishPermission {
  /** True when the stream may be published. */
  allows(stream: string): boolean;
  /** The one stream, when the token names exactly one. */
  readonly only: string | undefined;
}

/** Streams one token may name; of more none counts. */
const MAX_PERMISSIONS = 1000;
const MAX_PATTERN_LENGTH = 256;
/** So few that no pattern takes long on the 64 characters of a name. */
const MAX_REPEATS = 3;
const MAX_GROUPS = 3;
const NOTHING: PublishPermission = { allows: () => false, only: undefined };

/** One way of naming streams: a name, {@link ANY}, or a regular expression. */
type Rule = string | RegExp;
const ANY = '*';
/** MediaMTX calls a stream that is pushed to `rtmp://host/live/studio` `live/studio`; with us it is `studio`. */
const APP_PREFIX = 'live/';

/**
 * What a token's claims permit. `publish` is a stream's name, a list of them, or `*`; `permissionsClaim` names a list as
 * MediaMTX has it: `[{"action": "publish", "path": "studio"}]`, where no path is any and `~` begins a regular expression.
 */
export function publishPermission(
  claims: Readonly<Record<string, unknown>>,
  permissionsClaim: string,
): PublishPermission {
  const rules = [...ownRules(claims['publish']), ...mediamtxRules(claims[permissionsClaim])];
  if (rules.length === 0 || rules.length > MAX_PERMISSIONS) return NOTHING;
  const [first] = rules;
  const only = rules.length === 1 && typeof first === 'string' && first !== ANY ? first : undefined;
  return {
    allows: (stream) => isStreamName(stream) && rules.some((rule) => matches(rule, stream)),
    only,
  };
}

function matches(rule: Rule, stream: string): boolean {
  if (typeof rule === 'string') return rule === ANY || rule === stream;
  return rule.test(stream) || rule.test(`${APP_PREFIX}${stream}`);
}

function ownRules(claim: unknown): Rule[] {
  const names: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return names.filter(
    (name): name is string => typeof name === 'string' && (name === ANY || isStreamName(name)),
  );
}

function mediamtxRules(claim: unknown): Rule[] {
  const list = typeof claim === 'string' ? parseJson(claim) : claim;
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { action, path = '' } = entry as Readonly<Record<string, unknown>>;
    if (action !== 'publish' || (typeof path !== 'string' && path !== null)) return [];
    return mediamtxRule(path ?? '');
  });
}

function mediamtxRule(path: string): Rule[] {
  if (path === '') return [ANY];
  if (!path.startsWith('~')) {
    const name = path.startsWith(APP_PREFIX) ? path.slice(APP_PREFIX.length) : path;
    return isStreamName(name) ? [name] : [];
  }
  const pattern = safePattern(path.slice(1));
  return pattern === undefined ? [] : [pattern];
}

/**
 * A regular expression that cannot take long: no look-around, no back-reference, nothing repeated that is a group, few
 * repeats and groups. Undefined for others, which permit nothing.
 */
function safePattern(source: string): RegExp | undefined {
  if (source.length > MAX_PATTERN_LENGTH) return undefined;
  if (/\(\?|\\[1-9k]|\)[*+?{]/.test(source)) return undefined;
  if ((source.match(/[*+?{]/g) ?? []).length > MAX_REPEATS) return undefined;
  if ((source.match(/\(/g) ?? []).length > MAX_GROUPS) return undefined;
  try {
    return new RegExp(source, 'u');
  } catch {
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
