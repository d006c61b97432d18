import { Metrics } from '../../src/base/metrics.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import type { OwnerKeys } from '../../src/drm/content-key.ts';
import {
  DEFAULT_PACKAGER_OPTIONS,
  type PackagerOptions,
  StreamPackager,
} from '../../src/packager/stream-packager.ts';
import type { StreamJournal, StreamRecord } from '../../src/stream/journal.ts';
import type { LiveWindow, Rendition, WindowChange } from '../../src/stream/live-window.ts';
import type { Sample } from '../../src/stream/track.ts';
import { FakeClock } from './fake-clock.ts';
import { createMemoryLog } from './memory-log.ts';
import { EPOCH_MS, sampleSeconds } from './sample-source.ts';

/** A journal in memory; `records` may be filled before, and read after. */
export class MemoryJournal implements StreamJournal {
  readonly records = new Map<string, StreamRecord>();

  load(stream: string): StreamRecord | undefined {
    return this.records.get(stream);
  }

  save(stream: string, record: StreamRecord): void {
    this.records.set(stream, record);
  }
}

/** A packager on a fake clock, with everything it told its listeners. */
export class PackagerBench {
  readonly clock = new FakeClock(EPOCH_MS);
  readonly log = createMemoryLog();
  readonly journal: MemoryJournal;
  readonly metrics = new Metrics();
  readonly changes: WindowChange[] = [];
  readonly packager: StreamPackager;
  #subscribed = false;

  constructor(options: Partial<PackagerOptions> = {}, journal = new MemoryJournal(), keys?: OwnerKeys) {
    this.journal = journal;
    this.packager = new StreamPackager(
      'cam',
      { ...DEFAULT_PACKAGER_OPTIONS, ...options },
      {
        clock: this.clock,
        log: this.log,
        metrics: new PackagerMetrics(this.metrics),
        journal,
        encryptionOf: () => keys && { keys, clearAudio: false },
      },
    );
  }

  get window(): LiveWindow {
    const { window } = this.packager;
    if (!window) throw new Error('no window yet');
    return window;
  }

  rendition(id: string): Rendition {
    const rendition = this.window.renditions.find((one) => one.id === id);
    if (!rendition) throw new Error(`no rendition ${id}`);
    return rendition;
  }

  /** Feeds samples; the clock goes to the end of each (plus `delayMs`), as if it had just been captured. */
  feed(samples: readonly Sample[], options: { audioRate?: number; delayMs?: number } = {}): void {
    for (const sample of samples) {
      const seconds = sampleSeconds(sample, options.audioRate);
      const rate = sample.dts / seconds;
      const atMs = seconds * 1000 + (sample.duration / rate) * 1000 + (options.delayMs ?? 0);
      if (atMs > this.clock.wallMs()) this.clock.advance(atMs - this.clock.wallMs());
      this.packager.sample(sample);
      this.#listen();
    }
  }

  /** The value of a counter or gauge, summed over its labels that match. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
    const values = (metric?.values ?? []).filter((value) =>
      Object.entries(labels).every(([key, wanted]) => value.labels[key] === wanted),
    );
    return values.reduce((sum, value) => sum + value.value, 0);
  }

  #listen(): void {
    if (this.#subscribed || !this.packager.window) return;
    this.#subscribed = true;
    this.packager.window.subscribe((change) => this.changes.push(change));
  }
}
