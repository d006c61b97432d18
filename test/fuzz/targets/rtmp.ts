import { deepStrictEqual, ok } from 'node:assert';
import * as fc from 'fast-check';
import { splitAggregate } from '../../../src/ingest/rtmp/aggregate.ts';
import { ChunkReader } from '../../../src/ingest/rtmp/chunk-reader.ts';
import { writeChunks } from '../../../src/ingest/rtmp/chunk-writer.ts';
import { Handshake } from '../../../src/ingest/rtmp/handshake.ts';
import { MESSAGE, type RtmpMessage } from '../../../src/ingest/rtmp/protocol.ts';
import { AMF0_LIMITS, amf0Object, parseAmf0, writeAmf0 } from '../../../src/media/amf0.ts';
import { encodeCommand, encodeControl, encodePublish } from '../../support/rtmp-client.ts';
import { type FuzzTarget, hex, joined, mutated, split } from '../fuzz-target.ts';

const LIMITS = { maxMediaMessageBytes: 3000, maxOtherMessageBytes: 1000, maxChunkStreams: 5 };
const MAX_CHUNK_BYTES = 4096;

function message(type: number, timestamp: number, sizeBytes: number): RtmpMessage {
  const payload = Buffer.alloc(sizeBytes, type);
  return { type, streamId: 1, timestamp, payload };
}

const CHUNK_SEEDS = [
  encodeCommand('connect', 1, amf0Object({ app: 'live', tcUrl: 'rtmp://127.0.0.1/live' })),
  encodePublish('key'),
  encodeControl(MESSAGE.setChunkSize, 300),
  encodeControl(MESSAGE.abort, 6),
  writeChunks(message(MESSAGE.video, 40, 700), 6, 128),
  writeChunks(message(MESSAGE.audio, 0x1000000, 300), 64, 128),
  writeChunks(message(MESSAGE.aggregate, 0xfffffe, 500), 320, 128),
  // Messages under way on several chunk streams at once.
  Buffer.concat(
    [3, 4, 5, 6].map((id) => writeChunks(message(MESSAGE.video, 40, 2900), id, 128).subarray(0, 140)),
  ),
  // One header, then type 1, 2 and 3 headers on the same chunk stream.
  hex(
    '04 000010 000003 08 01000000 aabbcc  44 000017 000003 08 aabbcc  84 000017 aabbcc  c4 aabbcc  c4 aabbcc',
  ),
].map((bytes) => new Uint8Array(bytes));

interface ReadBack {
  readonly messages: readonly (readonly [type: number, streamId: number, timestamp: number, body: string])[];
  readonly fault: string | undefined;
}

function readChunks(pieces: readonly Uint8Array[]): ReadBack {
  const reader = new ChunkReader(LIMITS);
  const messages: (readonly [number, number, number, string])[] = [];
  for (const piece of pieces) {
    reader.feed(Buffer.from(piece));
    for (let step = reader.next(); step.kind !== 'starved'; step = reader.next()) {
      if (step.kind === 'fault') return { messages, fault: step.fault };
      const { type, streamId, timestamp, payload } = step.message;
      ok(payload.length <= LIMITS.maxMediaMessageBytes, 'a message over the limit');
      messages.push([type, streamId, timestamp, payload.toString('latin1')]);
      obey(reader, step.message);
      ok(reader.bufferedBytes <= 2 * LIMITS.maxMediaMessageBytes, `holds ${reader.bufferedBytes} bytes`);
    }
    ok(reader.bufferedBytes <= 2 * LIMITS.maxMediaMessageBytes, `holds ${reader.bufferedBytes} bytes`);
  }
  return { messages, fault: undefined };
}

/** What a session does at control messages. */
function obey(reader: ChunkReader, { type, payload }: RtmpMessage): void {
  if (payload.length < 4) return;
  const value = payload.readUInt32BE(0);
  if (type === MESSAGE.setChunkSize && value >= 1 && value <= MAX_CHUNK_BYTES) reader.chunkBytes = value;
  if (type === MESSAGE.abort) reader.abort(value);
}

export const rtmpChunks: FuzzTarget = {
  name: 'rtmp-chunks',
  bytes: mutated(CHUNK_SEEDS),
  runs: 2000,
  check(input) {
    deepStrictEqual(readChunks(split(input)), readChunks([input.bytes]));
  },
};

const HELLO = joined([Uint8Array.of(3), new Uint8Array(1536).fill(7), new Uint8Array(1536).fill(8)]);

export const rtmpHandshake: FuzzTarget = {
  name: 'rtmp-handshake',
  bytes: mutated([joined([HELLO, Uint8Array.of(2, 0, 0, 0)]), HELLO.slice(0, 1537), HELLO.slice(0, 20)]),
  runs: 500,
  check(input) {
    const shake = (pieces: readonly Uint8Array[]): unknown => {
      const handshake = new Handshake((size) => new Uint8Array(size));
      const replies: string[] = [];
      let rest = Buffer.alloc(0);
      let end = 'more';
      for (const piece of pieces) {
        if (end === 'invalid') break;
        if (end === 'done') {
          rest = Buffer.concat([rest, piece]);
          continue;
        }
        const step = handshake.push(Buffer.from(piece));
        end = step.kind;
        if (step.kind === 'invalid') break;
        if (step.reply) replies.push(Buffer.from(step.reply).toString('latin1'));
        if (step.kind === 'done') rest = Buffer.from(step.rest);
      }
      return { end, replies: end === 'invalid' ? [] : replies.join(''), rest: rest.toString('latin1') };
    };
    deepStrictEqual(shake(split(input)), shake([input.bytes]));
  },
};

const AMF_SEEDS = [
  writeAmf0(['connect', 1, amf0Object({ app: 'live', flashVer: 'x', fpad: false, capabilities: 15.5 })]),
  writeAmf0([
    '@setDataFrame',
    'onMetaData',
    amf0Object({ width: 1920, videocodecid: 'avc1', list: [1, null] }),
  ]),
  writeAmf0([null, undefined, true, { type: 'date', epochMs: 1e12 }, ['a', amf0Object({ b: [2] })]]),
  hex('08 00000002 0001 61 00 4000000000000000 000009'),
  hex('10 0003 666f6f 0001 61 05 000009'),
  hex('0a 00000003 05 06 0100'),
  hex('0c 00000003 616263 0f 00000002 6162 0d 07 0001'),
].map((bytes) => new Uint8Array(bytes));

/** Markers in any order, and what may follow them. */
const LIKE_AMF = fc
  .array(
    fc.oneof(
      fc
        .constantFrom(0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 0xff)
        .map((marker) => Uint8Array.of(marker)),
      fc.uint8Array({ maxLength: 12 }),
      fc.constantFrom('000000', '000009', 'ffffffff', '0003616263').map(hex),
    ),
    { maxLength: 60 },
  )
  .map(joined);

export const amf0: FuzzTarget = {
  name: 'amf0',
  bytes: fc.oneof({ weight: 2, arbitrary: mutated(AMF_SEEDS) }, { weight: 1, arbitrary: LIKE_AMF }),
  runs: 2000,
  check({ bytes }) {
    const parsed = parseAmf0(bytes);
    if (!parsed.ok) return;
    ok(parsed.values.length <= AMF0_LIMITS.maxValues);
    const again = parseAmf0(writeAmf0(parsed.values));
    deepStrictEqual(again, parsed, 'what was read is not what is written');
    ok(!('polluted' in {}), 'Object.prototype was changed');
  },
};

function flvTag(type: number, timestamp: number, body: Uint8Array): Uint8Array {
  const out = Buffer.alloc(11 + body.length + 4);
  out.writeUInt8(type, 0);
  out.writeUIntBE(body.length, 1, 3);
  out.writeUIntBE(timestamp & 0xffffff, 4, 3);
  out.writeUInt8((timestamp >>> 24) & 0xff, 7);
  out.set(body, 11);
  out.writeUInt32BE(11 + body.length, 11 + body.length);
  return out;
}

const AGGREGATE_SEEDS = [
  joined([flvTag(9, 40, hex('27010000000000000141')), flvTag(8, 50, hex('af0121'))]),
  joined([flvTag(18, 0, hex('02 0001 61')), flvTag(9, 0xffffffff, hex('1701000000'))]),
];

export const rtmpAggregate: FuzzTarget = {
  name: 'rtmp-aggregate',
  bytes: mutated(AGGREGATE_SEEDS),
  runs: 2000,
  check({ bytes }) {
    const payload = Buffer.from(bytes);
    const parts = splitAggregate({ type: MESSAGE.aggregate, streamId: 1, timestamp: 0xfffffff0, payload });
    if (!parts) return;
    const total = parts.reduce((sum, part) => sum + part.payload.length, 0);
    ok(total + parts.length * 15 <= bytes.length, 'more bytes than were sent');
    for (const { timestamp } of parts) ok(timestamp >= 0 && timestamp < 2 ** 32, 'no timestamp');
  },
};
