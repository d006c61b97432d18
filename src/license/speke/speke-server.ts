import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { ContentKey, CryptoPeriod, KeyDirectory, KeyEntry, KeyOwner } from '../../drm/content-key.ts';
import { CPIX_VERSION, type CpixDocument, type CpixRefusal } from '../../drm/cpix/cpix-document.ts';
import { encryptKeys } from '../../drm/cpix/key-wrapping.ts';
import { readCpix } from '../../drm/cpix/read-cpix.ts';
import { writeCpix } from '../../drm/cpix/write-cpix.ts';
import { kidHex } from '../../drm/kid.ts';
import type { SignallingOptions } from '../../drm/signalling.ts';
import { headerBlock } from '../../http/header-block.ts';
import type { HttpAnswer, HttpHandler, HttpRequest } from '../../http/types.ts';
import type { KeyTier } from '../tiers.ts';
import { readOrder, type OrderedKey, type SpekeOrder, type SpekeScheme } from './speke-contract.ts';
import { filledIn } from './speke-signalling.ts';
import { SPEKE_USER_AGENT, SPEKE_VERSION } from './speke-version.ts';

/** What the key store does for packagers elsewhere. */
export interface SpekeKeys extends Pick<KeyDirectory, 'find' | 'unwrap'> {
  /** The key under a KID that somebody else chose; made when there is none. @throws AppError DRM_KEYS_UNAVAILABLE */
  foreignKey(request: {
    readonly owner: KeyOwner;
    readonly kid: Uint8Array;
    readonly tier: KeyTier;
    readonly scheme: SpekeScheme;
    readonly period: CryptoPeriod | undefined;
  }): Promise<ContentKey>;
}

export interface SpekeServerOptions {
  /** What peers show as bearer token or in X-API-Key. */
  readonly apiKeys: readonly string[];
  /** A longer document is answered 413. */
  readonly maxDocumentBytes: number;
  /** Whether documents without a certificate to encrypt keys for are refused. */
  readonly requireEncryption: boolean;
  readonly signalling: Pick<SignallingOptions, 'licenseUrls' | 'widevineProvider'>;
}

export interface SpekeServerDeps {
  readonly keys: SpekeKeys;
  /** Whether a bearer token is the admin's. Takes the same time whatever is given. */
  readonly isAdmin: (token: string) => boolean;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly randomBytes: (size: number) => Uint8Array;
}

const COMMON = [
  ['Cache-Control', 'no-store'],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Speke-Version', SPEKE_VERSION],
  ['X-Speke-User-Agent', SPEKE_USER_AGENT],
] as const;
const XML_HEADERS = headerBlock([['Content-Type', 'application/xml'], ...COMMON]);
const TEXT_HEADERS = headerBlock([['Content-Type', 'text/plain; charset=utf-8'], ...COMMON]);

type Outcome =
  | 'ok'
  | 'unauthorized'
  | 'version'
  | 'malformed'
  | 'unsupported'
  | 'conflict'
  | 'unavailable'
  | 'too_large';

/** A refusal in words, for the operator of the packager. */
class Refused extends Error {
  readonly status: number;
  readonly outcome: Outcome;

  constructor(status: number, outcome: Outcome, words: string) {
    super(words);
    this.status = status;
    this.outcome = outcome;
  }
}

/** `POST /speke/v2`: the key server of packagers elsewhere (SPEKE 2.0). A document is answered whole or with an error. */
export function createSpekeServer(options: SpekeServerOptions, deps: SpekeServerDeps): HttpHandler {
  const isKnown = createAccessCheck(options.apiKeys, deps.isAdmin);
  const requests = deps.metrics.counter(
    'license_speke_requests_total',
    'Requests of packagers for keys (SPEKE), by outcome.',
    ['outcome'],
  );
  const run = async (request: HttpRequest): Promise<HttpAnswer> => {
    if (request.method !== 'POST') throw new Refused(405, 'malformed', 'POST is the only method');
    if (!isKnown(request))
      throw new Refused(401, 'unauthorized', 'a bearer token or API key is missing or wrong');
    const version = request.header('x-speke-version');
    if (version !== SPEKE_VERSION)
      throw new Refused(422, 'version', `X-Speke-Version must be ${SPEKE_VERSION}`);
    const text = Buffer.from(await request.body(options.maxDocumentBytes)).toString('utf8');
    const document = usable(readCpix(text), 400, 'malformed');
    const order = usable(readOrder(document), 422, 'unsupported');
    if (options.requireEncryption && document.deliveries.length === 0)
      throw new Refused(
        422,
        'unsupported',
        'keys are given out encrypted only: name a certificate in DeliveryDataList',
      );
    const keys = await keysOf(order, deps.keys);
    const answer = usable(
      encryptKeys(answerTo(document, order, keys, options), deps.randomBytes),
      422,
      'unsupported',
    );
    deps.log.info(
      { owner: order.owner, keys: keys.size, encrypted: answer.deliveries.length > 0 },
      'keys given by SPEKE',
    );
    return { status: 200, headers: XML_HEADERS, body: Buffer.from(writeCpix(answer)) };
  };
  return async (request, response) => {
    try {
      const answer = await run(request);
      requests.inc({ outcome: 'ok' });
      response.send(answer);
    } catch (error) {
      const refused = asRefusal(error);
      requests.inc({ outcome: refused.outcome });
      deps.log.warn({ outcome: refused.outcome, code: errorCode(error) }, 'SPEKE request refused');
      response.send(refusalAnswer(refused));
    }
  };
}

function usable<T extends object>(outcome: T | CpixRefusal, status: number, kind: Outcome): T {
  if ('refused' in outcome) throw new Refused(status, kind, outcome.refused);
  return outcome;
}

function asRefusal(error: unknown): Refused {
  if (error instanceof Refused) return error;
  if (!(error instanceof AppError)) throw error;
  const outcome =
    error.code === 'DRM_KEYS_UNAVAILABLE'
      ? 'unavailable'
      : error.code === 'HTTP_BODY_TOO_LARGE'
        ? 'too_large'
        : 'malformed';
  return new Refused(
    error.status,
    outcome,
    outcome === 'unavailable' ? 'the keys are not available now' : error.message,
  );
}

function refusalAnswer({ status, message, outcome }: Refused): HttpAnswer {
  const extra: [string, string][] = [];
  if (status === 401) extra.push(['WWW-Authenticate', 'Bearer']);
  if (status === 405) extra.push(['Allow', 'POST']);
  if (outcome === 'unavailable') extra.push(['Retry-After', '2']);
  return { status, headers: TEXT_HEADERS, body: Buffer.from(`${message}\n`), extra };
}

/** Each key of the order, by KID. Nothing is made before all of them are known to be free or ours to give. */
async function keysOf(order: SpekeOrder, keys: SpekeKeys): Promise<ReadonlyMap<string, ContentKey>> {
  const known = order.keys.map((key) => ({ key, entry: keys.find(key.kid, order.owner) }));
  if (!known.every(({ key, entry }) => !entry || isOf(entry, key, order.owner)))
    throw new Refused(
      409,
      'conflict',
      'a key id of the request is in use for another content, track type or scheme',
    );
  const found = new Map<string, ContentKey>();
  for (const { key, entry } of known) {
    const { kid, tier, scheme, period } = key;
    const content = entry
      ? await keys.unwrap(entry)
      : await keys.foreignKey({ owner: order.owner, kid, tier, scheme, period });
    found.set(kidHex(kid), content);
  }
  return found;
}

function isOf(entry: KeyEntry, { tier, scheme }: OrderedKey, owner: KeyOwner): boolean {
  const { owner: of } = entry;
  return of.kind === owner.kind && of.id === owner.id && entry.tier === tier && entry.scheme === scheme;
}

/** The request again, with keys and systems filled in: nothing is added that was not asked for. */
function answerTo(
  document: CpixDocument,
  { contentId, keys: ordered, systems }: SpekeOrder,
  keys: ReadonlyMap<string, ContentKey>,
  { signalling }: SpekeServerOptions,
): CpixDocument {
  const keyOf = (kid: Uint8Array): ContentKey => {
    const key = keys.get(kidHex(kid));
    if (!key) throw new Error('a key of the order is missing');
    return key;
  };
  const fairPlay = new Set(
    systems.filter(({ system }) => system === 'fairplay').map(({ entry }) => kidHex(entry.kid)),
  );
  return {
    ...document,
    version: CPIX_VERSION,
    contentKeys: ordered.map(({ entry, kid }) => {
      const { key, constantIv } = keyOf(kid);
      // FairPlay's licence must have the IV, which is in no segment that its key server sees.
      const wantsIv = fairPlay.has(kidHex(kid)) || entry.explicitIv !== undefined;
      return {
        ...entry,
        explicitIv: wantsIv ? constantIv : undefined,
        secret: { kind: 'plain', value: key },
      };
    }),
    drmSystems: systems.map((system) => filledIn(system, keyOf(system.entry.kid), contentId, signalling)),
  };
}

function createAccessCheck(
  apiKeys: readonly string[],
  isAdmin: (token: string) => boolean,
): (request: HttpRequest) => boolean {
  const digests = apiKeys.map(digest);
  return (request) => {
    const bearer = /^Bearer +(\S+) *$/i.exec(request.header('authorization'))?.[1] ?? '';
    const given = bearer || request.header('x-api-key');
    if (given === '') return false;
    const asked = digest(given);
    const matches = digests.filter((each) => timingSafeEqual(each, asked)).length;
    const admin = isAdmin(bearer);
    return matches > 0 || (bearer !== '' && admin);
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
