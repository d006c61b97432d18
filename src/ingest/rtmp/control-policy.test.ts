import { describe, expect, it } from 'vitest';
import { decideControl } from './control-policy.ts';
import { MESSAGE } from './protocol.ts';

function decide(type: number, payload: string) {
  return decideControl({ type, streamId: 0, timestamp: 0, payload: Buffer.from(payload, 'hex') }, 0x1000);
}

describe('a control message', () => {
  it.each([
    ['sets the chunk size', MESSAGE.setChunkSize, '00001000', { kind: 'chunk-size', chunkBytes: 0x1000 }],
    ['takes back a message', MESSAGE.abort, '00000006', { kind: 'abort', chunkStreamId: 6 }],
    ['sets the window', MESSAGE.windowAckSize, '00000400', { kind: 'ack-window', windowBytes: 0x400 }],
    [
      'asks for an answer',
      MESSAGE.userControl,
      '000601020304',
      { kind: 'pong', token: Buffer.of(1, 2, 3, 4) },
    ],
    ['acknowledges', MESSAGE.acknowledgement, 'ffffffff', { kind: 'ignore' }],
    ['limits our rate', MESSAGE.setPeerBandwidth, '0000100002', { kind: 'ignore' }],
    ['tells of a stream', MESSAGE.userControl, '000000000001', { kind: 'ignore' }],
  ])('%s', (_what, type, payload, action) => {
    expect(decide(type, payload)).toEqual(action);
  });

  it.each([
    ['a chunk size of nothing', MESSAGE.setChunkSize, '00000000', 'chunk_size'],
    ['a chunk size over the limit', MESSAGE.setChunkSize, '00001001', 'chunk_size'],
    ['a window of nothing', MESSAGE.windowAckSize, '00000000', 'control_invalid'],
    ['three bytes', MESSAGE.abort, '000000', 'control_invalid'],
    ['an event without a type', MESSAGE.userControl, '00', 'control_invalid'],
    ['a ping without its bytes', MESSAGE.userControl, '0006010203', 'control_invalid'],
  ])('ends the connection with %s', (_what, type, payload, reason) => {
    expect(decide(type, payload)).toEqual({ kind: 'fail', reason });
  });
});
