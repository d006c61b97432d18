import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demux } from '../../../test/support/ts-recorder.ts';
import {
  annexB,
  AUD,
  avcPps,
  avcSlice,
  avcSps,
  lengthPrefixed,
  recoveryPoint,
} from '../../../test/support/ts-video.ts';
import { descriptor, TsWriter } from '../../../test/support/ts-writer.ts';
import { TS_WRAP } from './ts-sink.ts';

const PMT = 0x30;
const PIDS = [0x100, 0x101, 0x102, 0x103, 0x104];
const STREAMS = [
  { pid: 0x100, type: 0x1b },
  { pid: 0x101, type: 0x0f },
  {
    pid: 0x102,
    type: 0x15,
    descriptors: descriptor(0x26, Uint8Array.of(1, 0, 0xff, 0x4b, 0x4c, 0x56, 0x41, 0, 15)),
  },
  { pid: 0x103, type: 0x86 },
];
/** What may carry sound or a picture instead of the first two streams. */
const VIDEO_TYPES = [0x1b, 0x24];
const SOUND = [
  { type: 0x0f },
  { type: 0x11 },
  { type: 0x81 },
  { type: 0x06, descriptors: descriptor(0x05, 'Opus') },
];
const LIMITS = { maxVideoBytes: 20_000, maxOtherBytes: 5000 };

const UNITS = [
  AUD,
  avcSps(),
  avcSps({ fields: true }),
  avcPps(),
  avcPps(1),
  avcSlice({ idr: true }),
  avcSlice({ first: 4 }),
  avcSlice({ sizeBytes: 900 }),
  avcSlice({ field: 'top' }),
  avcSlice({ field: 'bottom' }),
  recoveryPoint(0),
  Uint8Array.of(0x46, 1, 0x50),
  Uint8Array.of(0x26, 1, 0xaf, 1, 2, 3),
];
const syncs = [
  [0xff, 0xf1, 0x4c, 0x80, 1, 0x3f, 0xfc],
  [0x56, 0xe0, 9],
  [0x0b, 0x77, 1, 2, 0x14, 0x40],
  [0x7f, 0xe0, 5],
];

const payload = fc.oneof(
  fc.array(fc.constantFrom(...UNITS), { minLength: 1, maxLength: 6 }).map((units) => annexB(...units)),
  fc.uint8Array({ maxLength: 600 }),
  fc
    .array(fc.tuple(fc.constantFrom(...syncs), fc.uint8Array({ maxLength: 40 })), { maxLength: 8 })
    .map((frames) => Uint8Array.from(frames.flatMap(([sync, rest]) => [...sync, ...rest]))),
);

const act = fc.record({
  kind: fc.constantFrom('pes', 'pes', 'pes', 'pmt', 'pat', 'noise', 'raw'),
  pid: fc.constantFrom(...PIDS),
  data: payload,
  pts: fc.option(fc.nat(100_000), { nil: undefined }),
  bounded: fc.boolean(),
  discontinuity: fc.boolean(),
  payloadBytes: fc.constantFrom(184, 184, 100, 30),
  pick: fc.nat(7),
  version: fc.nat(31),
});

/** A transport stream that may hold anything, and then anything changed in it. */
const stream = fc
  .tuple(
    fc.array(act, { maxLength: 25 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 20 }),
    fc.array(fc.nat(), { maxLength: 4 }),
  )
  .map(([acts, changes, lost]) => {
    const writer = new TsWriter().pat([[1, PMT]]).pmt(PMT, 1, STREAMS);
    for (const { kind, pid, data, pts, bounded, discontinuity, payloadBytes, pick, version } of acts) {
      const times = pts === undefined ? {} : { pts };
      if (kind === 'pes') writer.pes(pid, data, { ...times, bounded, discontinuity, payloadBytes });
      else if (kind === 'pat')
        writer.pat(
          [
            [1, pick > 3 ? PMT : 0x31],
            [2, 0x104],
          ],
          version,
        );
      else if (kind === 'raw') writer.packet(pid, data.subarray(0, 184), { unitStart: bounded });
      else if (kind === 'noise') writer.packets.push(Buffer.from(data));
      else {
        const picture = { pid: 0x100, type: VIDEO_TYPES[pick % 2] ?? 0 };
        const sound = { pid: 0x101, ...(SOUND[pick % 4] ?? { type: 0 }) };
        writer.pmt(PMT, 1, [picture, sound, ...STREAMS.slice(2)], { version });
      }
    }
    const kept = writer.packets.filter((_, index) => !lost.includes(index));
    const bytes = new Uint8Array(Buffer.concat(kept));
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return bytes;
  });

describe('the demuxer, whatever the bytes are', () => {
  it('gives the same however they are split, keeps its limits, and gives well-formed samples', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (bytes, sizes) => {
        const whole = demux(bytes, LIMITS).out;
        const { out, demuxer } = demux([], LIMITS);
        for (let at = 0, piece = 0; at < bytes.length; piece++) {
          const size = sizes[piece % sizes.length] ?? 1;
          // The demuxer must not keep what it is given: the piece is wiped afterwards.
          const given = bytes.slice(at, at + size);
          demuxer.push(given);
          given.fill(0xee);
          expect(demuxer.heldBytes).toBeLessThanOrEqual(2 * LIMITS.maxVideoBytes + 8 * LIMITS.maxOtherBytes);
          at += size;
        }
        demuxer.flush();
        expect(out.log).toEqual(whole.log);
        for (const { dts, data, kind } of [...out.video, ...out.audio]) {
          expect(dts >= 0 && dts < TS_WRAP && Number.isInteger(dts)).toBe(true);
          expect(kind === 'audio' || isLengthPrefixed(data)).toBe(true);
          expect(data.buffer.byteLength).toBe(data.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('finds the next whole picture after any damage', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 30 }), (changes) => {
        const idr = annexB(AUD, avcSps(), avcPps(), avcSlice({ idr: true }));
        const writer = new TsWriter();
        const send = (index: number) => {
          if (index % 10 === 0) writer.pat([[1, PMT]]).pmt(PMT, 1, STREAMS);
          writer.pes(0x100, index % 10 === 0 ? idr : annexB(AUD, avcSlice({ fill: index })), {
            pts: index * 3000,
          });
        };
        for (let index = 0; index < 30; index++) send(index);
        const damagedBytes = writer.bytes.length;
        for (let index = 30; index < 70; index++) send(index);
        const bytes = writer.bytes;
        for (const [at, byte] of changes) bytes[at % damagedBytes] = byte;
        const { out } = demux(bytes);
        // A program taken over from damaged tables is given up when the whole ones come again.
        const last = out.video.slice(-28).map(({ dts }) => dts / 3000);
        expect(last).toEqual(Array.from({ length: 28 }, (_, index) => index + 42));
        expect(out.video.at(-1)?.data).toEqual(lengthPrefixed(avcSlice({ fill: 69 })));
      }),
    );
  });
});

function isLengthPrefixed(data: Uint8Array): boolean {
  let at = 0;
  while (at + 4 < data.length) at += 4 + Buffer.from(data).readUInt32BE(at);
  return at === data.length;
}
