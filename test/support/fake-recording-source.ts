import type { ArchivedRendition, ArchivedSegment, ArchivedStretch } from '../../src/stream/archive.ts';
import type { LiveWindow, Period, Segment } from '../../src/stream/live-window.ts';
import { segmentPath } from '../../src/packager/media-path.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import type { Broadcast, RecordingSource, StretchOf } from '../../src/vod/broadcast.ts';
import { concat } from './media-bytes.ts';

/** What a window holds, as the archive would have it; bytes by their keys. */
export function archiveWindow(window: LiveWindow): {
  readonly stretch: ArchivedStretch;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
} {
  const blobs = new Map<string, Uint8Array>();
  const renditions = window.renditions.map(
    ({ id, kind, timescale, segments }): ArchivedRendition => ({
      id,
      kind,
      timescale,
      segments: segments
        .filter(({ state }) => state !== 'open')
        .map((segment) => {
          const bytes = concat(segment.chunks.map((chunk) => chunk.bytes));
          const key = liveKey(window.stream, id, segment.period.id, segment.number);
          if (segment.state === 'closed') blobs.set(key, bytes);
          return archived(segment, bytes.length, kind === 'video');
        }),
    }),
  );
  // An end cuts all renditions at the same number; in the middle some are ahead.
  const last = Math.min(...renditions.map(({ segments }) => segments.at(-1)?.number ?? 0));
  return {
    blobs,
    stretch: {
      stream: window.stream,
      targetDurationSeconds: window.plan.targetDurationSeconds,
      discontinuitySequence: 0,
      periods: window.periods,
      renditions: renditions.map(({ segments, ...rendition }) => ({
        ...rendition,
        segments: segments.filter(({ number }) => number <= last),
      })),
    },
  };
}

function archived(segment: Segment, sizeBytes: number, isVideo: boolean): ArchivedSegment {
  const { number, period, startTicks, durationTicks, discontinuity, independent } = segment;
  const keyFrame = isVideo && independent ? segment.chunks[0]?.bytes.length : undefined;
  return {
    ...{ number, periodId: period.id, startTicks, durationTicks, discontinuity, independent },
    brokenOff: segment.brokenOff ?? false,
    state: segment.state === 'gap' ? 'gap' : 'kept',
    sizeBytes,
    keyFrameBytes: keyFrame ?? 0,
  };
}

export function liveKey(stream: string, rendition: string, periodId: string, number: number): string {
  return `live/${stream}/${segmentPath(rendition, periodId, number)}`;
}

/** An archive that a test fills. */
export class FakeRecordingSource implements RecordingSource {
  readonly finishedBroadcasts: Broadcast[] = [];
  /** Holds that were not let go of. */
  holds = 0;
  held: (readonly [stream: string, fromMs: number])[] = [];
  /** What `finished` fails with, while it is set. */
  failure: Error | undefined;
  readonly #store: BlobStore;
  readonly #stretches = new Map<string, ArchivedStretch>();
  readonly #listeners = new Set<() => void>();
  #ended: Broadcast[] = [];

  constructor(store: BlobStore) {
    this.#store = store;
  }

  /** Keeps what a window holds, in the place of what was kept of its stream. */
  async keep(window: LiveWindow): Promise<ArchivedStretch> {
    const { stretch, blobs } = archiveWindow(window);
    for (const [key, bytes] of blobs) await this.#store.put(key, bytes);
    this.#stretches.set(window.stream, stretch);
    return stretch;
  }

  change(stream: string, stretch: ArchivedStretch): void {
    this.#stretches.set(stream, stretch);
  }

  /** All that is kept is a broadcast that is over. */
  end(stream: string): Broadcast {
    const stretch = this.#stretches.get(stream);
    const lead = stretch?.renditions[0];
    const first = lead?.segments[0];
    const last = lead?.segments.at(-1);
    if (!lead || !first || !last) throw new Error('nothing is kept');
    const broadcast = {
      stream,
      firstNumber: first.number,
      lastNumber: last.number,
      startMs: (first.startTicks / lead.timescale) * 1000,
      endMs: ((last.startTicks + last.durationTicks) / lead.timescale) * 1000,
    };
    this.over(broadcast);
    return broadcast;
  }

  over(broadcast: Broadcast): void {
    this.#ended.push(broadcast);
    for (const listener of this.#listeners) listener();
  }

  stretch({ stream, fromMs, toMs }: StretchOf): ArchivedStretch | undefined {
    const all = this.#stretches.get(stream);
    const renditions = (all?.renditions ?? []).map(({ segments, ...rendition }) => ({
      ...rendition,
      segments: segments.filter(({ startTicks, durationTicks }) => {
        const atMs = (ticks: number): number => (ticks / rendition.timescale) * 1000;
        return atMs(startTicks) < toMs && atMs(startTicks + durationTicks) > fromMs;
      }),
    }));
    // The numbers of the pictures are everybody's.
    const numbers = new Set(renditions[0]?.segments.map(({ number }) => number));
    if (!all || numbers.size === 0) return undefined;
    const used = new Set(renditions[0]?.segments.map(({ periodId }) => periodId));
    return {
      ...all,
      periods: all.periods.filter(({ id }) => used.has(id)),
      renditions: all.renditions.map((rendition) => ({
        ...rendition,
        segments: rendition.segments.filter(({ number }) => numbers.has(number)),
      })),
    };
  }

  segmentKey(stream: string, rendition: string, periodId: string, number: number): string {
    return liveKey(stream, rendition, periodId, number);
  }

  hold(stream: string, fromMs: number): () => void {
    this.holds += 1;
    this.held.push([stream, fromMs]);
    let isHeld = true;
    return () => {
      if (isHeld) this.holds -= 1;
      isHeld = false;
    };
  }

  ended(): readonly Broadcast[] {
    return this.#ended;
  }

  onEnded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async finished(broadcast: Broadcast): Promise<void> {
    if (this.failure) throw this.failure;
    this.#ended = this.#ended.filter((one) => one !== broadcast);
    this.finishedBroadcasts.push(broadcast);
  }
}

/** Of a stretch, the period of a number. */
export function periodOf(stretch: ArchivedStretch, number: number): Period | undefined {
  const id = stretch.renditions[0]?.segments.find((segment) => segment.number === number)?.periodId;
  return stretch.periods.find((period) => period.id === id);
}
