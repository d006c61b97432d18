import { Metrics } from '../../src/base/metrics.ts';
import { ORIGIN_DEFAULTS, type OriginOptions } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import type { PageFiles } from '../../src/origin/page-files.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import { LivePeriod, type Programme } from '../../src/packager/period-factory.ts';
import { LiveRendition, type LiveSegment } from '../../src/packager/live-rendition.ts';
import { WindowStore } from '../../src/packager/window-store.ts';
import type { LiveWindow, SegmentPlan } from '../../src/stream/live-window.ts';
import type { PlaybackScope } from '../../src/origin/path-scope.ts';
import { FakeClock } from './fake-clock.ts';
import { exchange, type FakeRequestInit, type FakeResponse } from './fake-exchange.ts';
import { createMemoryLog } from './memory-log.ts';
import { audioTrack, videoTrack } from './sample-source.ts';

/** Segments of 2 s in ten parts of 0.2 s, one chunk a part unless told otherwise. */
export const PLAN: SegmentPlan = {
  partTargetSeconds: 0.2,
  targetDurationSeconds: 2,
  chunkFrames: 1,
  chunkSeconds: 0.04,
  partHoldBackSeconds: 0.6,
  canSkipUntilSeconds: 12,
  windowSeconds: 20,
};
export const PARTS_PER_SEGMENT = 10;
const TIMESCALE = { video: 90_000, audio: 48_000 } as const;
const TRACKS = { video: videoTrack({ fps: 25, gopFrames: 50 }), audio: audioTrack() } as const;
type RenditionId = keyof typeof TIMESCALE;

/** A live window, made by hand step by step, with an origin in front of it and every turn under control. */
export class OriginFixture {
  readonly clock = new FakeClock();
  readonly metrics = new Metrics();
  readonly log = createMemoryLog();
  readonly window: WindowStore;
  readonly origin: Origin;
  readonly turns: (() => void)[] = [];
  readonly windows = new Map<string, LiveWindow>();
  readonly known = new Set<string>();
  /** What path tokens there are. */
  readonly tokens = new Map<string, PlaybackScope>();
  readonly #firstNumber: number;
  #periods = 0;

  constructor(options: Partial<OriginOptions> = {}, pages: PageFiles = new Map(), firstNumber = 100) {
    this.#firstNumber = firstNumber;
    this.window = new WindowStore('cam', PLAN, 1e9, {
      clock: this.clock,
      log: createMemoryLog(),
      metrics: new PackagerMetrics(new Metrics()),
    });
    this.windows.set('cam', this.window);
    this.origin = new Origin(
      { ...ORIGIN_DEFAULTS, ...options },
      {
        directory: { window: (stream) => this.windows.get(stream) },
        liveStreams: () => this.windows.keys(),
        isKnown: (stream) => this.known.has(stream),
        clock: this.clock,
        log: this.log,
        metrics: this.metrics,
        pages,
        pathTokens: (token) => this.tokens.get(token),
        yieldTurn: (turn) => void this.turns.push(turn),
      },
    );
  }

  /** Begins a period at the end of what there is; `continues` names the one it runs on from, if it does. */
  beginPeriod(continues?: string, rekeyed = false): LivePeriod {
    this.#periods += 1;
    const number = this.#nextNumber('video');
    const id = `p${this.#periods}`;
    const programme: Programme = {
      lead: TRACKS.video,
      tracks: new Map(
        (['video', 'audio'] as const).map((kind) => [
          kind,
          { track: TRACKS[kind], init: Buffer.from(`init ${kind} ${id}`) },
        ]),
      ),
      rules: new Map(),
      segmentTicks: 2 * TIMESCALE.video,
      maxSegmentTicks: 3 * TIMESCALE.video,
    };
    const period = new LivePeriod(programme, {
      id,
      startMs: number * 2000,
      startNumber: number,
      continues,
      rekeyed,
      cipher: undefined,
    });
    this.window.addPeriod(period);
    for (const kind of ['audio', 'video'] as const) {
      if (this.window.rendition(kind)) continue;
      const list = { firstListed: this.#firstNumber, discontinuitySequence: 0 };
      this.window.addRendition(
        new LiveRendition({ id: kind, kind, origin: kind, timescale: TIMESCALE[kind], ...list }),
      );
    }
    return period;
  }

  /** A stream with `segments` complete segments and `parts` parts of the next one, published and quiet. */
  start(segments = 10, parts = 3): this {
    this.beginPeriod();
    for (let i = 0; i < segments; i += 1) this.fillSegment();
    for (let i = 0; i < parts; i += 1) this.publishPart();
    this.settle();
    return this;
  }

  /** One whole segment of every rendition. */
  fillSegment(): void {
    for (let part = 0; part < PARTS_PER_SEGMENT; part += 1) this.publishPart();
    this.closeSegment();
  }

  /** One chunk of a rendition, opening its next segment when none is open. */
  addChunk(id: RenditionId = 'video', text?: string): LiveSegment {
    const rendition = this.#rendition(id);
    const segment = rendition.open ?? this.#open(id);
    const index = segment.chunks.length;
    const bytes = Buffer.from(text ?? `${id} ${segment.number} chunk ${index};`);
    this.window.addChunk(rendition, segment, { bytes, independent: index === 0 }, segment.startTicks);
    this.window.commit();
    return segment;
  }

  /** One part, of one new chunk, of every rendition. */
  publishPart(): void {
    for (const id of ['video', 'audio'] as const) {
      this.addChunk(id);
      this.listPart(id);
    }
  }

  /** Lists the chunks since the last part as a part. */
  listPart(id: RenditionId): void {
    const rendition = this.#rendition(id);
    const segment = rendition.open;
    if (!segment) throw new Error('no open segment');
    const firstChunk = segment.parts.at(-1)?.endChunk ?? 0;
    const chunks = segment.chunks.slice(firstChunk);
    this.window.addPart(rendition, segment, {
      index: segment.parts.length,
      firstChunk,
      endChunk: segment.chunks.length,
      durationTicks: TIMESCALE[id] / 5,
      sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0),
      independent: firstChunk === 0,
    });
    this.window.commit();
  }

  /** Closes the open segment of every rendition. */
  closeSegment(): void {
    for (const rendition of this.window.renditions) {
      if (rendition.open) this.window.closeSegment(rendition, rendition.open, 2 * rendition.timescale);
    }
    this.window.commit();
  }

  /** The publisher goes away: what is open is closed. */
  goAway(): void {
    this.closeSegment();
    this.window.setState('away');
    this.window.commit();
    this.settle();
  }

  /** A segment of the outage. */
  addGap(): void {
    for (const id of ['video', 'audio'] as const) this.#open(id);
    this.closeSegment();
    this.settle();
  }

  end(): void {
    this.closeSegment();
    this.window.setState('ended');
    this.window.commit();
    this.settle();
  }

  /** Runs every turn that was asked for, those asked for meanwhile included. */
  settle(): void {
    for (let turn = this.turns.shift(); turn; turn = this.turns.shift()) turn();
  }

  /** Moves time on and runs the turns that follow. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.settle();
  }

  /** Requests something below /live/cam/. */
  get(path: string, init: FakeRequestInit = {}): FakeResponse {
    return this.request(`/live/cam/${path}`, init);
  }

  request(url: string, init: FakeRequestInit = {}): FakeResponse {
    return exchange(this.origin.handler, url, init);
  }

  /** Value of a metric, without the `headwater_` prefix, e.g. `origin_waiters{kind="part"}`; 0 when absent. */
  async metric(name: string): Promise<number> {
    const text = await this.metrics.registry.metrics();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`headwater_${name} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  }

  #rendition(id: RenditionId): LiveRendition {
    const rendition = this.window.rendition(id);
    if (!rendition) throw new Error(`no rendition ${id}`);
    return rendition;
  }

  #open(id: RenditionId): LiveSegment {
    const rendition = this.#rendition(id);
    const number = this.#nextNumber(id);
    const period = this.window.periods.at(-1);
    if (!period) throw new Error('no period');
    const last = rendition.segments.at(-1);
    return this.window.openSegment(rendition, {
      number,
      period,
      startTicks: number * 2 * TIMESCALE[id],
      discontinuity: last !== undefined && last.period !== period,
    });
  }

  #nextNumber(id: RenditionId): number {
    return (this.window.rendition(id)?.segments.at(-1)?.number ?? this.#firstNumber - 1) + 1;
  }
}
