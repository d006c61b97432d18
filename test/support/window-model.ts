import type { TrackProtection } from '../../src/media/protection.ts';
import type {
  Chunk,
  LiveState,
  LiveWindow,
  Part,
  Period,
  Rendition,
  Segment,
  SegmentPlan,
  SegmentState,
  Splice,
  WindowChange,
} from '../../src/stream/live-window.ts';
import type { AudioTrack, EventKind, Track, VideoTrack } from '../../src/stream/track.ts';
import { FakeClock } from './fake-clock.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type ModelSegment = Mutable<Omit<Segment, 'chunks' | 'parts'>> & { chunks: Chunk[]; parts: Part[] };
type ModelRendition = Mutable<Omit<Rendition, 'segments'>> & { segments: ModelSegment[] };

/** What the simulated broadcast is. Frame counts, not times, so that everything is exact. */
export interface ModelOptions {
  readonly stream?: string;
  readonly startMs?: number;
  readonly windowSeconds?: number;
  /** Undefined: no video. */
  readonly video?: {
    readonly frameTicks: number;
    readonly segmentFrames: number;
    readonly partFrames: number;
    readonly width?: number;
    readonly height?: number;
    readonly variable?: boolean;
  };
  readonly audio?: { readonly sampleRate: number; readonly partFrames: number; readonly channels?: number };
  /** How much later than its presentation end audio is delivered. */
  readonly audioLateMs?: number;
  /** Opens the next segment, still empty, as soon as the last one closes. */
  readonly eagerOpen?: boolean;
  readonly bitsPerSecond?: number;
  /** How a rendition is encrypted in the key period of that number; undefined: not. */
  readonly protection?: (rendition: string, keyPeriod: number) => TrackProtection | undefined;
}

/** 30 fps, 2 s segments of 6 parts; AAC at 48 kHz in parts of 15 frames. */
export const DEFAULT_VIDEO = { frameTicks: 3000, segmentFrames: 60, partFrames: 10 } as const;
export const DEFAULT_AUDIO = { sampleRate: 48_000, partFrames: 15 } as const;

const VIDEO_TIMESCALE = 90_000;
const AAC_FRAME = 1024;
const SMALLEST_GAP_MS = 400;

interface Lane {
  readonly rendition: ModelRendition;
  readonly frameTicks: number;
  readonly partFrames: number;
  readonly lateMs: number;
  /** Ticks of frame 0, and the number of the next frame. */
  base: number;
  frame: number;
}

/**
 * A live window driven by a fake clock: a broadcast with parts, segments, outages filled with gaps, discontinuities,
 * re-anchored periods, late audio and an end. It decides nothing that it tests: renderers only read it.
 */
export class WindowModel implements LiveWindow {
  readonly clock: FakeClock;
  readonly stream: string;
  readonly plan: SegmentPlan;
  readonly periods: Period[] = [];
  upcoming: Period | undefined = undefined;
  readonly renditions: ModelRendition[] = [];
  readonly splices: Splice[] = [];
  readonly inbandEvents = new Set<EventKind>();
  state: LiveState = 'live';
  version = 1;
  mpdChangedMs: number;
  /** The next video segment to open does not begin with a key frame. */
  dependentNext = false;
  /** A function called after every change, before the clock moves on. */
  onChange: (change: WindowChange) => void = () => {};

  readonly #options: ModelOptions;
  readonly #lanes: Lane[] = [];
  readonly #segmentMs: number;
  #periodCount = 0;
  #keyPeriod = 0;
  #rekeyed = false;
  #awaySinceMs = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.clock = new FakeClock(options.startMs);
    this.stream = options.stream ?? 'cam1';
    this.mpdChangedMs = this.clock.wallMs();
    this.#segmentMs = options.video
      ? (options.video.segmentFrames * options.video.frameTicks) / (VIDEO_TIMESCALE / 1000)
      : 2000;
    this.plan = this.#makePlan();
    this.#beginPeriod(
      this.clock.wallMs(),
      Math.floor(this.clock.wallMs() / this.#segmentMs),
      undefined,
      false,
      true,
    );
  }

  /** Announces a break that begins so much later than now. */
  splice(
    inMs: number,
    options: { readonly plannedSeconds?: number; readonly durationSeconds?: number } = {},
  ): this {
    const { plannedSeconds, durationSeconds } = options;
    const number = this.splices.length;
    this.inbandEvents.add('scte35');
    this.splices.push({
      id: `splice-${number}`,
      number,
      eventId: 7,
      atTicks: Math.round((this.clock.wallMs() + inMs) * 90),
      plannedTicks: plannedSeconds === undefined ? undefined : plannedSeconds * 90_000,
      durationTicks: durationSeconds === undefined ? undefined : durationSeconds * 90_000,
      out: Uint8Array.of(0xfc, 0x30, 0x11, number),
      in: durationSeconds === undefined ? undefined : Uint8Array.of(0xfc, 0x30, 0x12, number),
      cmd: undefined,
    });
    this.mpdChangedMs = this.clock.wallMs();
    this.version += 1;
    return this;
  }

  get published(): boolean {
    return this.renditions.every((rendition) =>
      rendition.segments.some((segment) => segment.state === 'closed'),
    );
  }

  get period(): Period {
    return this.periods.at(-1) as Period;
  }

  subscribe(): () => void {
    return () => {};
  }

  rendition(id: string): ModelRendition {
    const found = this.renditions.find((rendition) => rendition.id === id);
    if (!found) throw new Error(`no rendition ${id}`);
    return found;
  }

  /** Runs the broadcast (or the outage) for that long. */
  run(ms: number): this {
    const endMs = this.clock.wallMs() + ms;
    for (;;) {
      const due = this.#nextDue();
      if (!due || due.atMs > endMs) break;
      if (due.atMs > this.clock.wallMs()) this.clock.advance(due.atMs - this.clock.wallMs());
      due.act();
    }
    this.clock.advance(endMs - this.clock.wallMs());
    return this;
  }

  /** The publisher disconnects. */
  away(): this {
    this.#closeAll();
    this.state = 'away';
    this.#awaySinceMs = this.#endMs();
    this.#mpdChange({ kind: 'state', state: 'away' });
    return this;
  }

  /** The publisher is back: a new timeline, a discontinuity. `width` changes the picture size. */
  resume(width?: number): this {
    const restMs = this.clock.wallMs() - this.#endMs();
    if (restMs > SMALLEST_GAP_MS) this.#appendGap(restMs);
    this.state = 'live';
    this.#beginPeriod(
      Math.max(this.clock.wallMs(), this.#endMs()),
      this.#lastNumber() + 1,
      undefined,
      true,
      true,
      width,
    );
    this.#mpdChange({ kind: 'period', period: this.period });
    return this;
  }

  /** The grid follows key frames that came `driftFrames` off it: a new period, nothing else. */
  reanchor(driftFrames = 0): this {
    return this.#boundaryPeriod(true, driftFrames);
  }

  /** Other keys from the next boundary on: a new period that continues the last. */
  rekey(): this {
    this.#keyPeriod += 1;
    this.#rekeyed = true;
    this.#boundaryPeriod(true, 0);
    this.#rekeyed = false;
    this.upcoming = undefined;
    return this;
  }

  /** The period of {@link rekey} is made known, to begin so many segments after the newest one. */
  announceRekey(segments: number): this {
    const startNumber = this.#lastNumber() + segments;
    const startMs = this.period.startMs + (startNumber - this.period.startNumber) * this.#segmentMs;
    this.upcoming = {
      ...this.period,
      id: `p${this.#periodCount + 1}`,
      startMs,
      startNumber,
      continues: this.period.id,
      rekeyed: true,
      protections: this.#protections(this.period.tracks, this.#keyPeriod + 1),
    };
    this.version += 1;
    this.mpdChangedMs = this.clock.wallMs();
    return this;
  }

  #protections(tracks: ReadonlyMap<string, Track>, keyPeriod: number): Map<string, TrackProtection> {
    const protections = new Map<string, TrackProtection>();
    for (const id of tracks.keys()) {
      const protection = this.#options.protection?.(id, keyPeriod);
      if (protection) protections.set(id, protection);
    }
    return protections;
  }

  /** The codec configuration changes without an outage. */
  retrack(width: number): this {
    return this.#boundaryPeriod(false, 0, width);
  }

  end(): this {
    this.#closeAll();
    this.state = 'ended';
    this.#mpdChange({ kind: 'state', state: 'ended' });
    return this;
  }

  #makePlan(): SegmentPlan {
    const { video, audio, windowSeconds = 60 } = this.#options;
    const parts = [
      ...(video ? [(video.frameTicks * video.partFrames) / VIDEO_TIMESCALE] : []),
      ...(audio ? [(AAC_FRAME * audio.partFrames) / audio.sampleRate] : []),
    ];
    const partTargetSeconds = Math.ceil(Math.max(...parts) * 1000 - 1e-6) / 1000;
    const targetDurationSeconds = Math.round(this.#segmentMs / 1000);
    return {
      partTargetSeconds,
      targetDurationSeconds,
      chunkFrames: 1,
      chunkSeconds: video ? video.frameTicks / VIDEO_TIMESCALE : AAC_FRAME / (audio?.sampleRate ?? 48_000),
      partHoldBackSeconds: Math.round(partTargetSeconds * 3000) / 1000,
      canSkipUntilSeconds: 6 * targetDurationSeconds,
      windowSeconds,
    };
  }

  #track(width: number | undefined): { video: VideoTrack | undefined; audio: AudioTrack | undefined } {
    const { video, audio } = this.#options;
    return {
      video: video && {
        kind: 'video',
        codec: 'avc1',
        codecString: 'avc1.64001f',
        timescale: VIDEO_TIMESCALE,
        config: new Uint8Array([1, 0x64, 0, 0x1f]),
        width: width ?? this.#lastWidth() ?? video.width ?? 1280,
        height: video.height ?? 720,
        cadence: video.variable
          ? { frameTicks: undefined, gopTicks: undefined }
          : { frameTicks: video.frameTicks, gopTicks: video.segmentFrames * video.frameTicks },
      },
      audio: audio && {
        kind: 'audio',
        codec: 'mp4a',
        codecString: 'mp4a.40.2',
        timescale: audio.sampleRate,
        config: new Uint8Array([0x11, 0x90]),
        channels: audio.channels ?? 2,
        frameTicks: AAC_FRAME,
      },
    };
  }

  #lastWidth(): number | undefined {
    const last = this.periods.at(-1)?.tracks.get('video');
    return last?.kind === 'video' ? last.width : undefined;
  }

  #beginPeriod(
    startMs: number,
    startNumber: number,
    continues: string | undefined,
    discontinuity: boolean,
    fresh: boolean,
    width?: number,
  ): void {
    const { video, audio } = this.#track(width);
    const lead = video ?? audio;
    if (!lead) throw new Error('a broadcast needs a track');
    const leadTicks = Math.round(startMs * (lead.timescale / 1000));
    const tracks = new Map([video, audio].flatMap((track) => (track ? [[track.kind, track]] : [])));
    const period: Period = {
      id: `p${++this.#periodCount}`,
      startMs: leadTicks / (lead.timescale / 1000),
      startNumber,
      segmentTicks: Math.round((this.#segmentMs * lead.timescale) / 1000),
      segmentTimescale: lead.timescale,
      continues,
      lead,
      tracks,
      inits: new Map([video, audio].flatMap((track) => (track ? [[track.kind, new Uint8Array(8)]] : []))),
      protections: this.#protections(tracks, this.#keyPeriod),
      rekeyed: this.#rekeyed,
    };
    this.periods.push(period);
    this.#discontinuityAt = discontinuity ? startNumber : this.#discontinuityAt;
    if (fresh) this.#startLanes(period, leadTicks);
    if (this.#options.eagerOpen && fresh) for (const lane of this.#lanes) this.#open(lane);
  }

  #discontinuityAt = -1;

  #startLanes(period: Period, leadTicks: number): void {
    const { video, audio, audioLateMs = 0 } = this.#options;
    if (video) this.#startLane('video', VIDEO_TIMESCALE, video.frameTicks, video.partFrames, 0, leadTicks);
    if (!audio) return;
    // AAC frames do not fall on the video's: the first one starts a little after the picture.
    const ticks = Math.ceil((period.startMs * audio.sampleRate) / 1000) + (video ? 137 : 0);
    this.#startLane('audio', audio.sampleRate, AAC_FRAME, audio.partFrames, audioLateMs, ticks);
  }

  #startLane(
    kind: 'video' | 'audio',
    timescale: number,
    frameTicks: number,
    partFrames: number,
    lateMs: number,
    base: number,
  ): void {
    const old = this.#lanes.find((lane) => lane.rendition.id === kind);
    if (old) {
      old.base = base;
      old.frame = 0;
      return;
    }
    const rendition: ModelRendition = {
      id: kind,
      kind,
      timescale,
      segments: [],
      get dependent() {
        return rendition.segments.flatMap(({ number, chunks, independent }) =>
          chunks.length === 0 || independent ? [] : [number],
        );
      },
      firstListed: this.period.startNumber,
      discontinuitySequence: 0,
      peakBps: 0,
      averageBps: 0,
    };
    this.renditions.push(rendition);
    this.#lanes.push({ rendition, frameTicks, partFrames, lateMs, base, frame: 0 });
  }

  /** What happens next: the part that is due first, or during an outage the end of a slot. */
  #nextDue(): { atMs: number; act: () => void } | undefined {
    if (this.state === 'ended') return undefined;
    if (this.state === 'away') {
      const atMs = this.#awaySinceMs + this.#segmentMs;
      return {
        atMs,
        act: () => {
          this.#awaySinceMs = atMs;
          this.#appendGap(this.#segmentMs);
        },
      };
    }
    let next: { atMs: number; act: () => void } | undefined;
    for (const lane of this.#lanes) {
      const frames = this.#partFramesDue(lane);
      const atMs = (tickOf(lane, lane.frame + frames) / lane.rendition.timescale) * 1000 + lane.lateMs;
      if (!next || atMs < next.atMs) next = { atMs, act: () => this.#emitPart(lane, frames) };
    }
    return next;
  }

  #partFramesDue(lane: Lane): number {
    const number = this.#laneNumber(lane);
    const boundary = this.#boundaryTicks(lane, number + 1);
    const left = Math.ceil((boundary - tickOf(lane, lane.frame)) / lane.frameTicks - 1e-6);
    return Math.max(1, Math.min(lane.partFrames, left));
  }

  #laneNumber(lane: Lane): number {
    const last = lane.rendition.segments.at(-1);
    if (!last) return this.period.startNumber;
    return last.state === 'open' ? last.number : last.number + 1;
  }

  #periodOf(number: number): Period {
    return this.periods.findLast((period) => period.startNumber <= number) ?? this.period;
  }

  /** Where segment `number` begins by its period's grid, in the lane's ticks. */
  #boundaryTicks(lane: Lane, number: number): number {
    const period = this.#periodOf(number);
    const ms = period.startMs + (number - period.startNumber) * this.#segmentMs;
    return ms * (lane.rendition.timescale / 1000);
  }

  #emitPart(lane: Lane, frames: number): void {
    const segment = this.#open(lane);
    const start = tickOf(lane, lane.frame);
    lane.frame += frames;
    const end = tickOf(lane, lane.frame);
    const index = segment.parts.length;
    if (index === 0) segment.independent = this.#takeKey(lane);
    const sizeBytes = Math.round(
      (((end - start) / lane.rendition.timescale) * (this.#options.bitsPerSecond ?? 2e6)) / 8,
    );
    const independent = lane.rendition.kind === 'audio' || (index === 0 && segment.independent);
    segment.chunks.push({ bytes: new Uint8Array(0), independent });
    const part: Part = {
      index,
      firstChunk: index,
      endChunk: index + 1,
      durationTicks: end - start,
      sizeBytes,
      independent,
    };
    segment.parts.push(part);
    segment.sizeBytes += sizeBytes;
    const complete = end >= this.#boundaryTicks(lane, segment.number + 1) - 1;
    if (complete) this.#close(lane, segment);
    this.#tell({ kind: 'part', rendition: lane.rendition.id, segment, part });
  }

  #open(lane: Lane): ModelSegment {
    const last = lane.rendition.segments.at(-1);
    if (last?.state === 'open') return last;
    const number = this.#laneNumber(lane);
    // As in the packager: what a segment begins with is known when it has its first chunk.
    return this.#push(lane, number, 'open', tickOf(lane, lane.frame), 0, false);
  }

  /** Whether the segment that gets its first part begins with a key frame. */
  #takeKey(lane: Lane): boolean {
    if (lane.rendition.kind === 'audio') return true;
    const independent = !this.dependentNext;
    this.dependentNext = false;
    return independent;
  }

  #push(
    lane: Lane,
    number: number,
    state: SegmentState,
    startTicks: number,
    durationTicks: number,
    independent: boolean,
  ): ModelSegment {
    const segment: ModelSegment = {
      number,
      period: this.#periodOf(number),
      startTicks,
      durationTicks,
      state,
      place: 'memory',
      discontinuity: number === this.#discontinuityAt,
      chunks: [],
      parts: [],
      sizeBytes: 0,
      independent,
      partsForetold: false,
    };
    lane.rendition.segments.push(segment);
    return segment;
  }

  #close(lane: Lane, segment: ModelSegment): void {
    segment.state = 'closed';
    segment.durationTicks = tickOf(lane, lane.frame) - segment.startTicks;
    this.#trim(lane.rendition);
    if (this.#options.eagerOpen) this.#open(lane);
  }

  #closeAll(): void {
    for (const lane of this.#lanes) {
      const last = lane.rendition.segments.at(-1);
      if (last?.state !== 'open') continue;
      if (last.parts.length === 0) {
        lane.rendition.segments.pop();
        continue;
      }
      last.state = 'closed';
      last.durationTicks = tickOf(lane, lane.frame) - last.startTicks;
      this.#trim(lane.rendition);
    }
    // Late audio may be a segment behind the picture: what is missing becomes a gap.
    const lastNumber = this.#lastNumber();
    for (const lane of this.#lanes) {
      while ((lane.rendition.segments.at(-1)?.number ?? lastNumber) < lastNumber)
        this.#pushGap(lane, this.#segmentMs);
    }
  }

  #appendGap(durationMs: number): void {
    for (const lane of this.#lanes) this.#pushGap(lane, durationMs);
    this.#tell({ kind: 'state', state: this.state });
  }

  #pushGap(lane: Lane, durationMs: number): void {
    const { segments, timescale } = lane.rendition;
    const last = segments.at(-1);
    if (!last) return;
    const start = last.startTicks + last.durationTicks;
    this.#push(lane, last.number + 1, 'gap', start, Math.round((durationMs * timescale) / 1000), false);
    this.#trim(lane.rendition);
  }

  /** A new period at the next boundary that no lane has reached. */
  #boundaryPeriod(continuing: boolean, driftFrames: number, width?: number): this {
    const number = Math.max(...this.#lanes.map((lane) => this.#laneNumber(lane))) + 1;
    const { period } = this;
    const [lead] = this.#lanes;
    const driftMs = lead ? (driftFrames * lead.frameTicks * 1000) / lead.rendition.timescale : 0;
    const startMs = period.startMs + (number - period.startNumber) * this.#segmentMs + driftMs;
    const continues = continuing ? period.id : undefined;
    this.#beginPeriod(startMs, number, continues, !continuing, false, width);
    this.#mpdChange({ kind: 'period', period: this.period });
    return this;
  }

  #trim(rendition: ModelRendition): void {
    const { segments, timescale } = rendition;
    const seconds = (segment: ModelSegment): number => segment.durationTicks / timescale;
    const listed = segments.filter(
      (segment) => segment.number >= rendition.firstListed && segment.state !== 'open',
    );
    let total = listed.reduce((sum, segment) => sum + seconds(segment), 0);
    const keep = Math.max(this.plan.windowSeconds, 3 * this.plan.targetDurationSeconds);
    for (const segment of listed) {
      if (total - seconds(segment) < keep) break;
      total -= seconds(segment);
      rendition.firstListed = segment.number + 1;
      if (segment.discontinuity) rendition.discontinuitySequence++;
    }
    while ((segments[0]?.number ?? Infinity) < rendition.firstListed - 5) segments.shift();
    const rates = listed
      .filter((segment) => segment.state === 'closed')
      .map((segment) => (segment.sizeBytes * 8) / seconds(segment));
    rendition.peakBps = Math.max(0, ...rates);
    rendition.averageBps = rates.length === 0 ? 0 : rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    this.#forgetPeriods();
  }

  #forgetPeriods(): void {
    const held = new Set(
      this.renditions.flatMap((rendition) => rendition.segments.map((segment) => segment.period.id)),
    );
    while (this.periods.length > 1 && !held.has(this.periods[0]?.id ?? '')) this.periods.shift();
  }

  #lastNumber(): number {
    return Math.max(...this.renditions.map((rendition) => rendition.segments.at(-1)?.number ?? 0));
  }

  #endMs(): number {
    return Math.max(
      ...this.renditions.map(({ segments, timescale }) => {
        const last = segments.at(-1);
        return last ? ((last.startTicks + last.durationTicks) / timescale) * 1000 : this.period.startMs;
      }),
    );
  }

  #mpdChange(change: WindowChange): void {
    this.mpdChangedMs = Math.max(this.mpdChangedMs + 1, this.clock.wallMs());
    this.#tell(change);
  }

  #tell(change: WindowChange): void {
    this.version++;
    this.onChange(change);
  }
}

function tickOf(lane: Lane, frame: number): number {
  return Math.round(lane.base + frame * lane.frameTicks);
}
