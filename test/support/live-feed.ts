import { setTimeout as delay } from 'node:timers/promises';
import { FanOut } from '../../src/stream/fan-out.ts';
import type { StreamSource } from '../../src/transcode/channel.ts';
import type { EncodedSource } from './encoded-source.ts';

export interface FeedOptions {
  /** How fast media goes by; 0 gives it all at once. */
  readonly speed?: number;
  /** Frames given at once at the start, as after a warm-up. */
  readonly burst?: number;
  readonly from?: number;
  readonly to?: number;
  readonly signal?: AbortSignal;
  /** Runs before each frame. */
  readonly onFrame?: (index: number) => void;
}

/** One stream as the hub passes it on, without a hub: the real fan-out, fed from a file. */
export class LiveFeed implements StreamSource {
  readonly fanOut: FanOut;
  /** When each frame was given, by its pts. */
  readonly fedAtMs = new Map<number, number>();
  timelines = 0;

  constructor(gopCacheMs = 10_000) {
    this.fanOut = new FanOut({ maxMs: gopCacheMs, maxFrames: 600, maxBytes: 32 * 1024 * 1024 }, () => {});
  }

  subscribe(_name: string, options: Parameters<FanOut['subscribe']>[0]) {
    return this.fanOut.subscribe(options);
  }

  /** Gives a timeline's frames at their own pace. */
  async run(source: EncodedSource, options: FeedOptions = {}): Promise<void> {
    const { speed = 1, burst = 0, from = 0, to = source.samples.length, signal, onFrame } = options;
    if (from === 0) {
      this.timelines++;
      this.fanOut.begin(source.timeline);
    }
    const samples = source.samples.slice(from, to);
    const startDts = samples[Math.min(burst, samples.length - 1)]?.dts ?? 0;
    const startMs = performance.now();
    for (const [index, sample] of samples.entries()) {
      if (signal?.aborted) return;
      const dueMs = speed === 0 ? 0 : startMs + (sample.dts - startDts) / 90 / speed;
      if (dueMs - performance.now() > 1) await delay(dueMs - performance.now());
      // Everything at once would overflow what a slow reader may leave unread.
      else if (speed === 0 && index % 50 === 49) await delay(20);
      onFrame?.(from + index);
      this.fedAtMs.set(sample.pts, performance.now());
      this.fanOut.sample(sample);
    }
  }
}
