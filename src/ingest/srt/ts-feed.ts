import type { Logger } from '../../base/log.ts';
import { TsDemuxer } from '../../media/mpegts/demuxer.ts';
import type { TsSink } from '../../media/mpegts/ts-sink.ts';
import type { Publisher } from '../../stream/publisher.ts';
import type { PayloadFeed } from './payload-feed.ts';
import type { SrtMetrics, TsCounts } from './srt-metrics.ts';

/** MPEG-TS to samples: what the demuxer finds goes to the publisher as it is. */
export class TsFeed implements PayloadFeed {
  readonly #demuxer: TsDemuxer;
  readonly #metrics: SrtMetrics;
  #samples = 0;
  readonly #unsupported: string[] = [];
  /** Whether the program has anything that is carried. */
  #carried = false;
  #counted: TsCounts | undefined;

  constructor(publisher: Publisher, metrics: SrtMetrics, log: Logger) {
    this.#metrics = metrics;
    const sink: TsSink = {
      tracks: (present) => {
        this.#carried = present.video || present.audio;
        publisher.announce(present);
      },
      videoConfig: (codec, config) => publisher.videoConfig(codec, config),
      audioConfig: (codec, config) => publisher.audioConfig(codec, config),
      sample: (sample) => {
        this.#samples += 1;
        publisher.write(sample);
      },
      event: (event) => publisher.event(event),
      unsupported: (kind, codec) => {
        this.#unsupported.push(codec);
        log.warn({ stream: publisher.stream, kind, codec }, 'MPEG-TS brings a codec that is not carried');
      },
    };
    this.#demuxer = new TsDemuxer(sink);
  }

  get samples(): number {
    return this.#samples;
  }

  get unsupported(): string | undefined {
    return this.#carried || this.#unsupported.length === 0 ? undefined : this.#unsupported.join(', ');
  }

  push(bytes: Buffer): void {
    this.#demuxer.push(bytes);
  }

  gap(): void {
    this.#demuxer.gap();
  }

  flush(): void {
    this.#demuxer.flush();
  }

  report(): void {
    this.#counted = this.#metrics.transportStream(this.#demuxer.counters, this.#counted);
  }
}
