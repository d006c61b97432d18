import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkReader, type ChunkStep } from './chunk-reader.ts';
import { writeChunks } from './chunk-writer.ts';
import { MESSAGE, type RtmpMessage } from './protocol.ts';

const LIMITS = { maxMediaMessageBytes: 64 * 1024, maxOtherMessageBytes: 16 * 1024, maxChunkStreams: 16 };

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function message(fields: Partial<RtmpMessage> = {}): RtmpMessage {
  return { type: MESSAGE.video, streamId: 1, timestamp: 0, payload: Buffer.from('payload'), ...fields };
}

/** Reads pieces to the end or to the first fault. */
function read(
  reader: ChunkReader,
  pieces: readonly Buffer[],
): { messages: RtmpMessage[]; fault: string | undefined } {
  const messages: RtmpMessage[] = [];
  for (const piece of pieces) {
    reader.feed(piece);
    for (let step: ChunkStep = reader.next(); step.kind !== 'starved'; step = reader.next()) {
      if (step.kind === 'fault') return { messages, fault: step.fault };
      messages.push(step.message);
    }
  }
  return { messages, fault: undefined };
}

function readAll(text: string): { messages: RtmpMessage[]; fault: string | undefined } {
  return read(new ChunkReader(LIMITS), [hex(text)]);
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((n) => n % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, i) => bytes.subarray(start, at[i] ?? bytes.length));
}

const anyMessage = fc.record({
  chunkStreamId: fc.oneof(fc.integer({ min: 3, max: 9 }), fc.constantFrom(2, 63, 64, 319, 320, 65_599)),
  message: fc.record({
    type: fc.constantFrom(8, 9, 18, 20, 22),
    streamId: fc.nat(0xffffffff),
    timestamp: fc.oneof(
      fc.nat(0xfffffe),
      fc.nat(0xffffffff),
      fc.constantFrom(0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff),
    ),
    payload: fc.uint8Array({ maxLength: 1000 }).map((bytes) => Buffer.from(bytes)),
  }),
});

describe('ChunkReader and writeChunks', () => {
  it('give back what was written, for any chunk size and however the bytes are cut', () => {
    const scripts = fc.record({
      items: fc.array(anyMessage, { minLength: 1, maxLength: 8 }),
      chunkBytes: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(128, 4096, 70_000)),
      cuts: fc.array(fc.nat(20_000), { maxLength: 12 }),
    });
    fc.assert(
      fc.property(scripts, ({ items, chunkBytes, cuts }) => {
        const bytes = Buffer.concat(
          items.map((item) => writeChunks(item.message, item.chunkStreamId, chunkBytes)),
        );
        const reader = new ChunkReader(LIMITS);
        reader.chunkBytes = chunkBytes;
        const { messages, fault } = read(reader, cut(bytes, cuts));
        expect(fault).toBeUndefined();
        expect(messages).toEqual(items.map((item) => item.message));
        expect(reader.bufferedBytes).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it('keeps at most as much again of the input from being freed, and no message of another alive', () => {
    const item = anyMessage.filter(({ chunkStreamId }) => chunkStreamId < 64);
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 8 }), (items) => {
        const input = new Uint8Array(
          Buffer.concat(items.map((each) => writeChunks(each.message, each.chunkStreamId, 128))),
        );
        const { messages } = read(new ChunkReader(LIMITS), [Buffer.from(input.buffer)]);
        const views = messages.filter(({ payload }) => payload.buffer === input.buffer);
        expect(views.length).toBeLessThanOrEqual(2);
        for (const { payload } of views) expect(2 * payload.length).toBeGreaterThanOrEqual(input.length);
        expect(messages.map(({ payload }) => payload)).toEqual(items.map((each) => each.message.payload));
      }),
    );
  });

  it('writes the extended timestamp into every chunk of a message', () => {
    const bytes = writeChunks(message({ timestamp: 0x01020304, payload: Buffer.from('abcd') }), 4, 3);
    expect(bytes).toEqual(hex('04 ffffff 000004 09 01000000 01020304 616263 c4 01020304 64'));
  });
});

describe('ChunkReader', () => {
  it('puts messages together whose chunks lie between each other, all in one piece of input', () => {
    const video = Buffer.from(Array.from({ length: 300 }, (_, i) => i % 251));
    const audio = Buffer.alloc(200, 0xaa);
    const [v1, v2, v3] = [video.subarray(0, 128), video.subarray(128, 256), video.subarray(256)];
    const { messages, fault } = read(new ChunkReader(LIMITS), [
      Buffer.concat([
        ...[
          hex('06 000000 00012c 09 01000000'),
          v1,
          hex('04 000000 0000c8 08 01000000'),
          audio.subarray(0, 128),
        ],
        ...[hex('c6'), v2, hex('c4'), audio.subarray(128), hex('c6'), v3],
      ]),
    ]);
    expect(fault).toBeUndefined();
    expect(messages.map(({ type, payload }) => [type, payload.toString('hex')])).toEqual([
      [MESSAGE.audio, audio.toString('hex')],
      [MESSAGE.video, video.toString('hex')],
    ]);
  });

  it('adds deltas modulo 2^32 and repeats the last one in a type 3 header', () => {
    const { messages } = readAll(`
      04 ffffff 000001 09 01000000 fffffff0 61
      44 000014 000001 09 62
      84 000005 63
      c4 64
    `);
    expect(messages.map(({ timestamp }) => timestamp)).toEqual([0xfffffff0, 4, 9, 14]);
    expect(messages.map(({ payload }) => payload.toString())).toEqual(['a', 'b', 'c', 'd']);
  });

  it('takes a type 0 timestamp as the delta of a type 3 message behind it', () => {
    const { messages } = readAll('04 000010 000001 09 01000000 61 c4 62');
    expect(messages.map(({ timestamp }) => timestamp)).toEqual([16, 32]);
  });

  it('keeps apart chunk streams whose chunks are interleaved', () => {
    const video = writeChunks(message({ payload: Buffer.alloc(300, 'v') }), 6, 128);
    const audio = writeChunks(message({ type: MESSAGE.audio, payload: Buffer.alloc(200, 'a') }), 4, 128);
    // Chunks: 12 + 128, 1 + 128, 1 + 44 of video; 12 + 128, 1 + 72 of audio.
    const mixed = [
      video.subarray(0, 140),
      audio.subarray(0, 140),
      video.subarray(140, 269),
      audio.subarray(140),
    ];
    const { messages } = read(new ChunkReader(LIMITS), [...mixed, video.subarray(269)]);
    expect(messages.map(({ payload }) => payload.toString())).toEqual(['a'.repeat(200), 'v'.repeat(300)]);
  });

  it('reads senders that leave the extended timestamp out of type 3 chunks', () => {
    const payload = Buffer.alloc(300, 'x');
    const head = hex('04 ffffff 00012c 09 01000000 01000000');
    const one = Buffer.concat([
      head,
      payload.subarray(0, 128),
      hex('c4'),
      payload.subarray(128, 256),
      hex('c4'),
      payload.subarray(256),
    ]);
    const { messages, fault } = read(new ChunkReader(LIMITS), [one, one]);
    expect(fault).toBeUndefined();
    expect(messages.map(({ payload: got }) => got.equals(payload))).toEqual([true, true]);
  });

  it('knows a chunk stream by its number, whether the header has two bytes or three', () => {
    const { messages, fault } = readAll(
      '01 0500 000000 000002 09 01000000 6162 c0 05 6364 41 0501 000001 000000 09',
    );
    // The last one is chunk stream 325, which nothing began: a type 1 header starts it.
    expect(fault).toBeUndefined();
    expect(messages.map(({ payload, timestamp }) => [payload.toString(), timestamp])).toEqual([
      ['ab', 0],
      ['cd', 0],
      ['', 1],
    ]);
    const reader = new ChunkReader(LIMITS);
    read(reader, [Buffer.concat([hex('01 0501 000000 0000ff 09 01000000'), Buffer.alloc(128)])]);
    reader.abort(325);
    expect(reader.bufferedBytes).toBe(0);
  });

  it('obeys a chunk size that changes between two messages', () => {
    const reader = new ChunkReader(LIMITS);
    const payload = Buffer.alloc(200, 'x');
    reader.feed(
      Buffer.concat([writeChunks(message({ payload }), 4, 128), writeChunks(message({ payload }), 4, 50)]),
    );
    expect(reader.next().kind).toBe('message');
    reader.chunkBytes = 50;
    expect(reader.next().kind).toBe('message');
    expect(reader.next().kind).toBe('starved');
  });

  it('forgets the message under way when it is aborted, and reads the next one', () => {
    const reader = new ChunkReader(LIMITS);
    read(reader, [writeChunks(message({ payload: Buffer.alloc(200) }), 4, 128).subarray(0, 140)]);
    expect(reader.bufferedBytes).toBe(200);
    reader.abort(4);
    reader.abort(99);
    expect(reader.bufferedBytes).toBe(0);
    const { messages, fault } = read(reader, [writeChunks(message(), 4, 128)]);
    expect(fault).toBeUndefined();
    expect(messages).toEqual([message()]);
  });

  it('gives each message memory of its own', () => {
    const input = Buffer.concat([writeChunks(message(), 4, 128), writeChunks(message(), 4, 128)]);
    const { messages } = read(new ChunkReader(LIMITS), [input]);
    input.fill(0);
    expect(messages.map(({ payload }) => payload.toString())).toEqual(['payload', 'payload']);
  });

  it('allocates as bytes arrive, not as they are declared', () => {
    const reader = new ChunkReader({ ...LIMITS, maxMediaMessageBytes: 16_000_000 });
    read(reader, [hex('04 000000 f00000 09 01000000 61')]);
    expect(reader.bufferedBytes).toBe(65_536);
  });

  it.each([
    ['a message over the media limit', '04 000000 010001 09 01000000', 'message_too_large'],
    ['a command over its own limit', '03 000000 004001 14 00000000', 'message_too_large'],
    ['a type 2 header on a new chunk stream', '84 000000', 'chunk_invalid'],
    ['a type 3 header on a new chunk stream', 'c4', 'chunk_invalid'],
    [
      'a new length half way through a message',
      `04 000000 000100 09 01000000 ${'61'.repeat(128)} 04 000000 000200 09 01000000`,
      'chunk_invalid',
    ],
    [
      'a shorter length half way through a message',
      `04 000000 000100 09 01000000 ${'61'.repeat(128)} 44 000000 000090 09`,
      'chunk_invalid',
    ],
  ])('refuses %s', (_what, text, fault) => {
    expect(readAll(text).fault).toBe(fault);
  });

  it('refuses one chunk stream more than allowed', () => {
    const pieces = [...Array(17)].map((_, i) => writeChunks(message(), 3 + i, 128));
    const { messages, fault } = read(new ChunkReader(LIMITS), pieces);
    expect([messages.length, fault]).toEqual([16, 'chunk_streams']);
  });

  it('refuses messages under way that together declare more than twice the largest', () => {
    const begin = (id: number): Buffer =>
      Buffer.concat([Buffer.from([id]), hex('000000 010000 09 01000000'), Buffer.alloc(128)]);
    expect(read(new ChunkReader(LIMITS), [begin(4), begin(5)]).fault).toBeUndefined();
    expect(read(new ChunkReader(LIMITS), [begin(4), begin(5), begin(6)]).fault).toBe('bytes_in_flight');
  });

  it('counts a message as under way no longer when it is complete or aborted', () => {
    const reader = new ChunkReader(LIMITS);
    const whole = writeChunks(message({ payload: Buffer.alloc(LIMITS.maxMediaMessageBytes) }), 4, 128);
    for (let round = 0; round < 5; round++) {
      expect(read(reader, [whole.subarray(0, 1000), whole.subarray(1000)])).toMatchObject({
        messages: [{ type: MESSAGE.video }],
        fault: undefined,
      });
      expect(read(reader, [whole.subarray(0, 12 + 128)]).fault).toBeUndefined();
      reader.abort(4);
    }
    expect(reader.bufferedBytes).toBe(0);
  });
});
