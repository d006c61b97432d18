import { type Amf0Value, amf0Object, writeAmf0 } from '../../media/amf0.ts';
import { EVENT, MESSAGE, type RtmpMessage } from './protocol.ts';

/** Messages of ours. None of them repeats a value of the peer except its transaction id, stream id or ping stamp. */

/** What we tell the peer to acknowledge by; also our own window until the peer sets one. */
export const WINDOW_ACK_BYTES = 2_500_000;
/** Chunk size of what we send after the connect reply: one chunk for each message. */
export const OUT_CHUNK_BYTES = 4096;

const DYNAMIC_LIMIT = 2;

/** The one text for whoever may not publish: it must not tell a wrong key from a malformed one. */
const REFUSED = 'Publishing is not allowed.';

function control(type: number, payload: Buffer): RtmpMessage {
  return { type, streamId: 0, timestamp: 0, payload };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function acknowledgement(receivedBytes: number): RtmpMessage {
  return control(MESSAGE.acknowledgement, uint32(receivedBytes % 2 ** 32));
}

export function windowAckSize(): RtmpMessage {
  return control(MESSAGE.windowAckSize, uint32(WINDOW_ACK_BYTES));
}

export function setPeerBandwidth(): RtmpMessage {
  const payload = Buffer.alloc(5);
  payload.writeUInt32BE(WINDOW_ACK_BYTES);
  payload[4] = DYNAMIC_LIMIT;
  return control(MESSAGE.setPeerBandwidth, payload);
}

export function setChunkSize(): RtmpMessage {
  return control(MESSAGE.setChunkSize, uint32(OUT_CHUNK_BYTES));
}

export function streamBegin(streamId: number): RtmpMessage {
  return control(MESSAGE.userControl, Buffer.concat([Buffer.from([0, EVENT.streamBegin]), uint32(streamId)]));
}

/** The answer to a ping: its four bytes, as they came. */
export function pingResponse(stamp: Uint8Array): RtmpMessage {
  return control(MESSAGE.userControl, Buffer.concat([Buffer.from([0, EVENT.pingResponse]), stamp]));
}

function command(streamId: number, values: readonly Amf0Value[]): RtmpMessage {
  return { type: MESSAGE.command, streamId, timestamp: 0, payload: writeAmf0(values) };
}

/** `abilities`: what is said of Enhanced RTMP to a peer that asked; see enhanced-abilities.ts. */
export function connectSuccess(
  transactionId: number,
  abilities: Readonly<Record<string, Amf0Value>> = {},
): RtmpMessage {
  const properties = amf0Object({ fmsVer: 'FMS/3,0,1,123', capabilities: 31, ...abilities });
  const information = amf0Object({
    level: 'status',
    code: 'NetConnection.Connect.Success',
    description: 'Connection succeeded.',
    objectEncoding: 0,
  });
  return command(0, ['_result', transactionId, properties, information]);
}

export function result(transactionId: number, value: Amf0Value): RtmpMessage {
  return command(0, ['_result', transactionId, null, value]);
}

/** The answer to a call we do not have. */
export function callFailed(transactionId: number): RtmpMessage {
  const information = amf0Object({
    level: 'error',
    code: 'NetConnection.Call.Failed',
    description: 'Unknown command.',
  });
  return command(0, ['_error', transactionId, null, information]);
}

function status(streamId: number, level: 'status' | 'error', code: string, description: string): RtmpMessage {
  return command(streamId, ['onStatus', 0, null, amf0Object({ level, code, description })]);
}

/** Publishing may begin. The first message is for FMLE and its kin, which wait for it. */
export function publishStarted(streamId: number): RtmpMessage[] {
  const information = amf0Object({ code: 'NetStream.Publish.Start', description: 'Publishing started.' });
  return [
    streamBegin(streamId),
    command(0, ['onFCPublish', 0, null, information]),
    status(streamId, 'status', 'NetStream.Publish.Start', 'Publishing started.'),
  ];
}

export function publishRefused(streamId: number): RtmpMessage {
  return status(streamId, 'error', 'NetStream.Publish.BadName', REFUSED);
}

export function publishFailed(streamId: number, description: string): RtmpMessage {
  return status(streamId, 'error', 'NetStream.Publish.Failed', description);
}

export function unpublished(streamId: number): RtmpMessage {
  return status(streamId, 'status', 'NetStream.Unpublish.Success', 'Publishing ended.');
}

export function playRefused(streamId: number): RtmpMessage {
  return status(streamId, 'error', 'NetStream.Play.Failed', 'This server does not play over RTMP.');
}
