import { expect, it } from 'vitest';
import { splitAggregate } from './aggregate.ts';
import { MESSAGE, type RtmpMessage } from './protocol.ts';

function part(type: number, timestamp: number, text: string, sizeBytes = text.length): Buffer {
  const header = Buffer.alloc(11);
  header.writeUInt8(type, 0);
  header.writeUIntBE(sizeBytes, 1, 3);
  header.writeUIntBE(timestamp % 2 ** 24, 4, 3);
  header.writeUInt8(Math.floor(timestamp / 2 ** 24), 7);
  return Buffer.concat([header, Buffer.from(text), Buffer.alloc(4)]);
}

function aggregate(payload: Buffer, timestamp = 1000): RtmpMessage {
  return { type: MESSAGE.aggregate, streamId: 1, timestamp, payload };
}

it('gives its parts, with times relative to its own', () => {
  const parts = Buffer.concat([
    part(9, 0x1fffff0, 'video'),
    part(8, 0x2000000, 'audio'),
    part(18, 0x1fffff0, ''),
  ]);
  expect(splitAggregate(aggregate(parts, 0xfffffff8))).toEqual([
    { type: 9, streamId: 1, timestamp: 0xfffffff8, payload: Buffer.from('video') },
    { type: 8, streamId: 1, timestamp: 8, payload: Buffer.from('audio') },
    { type: 18, streamId: 1, timestamp: 0xfffffff8, payload: Buffer.alloc(0) },
  ]);
});

it.each([
  ['a size past the end', part(9, 0, 'video', 10)],
  ['a size that eats the back pointer', part(9, 0, 'video', 6)],
  ['a header cut short', part(9, 0, 'video').subarray(0, 10)],
  ['rubbish after a part', Buffer.concat([part(9, 0, 'video'), Buffer.from([9])])],
  ['an aggregate inside', part(22, 0, 'video')],
  ['a command inside', part(20, 0, 'video')],
])('refuses %s', (_what, payload) => {
  expect(splitAggregate(aggregate(payload))).toBeUndefined();
});
