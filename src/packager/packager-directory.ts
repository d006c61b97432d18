import type { Timer } from '../base/clock.ts';
import type { WindowDirectory } from '../stream/directory.ts';
import type { LadderSink } from '../stream/ladder.ts';
import type { LiveWindow } from '../stream/live-window.ts';
import type { StreamSink } from '../stream/track.ts';
import type { PackagerDeps } from './packager-deps.ts';
import { type PackagerOptions, StreamPackager } from './stream-packager.ts';

/** One stream's packager, and the timer that lets it go once the stream has ended. */
interface Entry {
  readonly packager: StreamPackager;
  expiry: Timer | undefined;
}

/** An ended stream stays watchable to its end for this many windows, or as far back as it reached; then its memory is given back. */
const ENDED_WINDOWS_KEPT = 2;

/** The packagers of all streams: the hub asks it for sinks, the origin for windows. */
export class PackagerDirectory implements WindowDirectory {
  readonly #options: PackagerOptions;
  readonly #deps: PackagerDeps;
  readonly #entries = new Map<string, Entry>();

  constructor(options: PackagerOptions, deps: PackagerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /**
   * Where a stream's samples go, and its rungs when {@link PackagerOptions.ladder} is set. It takes the place of the
   * stream's former one, whose window is gone.
   */
  createSink(stream: string): { readonly source: StreamSink; readonly rungs: LadderSink } {
    this.#remove(stream);
    const packager = new StreamPackager(stream, this.#options, this.#deps);
    const entry: Entry = { packager, expiry: undefined };
    this.#entries.set(stream, entry);
    const source: StreamSink = {
      begin: (timeline) => packager.begin(timeline),
      sample: (sample) => packager.sample(sample),
      event: (event) => packager.event(event),
      away: () => packager.away(),
      end: () => {
        packager.end();
        entry.expiry = this.#deps.clock.after(this.#endedMs, () => this.#remove(stream));
      },
    };
    return { source, rungs: packager.rungs };
  }

  window(stream: string): LiveWindow | undefined {
    return this.#entries.get(stream)?.packager.window;
  }

  /** Streams that are live or away, in the order in which they were first published. */
  *watchable(): Iterable<string> {
    for (const [stream, { packager }] of this.#entries) {
      const { window } = packager;
      if (window?.published && window.state !== 'ended') yield stream;
    }
  }

  close(): void {
    for (const stream of [...this.#entries.keys()]) this.#remove(stream);
  }

  get #endedMs(): number {
    const { windowSeconds, dvrSeconds } = this.#options;
    const reachSeconds = this.#deps.archive ? dvrSeconds : 0;
    return Math.max(ENDED_WINDOWS_KEPT * windowSeconds, reachSeconds) * 1000;
  }

  #remove(stream: string): void {
    const entry = this.#entries.get(stream);
    if (!entry) return;
    entry.expiry?.cancel();
    entry.packager.close();
    this.#entries.delete(stream);
  }
}
