import { setTimeout as delay } from 'node:timers/promises';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { isHeader, type OddTag } from './odd-media.ts';
import { RtmpTestClient } from './rtmp-client.ts';
import { until } from './until.ts';

/** How a broadcaster leaves. */
export type Leaving = 'unpublish' | 'end' | 'reset';

/** Pushes a clip over RTMP at its own pace, over and over on one clock, until it is stopped. */
export class Broadcast {
  readonly client: RtmpTestClient;
  /** When the server's yes came after the publish command was sent, milliseconds. */
  readonly acceptedAfterMs: number;
  /** When the last frame was sent (performance.now). */
  lastSentMs = 0;
  /** When the first frame was sent (performance.now). */
  firstSentMs = 0;
  /** Sends nothing while it is set; the connection stays. */
  silent = false;
  readonly #stopped = new AbortController();
  readonly #sending: Promise<void>;

  private constructor(client: RtmpTestClient, acceptedAfterMs: number, clip: readonly OddTag[]) {
    this.client = client;
    this.acceptedAfterMs = acceptedAfterMs;
    this.#sending = this.#send(clip);
  }

  /** Publishes; `key` may carry a query. Rejects when the server does not say yes. */
  static async start(port: number, key: string, clip: readonly OddTag[]): Promise<Broadcast> {
    const client = await RtmpTestClient.ready(port);
    const askedMs = performance.now();
    client.publish(key);
    const answer = await until(
      () => client.statuses[0] ?? (client.closedAtMs === undefined ? undefined : 'closed'),
      'an answer',
    );
    if (!answer.startsWith('NetStream.Publish.Start')) {
      client.end();
      throw new Error(answer);
    }
    return new Broadcast(client, performance.now() - askedMs, clip);
  }

  async stop(leaving: Leaving = 'reset'): Promise<void> {
    this.#stopped.abort();
    await this.#sending;
    const { client } = this;
    if (leaving === 'unpublish') client.command('deleteStream', 9, null, 1);
    if (leaving === 'end') client.socket.end();
    if (leaving === 'reset' && !client.socket.destroyed) client.socket.resetAndDestroy();
    else client.end();
  }

  async #send(clip: readonly OddTag[]): Promise<void> {
    const lastMs = Math.max(...clip.map(({ trueMs }) => trueMs));
    const frameMs = 1000 / 30;
    const lapMs = Math.round(Math.round((lastMs + frameMs) / frameMs) * frameMs);
    const { signal } = this.#stopped;
    const startMs = performance.now();
    for (let lap = 0; !signal.aborted; lap++) {
      for (const tag of clip) {
        const waitMs = startMs + lap * lapMs + tag.atMs - performance.now();
        if (waitMs > 2) await delay(waitMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return;
        if (this.silent || tag.kind === 'script' || (lap > 0 && isHeader(tag))) continue;
        this.#write(tag, lap * lapMs);
      }
    }
  }

  #write(tag: OddTag, offsetMs: number): void {
    this.lastSentMs = performance.now();
    this.firstSentMs ||= this.lastSentMs;
    const type = tag.kind === 'video' ? MESSAGE.video : MESSAGE.audio;
    const payload = Buffer.from(tag.body);
    this.client.send({ type, timestamp: (tag.timestampMs + offsetMs) >>> 0, payload }, type);
  }
}
