import { createHash } from 'node:crypto';
import type { StreamArchive } from '../../src/stream/archive.ts';
import type { Chunk, Period, Rendition, Segment } from '../../src/stream/live-window.ts';
import type { AudioTrack, Track, VideoTrack } from '../../src/stream/track.ts';

export const FEED_SEGMENT_MS = 2000;
const CHUNKS = 4;

const VIDEO: VideoTrack = {
  kind: 'video',
  codec: 'avc1',
  codecString: 'avc1.64001f',
  timescale: 90_000,
  config: Uint8Array.of(1, 2, 3),
  width: 640,
  height: 360,
  cadence: { frameTicks: 3000, gopTicks: 180_000 },
};
const AUDIO: AudioTrack = {
  kind: 'audio',
  codec: 'mp4a',
  codecString: 'mp4a.40.2',
  timescale: 48_000,
  config: Uint8Array.of(0x11, 0x90),
  channels: 2,
  frameTicks: 1024,
};

export type FedSegment = { -readonly [K in keyof Segment]: Segment[K] };

/** What became of one segment that was given. */
export interface Kept {
  readonly rendition: string;
  readonly segment: FedSegment;
  /** Undefined: nothing yet. */
  isKept: boolean | undefined;
}

/** Bytes of a segment: who finds them sees whether they are whole, and of which segment. */
export function feedBytes(key: string, sizeBytes: number): Buffer {
  const head = createHash('sha256').update(key).digest();
  return Buffer.alloc(sizeBytes, head);
}

/** A stream of two-second segments of a picture and its sound, given to an archive as a packager does. */
export class ArchiveFeed {
  readonly stream: string;
  readonly video: Rendition;
  readonly audio: Rendition;
  readonly kept: Kept[] = [];
  readonly #archive: StreamArchive;
  readonly #sizeBytes: number;
  #period: Period | undefined;

  constructor(stream: string, archive: StreamArchive, sizeBytes = 4000) {
    this.stream = stream;
    this.#archive = archive;
    this.#sizeBytes = sizeBytes;
    this.video = renditionOf('video', VIDEO);
    this.audio = renditionOf('audio', AUDIO);
    archive.describe({ targetDurationSeconds: 2 });
  }

  /** The period that segments belong to from now on. */
  begin(number: number, options: { readonly hasAudio?: boolean; readonly id?: string } = {}): Period {
    const tracks = new Map<string, Track>([['video', VIDEO]]);
    if (options.hasAudio ?? true) tracks.set('audio', AUDIO);
    const period: Period = {
      id: options.id ?? `p${number.toString(36)}`,
      startMs: number * FEED_SEGMENT_MS,
      startNumber: number,
      segmentTicks: 180_000,
      segmentTimescale: 90_000,
      continues: undefined,
      lead: VIDEO,
      tracks,
      inits: new Map([...tracks.keys()].map((id) => [id, Uint8Array.from(Buffer.from(`init of ${id}`))])),
      protections: new Map(),
      rekeyed: false,
    };
    this.#period = period;
    return period;
  }

  /** Both segments of a number, complete. */
  segment(number: number, options: { readonly isDiscontinuity?: boolean } = {}): Kept[] {
    return [this.video, this.audio].map((rendition) => this.give(rendition, number, options));
  }

  give(
    rendition: Rendition,
    number: number,
    { isDiscontinuity = false, isGap = false }: { isDiscontinuity?: boolean; isGap?: boolean } = {},
  ): Kept {
    const period = this.#period ?? this.begin(number);
    const hasMedia = !isGap && period.tracks.has(rendition.id);
    const key = `${this.stream}/${rendition.id}/${period.id}/${number}`;
    const bytes = feedBytes(key, hasMedia ? this.#sizeBytes : 0);
    const pieceBytes = Math.ceil(bytes.length / CHUNKS);
    const chunks: Chunk[] = hasMedia
      ? Array.from({ length: CHUNKS }, (_, index) => ({
          bytes: bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
          independent: index === 0,
        }))
      : [];
    const ticks = (FEED_SEGMENT_MS / 1000) * rendition.timescale;
    const segment: FedSegment = {
      ...{ number, period, chunks, startTicks: number * ticks, durationTicks: ticks },
      state: hasMedia ? 'closed' : 'gap',
      discontinuity: isDiscontinuity,
      place: 'memory',
      parts: [],
      sizeBytes: bytes.length,
      independent: hasMedia,
      partsForetold: false,
      brokenOff: false,
    };
    const kept: Kept = { rendition: rendition.id, segment, isKept: undefined };
    this.kept.push(kept);
    this.#archive.keep(rendition, segment, (isKept) => (kept.isKept = isKept));
    return kept;
  }

  /** A gap in both. */
  gap(number: number): void {
    for (const rendition of [this.video, this.audio]) this.give(rendition, number, { isGap: true });
  }

  /** It leaves the memory. */
  leave({ rendition, segment }: Kept): void {
    segment.chunks = [];
    if (segment.state !== 'closed') return;
    const isKept = this.kept.find((each) => each.segment === segment)?.isKept;
    segment.place = isKept ? 'archive' : 'lost';
    const own = rendition === 'video' ? this.video : this.audio;
    if (!isKept) this.#archive.keep(own, segment, () => undefined);
  }
}

function renditionOf(id: 'video' | 'audio', { timescale }: Track): Rendition {
  return {
    ...{ id, kind: id, timescale, segments: [], firstListed: 0, discontinuitySequence: 0 },
    peakBps: 0,
    averageBps: 0,
  };
}
