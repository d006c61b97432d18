import { createHash } from 'node:crypto';
import { type BreakerLimits, CircuitBreaker } from '../base/circuit-breaker.ts';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { OutgoingHttp } from '../base/outgoing-http.ts';
import { signatureHeaders } from '../base/webhook-signature.ts';
import {
  type Entitlement,
  type EntitlementQuestion,
  type Entitlements,
  lastingClaims,
} from './entitlement.ts';
import { type EntitlementVerdict, parseEntitlementAnswer } from './entitlement-answer.ts';
import type { EntitlementMetrics } from './entitlement-metrics.ts';

export interface EntitlementWebhookOptions {
  readonly url: string;
  /** Signs each call. */
  readonly secret: Uint8Array;
  /** How long an answer counts, unless it says less. */
  readonly cacheMs: number;
  /** At the limit the one that was asked for longest ago goes. */
  readonly maxCached: number;
  readonly breaker: BreakerLimits;
}

export interface EntitlementWebhookDeps {
  /** With the time limit of the calls. Closed by whoever made it. */
  readonly http: OutgoingHttp;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: EntitlementMetrics;
}

type Answer = Exclude<EntitlementVerdict, { kind: 'broken' }>;

interface Kept {
  readonly answer: Answer;
  readonly untilMs: number;
}

/** Who has been refused and then pays must not wait for long. */
const MAX_DENIAL_MS = 10_000;

/** Asks a back end what users may play. No answer, a late one and one that is not understood let nobody in. */
export class EntitlementWebhook implements Entitlements {
  readonly #options: EntitlementWebhookOptions;
  readonly #deps: EntitlementWebhookDeps;
  readonly #breaker: CircuitBreaker;
  readonly #kept = new Map<string, Kept>();
  /** Calls under way: who asks the same at that time waits for the same answer. */
  readonly #asking = new Map<string, Promise<Answer>>();

  constructor(options: EntitlementWebhookOptions, deps: EntitlementWebhookDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#breaker = new CircuitBreaker(options.breaker, deps.clock);
  }

  /** Rejects with AppError SESSION_ENTITLEMENT_UNAVAILABLE when there is no answer. */
  async entitle(question: EntitlementQuestion): Promise<Entitlement | undefined> {
    const body = bodyOf(question);
    const name = createHash('sha256').update(body).digest('base64url');
    const answer = this.#find(name) ?? (await this.#askOnce(name, body));
    if (answer.kind === 'denied' || answer.entitlement.untilMs <= question.nowMs) return undefined;
    return answer.entitlement;
  }

  #find(name: string): Answer | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    this.#kept.delete(name);
    if (kept.untilMs <= this.#deps.clock.monotonicMs()) return undefined;
    // Put back at the end: the map is in the order of the last question.
    this.#kept.set(name, kept);
    this.#deps.metrics.questions.inc({ outcome: 'cached' });
    return kept.answer;
  }

  #askOnce(name: string, body: string): Promise<Answer> {
    const underWay = this.#asking.get(name);
    if (underWay) return underWay;
    const asking = this.#askAndKeep(name, body);
    this.#asking.set(name, asking);
    return asking;
  }

  async #askAndKeep(name: string, body: string): Promise<Answer> {
    try {
      const answer = await this.#ask(body);
      this.#keep(name, answer);
      return answer;
    } finally {
      this.#asking.delete(name);
    }
  }

  async #ask(body: string): Promise<Answer> {
    const { metrics, clock, http } = this.#deps;
    const permit = this.#breaker.enter();
    if (!permit) throw this.#unavailable('spared');
    const startedMs = clock.monotonicMs();
    const outcome = await http.call({
      method: 'POST',
      url: this.#options.url,
      headers: {
        'Content-Type': 'application/json',
        ...signatureHeaders(body, this.#options.secret, clock.wallMs()),
      },
      body,
    });
    metrics.seconds.observe((clock.monotonicMs() - startedMs) / 1000);
    if (outcome.kind === 'failed') {
      // Too busy ourselves, or closing: it is not to blame.
      const isOurs = outcome.reason === 'busy' || outcome.reason === 'aborted';
      if (isOurs) permit.abandoned();
      else permit.failed();
      throw this.#unavailable(outcome.reason);
    }
    const verdict = parseEntitlementAnswer(outcome.status, outcome.body);
    if (verdict.kind === 'broken') {
      permit.failed();
      throw this.#unavailable('broken');
    }
    permit.succeeded();
    metrics.state(this.#breaker.state);
    metrics.questions.inc({ outcome: verdict.kind });
    return verdict;
  }

  #unavailable(outcome: string): AppError {
    const { metrics, log } = this.#deps;
    metrics.questions.inc({ outcome });
    metrics.state(this.#breaker.state);
    if (outcome !== 'spared') log.warn({ reason: outcome }, 'nobody says what a user may play');
    return new AppError('SESSION_ENTITLEMENT_UNAVAILABLE');
  }

  #keep(name: string, answer: Answer): void {
    const { cacheMs, maxCached } = this.#options;
    const mostMs = answer.kind === 'denied' ? Math.min(cacheMs, MAX_DENIAL_MS) : cacheMs;
    const ttlMs = Math.min(mostMs, answer.ttlMs ?? mostMs);
    if (ttlMs <= 0) return;
    const oldest = this.#kept.size >= maxCached ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(name, { answer, untilMs: this.#deps.clock.monotonicMs() + ttlMs });
    this.#deps.metrics.cached.set(this.#kept.size);
  }
}

/** The question as the back end gets it; the same for the same user, token or not. */
function bodyOf({ issuer, subject, claims, owner, country }: EntitlementQuestion): string {
  return JSON.stringify({
    event: 'entitle',
    issuer,
    subject,
    claims: lastingClaims(claims),
    content: { kind: owner.kind, id: owner.id },
    country: country ?? null,
  });
}
