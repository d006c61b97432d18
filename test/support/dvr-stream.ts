import { setImmediate as nextTurn } from 'node:timers/promises';
import { Metrics } from '../../src/base/metrics.ts';
import type { OwnerKeys } from '../../src/drm/content-key.ts';
import { ORIGIN_DEFAULTS } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import {
  DEFAULT_PACKAGER_OPTIONS,
  type PackagerOptions,
  StreamPackager,
} from '../../src/packager/stream-packager.ts';
import { NUMBER_RESERVATION } from '../../src/stream/journal.ts';
import type { LiveWindow, Rendition } from '../../src/stream/live-window.ts';
import type { Sample, TimelineReason } from '../../src/stream/track.ts';
import { FakeArchive } from './fake-archive.ts';
import { FakeClock } from './fake-clock.ts';
import { exchange, type FakeRequestInit, type FakeResponse } from './fake-exchange.ts';
import { createMemoryLog } from './memory-log.ts';
import { MemoryJournal } from './packager-bench.ts';
import { type Backend, FAKE_ORIGIN, toAccessUnit, withEntries } from './presentation.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  sampleSeconds,
  timeline,
  videoSamples,
  videoTrack,
} from './sample-source.ts';

const STEP_MS = 20;
/** Samples made at a time: whole GOPs, and whole frames of sound. */
const BATCH_SECONDS = 32;

export interface DvrOptions extends Partial<PackagerOptions> {
  readonly archive?: FakeArchive;
  readonly keys?: OwnerKeys;
  readonly audio?: boolean;
}

/**
 * A stream with an archive behind its window and an origin before it, on a clock of its own: 30 fps in two-second segments,
 * and sound. Its process may be killed and started again: the journal and the archive stay.
 */
export class DvrStream implements Backend {
  readonly clock = new FakeClock(EPOCH_MS);
  readonly folder = `${FAKE_ORIGIN}/live/cam/`;
  readonly journal = new MemoryJournal();
  readonly archive: FakeArchive;
  readonly metrics = new Metrics();
  readonly origin: Origin;
  /** Every segment with media that ever was complete, by its path. */
  readonly packaged = new Map<string, Buffer>();
  packager: StreamPackager;
  readonly #options: PackagerOptions;
  readonly #keys: OwnerKeys | undefined;
  readonly #packagerMetrics = new PackagerMetrics(this.metrics);
  readonly #turns: (() => void)[] = [];
  #audio: boolean;
  #samples: Sample[] = [];
  #next = 0;
  #madeUntilMs = 0;
  #onAir = false;
  #heard: LiveWindow | undefined;
  /** What the samples are sent on to, rungs of an encoder say. */
  onSample: (sample: Sample) => void = () => {};

  constructor({ archive = new FakeArchive(), keys, audio = true, ...options }: DvrOptions = {}) {
    this.archive = archive;
    this.#keys = keys;
    this.#audio = audio;
    this.#options = { ...DEFAULT_PACKAGER_OPTIONS, windowSeconds: 10, dvrSeconds: 60, ...options };
    this.packager = this.#createPackager();
    this.origin = new Origin(ORIGIN_DEFAULTS, {
      directory: { window: (stream) => (stream === 'cam' ? this.packager.window : undefined) },
      liveStreams: () => ['cam'],
      isKnown: () => true,
      archive,
      clock: this.clock,
      log: createMemoryLog(),
      metrics: new Metrics(),
      pages: new Map(),
      yieldTurn: (turn) => void this.#turns.push(turn),
    });
  }

  get window(): LiveWindow {
    const { window } = this.packager;
    if (!window) throw new Error('no window yet');
    return window;
  }

  rendition(id: string): Rendition {
    const found = this.window.renditions.find((rendition) => rendition.id === id);
    if (!found) throw new Error(`no rendition ${id}`);
    return found;
  }

  /** A publisher begins, or comes back. */
  publish(reason: TimelineReason = 'start', audio: boolean = this.#audio): this {
    this.#audio = audio;
    this.#onAir = true;
    this.#samples = [];
    this.#next = 0;
    this.#madeUntilMs = this.clock.wallMs();
    const tracks = { video: videoTrack(), ...(this.#audio && { audio: audioTrack() }) };
    this.packager.begin(timeline(tracks, { reason, startMs: this.clock.wallMs() }));
    return this;
  }

  /** Time goes by, `settle` the archive at each segment's length. */
  run(seconds: number, settle = true): this {
    for (let ms = 0; ms < seconds * 1000; ms += STEP_MS) {
      this.clock.advance(STEP_MS);
      this.tick();
      if (settle && ms % 1000 === 0) this.archive.settle();
    }
    return this;
  }

  away(): this {
    this.#onAir = false;
    this.packager.away();
    this.tick();
    return this;
  }

  end(): this {
    this.#onAir = false;
    this.packager.end();
    this.tick();
    return this;
  }

  /** Someone publishes after the end: another packager takes the place of the first. */
  anew(reason: TimelineReason = 'start', audio: boolean = this.#audio): this {
    this.packager.close();
    this.packager = this.#createPackager();
    return this.publish(reason, audio);
  }

  /** kill -9: what was not stored is gone, and the journal has numbers that were only reserved. */
  kill(): this {
    this.#onAir = false;
    this.archive.crash();
    this.packager.close();
    const record = this.journal.records.get('cam');
    if (record) this.journal.records.set('cam', NUMBER_RESERVATION.ahead(record));
    this.packager = this.#createPackager();
    return this;
  }

  tick(): void {
    const nowMs = this.clock.wallMs();
    while (this.#onAir) {
      if (this.#next === this.#samples.length) this.#make();
      const sample = this.#samples[this.#next];
      if (!sample || endMs(sample) > nowMs) break;
      this.#next += 1;
      this.packager.sample(sample);
      this.#listen();
      this.onSample(sample);
    }
    for (let turn = this.#turns.shift(); turn; turn = this.#turns.shift()) turn();
  }

  request(url: string, headers: Readonly<Record<string, string>>): ReturnType<Backend['request']> {
    const { pathname, search } = new URL(url);
    return withEntries(this.#exchange(pathname + search, { headers }));
  }

  /** The answer to a request below the stream's folder, once it is there. */
  async get(path: string, init: FakeRequestInit = {}): Promise<FakeResponse> {
    const response = this.#exchange(`/live/cam/${path}`, init);
    for (let turn = 0; !response.finished; turn++) {
      if (turn > 100) throw new Error(`no answer to ${path}`);
      await nextTurn();
    }
    return response;
  }

  close(): void {
    this.packager.close();
    this.origin.close();
  }

  #exchange(url: string, init: FakeRequestInit): FakeResponse {
    const response = exchange(this.origin.handler, url, init);
    for (let turn = this.#turns.shift(); turn; turn = this.#turns.shift()) turn();
    return response;
  }

  #make(): void {
    const run = { startMs: this.#madeUntilMs, seconds: BATCH_SECONDS };
    const video = videoSamples(run).map(toAccessUnit);
    this.#samples = interleave(video, this.#audio ? audioSamples(run) : []);
    this.#next = 0;
    this.#madeUntilMs += BATCH_SECONDS * 1000;
  }

  #createPackager(): StreamPackager {
    const keys = this.#keys;
    return new StreamPackager('cam', this.#options, {
      clock: this.clock,
      log: createMemoryLog(),
      metrics: this.#packagerMetrics,
      journal: this.journal,
      archive: this.archive,
      encryptionOf: () => keys && { keys, clearAudio: false },
    });
  }

  /** Notes all that is packaged, before anything can take it from the window. */
  #listen(): void {
    const { window } = this.packager;
    if (!window || window === this.#heard) return;
    this.#heard = window;
    window.subscribe((change) => {
      if (change.kind !== 'segment' || change.segment.state !== 'closed') return;
      const { period, number, chunks } = change.segment;
      const path = `${change.rendition}/${period.id}/${number}.m4s`;
      if (this.packaged.has(path)) throw new Error(`${path} came twice`);
      this.packaged.set(path, Buffer.concat(chunks.map(({ bytes }) => bytes)));
    });
  }
}

function endMs(sample: Sample): number {
  const timescale = sample.kind === 'video' ? 90_000 : 48_000;
  return (sampleSeconds(sample) + sample.duration / timescale) * 1000;
}
