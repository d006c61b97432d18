import { Metrics } from '../../src/base/metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS } from '../../src/packager/stream-packager.ts';
import { StreamPackager } from '../../src/packager/stream-packager.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import type { LiveWindow, Rendition, Segment } from '../../src/stream/live-window.ts';
import type { Sample } from '../../src/stream/track.ts';
import { FakeClock } from './fake-clock.ts';
import { createMemoryLog } from './memory-log.ts';
import { audioSamples, audioTrack, interleave, timeline, videoSamples, videoTrack } from './sample-source.ts';

/** A stream through the real packager: two-second segments at 30 fps, samples given one by one, at any pace. */
export class PackagedStream {
  readonly packager = new StreamPackager('cam', DEFAULT_PACKAGER_OPTIONS, {
    clock: new FakeClock(),
    log: createMemoryLog(),
    metrics: new PackagerMetrics(new Metrics()),
    journal: { load: () => undefined, save: () => undefined },
  });
  readonly #samples: Sample[];
  #next = 0;

  constructor(seconds: number, frameBytes = 3_000) {
    this.#samples = interleave(videoSamples({ seconds, frameBytes }), audioSamples({ seconds }));
    this.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
  }

  get window(): LiveWindow {
    const { window } = this.packager;
    if (!window) throw new Error('the packager has no window yet');
    return window;
  }

  /** Gives the next sample; false when there is none left. */
  step(): boolean {
    const sample = this.#samples[this.#next++];
    if (sample) this.packager.sample(sample);
    return sample !== undefined;
  }

  /** Gives samples until `done`. */
  stepUntil(done: () => boolean): void {
    while (!done()) if (!this.step()) throw new Error('the source ran dry');
  }

  rendition(id: 'video' | 'audio'): Rendition {
    const found = this.window.renditions.find((rendition) => rendition.id === id);
    if (!found) throw new Error(`no rendition ${id}`);
    return found;
  }

  newest(id: 'video' | 'audio'): Segment {
    const found = this.rendition(id).segments.at(-1);
    if (!found) throw new Error(`no segment of ${id}`);
    return found;
  }

  close(): void {
    this.packager.close();
  }
}
