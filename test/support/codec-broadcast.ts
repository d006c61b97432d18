import { setTimeout as wait } from 'node:timers/promises';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import type { CodecFile } from './codec-files.ts';
import {
  AUDIO_PACKET,
  type AudioFourCc,
  exAudio,
  exVideo,
  FRAME,
  VIDEO_PACKET,
  type VideoFourCc,
  withComposition,
} from './ertmp.ts';
import { RtmpTestClient } from './rtmp-client.ts';

/** A publisher of codecs that this ffmpeg's FLV muxer does not know. */
export interface CodecBroadcast {
  /** Settles when all was sent, or it was closed. */
  readonly sent: Promise<void>;
  close(): Promise<void>;
}

interface Message {
  readonly atMs: number;
  readonly type: number;
  readonly payload: Buffer;
}

/** Sends files over Enhanced RTMP in their own time. Their decode times must be their presentation times. */
export async function broadcastFiles(
  publishUrl: string,
  video: CodecFile,
  audio?: CodecFile,
): Promise<CodecBroadcast> {
  const url = new URL(publishUrl);
  const key = url.pathname.split('/').at(-1) ?? '';
  const client = await RtmpTestClient.publishing(Number(url.port), key);
  const messages = [...videoMessages(video), ...(audio ? audioMessages(audio) : [])].sort(
    (a, b) => a.atMs - b.atMs,
  );
  const stopped = new AbortController();
  const sent = send(client, messages, stopped.signal);
  return {
    sent,
    async close() {
      stopped.abort();
      await sent;
      client.end();
    },
  };
}

async function send(
  client: RtmpTestClient,
  messages: readonly Message[],
  stopped: AbortSignal,
): Promise<void> {
  const startMs = performance.now();
  for (const { atMs, type, payload } of messages) {
    const leftMs = startMs + atMs - performance.now();
    if (leftMs > 1) await wait(leftMs, undefined, { signal: stopped }).catch(() => {});
    if (stopped.aborted) return;
    client.send({ type, timestamp: Math.floor(atMs), payload });
  }
}

function videoMessages(file: CodecFile): Message[] {
  const fourCc = file.init.entry as VideoFourCc;
  const type = MESSAGE.video;
  return [
    { atMs: 0, type, payload: exVideo(VIDEO_PACKET.sequenceStart, fourCc, file.config) },
    ...file.samples.map(({ dts, key, data }) => ({
      atMs: (dts * 1000) / file.init.timescale,
      type,
      payload: exVideo(
        VIDEO_PACKET.codedFrames,
        fourCc,
        fourCc === 'hvc1' ? withComposition(0, data) : data,
        {
          frame: key ? FRAME.key : FRAME.inter,
        },
      ),
    })),
  ];
}

function audioMessages(file: CodecFile): Message[] {
  const fourCc = file.init.entry as AudioFourCc;
  const type = MESSAGE.audio;
  const start = fourCc === 'Opus' ? opusHead(file.config) : flacStart(file.config);
  return [
    { atMs: 0, type, payload: exAudio(AUDIO_PACKET.sequenceStart, fourCc, start) },
    ...file.samples.map(({ dts, data }) => ({
      atMs: (dts * 1000) / file.init.timescale,
      type,
      payload: exAudio(AUDIO_PACKET.codedFrames, fourCc, data),
    })),
  ];
}

/** `dOps` back to OpusHead: the same fields, little-endian, of mono or stereo. */
function opusHead(config: Uint8Array): Buffer {
  const box = Buffer.from(config);
  const head = Buffer.alloc(19);
  head.write('OpusHead', 'latin1');
  head[8] = 1;
  head[9] = box[1] ?? 0;
  head.writeUInt16LE(box.readUInt16BE(2), 10);
  head.writeUInt32LE(box.readUInt32BE(4), 12);
  return head;
}

/** `dfLa` back to the start of a FLAC file. */
function flacStart(config: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('fLaC'), config.subarray(4)]);
}
