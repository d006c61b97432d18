import type { FrameTime } from './cadence.ts';
import type { TrackKind } from './track.ts';

/** One usable access unit of a publisher, on its own clock: unwrapped, 4-byte NAL lengths, not empty. */
export interface SourceSample {
  readonly kind: TrackKind;
  /** Decode time on the source's clock, milliseconds, unwrapped. */
  readonly sourceMs: number;
  /** pts − dts, milliseconds. */
  readonly compositionMs: number;
  /** Decoding may start here; true for audio. */
  readonly key: boolean;
  /** Cannot be decoded when decoding started at the key frame before it (HEVC RASL pictures). */
  readonly leading?: boolean;
  readonly data: Uint8Array;
  /** When it arrived, milliseconds since the Unix epoch by the stream's own steady clock. */
  readonly arrivalMs: number;
}

export interface WarmUpOptions {
  readonly anchorMs: number;
  /** How long to wait for the second key frame, so that the GOP is known; 0 not to. */
  readonly secondKeyWaitMs: number;
  /**
   * For a stream that viewers are waiting for: the anchor is taken as soon as it has not come any nearer for this long,
   * should that be before `anchorMs`.
   */
  readonly settledMs?: number;
  /** What is held is bounded by this; at the limit the warm-up ends with what it has. */
  readonly maxBytes: number;
}

/** What the warm-up found. */
export interface WarmUpResult {
  /** Milliseconds to add to the source's clock to get the epoch; the same for both unless they have two clocks. */
  readonly offsetsMs: Readonly<Record<TrackKind, number>>;
  readonly present: Readonly<Record<TrackKind, boolean>>;
  /** Decode times of the video frames from the first key frame on. */
  readonly frames: readonly FrameTime[];
  /** Everything usable, in order of arrival. With video, the first video sample is a key frame. */
  readonly samples: readonly SourceSample[];
}

/** How long an announced or configured track is waited for. */
const ANNOUNCE_WAIT_MS = 2000;
/** Audio older than this before the first key frame cannot belong to the timeline. */
const AUDIO_KEPT_MS = 1000;
const MAX_SAMPLES = 4096;
/** Steps of the source's clock beyond these start the warm-up over. */
const BACKWARD_LIMIT_MS = 500;
const FORWARD_LIMIT_MS = 1000;
/** Audio and video further apart than this do not share a clock. */
const COMMON_CLOCK_MS = 10_000;
/** An anchor that moves by less has settled. */
const SETTLED_STEP_MS = 5;
/** How far back the anchor of a publisher that stands by may come from: clocks drift. */
const ROLLING_ANCHOR_MS = 15_000;
/** Frame times kept to tell the cadence by. */
const MAX_FRAME_TIMES = 600;

interface KindFacts {
  lastSourceMs: number | undefined;
  lastArrivalMs: number;
  /** The least (arrival − source time). */
  leastDelayMs: number;
  /** The same of the stretch before; see `roll`. */
  leastDelayBeforeMs: number;
}

/**
 * Watches the first seconds of a publisher. It holds the samples until it knows which tracks there are, how the
 * source's clock relates to ours, and (where asked) how long a GOP is. Pure: time comes in with the samples.
 *
 * The anchor is the least (arrival − media time), not the first: what is sent at connect arrives late, and every
 * player would sit that much further back for ever.
 */
export class WarmUp {
  readonly #options: WarmUpOptions;
  readonly #expected: Record<TrackKind, boolean> = { video: false, audio: false };
  #samples: SourceSample[] = [];
  #frames: FrameTime[] = [];
  #sizeBytes = 0;
  #keys = 0;
  #audioFrames = 0;
  #firstArrivalMs: number | undefined;
  #firstUsable: SourceSample | undefined;
  #latest: SourceSample | undefined;
  #mostMediaMs = 0;
  #facts = newFacts();
  /** When the anchor last came nearer. */
  #improvedAtMs = 0;
  #anchorSinceMs: number | undefined;
  #restarts = 0;
  #droppedBeforeKey = 0;

  constructor(options: WarmUpOptions) {
    this.#options = options;
  }

  /** How often the source's clock made it start over. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Samples not kept because no key frame came before them. */
  get droppedBeforeKey(): number {
    return this.#droppedBeforeKey;
  }

  get heldBytes(): number {
    return this.#sizeBytes;
  }

  /** Something came that a timeline may begin at: a key frame, or audio where no video is expected. */
  get usable(): boolean {
    return this.#samples.length > 0 && (this.#keys > 0 || !this.#expected.video);
  }

  /** Says which tracks are announced or configured: they are waited for. */
  expect(kind: TrackKind): void {
    this.#expected[kind] = true;
  }

  add(sample: SourceSample): void {
    if (this.#clockJumped(sample)) this.#startOver();
    this.#firstArrivalMs ??= sample.arrivalMs;
    this.#latest = sample;
    const facts = this.#facts[sample.kind];
    facts.lastSourceMs = sample.sourceMs;
    facts.lastArrivalMs = sample.arrivalMs;
    this.#noteDelay(facts, sample);
    if (sample.kind === 'video') this.#addVideo(sample);
    else this.#addAudio(sample);
  }

  /** Whether enough is known, as of the last sample. */
  get done(): boolean {
    const latest = this.#latest;
    const first = this.#firstUsable;
    if (!latest || !first) return false;
    if (this.#isFull) return true;
    const waitedMs = latest.arrivalMs - (this.#firstArrivalMs ?? latest.arrivalMs);
    if (!this.#isComplete() && waitedMs < ANNOUNCE_WAIT_MS) return false;
    const usableMs = latest.arrivalMs - first.arrivalMs;
    if (!this.#isAnchored(usableMs, latest.arrivalMs)) return false;
    return this.#keys !== 1 || usableMs >= this.#options.secondKeyWaitMs;
  }

  /**
   * For a publisher that stands by: forgets what lies before the last key frame, or, without video, what is older than
   * a second. What was learned of its clock, of late, and of its cadence stays.
   */
  roll(): void {
    const latest = this.#latest;
    if (!latest) return;
    this.#rollAnchor(latest.arrivalMs);
    if (this.#keys === 0) this.#forgetOldAudio(latest.sourceMs - AUDIO_KEPT_MS);
    else if (latest.kind === 'video' && latest.key) this.#rollTo(latest);
    // A GOP that does not fit cannot be begun with; the next one may.
    else if (this.#isFull || !this.#beginsWithKey) this.#replaceSamples([]);
  }

  result(): WarmUpResult {
    const video = leastOf(this.#facts.video);
    const audio = leastOf(this.#facts.audio);
    const least = Math.min(video, audio);
    const apart = Math.max(video, audio) - least;
    const shared = apart <= COMMON_CLOCK_MS || apart === Number.POSITIVE_INFINITY;
    return {
      offsetsMs: { video: Math.floor(shared ? least : video), audio: Math.floor(shared ? least : audio) },
      present: { video: this.#keys > 0, audio: this.#audioFrames > 0 },
      frames: this.#frames,
      samples: this.#samples,
    };
  }

  get #isFull(): boolean {
    return this.#sizeBytes >= this.#options.maxBytes || this.#samples.length >= MAX_SAMPLES;
  }

  /** Audio may stand before it. */
  get #beginsWithKey(): boolean {
    return this.#samples.find(({ kind }) => kind === 'video')?.key === true;
  }

  /** Begins with a key frame that just came; audio of its time may have come before it. */
  #rollTo(key: SourceSample): void {
    const beside = this.#samples.filter(({ kind, sourceMs }) => kind === 'audio' && sourceMs >= key.sourceMs);
    this.#replaceSamples([key, ...beside]);
  }

  #isComplete(): boolean {
    return (this.#keys > 0 || !this.#expected.video) && (this.#audioFrames > 0 || !this.#expected.audio);
  }

  #clockJumped(sample: SourceSample): boolean {
    const facts = this.#facts[sample.kind];
    if (facts.lastSourceMs === undefined) return false;
    const stepMs = sample.sourceMs - facts.lastSourceMs;
    const waitedMs = sample.arrivalMs - facts.lastArrivalMs;
    return stepMs < -BACKWARD_LIMIT_MS || stepMs - waitedMs > FORWARD_LIMIT_MS;
  }

  #startOver(): void {
    this.#samples = [];
    this.#sizeBytes = 0;
    this.#keys = 0;
    this.#audioFrames = 0;
    this.#firstUsable = undefined;
    this.#mostMediaMs = 0;
    this.#facts = newFacts();
    this.#frames = [];
    this.#anchorSinceMs = undefined;
    this.#restarts++;
  }

  #addVideo(sample: SourceSample): void {
    if (this.#keys === 0 && !sample.key) {
      this.#droppedBeforeKey++;
      return;
    }
    if (sample.key) this.#keys++;
    if (this.#keys === 1 && sample.key) {
      this.#firstUsable = sample;
      this.#mostMediaMs = 0;
      this.#improvedAtMs = sample.arrivalMs;
    }
    if (this.#frames.length >= MAX_FRAME_TIMES) this.#frames.splice(0, MAX_FRAME_TIMES / 2);
    const { sourceMs, compositionMs, key } = sample;
    this.#frames.push({ dtsMs: sourceMs, ptsMs: sourceMs + compositionMs, key });
    this.#keep(sample);
  }

  #noteDelay(facts: KindFacts, sample: SourceSample): void {
    const delayMs = sample.arrivalMs - sample.sourceMs;
    if (leastOf(facts) - delayMs > SETTLED_STEP_MS) this.#improvedAtMs = sample.arrivalMs;
    facts.leastDelayMs = Math.min(facts.leastDelayMs, delayMs);
    this.#anchorSinceMs ??= sample.arrivalMs;
  }

  #isAnchored(usableMs: number, nowMs: number): boolean {
    const { anchorMs, settledMs } = this.#options;
    if (usableMs >= anchorMs && this.#mostMediaMs >= anchorMs / 2) return true;
    if (settledMs === undefined || usableMs < settledMs || this.#mostMediaMs < settledMs / 2) return false;
    return nowMs - this.#improvedAtMs >= settledMs;
  }

  #rollAnchor(nowMs: number): void {
    if (nowMs - (this.#anchorSinceMs ?? nowMs) < ROLLING_ANCHOR_MS) return;
    this.#anchorSinceMs = nowMs;
    for (const facts of Object.values(this.#facts)) {
      facts.leastDelayBeforeMs = facts.leastDelayMs;
      facts.leastDelayMs = Number.POSITIVE_INFINITY;
    }
  }

  #replaceSamples(samples: SourceSample[]): void {
    this.#samples = samples;
    this.#sizeBytes = samples.reduce((sum, { data }) => sum + data.length, 0);
  }

  #addAudio(sample: SourceSample): void {
    this.#audioFrames++;
    if (this.#expected.video && this.#keys === 0) this.#forgetOldAudio(sample.sourceMs - AUDIO_KEPT_MS);
    if (!this.#firstUsable) this.#firstUsable = sample;
    this.#keep(sample);
  }

  /** Only audio is held before the first key frame, and only so much as may belong beside it. */
  #forgetOldAudio(beforeMs: number): void {
    let old = 0;
    while ((this.#samples[old]?.sourceMs ?? Number.POSITIVE_INFINITY) < beforeMs) {
      this.#sizeBytes -= this.#samples[old]?.data.length ?? 0;
      old++;
    }
    if (old > 0) this.#samples.splice(0, old);
    this.#droppedBeforeKey += old;
  }

  #keep(sample: SourceSample): void {
    this.#samples.push(sample);
    this.#sizeBytes += sample.data.length;
    const first = this.#firstUsable;
    if (first?.kind === sample.kind) {
      this.#mostMediaMs = Math.max(this.#mostMediaMs, sample.sourceMs - first.sourceMs);
    }
  }
}

function newFacts(): Record<TrackKind, KindFacts> {
  const facts = (): KindFacts => ({
    lastSourceMs: undefined,
    lastArrivalMs: 0,
    leastDelayMs: Number.POSITIVE_INFINITY,
    leastDelayBeforeMs: Number.POSITIVE_INFINITY,
  });
  return { video: facts(), audio: facts() };
}

function leastOf(facts: KindFacts): number {
  return Math.min(facts.leastDelayMs, facts.leastDelayBeforeMs);
}
