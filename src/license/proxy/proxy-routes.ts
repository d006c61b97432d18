import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { KeyDirectory } from '../../drm/content-key.ts';
import { parseQuery } from '../../http/query.ts';
import type { Route } from '../../http/router.ts';
import type { HttpAnswer, HttpRequest, HttpResponse } from '../../http/types.ts';
import type { Credentials, GrantedKey, LicenseGate } from '../authorised-request.ts';
import { withBearerToken } from '../authorised-request.ts';
import { licenseHeaders, licenseProblem, timeText } from '../license-problem.ts';
import type { Challenge, Grant, LicenseProxy, OpenKey, VendorReply } from './proxy.ts';
import { VendorUnavailable } from './vendor-backend.ts';
import type { ProxyOutcome, VendorMetrics } from './vendor-metrics.ts';

export interface ProxyRouteOptions {
  /** A longer challenge is answered 413. */
  readonly maxChallengeBytes: number;
}

export interface ProxyRouteDeps {
  readonly gate: LicenseGate;
  readonly keys: Pick<KeyDirectory, 'unwrap'>;
  readonly log: Logger;
  readonly metrics: VendorMetrics;
}

/** Key ids taken from `?kid=`; more are 400. */
const MAX_KIDS = 32;
/** Keys sent to a service for one licence; past it those of the oldest periods stay out. */
const MAX_KEYS = 64;
const KID = /^[0-9a-f]{32}$/i;

const LICENSE_HEADERS = licenseHeaders(undefined);

interface Asked {
  readonly answer: HttpAnswer;
  readonly outcome: ProxyOutcome;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/**
 * `POST /license/<system>`: a challenge in, the vendor's answer out, if policy lets it. Renewals are the same request
 * again and are judged again. `?kid=` names the keys wanted (UUIDs or hexadecimal, commas between them), `?renewal=1`
 * a renewal; neither is trusted for more than the session may have.
 */
export function proxyRoutes(
  proxies: readonly LicenseProxy[],
  options: ProxyRouteOptions,
  deps: ProxyRouteDeps,
): readonly Route[] {
  return proxies.map((proxy) => ({
    method: 'POST',
    path: `/license/${proxy.system}`,
    handler: async (request, response) => {
      const asked = await new Exchange(proxy, options, deps).run(request, response);
      deps.metrics.requested(proxy.system, asked.outcome);
      deps.log.info({ system: proxy.system, outcome: asked.outcome, ...asked.fields }, 'licence proxied');
      response.send(asked.answer);
    },
  }));
}

/** One challenge on its way. */
class Exchange {
  readonly #proxy: LicenseProxy;
  readonly #options: ProxyRouteOptions;
  readonly #deps: ProxyRouteDeps;

  constructor(proxy: LicenseProxy, options: ProxyRouteOptions, deps: ProxyRouteDeps) {
    this.#proxy = proxy;
    this.#options = options;
    this.#deps = deps;
  }

  async run(request: HttpRequest, response: HttpResponse): Promise<Asked> {
    const left = new AbortController();
    response.onAbort(() => left.abort());
    try {
      return await this.#run(request, left.signal);
    } catch (error) {
      if (left.signal.aborted) return { answer: problem(error), outcome: 'left' };
      if (!(error instanceof AppError)) throw error;
      return { answer: problem(error), outcome: outcomeOf(error), fields: { code: error.code } };
    }
  }

  async #run(request: HttpRequest, left: AbortSignal): Promise<Asked> {
    const { gate } = this.#deps;
    const credentials = gate.credentials(request);
    const query = parseQuery(request.query);
    const head = this.#proxy.head(request);
    const body = await request.body(this.#options.maxChallengeBytes);
    const kids = parseKids(query.get('kid'));
    const challenge = this.#proxy.read(body, head);
    if (!challenge || !kids) throw new AppError('LICENSE_REQUEST_MALFORMED');
    const verdict = await gate.authorise(withToken(credentials, challenge), {
      system: this.#proxy.system,
      kids,
      robustness: undefined,
      renewal: query.get('renewal') === '1',
    });
    if (!verdict.granted) return { answer: problem(verdict.error, verdict.headers), outcome: 'refused' };
    const grant = { ...verdict, keys: challenge.certificate ? [] : sentKeys(verdict) };
    if (grant.keys.length === 0 && !challenge.certificate) throw new AppError('LICENSE_NOT_ENTITLED');
    const reply = await this.#proxy.ask(challenge, grant, await this.#open(grant), left);
    return answerOf(reply, challenge, grant);
  }

  async #open({ keys }: Grant): Promise<readonly OpenKey[]> {
    if (!this.#proxy.sendsKeys) return [];
    return Promise.all(
      keys.map(async (granted) => ({ granted, content: await this.#deps.keys.unwrap(granted.entry) })),
    );
  }
}

/** Newest periods first. Policy has left out what the session may not have; a tier that it does not name stays out. */
function sentKeys({ keys, tiers }: Grant): readonly GrantedKey[] {
  return keys
    .filter(({ tier, entry }) => tier === entry.tier && tiers.includes(tier))
    .sort((a, b) => b.entry.period.index - a.entry.period.index)
    .slice(0, MAX_KEYS);
}

function withToken(credentials: Credentials, { token }: Challenge): Credentials {
  return token !== undefined && credentials.authorization === ''
    ? withBearerToken(credentials, token)
    : credentials;
}

function answerOf(reply: VendorReply, challenge: Challenge, grant: Grant): Asked {
  const fields = { session: grant.session.id, robustness: grant.robustness, tiers: grant.tiers };
  if (reply.kind === 'license') {
    const extra = [
      ['Content-Type', reply.contentType],
      ...(challenge.certificate ? [] : [expires(grant)]),
    ] as const;
    const answer = { status: 200, headers: LICENSE_HEADERS, extra, body: reply.body };
    return { answer, outcome: challenge.certificate ? 'certificate' : 'licensed', fields };
  }
  const answer = reply.body
    ? {
        status: reply.error.status,
        headers: LICENSE_HEADERS,
        extra: [['Content-Type', reply.body.contentType]] as const,
        body: reply.body.bytes,
      }
    : problem(reply.error);
  return { answer, outcome: reply.outcome, fields: { ...fields, reason: reply.reason } };
}

function expires({ expiresMs }: Grant): readonly [string, string] {
  return ['X-License-Expires', timeText(expiresMs)];
}

function outcomeOf(error: AppError): ProxyOutcome {
  if (error instanceof VendorUnavailable) return 'vendor_unavailable';
  if (error.code === 'LICENSE_NOT_ENTITLED') return 'refused';
  return error.code === 'DRM_KEYS_UNAVAILABLE' ? 'keys_unavailable' : 'malformed';
}

/** Whoever is to come again is told when. */
function problem(error: unknown, extra: HttpAnswer['extra'] = []): HttpAnswer {
  const seconds = error instanceof VendorUnavailable ? error.retryAfterSeconds : undefined;
  const retry = seconds === undefined ? [] : [['Retry-After', String(seconds)] as const];
  return licenseProblem(error, [...extra, ...retry]);
}

/** Undefined when it is no list of key ids. */
function parseKids(text: string | undefined): readonly Uint8Array[] | undefined {
  if (text === undefined || text === '') return [];
  const kids = text.split(',').map((kid) => kid.replaceAll('-', ''));
  if (kids.length > MAX_KIDS || !kids.every((kid) => KID.test(kid))) return undefined;
  return kids.map((kid) => Buffer.from(kid, 'hex'));
}
