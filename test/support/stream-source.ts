import type { Timeline, Sample, StreamSink, TimedEvent } from '../../src/stream/track.ts';
import type { Publisher, PublisherInfo } from '../../src/stream/publisher.ts';
import type { FakeClock } from './fake-clock.ts';

/** Sequence headers as ffmpeg's FLV muxer wrote them for x264 and its AAC encoder. */
export const AVC_360P30 = hex(
  '0142c01effe100196742c01eda0280bfe5c044000003000400000300f23c58ba8001000468ce0fc8',
);
export const AVC_720P25 = hex(
  '014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20',
);
export const AVC_1080P2997 = hex(
  '01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800',
);
export const AAC_48K = hex('1190');
export const AAC_44K = hex('1210');

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** An RTMP-like publisher: millisecond timestamps that wrap at 2^32. */
export const RTMP_INFO: PublisherInfo = {
  protocol: 'rtmp',
  role: 'primary',
  session: 'session-1',
  remoteAddress: '127.0.0.1:50000',
  timescale: 1000,
  wrapBits: 32,
};

/** What a sink was told, in order. */
export type SinkEvent =
  | { readonly type: 'begin'; readonly timeline: Timeline }
  | { readonly type: 'sample'; readonly sample: Sample; readonly atMs: number }
  | { readonly type: 'event'; readonly event: TimedEvent }
  | { readonly type: 'away' | 'end' };

/** A sink that remembers, and checks what every sink may rely on. */
export class RecordingSink implements StreamSink {
  readonly events: SinkEvent[] = [];
  readonly #nowMs: () => number;
  readonly #ends = { video: 0, audio: 0 };
  #current: Timeline | undefined;

  constructor(nowMs: () => number = () => 0) {
    this.#nowMs = nowMs;
  }

  begin(timeline: Timeline): void {
    const lead = this.#current?.video ? 'video' : 'audio';
    const endMs = this.#ends[lead] * 1000;
    const toleranceMs = timeline.reason === 'jump' ? 100 : 0.05;
    if (timeline.reason !== 'tracks' && timeline.startMs < endMs - toleranceMs) {
      throw new Error(`${timeline.reason} begins at ${timeline.startMs}, before the end at ${endMs}`);
    }
    this.#current = timeline;
    this.events.push({ type: 'begin', timeline });
  }

  sample(sample: Sample): void {
    if (!Number.isInteger(sample.dts) || !Number.isInteger(sample.pts) || !(sample.duration > 0)) {
      throw new Error(`not whole ticks: ${sample.kind} ${sample.dts} ${sample.pts} ${sample.duration}`);
    }
    const track = this.#current?.[sample.kind];
    if (!track) throw new Error(`a ${sample.kind} sample without a ${sample.kind} track`);
    const endSeconds = (sample.dts + sample.duration) / track.timescale;
    if (sample.dts / track.timescale < this.#ends[sample.kind] - 1e-6) {
      throw new Error(
        `${sample.kind} overlaps: ${sample.dts / track.timescale} < ${this.#ends[sample.kind]}`,
      );
    }
    this.#ends[sample.kind] = endSeconds;
    this.events.push({ type: 'sample', sample, atMs: this.#nowMs() });
  }

  event(event: TimedEvent): void {
    this.events.push({ type: 'event', event });
  }

  away(): void {
    this.events.push({ type: 'away' });
  }

  end(): void {
    this.events.push({ type: 'end' });
  }

  get timelines(): Timeline[] {
    return this.events.flatMap((event) => (event.type === 'begin' ? [event.timeline] : []));
  }

  get reasons(): string[] {
    return this.timelines.map((timeline) => timeline.reason);
  }

  samples(kind: 'video' | 'audio'): Sample[] {
    return this.events.flatMap((event) =>
      event.type === 'sample' && event.sample.kind === kind ? [event.sample] : [],
    );
  }

  /** Kinds of events without samples: `begin:start`, `away`, `end`. */
  get signals(): string[] {
    return this.events.flatMap((event) => {
      if (event.type === 'sample' || event.type === 'event') return [];
      return [event.type === 'begin' ? `begin:${event.timeline.reason}` : event.type];
    });
  }
}

export interface SourceOptions {
  readonly fps?: number;
  readonly gopFrames?: number;
  /** False for none. */
  readonly video?: boolean;
  readonly audio?: boolean;
  readonly sampleRate?: number;
  /** Where the source's clock starts, ms. */
  readonly startMs?: number;
  readonly frameBytes?: number;
  /** B-frames: composition offsets in frames, by place in the GOP. */
  readonly reorder?: (placeInGop: number) => number;
}

/** A synthetic encoder: sends frames through a publisher at their own time, moving the fake clock. */
export class SyntheticSource {
  readonly #clock: FakeClock;
  readonly #publisher: Publisher;
  readonly #options: Required<Omit<SourceOptions, 'reorder'>> & Pick<SourceOptions, 'reorder'>;
  readonly #originMs: number;
  #videoFrame = 0;
  #audioFrame = 0;
  /** Added to every timestamp from now on: a jump of the source's clock. */
  skewMs = 0;
  /** Leaves video or audio out for as long as it is set. */
  muted: { video?: boolean; audio?: boolean } = {};
  /** Decides on single video frames, by number; false leaves one out. */
  sends: (frame: number) => boolean = () => true;
  /** Makes all video from now on non-key. */
  noKeys = false;

  constructor(clock: FakeClock, publisher: Publisher, options: SourceOptions = {}) {
    this.#clock = clock;
    this.#publisher = publisher;
    this.#options = {
      fps: 30,
      gopFrames: 60,
      video: true,
      audio: true,
      sampleRate: 48_000,
      startMs: 0,
      frameBytes: 100,
      ...options,
    };
    this.#originMs = clock.monotonicMs();
  }

  /** Sends the sequence headers of what it has. */
  configure(video = AVC_360P30, audio = this.#options.sampleRate === 44_100 ? AAC_44K : AAC_48K): void {
    if (this.#options.video) this.#publisher.videoConfig('avc1', video);
    if (this.#options.audio) this.#publisher.audioConfig('mp4a', audio);
  }

  get framesSent(): number {
    return this.#videoFrame;
  }

  /** True time of a video frame on this source's own axis, ms. */
  videoTimeMs(frame: number): number {
    return (frame * 1000) / this.#options.fps;
  }

  /** Runs for `durationMs` of real time. */
  run(durationMs: number): void {
    const endMs = this.#clock.monotonicMs() - this.#originMs + durationMs;
    for (;;) {
      const videoMs = this.#options.video ? this.videoTimeMs(this.#videoFrame) : Number.POSITIVE_INFINITY;
      const audioMs = this.#options.audio
        ? (this.#audioFrame * 1_024_000) / this.#options.sampleRate
        : Number.POSITIVE_INFINITY;
      const nextMs = Math.min(videoMs, audioMs);
      if (nextMs >= endMs) break;
      this.#moveTo(nextMs);
      if (videoMs <= audioMs) this.#sendVideo(videoMs);
      else this.#sendAudio(audioMs);
    }
    this.#moveTo(endMs);
  }

  /** Time passes and nothing is sent; the source's own clock goes on. */
  pause(durationMs: number): void {
    const wereMuted = this.muted;
    this.muted = { video: true, audio: true };
    this.run(durationMs);
    this.muted = wereMuted;
  }

  #moveTo(sourceMs: number): void {
    const wait = sourceMs - (this.#clock.monotonicMs() - this.#originMs);
    if (wait > 0) this.#clock.advance(wait);
  }

  #stamp(ms: number): number {
    return Math.floor(ms + this.#options.startMs + this.skewMs + 1e-6) >>> 0;
  }

  #sendVideo(ms: number): void {
    const frame = this.#videoFrame++;
    if (this.muted.video || !this.sends(frame)) return;
    const place = frame % this.#options.gopFrames;
    const key = place === 0 && !this.noKeys;
    const offsetFrames = this.#options.reorder?.(place) ?? 0;
    const dts = this.#stamp(ms);
    const pts = this.#stamp(ms + this.videoTimeMs(offsetFrames));
    const data = accessUnit(key, frame, this.#options.frameBytes);
    this.#publisher.write({ kind: 'video', dts, compositionOffset: (pts - dts) | 0, key, data });
  }

  #sendAudio(ms: number): void {
    const frame = this.#audioFrame++;
    if (this.muted.audio) return;
    const data = new Uint8Array(8);
    new DataView(data.buffer).setUint32(0, frame);
    this.#publisher.write({ kind: 'audio', dts: this.#stamp(ms), compositionOffset: 0, key: true, data });
  }
}

/** One slice NAL unit with the frame number in it, behind a 4-byte length. */
export function accessUnit(key: boolean, frame: number, sizeBytes = 100): Uint8Array {
  const data = new Uint8Array(Math.max(sizeBytes, 9));
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length - 4);
  data[4] = key ? 0x65 : 0x41;
  view.setUint32(5, frame);
  return data;
}

/** The frame number that {@link accessUnit} wrote. */
export function frameNumber(sample: Sample): number {
  return new DataView(sample.data.buffer, sample.data.byteOffset).getUint32(sample.kind === 'video' ? 5 : 0);
}
