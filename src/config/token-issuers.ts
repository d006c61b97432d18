import { Field } from './field.ts';

/** An issuer whose tokens count. */
export interface ConfiguredIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly uses: readonly ('login' | 'playback')[];
  /** One of the two. */
  readonly jwksUrl: string | undefined;
  readonly keyPath: string | undefined;
}

const ALGORITHMS: ReadonlySet<string> = new Set([
  ...['EdDSA', 'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['HS256', 'HS384', 'HS512'],
]);
const NAMES: ReadonlySet<string> = new Set(['iss', 'aud', 'alg', 'jwks', 'key', 'use']);
const MAX_ISSUERS = 50;
const MAX_TEXT = 512;
/** What our own tokens say they are from. */
const OWN_ISSUER = 'headwater';

/**
 * Reads `iss=…,aud=…,jwks=URL|key=FILE,alg=ES256+RS256,use=login+playback`, several issuers with spaces between, or
 * `none`. A sentence says what is wrong.
 */
export function parseTokenIssuers(
  given: string,
): { readonly issuers: readonly ConfiguredIssuer[] } | { readonly problem: string } {
  const text = given.trim();
  if (text === 'none') return { issuers: [] };
  const issuers: ConfiguredIssuer[] = [];
  for (const item of text.split(/\s+/)) {
    const issuer = parseIssuer(item);
    if (typeof issuer === 'string') return { problem: issuer };
    if (issuers.some((other) => other.issuer === issuer.issuer))
      return { problem: `${issuer.issuer} is there twice` };
    issuers.push(issuer);
  }
  return issuers.length > MAX_ISSUERS ? { problem: `expected at most ${MAX_ISSUERS} issuers` } : { issuers };
}

/**
 * The issuers of a configuration that was read.
 * @throws RangeError on text that {@link parseTokenIssuers} finds wrong: no configuration holds such
 */
export function configuredIssuers(text: string): readonly ConfiguredIssuer[] {
  const parsed = parseTokenIssuers(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed.issuers;
}

function parseIssuer(item: string): ConfiguredIssuer | string {
  const fields = new Map<string, string>();
  for (const pair of item.split(',')) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, equals));
    if (!NAMES.has(name) || fields.has(name))
      return 'expected none, or iss=…,aud=…,jwks=URL or key=FILE,alg=…';
    fields.set(name, pair.slice(equals + 1));
  }
  const { iss = '', aud = '', alg = 'ES256+EdDSA+RS256', use = 'login' } = Object.fromEntries(fields);
  if (iss === '' || aud === '' || iss.length > MAX_TEXT || aud.length > MAX_TEXT)
    return 'an issuer needs both iss=… and aud=…';
  if (iss === OWN_ISSUER) return `iss=${OWN_ISSUER} is the name of our own tokens`;
  const algorithms = alg.split('+');
  if (!algorithms.every((name) => ALGORITHMS.has(name)))
    return `${iss}: expected alg= to be such as ES256+RS256`;
  const uses = parseUses(use);
  if (uses === undefined) return `${iss}: expected use= to be login, playback or login+playback`;
  const problem = keyProblem(fields.get('jwks'), fields.get('key'), algorithms);
  if (problem !== undefined) return `${iss}: ${problem}`;
  return {
    issuer: iss,
    audience: aud,
    algorithms,
    uses,
    jwksUrl: fields.get('jwks'),
    keyPath: fields.get('key'),
  };
}

function parseUses(text: string): ('login' | 'playback')[] | undefined {
  const uses: ('login' | 'playback')[] = [];
  for (const word of text.split('+')) {
    if ((word !== 'login' && word !== 'playback') || uses.includes(word)) return undefined;
    uses.push(word);
  }
  return uses;
}

function keyProblem(
  jwks: string | undefined,
  key: string | undefined,
  algorithms: readonly string[],
): string | undefined {
  if ((jwks === undefined) === (key === undefined))
    return 'expected either jwks=URL or key=FILE, and not both';
  if (jwks !== undefined && (!/^https?:\/\//i.test(jwks) || !URL.canParse(jwks)))
    return 'jwks= is no http or https URL';
  if (key === '') return 'key= names no file';
  const shared = algorithms.filter((name) => name.startsWith('HS')).length;
  // One key would be taken for both: whoever knows the public one could then sign.
  if (shared !== 0 && shared !== algorithms.length)
    return 'HS256 and the like cannot be mixed with public keys';
  return shared !== 0 && jwks !== undefined ? 'HS256 and the like need key=FILE' : undefined;
}

/** Issuers of tokens as one line of text. */
export function tokenIssuers(defaultValue: string, doc: string): Field<string> {
  return new Field<string>({
    type: 'list',
    allowed: 'none, or `iss=…,aud=…,jwks=URL` with spaces between',
    default: defaultValue,
    doc,
    read(raw) {
      if (typeof raw !== 'string') return { problem: 'expected text' };
      const parsed = parseTokenIssuers(raw);
      return 'problem' in parsed ? parsed : { value: raw.trim() };
    },
  });
}
