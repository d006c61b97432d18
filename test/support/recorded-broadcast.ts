import type { OwnerKeys } from '../../src/drm/content-key.ts';
import type { PackagerOptions } from '../../src/packager/stream-packager.ts';
import type { LiveWindow } from '../../src/stream/live-window.ts';
import type { Sample, VideoTrack } from '../../src/stream/track.ts';
import { MemoryJournal, PackagerBench } from './packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  videoSamples,
  videoTrack,
} from './sample-source.ts';

const SOURCE: VideoTrack = { ...videoTrack(), width: 1280, height: 720 };
const RUNG: VideoTrack = { ...videoTrack(), width: 640, height: 360 };

/** A broadcast through the real packager: pictures, sound, and a rung that comes when the test says so. */
export class RecordedBroadcast {
  readonly #bench: PackagerBench;

  constructor(keys?: OwnerKeys, options: Partial<PackagerOptions> = {}) {
    this.#bench = new PackagerBench({ windowSeconds: 3600, ...options }, new MemoryJournal(), keys);
    this.begin('start');
  }

  get window(): LiveWindow {
    return this.#bench.window;
  }

  /** A publisher comes, or comes back. */
  begin(reason: 'start' | 'resume'): this {
    this.#bench.packager.begin(timeline({ video: SOURCE, audio: audioTrack() }, { reason }));
    return this;
  }

  /** From second `from` to second `to`; `rungs` are encoded, too. */
  run(from: number, to: number, rungs: readonly string[] = []): this {
    const startMs = EPOCH_MS + from * 1000;
    const seconds = to - from;
    const isKey = (frame: number): boolean => (frame + Math.round(from * 30)) % 60 === 0;
    const video = videoSamples({ startMs, seconds, isKey });
    for (const sample of interleave(video, audioSamples({ startMs, seconds })).map(framed)) {
      this.#bench.feed([sample]);
      if (sample.kind !== 'video') continue;
      for (const rung of rungs) this.#bench.packager.rungs.sample(rung, sample);
    }
    return this;
  }

  /** From now on there is a rung. */
  join(rung: string): this {
    this.#bench.packager.rungs.expect([rung]);
    this.#bench.packager.rungs.track(rung, RUNG);
    return this;
  }

  /** The publisher is away up to second `to`. */
  away(to: number): this {
    this.#bench.packager.away();
    const { clock } = this.#bench;
    clock.advance(Math.max(0, EPOCH_MS + to * 1000 - clock.wallMs()));
    return this;
  }

  end(): this {
    this.#bench.packager.end();
    return this;
  }

  close(): void {
    this.#bench.packager.close();
  }
}

/** One NAL unit a frame: an IDR slice's, or another's. What is in it no decoder would take. */
function framed(sample: Sample): Sample {
  if (sample.kind === 'audio') return sample;
  const data = new Uint8Array(sample.data.length).fill(sample.data[9] ?? 0);
  new DataView(data.buffer).setUint32(0, data.length - 4);
  data[4] = sample.key ? 0x65 : 0x41;
  return { ...sample, data };
}
