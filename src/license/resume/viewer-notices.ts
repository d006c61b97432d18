import type { Clock } from '../../base/clock.ts';
import { errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { PubSub, Subscription } from '../../state/pub-sub.ts';
import type { ResumeMetrics } from './resume-metrics.ts';

/** How a session came to be over. */
export type SessionEnd = 'ended' | 'revoked';

/** What parts of the server tell each other of a user. No position is in it: whoever hears it reads the state. */
export type ViewerNotice =
  | { readonly kind: 'changed'; readonly profile: string; readonly version: number }
  /** Everything of the user is gone. */
  | { readonly kind: 'erased' }
  | { readonly kind: 'session'; readonly sessionId: string; readonly end: SessionEnd };

export interface NoticeDeps {
  readonly pubSub: PubSub;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ResumeMetrics;
}

const FAULT_LOG_PERIOD_MS = 1000;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Passes notices on, one channel a user. A lost one costs time, not state: streams are compared with the store. */
export class ViewerNotices {
  readonly #deps: NoticeDeps;
  #lastFaultMs = Number.NEGATIVE_INFINITY;

  constructor(deps: NoticeDeps) {
    this.#deps = deps;
  }

  /** In the background: what has been stored is stored, whoever hears of it. */
  tell(viewer: string, notice: ViewerNotice): void {
    const { pubSub, metrics } = this.#deps;
    pubSub.publish(channelOf(viewer), JSON.stringify(notice)).then(
      () => metrics.notices.inc({ outcome: 'sent' }),
      (error: unknown) => this.#failed(error),
    );
  }

  /** Rejects with AppError PUBSUB_UNAVAILABLE. What is no notice is not passed on. */
  listen(viewer: string, listener: (notice: ViewerNotice) => void): Promise<Subscription> {
    return this.#deps.pubSub.subscribe(channelOf(viewer), (message) => {
      const notice = parseNotice(message);
      if (notice) listener(notice);
    });
  }

  #failed(error: unknown): void {
    const { metrics, clock, log } = this.#deps;
    metrics.notices.inc({ outcome: 'failed' });
    if (clock.monotonicMs() - this.#lastFaultMs < FAULT_LOG_PERIOD_MS) return;
    this.#lastFaultMs = clock.monotonicMs();
    log.warn({ code: errorCode(error) }, 'devices cannot be told of changes');
  }
}

/** In braces, so that a cluster of Redis keeps it with the keys of the user. */
function channelOf(viewer: string): string {
  return `viewer:{${viewer}}`;
}

/** A message as a notice; undefined for anything else, which a newer version of us may send. */
export function parseNotice(message: string): ViewerNotice | undefined {
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, profile, version, sessionId, end } = value as Readonly<Record<string, unknown>>;
  if (kind === 'erased') return { kind };
  if (kind === 'changed' && isName(profile) && typeof version === 'number') return { kind, profile, version };
  if (kind === 'session' && isName(sessionId) && (end === 'ended' || end === 'revoked'))
    return { kind, sessionId, end };
  return undefined;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}
