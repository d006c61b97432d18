import { MESSAGE, type RtmpMessage } from './protocol.ts';

/** FLV tag header: type 1, size 3, timestamp 3 + 1, stream id 3; and the back pointer after each body. */
const HEADER_BYTES = 11;
const BACK_POINTER_BYTES = 4;

/**
 * Splits an aggregate message (Adobe RTMP 1.0, 7.1.6) into its audio, video and data messages. Their payloads are
 * views of the aggregate's. Undefined when a size does not fit or a part is of another type.
 */
export function splitAggregate(aggregate: RtmpMessage): RtmpMessage[] | undefined {
  const { payload, streamId } = aggregate;
  const messages: RtmpMessage[] = [];
  let firstTimestamp: number | undefined;
  for (let offset = 0; offset < payload.length; ) {
    if (offset + HEADER_BYTES > payload.length) return undefined;
    const type = payload.readUInt8(offset);
    if (type !== MESSAGE.audio && type !== MESSAGE.video && type !== MESSAGE.data) return undefined;
    const start = offset + HEADER_BYTES;
    const end = start + payload.readUIntBE(offset + 1, 3);
    if (end + BACK_POINTER_BYTES > payload.length) return undefined;
    const ownTimestamp = payload.readUIntBE(offset + 4, 3) + payload.readUInt8(offset + 7) * 2 ** 24;
    firstTimestamp ??= ownTimestamp;
    // The aggregate's timestamp is that of its first part; the parts' own ones only tell the distances.
    const timestamp = (aggregate.timestamp + ownTimestamp - firstTimestamp) >>> 0;
    messages.push({ type, streamId, timestamp, payload: payload.subarray(start, end) });
    offset = end + BACK_POINTER_BYTES;
  }
  return messages;
}
