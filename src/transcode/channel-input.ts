import type { StreamEvent, SubscribeOptions } from '../stream/fan-out.ts';
import type { Sample, Timeline } from '../stream/track.ts';
import type { ChannelDeps, StreamReader } from './channel.ts';
import { QueueLag } from './queue-lag.ts';

/** Who the input is for. */
export interface InputHost {
  /** Takes a frame of the picture; the next one comes when it is done. */
  feed(sample: Sample): Promise<void>;
  signal(event: Exclude<StreamEvent, { readonly type: 'sample' }>): void;
  /** Reading or feeding failed: a fault of ours. */
  broken(error: unknown): void;
}

const TICKS_PER_MS = 90;

/** What one channel reads of its stream: by one reader after another, from one at a time. */
export class ChannelInput {
  readonly #stream: string;
  readonly #deps: Pick<ChannelDeps, 'source' | 'queue'>;
  readonly #host: InputHost;
  readonly #queueLag = new QueueLag();
  #reader: StreamReader | undefined;
  #seenDropped = 0;
  /** Of the newest frame that was read again and is still to be fed. */
  #backlogPts = 0;

  constructor(stream: string, deps: Pick<ChannelDeps, 'source' | 'queue'>, host: InputHost) {
    this.#stream = stream;
    this.#deps = deps;
    this.#host = host;
  }

  /**
   * A new reader of the stream, from its cached GOPs on.
   * @throws AppError when there is no such stream
   */
  subscribe(): StreamReader {
    const options: SubscribeOptions = { replay: true, ...this.#deps.queue };
    return this.#deps.source.subscribe(this.#stream, options);
  }

  /** From now on events come from this reader, after frames that were read already. */
  readFrom(reader: StreamReader, backlog: readonly Sample[] = []): void {
    this.#reader?.close();
    this.#reader = reader;
    this.#seenDropped = 0;
    this.#backlogPts = backlog.at(-1)?.pts ?? 0;
    this.#pump(reader, backlog).catch((error: unknown) => this.#host.broken(error));
  }

  /** Media that waits to be fed, after the newest frame that was; milliseconds. */
  waitingMs(newestFedPts: number | undefined): number {
    const backlogMs =
      newestFedPts === undefined ? 0 : Math.max(0, (this.#backlogPts - newestFedPts) / TICKS_PER_MS);
    return backlogMs + this.#queueLag.lagMs(this.#reader?.queuedEvents ?? 0);
  }

  /** Samples that the queue had to drop since this was asked last. */
  takeDropped(): number {
    const dropped = this.#reader?.droppedSamples ?? 0;
    const since = dropped - this.#seenDropped;
    this.#seenDropped = dropped;
    return since;
  }

  /** Nothing comes any more. */
  close(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.close();
  }

  async #pump(reader: StreamReader, backlog: readonly Sample[]): Promise<void> {
    for (const sample of backlog) {
      if (this.#reader !== reader) return;
      await this.#host.feed(sample);
    }
    for await (const event of reader) {
      if (this.#reader !== reader) return;
      this.#queueLag.read(
        event.type === 'sample' && event.sample.kind === 'video' ? event.sample.pts : undefined,
      );
      if (event.type !== 'sample') this.#host.signal(event);
      else if (event.sample.kind === 'video') await this.#host.feed(event.sample);
    }
    if (this.#reader === reader) this.#host.signal({ type: 'end' });
  }
}

/** What a reader that was just made has: the stream's timeline and its cached video. */
export function readCached(reader: StreamReader): { begin: Timeline | undefined; video: Sample[] } {
  let begin: Timeline | undefined;
  const video: Sample[] = [];
  for (let event = reader.read(); event; event = reader.read()) {
    if (event.type === 'begin') begin = event.timeline;
    else if (event.type === 'sample' && event.sample.kind === 'video') video.push(event.sample);
  }
  return { begin, video };
}
