import type { CloseReason } from './close-reason.ts';
import { EVENT, MESSAGE, type RtmpMessage } from './protocol.ts';

/** What to do about a protocol control or user control message. */
export type ControlAction =
  | { readonly kind: 'chunk-size'; readonly chunkBytes: number }
  | { readonly kind: 'abort'; readonly chunkStreamId: number }
  | { readonly kind: 'ack-window'; readonly windowBytes: number }
  /** Answer a ping with its own four bytes. */
  | { readonly kind: 'pong'; readonly token: Buffer }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'fail'; readonly reason: CloseReason };

const IGNORE: ControlAction = { kind: 'ignore' };
const INVALID: ControlAction = { kind: 'fail', reason: 'control_invalid' };

/** Decides about one control message (Adobe RTMP 1.0, 5.4 and 7.1.7). Pure. */
export function decideControl({ type, payload }: RtmpMessage, maxChunkBytes: number): ControlAction {
  if (type === MESSAGE.userControl) return decideUserControl(payload);
  if (payload.length < 4) return INVALID;
  const value = payload.readUInt32BE(0);
  switch (type) {
    case MESSAGE.setChunkSize:
      return value === 0 || value > maxChunkBytes
        ? { kind: 'fail', reason: 'chunk_size' }
        : { kind: 'chunk-size', chunkBytes: value };
    case MESSAGE.abort:
      return { kind: 'abort', chunkStreamId: value };
    case MESSAGE.windowAckSize:
      return value === 0 ? INVALID : { kind: 'ack-window', windowBytes: value };
    default:
      return IGNORE;
  }
}

function decideUserControl(payload: Buffer): ControlAction {
  if (payload.length < 2) return INVALID;
  if (payload.readUInt16BE(0) !== EVENT.pingRequest) return IGNORE;
  return payload.length < 6 ? INVALID : { kind: 'pong', token: payload.subarray(2, 6) };
}
