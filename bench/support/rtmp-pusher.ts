/**
 * A process of its own that publishes one pre-encoded clip on many RTMP connections in real time, so that sending costs
 * little and costs the same whichever server listens. Takes its orders over IPC (a publish key has no place on a
 * command line); see pusher-process.ts for the other end.
 */
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { writeChunks } from '../../src/ingest/rtmp/chunk-writer.ts';
import { encodeControl, RtmpTestClient } from '../../test/support/rtmp-client.ts';
import type { PusherAnswer, PusherOrder } from './pusher-process.ts';
import { CLIP, type Clip, readClip } from './source-clip.ts';

/** OBS's. */
const CHUNK_BYTES = 4096;
const VIDEO_CHUNK_STREAM = 6;
const AUDIO_CHUNK_STREAM = 4;
/** More than this unsent on one connection: the server does not keep up, and what is measured is not 4 Mb/s. */
const MAX_UNSENT_BYTES = 2 * 1024 * 1024;

interface Channel {
  readonly client: RtmpTestClient;
  /** performance.now() at which its clip began. */
  readonly startMs: number;
  round: number;
  index: number;
}

class Pusher {
  readonly #clip: Clip;
  readonly #channels: Channel[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #worstLateMs = 0;
  #sentMessages = 0;

  constructor(clip: Clip) {
    this.#clip = clip;
  }

  /** Publishes each key, one after the other, then starts their clocks evenly spread over a GOP. */
  async start({ port, app, keys }: PusherOrder): Promise<void> {
    const clients: RtmpTestClient[] = [];
    for (const key of keys) clients.push(await publish(port, app, key));
    const gopMs = (CLIP.gopFrames * 1000) / CLIP.frameRate;
    const nowMs = performance.now();
    clients.forEach((client, i) => {
      this.#channels.push({ client, startMs: nowMs + (i * gopMs) / clients.length, round: 0, index: 0 });
      this.#send(client, MESSAGE.video, VIDEO_CHUNK_STREAM, 0, this.#clip.videoConfig);
      this.#send(client, MESSAGE.audio, AUDIO_CHUNK_STREAM, 0, this.#clip.audioConfig);
    });
    this.#tick();
  }

  /** Worst lateness since the last call, and what was sent. @throws Error when a connection is gone. */
  report(): { worstLateMs: number; sentMessages: number } {
    const report = { worstLateMs: this.#worstLateMs, sentMessages: this.#sentMessages };
    this.#worstLateMs = 0;
    this.#sentMessages = 0;
    return report;
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const { client } of this.#channels) client.end();
  }

  #tick(): void {
    const nowMs = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const channel of this.#channels) nextMs = Math.min(nextMs, this.#sendDue(channel, nowMs));
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(nextMs - performance.now())));
  }

  /** Sends what is due; gives the time at which the next message is. */
  #sendDue(channel: Channel, nowMs: number): number {
    for (;;) {
      const message = this.#clip.messages[channel.index];
      if (!message) {
        channel.round += 1;
        channel.index = 0;
        continue;
      }
      const atMs = channel.round * CLIP.durationMs + message.atMs;
      const dueMs = channel.startMs + atMs;
      if (dueMs > nowMs) return dueMs;
      this.#worstLateMs = Math.max(this.#worstLateMs, nowMs - dueMs);
      const [type, chunkStream] =
        message.type === 'video' ? [MESSAGE.video, VIDEO_CHUNK_STREAM] : [MESSAGE.audio, AUDIO_CHUNK_STREAM];
      this.#send(channel.client, type, chunkStream, Math.round(atMs), message.body);
      channel.index += 1;
    }
  }

  #send(client: RtmpTestClient, type: number, chunkStream: number, timestamp: number, payload: Buffer): void {
    if (client.closedAtMs !== undefined) throw new Error('the server closed a publisher');
    if (client.socket.writableLength > MAX_UNSENT_BYTES) throw new Error('the server does not keep up');
    client.raw(writeChunks({ type, streamId: 1, timestamp, payload }, chunkStream, CHUNK_BYTES));
    this.#sentMessages += 1;
  }
}

async function publish(port: number, app: string, key: string): Promise<RtmpTestClient> {
  const client = await RtmpTestClient.ready(port, app);
  client.raw(encodeControl(MESSAGE.setChunkSize, CHUNK_BYTES));
  const created = await client.untilCommand('_result', 2);
  if (created.args[1] !== 1) throw new Error('the server gave another message stream than 1');
  client.publish(key);
  await client.untilStatus('NetStream.Publish.Start');
  return client;
}

function answer(message: PusherAnswer): void {
  process.send?.(message);
}

let pusher: Pusher | undefined;
process.on('message', (order: PusherOrder | 'report') => {
  if (order === 'report') {
    answer({ kind: 'report', ...(pusher?.report() ?? { worstLateMs: 0, sentMessages: 0 }) });
    return;
  }
  pusher = new Pusher(readClip(order.clip));
  pusher.start(order).then(
    () => answer({ kind: 'publishing' }),
    (error: unknown) => {
      throw error;
    },
  );
});
process.on('disconnect', () => {
  pusher?.close();
  process.exit(0);
});
