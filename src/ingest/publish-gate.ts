import type { Clock, Timer } from '../base/clock.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Publisher, PublisherInfo, RawEvent, RawSample } from '../stream/publisher.ts';
import type { AudioCodec, VideoCodec } from '../stream/track.ts';
import type { AdmittedBy, Authoriser, PublishDecision, PublishGrant, PublishRequest } from './authorise.ts';
import type { CutReason, GateMetrics } from './gate-metrics.ts';
import type { KeyChange } from './publish-key-records.ts';
import type { PublishTarget } from './publish-target.ts';
import type { EndedPublish } from './webhook-formats.ts';

/** A grant that is not used for so long is over: its peer left, or has sent nothing to publish. */
const UNUSED_MS = 30_000;
/** Grants not used yet that are remembered; beyond it the oldest is given up. */
const MAX_UNUSED = 10_000;
/** Timers of Node reach no further. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const CUT_CODES: Readonly<Record<CutReason, ErrorCode>> = {
  rotated: 'INGEST_KEY_REVOKED',
  revoked: 'INGEST_KEY_REVOKED',
  expired: 'INGEST_GRANT_EXPIRED',
};

export interface PublishGateDeps {
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: GateMetrics;
  /** Somebody the webhook let in is gone. `another`: somebody else publishes the same stream now. */
  readonly onEnded?: ((ended: EndedPublish, another: boolean) => void) | undefined;
}

/** One grant, from the yes to the end of the publishing. */
interface Admission {
  readonly id: string;
  readonly request: PublishRequest;
  readonly stream: string;
  readonly admittedBy: AdmittedBy;
  readonly sinceMs: number;
  untilMs: number | undefined;
  timer: Timer | undefined;
  state:
    | { readonly kind: 'unused' }
    /** Taken back before it was used: whoever uses it is cut at once. */
    | { readonly kind: 'taken-back'; readonly code: ErrorCode }
    | { readonly kind: 'publishing'; readonly cut: (code: ErrorCode) => void }
    | { readonly kind: 'over' };
}

/**
 * What stands between the protocols and the hub: it remembers what let each publisher in, and cuts it when that does
 * not hold any more. Protocols ask {@link authorise} and publish through {@link guard}; they notice nothing else.
 */
export class PublishGate implements Authoriser {
  readonly #deps: PublishGateDeps;
  readonly #admissions = new Map<string, Admission>();
  #unused = 0;

  constructor(deps: PublishGateDeps) {
    this.#deps = deps;
  }

  async authorise(request: PublishRequest, signal: AbortSignal): Promise<PublishDecision> {
    const { authoriser, metrics } = this.#deps;
    let decision: PublishDecision;
    try {
      decision = await authoriser.authorise(request, signal);
    } catch (error) {
      metrics.decided(request.protocol, 'unavailable');
      throw error;
    }
    if (!decision.allow) {
      metrics.decided(request.protocol, decision.code);
      return decision;
    }
    metrics.decided(request.protocol, decision.admittedBy ?? 'nobody');
    this.#admit(request, decision);
    return decision;
  }

  /** The hub as protocols may use it: for sessions that were let in here, each for one publisher at a time. */
  guard(target: PublishTarget): PublishTarget {
    return { publish: (stream, info, onClosed) => this.#publish(target, stream, info, onClosed) };
  }

  /** A new key cuts who came in by the old one; a key taken back cuts everybody who publishes the stream. */
  keyChanged(stream: string, change: KeyChange): void {
    for (const admission of this.#admissions.values()) {
      if (admission.stream !== stream) continue;
      if (change === 'revoked' || admission.admittedBy === 'key') this.#cut(admission, change);
    }
  }

  /** Forgets all grants; publishers are the protocols' to end. Idempotent. */
  close(): void {
    for (const admission of this.#admissions.values()) admission.timer?.cancel();
    this.#admissions.clear();
    this.#unused = 0;
  }

  #admit(request: PublishRequest, { stream, admittedBy = 'nobody', untilMs }: PublishGrant): void {
    const id = admissionId(request.session, stream);
    const known = this.#admissions.get(id);
    if (known?.state.kind === 'publishing') {
      // A protocol of many requests asks again while it publishes: the newest answer says until when.
      known.untilMs = untilMs;
      this.#armExpiry(known);
      return;
    }
    if (known) this.#forget(known);
    if (this.#unused >= MAX_UNUSED) this.#giveUpOldest();
    const admission: Admission = {
      id,
      request,
      stream,
      admittedBy,
      sinceMs: this.#deps.clock.monotonicMs(),
      untilMs,
      timer: undefined,
      state: { kind: 'unused' },
    };
    this.#admissions.set(id, admission);
    this.#unused += 1;
    admission.timer = this.#deps.clock.after(UNUSED_MS, () => this.#end(admission));
  }

  #publish(
    target: PublishTarget,
    stream: string,
    info: PublisherInfo,
    onClosed: (code: ErrorCode) => void,
  ): Publisher {
    const admission = this.#admissions.get(admissionId(info.session, stream));
    if (admission?.state.kind === 'unused') return this.#begin(admission, target, info, onClosed);
    const code = admission?.state.kind === 'taken-back' ? admission.state.code : 'INGEST_GRANT_EXPIRED';
    if (admission?.state.kind === 'taken-back') this.#end(admission);
    this.#deps.log.warn({ stream, session: info.session, code }, 'publisher without a grant');
    queueMicrotask(() => onClosed(code));
    return new ClosedPublisher(stream);
  }

  #begin(
    admission: Admission,
    target: PublishTarget,
    info: PublisherInfo,
    onClosed: (code: ErrorCode) => void,
  ): Publisher {
    const { stream } = admission;
    // Before the hub is asked: it may end another publisher of the stream for this one.
    let guarded: Publisher | undefined;
    this.#unused -= 1;
    admission.timer?.cancel();
    admission.state = {
      kind: 'publishing',
      cut: (code) => {
        guarded?.close('disconnected');
        onClosed(code);
      },
    };
    try {
      const publisher = target.publish(stream, info, (code) => {
        this.#end(admission);
        onClosed(code);
      });
      guarded = new GuardedPublisher(publisher, () => this.#end(admission));
    } catch (error) {
      this.#end(admission);
      throw error;
    }
    this.#armExpiry(admission);
    return guarded;
  }

  #armExpiry(admission: Admission): void {
    admission.timer?.cancel();
    admission.timer = undefined;
    const { untilMs } = admission;
    if (untilMs === undefined) return;
    const { clock } = this.#deps;
    const leftMs = Math.max(0, untilMs - clock.wallMs());
    admission.timer = clock.after(Math.min(leftMs, MAX_TIMER_MS), () => {
      if (clock.wallMs() < untilMs) this.#armExpiry(admission);
      else this.#cut(admission, 'expired');
    });
  }

  #cut(admission: Admission, reason: CutReason): void {
    const { log, metrics } = this.#deps;
    const { state, stream, request, admittedBy } = admission;
    const code = CUT_CODES[reason];
    switch (state.kind) {
      case 'unused':
        admission.state = { kind: 'taken-back', code };
        return;
      case 'publishing':
        metrics.cut(reason);
        log.warn({ stream, session: request.session, admittedBy, reason, code }, 'publisher cut');
        state.cut(code);
        return;
      case 'taken-back':
      case 'over':
        return;
    }
  }

  /** The grant is used up; called once or more. */
  #end(admission: Admission): void {
    if (admission.state.kind === 'over') return;
    const { request, stream, admittedBy, sinceMs } = admission;
    this.#forget(admission);
    if (admittedBy !== 'webhook') return;
    const lastedMs = this.#deps.clock.monotonicMs() - sinceMs;
    this.#deps.onEnded?.({ request, stream, lastedMs }, this.#isPublished(stream));
  }

  #forget(admission: Admission): void {
    admission.timer?.cancel();
    if (admission.state.kind === 'unused' || admission.state.kind === 'taken-back') this.#unused -= 1;
    admission.state = { kind: 'over' };
    this.#admissions.delete(admission.id);
  }

  #isPublished(stream: string): boolean {
    for (const other of this.#admissions.values()) {
      if (other.stream === stream && other.state.kind === 'publishing') return true;
    }
    return false;
  }

  #giveUpOldest(): void {
    for (const admission of this.#admissions.values()) {
      if (admission.state.kind === 'publishing') continue;
      this.#end(admission);
      return;
    }
  }
}

function admissionId(session: string, stream: string): string {
  return `${session} ${stream}`;
}

/** The hub's publisher, whose end the gate hears of. */
class GuardedPublisher implements Publisher {
  readonly stream: string;
  readonly #inner: Publisher;
  readonly #onClose: () => void;

  constructor(inner: Publisher, onClose: () => void) {
    this.stream = inner.stream;
    this.#inner = inner;
    this.#onClose = onClose;
  }

  videoConfig(codec: VideoCodec, config: Uint8Array, track?: number): void {
    this.#inner.videoConfig(codec, config, track);
  }

  audioConfig(codec: AudioCodec, config: Uint8Array): void {
    this.#inner.audioConfig(codec, config);
  }

  announce(kinds: { readonly video: boolean; readonly audio: boolean }): void {
    this.#inner.announce(kinds);
  }

  write(sample: RawSample): void {
    this.#inner.write(sample);
  }

  event(event: RawEvent): void {
    this.#inner.event(event);
  }

  close(reason: 'unpublished' | 'disconnected' | 'timeout' | 'error'): void {
    this.#inner.close(reason);
    this.#onClose();
  }
}

/** For somebody who has no grant, or whose grant was taken back before the first byte: the hub never hears of it. */
class ClosedPublisher implements Publisher {
  readonly stream: string;

  constructor(stream: string) {
    this.stream = stream;
  }

  videoConfig(): void {}
  audioConfig(): void {}
  announce(): void {}
  write(): void {}
  event(): void {}
  close(): void {}
}
