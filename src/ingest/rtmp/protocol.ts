/** RTMP message type ids (Adobe RTMP 1.0, 5.4, 6.2 and 7.1). */
export const MESSAGE = {
  setChunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowAckSize: 5,
  setPeerBandwidth: 6,
  audio: 8,
  video: 9,
  dataAmf3: 15,
  commandAmf3: 17,
  data: 18,
  command: 20,
  aggregate: 22,
} as const;

/** User control event types (7.1.7). */
export const EVENT = { streamBegin: 0, pingRequest: 6, pingResponse: 7 } as const;

/** Chunk size of either side until it sets another (5.4.1). */
export const DEFAULT_CHUNK_BYTES = 128;

/** One whole RTMP message. */
export interface RtmpMessage {
  readonly type: number;
  /** Message stream id: 0 for the connection itself. */
  readonly streamId: number;
  /** Absolute, milliseconds modulo 2^32. */
  readonly timestamp: number;
  /** Memory of this message alone; the receiver may keep it. */
  readonly payload: Buffer;
}

/** True for the types that carry media, alone or as an aggregate. */
export function isMediaType(type: number): boolean {
  return type === MESSAGE.audio || type === MESSAGE.video || type === MESSAGE.aggregate;
}
