import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { GateMetrics } from './gate-metrics.ts';
import type { OutgoingHttp } from '../base/outgoing-http.ts';
import { signed, type WebhookTarget } from './webhook-authoriser.ts';
import type { EndedPublish } from './webhook-formats.ts';

/** Pauses before the second, third and last try of telling a back end. */
const RETRY_PAUSES_MS = [1_000, 5_000, 30_000] as const;
/** Ends not told yet; one more is dropped. */
const MAX_PENDING = 1_000;
/** How long a stop waits for what is being told. */
const CLOSE_WAIT_MS = 2_000;

export interface NotifierDeps {
  readonly http: OutgoingHttp;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: GateMetrics;
}

/** Tells a back end that publishers it let in are gone: as well as it can, and never in anybody's way. */
export class WebhookNotifier {
  readonly #target: WebhookTarget;
  readonly #deps: NotifierDeps;
  readonly #pending = new Set<Promise<void>>();
  readonly #pauses = new Set<{ readonly timer: Timer; readonly end: () => void }>();
  #closing = false;

  constructor(target: WebhookTarget, deps: NotifierDeps) {
    this.#target = target;
    this.#deps = deps;
  }

  /** Returns at once. */
  ended(ended: EndedPublish): void {
    if (this.#pending.size >= MAX_PENDING) {
      this.#deps.metrics.webhookCalled('unpublish', 'dropped');
      return;
    }
    const told = this.#tell(ended);
    this.#pending.add(told);
    void told.finally(() => this.#pending.delete(told));
  }

  /** Waits a little for what is being told, tries nothing again. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { timer, end } of this.#pauses) {
      timer.cancel();
      end();
    }
    this.#pauses.clear();
    let timer: Timer | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = this.#deps.clock.after(CLOSE_WAIT_MS, resolve);
    });
    await Promise.race([Promise.all(this.#pending), patience]);
    timer?.cancel();
  }

  async #tell(ended: EndedPublish): Promise<void> {
    for (const pauseMs of [0, ...RETRY_PAUSES_MS]) {
      if (pauseMs > 0) await this.#pause(pauseMs);
      if (pauseMs > 0 && this.#closing) break;
      if (await this.#try(ended)) return;
    }
    const { session } = ended.request;
    this.#deps.log.warn(
      { stream: ended.stream, session },
      'the webhook could not be told that a publish ended',
    );
  }

  async #try(ended: EndedPublish): Promise<boolean> {
    const { url, shape, setting } = this.#target;
    const { http, clock, metrics } = this.#deps;
    const call = shape.unpublish?.(ended, setting, clock.wallMs());
    if (call === undefined) return true;
    const headers = signed(call, setting, clock.wallMs());
    const outcome = await http.call({ method: 'POST', url, headers, body: call.body });
    if (outcome.kind === 'failed') {
      metrics.webhookCalled('unpublish', outcome.reason);
      return false;
    }
    // Whatever it says to the end of a publish, it has heard of it; only a fault of its own is worth another try.
    const heard = outcome.status < 500;
    metrics.webhookCalled('unpublish', heard ? 'heard' : 'broken');
    return heard;
  }

  #pause(pauseMs: number): Promise<void> {
    if (this.#closing) return Promise.resolve();
    return new Promise((resolve) => {
      const pause = {
        timer: this.#deps.clock.after(pauseMs, () => {
          this.#pauses.delete(pause);
          resolve();
        }),
        end: resolve,
      };
      this.#pauses.add(pause);
    });
  }
}
