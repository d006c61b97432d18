import { addressGroup } from '../../base/address-group.ts';
import type { Clock } from '../../base/clock.ts';
import { type ErrorCode, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Authoriser, PublishDecision } from '../authorise.ts';
import { AuthFailures } from '../address-limits.ts';
import type { Credentials } from './credentials.ts';

export interface AdmissionDeps {
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly authTimeoutMs: number;
  readonly maxAuthFailuresPerMinute: number;
}

/** Who asks to publish what. */
export interface Applicant {
  readonly session: string;
  readonly stream: string;
  readonly query: string;
  readonly remoteAddress: string;
  /** Undefined when the request shows none. */
  readonly credentials: Credentials | undefined;
}

/** What every publish is of, where a protocol does not name an application. */
const APP = 'live';

/**
 * Asks the authoriser for CMAF requests, and no more for an address that was refused too often. The path names the
 * stream, the Authorization header proves the right to it.
 */
export class Admissions {
  readonly #deps: AdmissionDeps;
  readonly #failures: AuthFailures;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
    this.#failures = new AuthFailures(deps.maxAuthFailuresPerMinute);
  }

  /** Gives the code of the refusal; undefined: admitted. */
  async ask(applicant: Applicant): Promise<ErrorCode | undefined> {
    const { clock, log } = this.#deps;
    const { session, stream, remoteAddress, credentials } = applicant;
    const group = addressGroup(remoteAddress);
    if (this.#failures.exhausted(group, clock.monotonicMs())) return 'HTTP_TOO_MANY_FAILURES';
    const decision = await this.#decide(applicant);
    if (decision === undefined) return 'INGEST_AUTH_UNAVAILABLE';
    if (decision.allow && decision.stream === stream) return undefined;
    // Clients that answer a challenge always come without credentials first: that is no attempt.
    if (!credentials) return 'INGEST_CMAF_UNAUTHORIZED';
    this.#failures.add(group, clock.monotonicMs());
    const reason = decision.allow ? 'other_stream' : decision.code;
    // Not the name that was asked for: who mistakes one field for another has written the key there.
    log.warn({ session, remoteAddress, reason }, 'CMAF publish refused');
    return 'INGEST_CMAF_FORBIDDEN';
  }

  /** Undefined when there is no answer. */
  async #decide({ credentials, stream, ...peer }: Applicant): Promise<PublishDecision | undefined> {
    const { authTimeoutMs, clock, log, authoriser } = this.#deps;
    const abort = new AbortController();
    const timer = clock.after(authTimeoutMs, () => abort.abort());
    const timedOut = new Promise<undefined>((resolve) => {
      abort.signal.addEventListener('abort', () => resolve(undefined));
    });
    const { session, query, remoteAddress } = peer;
    const request = {
      protocol: 'cmaf',
      session,
      app: APP,
      key: stream,
      query,
      remoteAddress,
      ...credentials,
    } as const;
    try {
      const decision = await Promise.race([authoriser.authorise(request, abort.signal), timedOut]);
      if (!decision) log.warn({ session, stream }, 'CMAF publish: the authoriser did not answer in time');
      return decision;
    } catch (error) {
      log.warn({ session, stream, code: errorCode(error) }, 'CMAF publish could not be authorised');
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}
