import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';
import {
  APP,
  type Authoriser,
  type PublishDecision,
  type PublishGrant,
  type PublishRequest,
  refuse,
} from './authorise.ts';
import type { GateMetrics, WebhookOutcome } from './gate-metrics.ts';
import type { OutgoingHttp } from '../base/outgoing-http.ts';
import { signatureHeaders } from '../base/webhook-signature.ts';
import {
  type WebhookRequest,
  type WebhookSetting,
  type WebhookShape,
  type WebhookVerdict,
} from './webhook-formats.ts';

/** Longest name and query that a back end is asked about; SRT and RTMP peers may send more. */
const MAX_KEY_LENGTH = 512;
const MAX_QUERY_LENGTH = 4096;
// oxlint-disable-next-line no-control-regex -- refusing control characters is the point
const CONTROL = /[\u0000-\u001f\u007f]/;

export interface WebhookDeps {
  readonly http: OutgoingHttp;
  readonly clock: Clock;
  readonly metrics: GateMetrics;
}

export interface WebhookTarget {
  readonly url: string;
  readonly shape: WebhookShape;
  readonly setting: WebhookSetting;
}

/** Asks a back end. No answer, a late one and one that cannot be understood are all no. */
export function createWebhookAuthoriser(target: WebhookTarget, deps: WebhookDeps): Authoriser {
  const { shape, setting } = target;
  return {
    async authorise(request, signal): Promise<PublishDecision> {
      if (request.app !== setting.app && request.app !== APP) return refuse('app_unknown');
      if (!isAskable(request)) return refuse('name_invalid');
      const call = shape.publish(request, setting, deps.clock.wallMs());
      const verdict = await ask(target, call, request, signal, deps);
      if (verdict.kind !== 'allow') return refuse('denied');
      return isStreamName(verdict.stream) ? grantOf(verdict, request, deps.clock) : refuse('name_invalid');
    },
  };
}

/** The headers a call goes out with. */
export function signed(
  { headers, body }: WebhookRequest,
  setting: WebhookSetting,
  nowMs: number,
): Record<string, string> {
  return { ...headers, ...(setting.secret !== undefined && signatureHeaders(body, setting.secret, nowMs)) };
}

/** @throws AppError INGEST_AUTH_UNAVAILABLE when there is no verdict */
async function ask(
  { url, shape, setting }: WebhookTarget,
  call: WebhookRequest,
  request: PublishRequest,
  signal: AbortSignal,
  { http, clock, metrics }: WebhookDeps,
): Promise<Exclude<WebhookVerdict, { kind: 'broken' }>> {
  const startedMs = clock.monotonicMs();
  const headers = signed(call, setting, clock.wallMs());
  const outcome = await http.call({ method: 'POST', url, headers, body: call.body }, signal);
  metrics.webhookSeconds((clock.monotonicMs() - startedMs) / 1000);
  const done = (result: WebhookOutcome): void => metrics.webhookCalled('publish', result);
  if (outcome.kind === 'failed') {
    done(outcome.reason);
    throw new AppError('INGEST_AUTH_UNAVAILABLE', FAILURES[outcome.reason]);
  }
  const verdict = shape.verdict(outcome, request, setting);
  done(verdict.kind);
  if (verdict.kind !== 'broken') return verdict;
  throw new AppError(
    'INGEST_AUTH_UNAVAILABLE',
    `the webhook's answer (status ${outcome.status}) is none that ingest.webhook.format knows`,
  );
}

const FAILURES = {
  timeout: 'the webhook did not answer within ingest.webhook.timeoutMs',
  aborted: 'the publisher left before the webhook had answered',
  busy: 'ingest.webhook.maxConcurrent calls are under way and as many as may wait are waiting',
  unreachable: 'the webhook cannot be reached',
  answer_too_large: "the webhook's answer is too long",
} as const;

function isAskable({ key, query }: PublishRequest): boolean {
  return key !== '' && key.length <= MAX_KEY_LENGTH && query.length <= MAX_QUERY_LENGTH && !CONTROL.test(key);
}

function grantOf(
  { stream, lifetimeMs, passphrase }: Extract<WebhookVerdict, { kind: 'allow' }>,
  { protocol }: PublishRequest,
  clock: Clock,
): PublishGrant {
  return {
    allow: true,
    stream,
    admittedBy: 'webhook',
    ...(lifetimeMs !== undefined && lifetimeMs > 0 && { untilMs: clock.wallMs() + lifetimeMs }),
    ...(passphrase !== undefined && protocol === 'srt' && { encryption: { passphrase, required: true } }),
  };
}
