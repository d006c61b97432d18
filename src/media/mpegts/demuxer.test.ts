import { describe, expect, it } from 'vitest';
import { demux, inPieces } from '../../../test/support/ts-recorder.ts';
import {
  annexB,
  AUD,
  avcPps,
  avcSlice,
  avcSps,
  lengthPrefixed,
  recoveryPoint,
} from '../../../test/support/ts-video.ts';
import {
  descriptor,
  pmtSection,
  tableSection,
  type TsStreamEntry,
  TsWriter,
  withCrc,
} from '../../../test/support/ts-writer.ts';
import { parseAvcConfig } from '../h264.ts';
import type { TsDropCause, TsMediaKind } from './ts-counters.ts';
import type { TsDemuxer } from './demuxer.ts';

const PMT = 0x1000;
const VIDEO = 0x100;
const AUDIO = 0x101;
const DATA = 0x102;
const H264 = { pid: VIDEO, type: 0x1b };
const ADTS = { pid: AUDIO, type: 0x0f };
const FRAME = 3000;
const SPS = avcSps();
const PPS = avcPps();
const IDR = annexB(AUD, SPS, PPS, avcSlice({ idr: true }));

function start(streams: readonly TsStreamEntry[] = [H264]): TsWriter {
  return new TsWriter().pat([[1, PMT]]).pmt(PMT, 1, streams);
}

function frame(index: number, sizeBytes = 400): Uint8Array {
  return annexB(AUD, avcSlice({ frameNum: index % 16, fill: index, sizeBytes }));
}

function sampleOf(index: number, sizeBytes = 400): Uint8Array {
  return lengthPrefixed(avcSlice({ frameNum: index % 16, fill: index, sizeBytes }));
}

/** An IDR picture and then others, one PES packet each. */
function movie(writer: TsWriter, frames: number, options = {}): TsWriter {
  writer.pes(VIDEO, IDR, { pts: 0, randomAccess: true, ...options });
  for (let index = 1; index < frames; index++) {
    writer.pes(VIDEO, frame(index), { pts: index * FRAME, ...options });
  }
  return writer;
}

function adts(size: number, fill: number, rateIndex = 3): Uint8Array {
  const length = size + 7;
  const head = [0xff, 0xf1, 0x40 | (rateIndex << 2), 0x80 | (length >> 11), (length >> 3) & 0xff];
  return Uint8Array.from([
    ...head,
    ((length & 7) << 5) | 0x1f,
    0xfc,
    ...Array.from({ length: size }, () => fill),
  ]);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function drops(demuxer: TsDemuxer, kind: TsMediaKind): Partial<Record<TsDropCause, number>> {
  return Object.fromEntries(Object.entries(demuxer.counters.dropped[kind]).filter(([, count]) => count > 0));
}

function faults(demuxer: TsDemuxer): Record<string, number> {
  return Object.fromEntries(Object.entries(demuxer.counters.faults).filter(([, count]) => count > 0));
}

describe('video in a transport stream', () => {
  it('comes as length-prefixed samples with its times, delimiters and parameter sets taken out', () => {
    const { out, demuxer } = demux(movie(start(), 3).bytes);
    expect(out.trackSets).toEqual([{ video: true, audio: false }]);
    expect(out.videoConfigs.map(({ codec }) => codec)).toEqual(['avc1']);
    const config = parseAvcConfig(out.videoConfigs[0]?.config ?? new Uint8Array(0));
    expect(config?.picture).toMatchObject({ width: 320, height: 176 });
    expect([config?.sps, config?.pps]).toEqual([[SPS], [PPS]]);
    expect(out.video).toEqual([
      {
        kind: 'video',
        dts: 0,
        compositionOffset: 0,
        key: true,
        data: lengthPrefixed(avcSlice({ idr: true })),
      },
      { kind: 'video', dts: FRAME, compositionOffset: 0, key: false, data: sampleOf(1) },
      { kind: 'video', dts: 2 * FRAME, compositionOffset: 0, key: false, data: sampleOf(2) },
    ]);
    expect([faults(demuxer), drops(demuxer, 'video')]).toEqual([{}, {}]);
  });

  it('keeps 33-bit times as they are and takes the composition offset over the wrap', () => {
    const writer = start().pes(VIDEO, IDR, { pts: 2, dts: 2 ** 33 - 3000 });
    const { out } = demux(writer.bytes);
    expect(out.video.map(({ dts, compositionOffset }) => [dts, compositionOffset])).toEqual([
      [2 ** 33 - 3000, 3002],
    ]);
  });

  it('is handed on with the last byte of its PES packet once the muxer is known to stuff only there', () => {
    const writer = movie(start(), 20);
    const { out, demuxer } = demux([]);
    for (const packet of writer.packets) demuxer.push(packet);
    expect(out.video).toHaveLength(20);
    expect(demuxer.counters.earlyAccessUnits).toBeGreaterThanOrEqual(13);
  });

  it('is handed on with the last byte of its PES packet by its length, too', () => {
    const writer = movie(start(), 20, { bounded: true });
    const { out, demuxer } = demux([]);
    for (const packet of writer.packets) demuxer.push(packet);
    expect(out.video).toHaveLength(20);
  });

  it('waits for the next PES packet when a muxer stuffs in the middle of packets', () => {
    const writer = start().pes(VIDEO, IDR, { pts: 0 });
    for (let index = 1; index < 30; index++) {
      writer.pes(VIDEO, frame(index), { pts: index * FRAME, payloadBytes: 100 });
    }
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video).toHaveLength(30);
    expect(out.video.at(-1)?.data).toEqual(sampleOf(29));
    expect([demuxer.counters.earlyAccessUnits, drops(demuxer, 'video')]).toEqual([0, {}]);
  });

  it('loses one picture at most when a muxer begins to stuff in the middle only later', () => {
    const writer = movie(start(), 20);
    for (let index = 20; index < 40; index++) {
      writer.pes(VIDEO, frame(index), { pts: index * FRAME, payloadBytes: 100 });
    }
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.length).toBeGreaterThanOrEqual(39);
    expect(out.video.slice(21).map(({ data }) => data)).toEqual(
      Array.from({ length: 19 }, (_, index) => sampleOf(index + 21)),
    );
    expect(faults(demuxer)).toEqual({ end_hint_wrong: 1 });
  });

  it('may lie over several PES packets: one per slice, or cut anywhere', () => {
    const slices = [
      avcSlice({ fill: 1 }),
      avcSlice({ first: 20, fill: 2 }),
      avcSlice({ first: 40, fill: 3 }),
    ];
    const writer = movie(start(), 2);
    for (let index = 2; index < 12; index++) {
      const pts = index * FRAME;
      slices.forEach((slice, at) => writer.pes(VIDEO, annexB(...(at === 0 ? [AUD] : []), slice), { pts }));
    }
    const long = frame(12);
    writer.pes(VIDEO, long.subarray(0, 101), { pts: 12 * FRAME }).pes(VIDEO, long.subarray(101));
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts }) => dts)).toEqual(Array.from({ length: 13 }, (_, index) => index * FRAME));
    expect(out.video[5]?.data).toEqual(lengthPrefixed(...slices));
    expect(out.video[12]?.data).toEqual(sampleOf(12));
    expect(drops(demuxer, 'video')).toEqual({});
  });

  it('may go on in the next PES packet when one is as long as it can be', () => {
    const long = frame(20, 80_000);
    const writer = movie(start(), 20, { bounded: true });
    const cut = 65_535 - 8;
    writer.pes(VIDEO, long.subarray(0, cut), { pts: 20 * FRAME, bounded: true });
    writer
      .pes(VIDEO, long.subarray(cut), { bounded: true })
      .pes(VIDEO, frame(21), { pts: 21 * FRAME, bounded: true });
    const { out, demuxer } = demux([]);
    demuxer.push(writer.bytes);
    expect(out.video).toHaveLength(22);
    expect(out.video[20]?.data).toEqual(sampleOf(20, 80_000));
    expect(demuxer.counters.dropped.video.damaged).toBe(0);
  });

  it('needs no delimiters, and its PES headers may go on in a second packet', () => {
    const writer = start().pes(VIDEO, annexB(SPS, PPS, avcSlice({ idr: true })), {
      pts: 0,
      headerStuffing: 200,
    });
    for (let index = 1; index < 12; index++) {
      writer.pes(VIDEO, annexB(avcSlice({ fill: index })), {
        pts: index * FRAME,
        headerStuffing: index * 20,
      });
    }
    const { out } = demux(writer.bytes);
    expect(out.video.map(({ dts }) => dts / FRAME)).toEqual(Array.from({ length: 12 }, (_, index) => index));
    expect(out.video[11]?.data).toEqual(lengthPrefixed(avcSlice({ fill: 11 })));
  });

  it('in HEVC begins at any IRAP picture, without the skipped leading pictures of the first', () => {
    const slice = (type: number, fill: number) => Uint8Array.of(type << 1, 1, 0x80, fill, fill);
    const writer = start([{ pid: VIDEO, type: 0x24 }]);
    const types = [21, 9, 7, 1, 21, 9, 1, 19, 1];
    types.forEach((type, index) =>
      writer.pes(VIDEO, annexB(Uint8Array.of(0x46, 1, 0x50), slice(type, index + 1)), { pts: index * FRAME }),
    );
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts, key }) => [types[dts / FRAME], key])).toEqual([
      [21, true],
      [7, false],
      [1, false],
      [21, true],
      [9, false],
      [1, false],
      [19, true],
      [1, false],
    ]);
    expect(out.video[0]?.data).toEqual(lengthPrefixed(slice(21, 1)));
    expect(drops(demuxer, 'video')).toEqual({ leading: 1 });
  });

  it('may be cut between PES packets anywhere, the time of each being that of the first that begins in it', () => {
    const second = frame(2, 60);
    for (let cut = 1; cut < second.length; cut++) {
      const writer = movie(start(), 2).pes(VIDEO, concat(frame(3), second.subarray(0, cut)), {
        pts: 2 * FRAME,
      });
      writer.pes(VIDEO, concat(second.subarray(cut), frame(4)), { pts: 4 * FRAME });
      const { out } = demux(writer.bytes);
      expect(out.video.map(({ dts }) => dts / FRAME)).toEqual([0, 1, 2, 3, 4]);
      expect(out.video[3]?.data).toEqual(sampleOf(2, 60));
    }
  });

  it('gets no new configuration while the same parameter sets come again, wherever they lie', () => {
    const writer = start();
    for (let index = 0; index < 12; index++) {
      const message = Uint8Array.of(0x06, 5, 7 * index, ...Array.from({ length: 7 * index }, () => 9), 0x80);
      const unit = annexB(AUD, message, SPS, PPS, avcSlice({ idr: true, sizeBytes: 300 - index }));
      writer.pes(VIDEO, unit, { pts: index * FRAME });
    }
    const { out } = demux(writer.bytes);
    expect([out.video.length, out.videoConfigs.length]).toEqual([12, 1]);
  });

  it('may share a PES packet with others, which follow at the frame duration', () => {
    const writer = start();
    for (let group = 0; group < 4; group++) {
      const first = group === 0 ? IDR : frame(4 * group);
      const rest = [1, 2, 3].map((index) => frame(4 * group + index));
      writer.pes(VIDEO, concat(first, ...rest), { pts: group * 4 * FRAME });
    }
    const { out, demuxer } = demux(writer.bytes);
    // The first group has no frame duration to go by: its SPS tells none.
    expect(out.video.map(({ dts }) => dts)).toEqual(
      [0, ...Array.from({ length: 12 }, (_, index) => index + 4)].map((index) => index * FRAME),
    );
    expect(drops(demuxer, 'video')).toEqual({ no_timestamp: 3 });
  });

  it('keeps the frame duration it knows when some that share a PES packet are damaged', () => {
    const writer = start();
    const sizes: number[] = [];
    for (let group = 0; group < 6; group++) {
      const units = [0, 1, 2, 3].map((index) => (group + index === 0 ? IDR : frame(4 * group + index)));
      writer.pes(VIDEO, concat(...units), { pts: group * 4 * FRAME });
      sizes.push(writer.packets.length);
    }
    // A packet of the second picture of the third group.
    writer.packets.splice((sizes[1] ?? 0) + 3, 1);
    const { out } = demux(writer.bytes);
    const late = out.video.map(({ dts }) => dts / FRAME).filter((index) => index >= 12);
    expect(late).toEqual(Array.from({ length: 12 }, (_, index) => index + 12));
  });

  it('makes one sample of the two fields of a frame, in one PES packet or in two', () => {
    const sps = avcSps({ fields: true });
    const top = avcSlice({ idr: true, field: 'top' });
    const writer = start();
    writer.pes(VIDEO, annexB(AUD, sps, PPS, top), { pts: 0 });
    writer.pes(VIDEO, annexB(AUD, avcSlice({ field: 'bottom', fill: 3 })), { pts: 1800 });
    const pair = [1, 2].map((frameNum) =>
      (['top', 'bottom'] as const).map((field) => avcSlice({ field, frameNum, fill: 16 * frameNum })),
    );
    writer.pes(VIDEO, concat(...(pair[0] ?? []).map((unit) => annexB(AUD, unit))), { pts: 3600 });
    writer.pes(VIDEO, annexB(AUD, avcSlice({ field: 'frame', frameNum: 3 })), { pts: 7200 });
    for (const unit of pair[1] ?? []) writer.pes(VIDEO, annexB(AUD, unit), { pts: 10_800 });
    const { out } = demux(writer.bytes);
    expect(out.video.map(({ dts, key }) => [dts, key])).toEqual([
      [0, true],
      [3600, false],
      [7200, false],
      [10_800, false],
    ]);
    expect(out.video[0]?.data).toEqual(lengthPrefixed(top, avcSlice({ field: 'bottom', fill: 3 })));
    expect(out.video[1]?.data).toEqual(lengthPrefixed(...(pair[0] ?? [])));
  });

  it('gets a new configuration with the key picture that brings new parameter sets, and only then', () => {
    const wide = avcSps({ width: 640 });
    const otherPps = avcPps(0, 5);
    const writer = movie(start(), 2);
    writer.pes(VIDEO, IDR, { pts: 2 * FRAME });
    writer.pes(VIDEO, annexB(AUD, otherPps, avcSlice()), { pts: 3 * FRAME });
    writer.pes(VIDEO, annexB(AUD, wide, PPS, avcSlice({ idr: true })), { pts: 4 * FRAME });
    writer.pes(VIDEO, annexB(AUD, avcSlice()), { pts: 5 * FRAME });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.videoConfigs.map(({ at }) => at)).toEqual([0, 4]);
    const second = parseAvcConfig(out.videoConfigs[1]?.config ?? new Uint8Array(0));
    expect([second?.sps, second?.pps]).toEqual([[wide], [PPS]]);
    expect(out.video[3]?.data).toEqual(lengthPrefixed(otherPps, avcSlice()));
    expect(demuxer.counters.inBandParameterSets).toBe(1);
  });

  it('takes an all-intra recovery point for a key and leaves out pictures that need what came before it', () => {
    const intra = avcSlice({ intra: true });
    const writer = start();
    const point = annexB(AUD, SPS, PPS, recoveryPoint(0), intra);
    writer.pes(VIDEO, point, { pts: 3 * FRAME, dts: 0 });
    writer.pes(VIDEO, frame(1), { pts: FRAME });
    writer.pes(VIDEO, frame(2), { pts: 2 * FRAME });
    writer.pes(VIDEO, frame(3), { pts: 6 * FRAME, dts: 3 * FRAME });
    writer.pes(VIDEO, point, { pts: 9 * FRAME, dts: 4 * FRAME });
    writer.pes(VIDEO, frame(5), { pts: 5 * FRAME });
    writer.pes(VIDEO, annexB(AUD, recoveryPoint(0), avcSlice()), { pts: 12 * FRAME, dts: 6 * FRAME });
    writer.pes(VIDEO, annexB(AUD, recoveryPoint(20), intra), { pts: 13 * FRAME, dts: 7 * FRAME });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts, key }) => [dts / FRAME, key])).toEqual([
      [0, true],
      [3, false],
      [4, true],
      [5, false],
      [6, false],
      [7, false],
    ]);
    expect(drops(demuxer, 'video')).toEqual({ leading: 2 });
  });

  it('leaves filler data and trailing zeros out', () => {
    const filler = Uint8Array.of(0x0c, 0xff, 0xff, 0x80);
    const unit = concat(IDR, annexB(filler), new Uint8Array(50));
    const { out } = demux(start().pes(VIDEO, unit, { pts: 0 }).bytes);
    expect(out.video.map(({ data }) => data)).toEqual([lengthPrefixed(avcSlice({ idr: true }))]);
  });
});

describe('a damaged transport stream', () => {
  const whole = movie(start(), 30).packets;
  const videoPackets = whole.map((_, index) => index).slice(2);

  it.each(videoPackets.map((index) => [index]))('loses one picture at most with packet %i', (lost) => {
    const { out, demuxer } = demux(concat(...whole.filter((_, index) => index !== lost)));
    const sent = new Set([
      Buffer.from(lengthPrefixed(avcSlice({ idr: true }))).toString('hex'),
      ...Array.from({ length: 29 }, (_, index) => Buffer.from(sampleOf(index + 1)).toString('hex')),
    ]);
    for (const { data } of out.video) expect(sent.has(Buffer.from(data).toString('hex'))).toBe(true);
    expect(out.video.length).toBeGreaterThanOrEqual(28);
    // The first packet of a PID and the last have no neighbour that shows the loss.
    const expected = lost === 2 ? {} : lost === whole.length - 1 ? { pes_truncated: 1 } : { continuity: 1 };
    expect(faults(demuxer)).toEqual(expected);
  });

  it('counts packets with an error mark, and what they carried is dropped', () => {
    const packets = whole.map((packet) => Buffer.from(packet));
    const bad = packets[40];
    if (bad) bad[1] = (bad[1] ?? 0) | 0x80;
    const { out, demuxer } = demux(concat(...packets));
    expect(out.video).toHaveLength(29);
    expect(faults(demuxer)).toEqual({ transport_error: 1, continuity: 1 });
    expect(drops(demuxer, 'video')).toEqual({ damaged: 1 });
  });

  it('uses duplicate packets once', () => {
    const twice = concat(...whole.flatMap((packet) => [packet, packet]));
    const { out, demuxer } = demux(twice);
    expect(out.video).toHaveLength(30);
    expect(demuxer.counters.duplicatePackets).toBe(whole.length);
    expect(faults(demuxer)).toEqual({});
  });

  it('takes a packet with the same counter and other bytes for the sixteenth after a loss', () => {
    const lossy = concat(...whole.slice(0, 20), ...whole.slice(35));
    const { demuxer } = demux(lossy);
    expect(faults(demuxer)).toEqual({ continuity: 1 });
  });

  it('drops what is under way when the owner tells of a gap that no counter shows', () => {
    const { out, demuxer } = demux([]);
    demuxer.push(concat(...whole.slice(0, 21)));
    demuxer.gap(16);
    demuxer.push(concat(...whole.slice(37)));
    demuxer.flush();
    for (const { data } of out.video.slice(1)) expect(data.length).toBe(sampleOf(1).length);
    expect(faults(demuxer)).toEqual({ gap: 1 });
  });

  it('leaves a gap of fewer packets to the counters, which know the stream', () => {
    const { out, demuxer } = demux([]);
    demuxer.push(concat(...whole.slice(0, 21)));
    demuxer.gap(15);
    demuxer.push(concat(...whole.slice(21)));
    demuxer.flush();
    expect(out.video).toHaveLength(30);
    expect(faults(demuxer)).toEqual({ gap: 1 });
  });

  it('does not count a jump of the counter that a discontinuity_indicator announced', () => {
    const writer = movie(start(), 5).skipCounter(VIDEO, 7);
    writer.pes(VIDEO, IDR, { pts: 900_000, discontinuity: true });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video).toHaveLength(6);
    expect(faults(demuxer)).toEqual({});
  });

  it('counts and drops scrambled packets and PES packets', () => {
    const writer = movie(start(), 3);
    writer.packet(VIDEO, new Uint8Array(184).fill(1), { unitStart: true, scrambled: true });
    writer.pes(VIDEO, frame(4), { pts: 4 * FRAME, scrambling: 1 });
    writer.pes(VIDEO, frame(5), { pts: 5 * FRAME });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts }) => dts / FRAME)).not.toContain(4);
    expect(out.video.at(-1)?.dts).toBe(5 * FRAME);
    expect(faults(demuxer)).toEqual({ scrambled: 2 });
  });

  it('finds packets again after bytes that are none', () => {
    const noise = new Uint8Array(1000).fill(0x47, 100, 300);
    const bytes = concat(noise, ...whole.slice(0, 50), noise, ...whole.slice(50));
    const { out, demuxer } = demux(bytes);
    expect(out.video.length).toBeGreaterThanOrEqual(28);
    expect(demuxer.counters.skippedBytes).toBeGreaterThan(1500);
  });

  it('drops a PES packet that ends before its length', () => {
    const writer = movie(start(), 3, { bounded: true });
    writer.packets.splice(-1);
    writer.skipCounter(VIDEO, -1).pes(VIDEO, frame(9), { pts: 9 * FRAME });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts }) => dts / FRAME)).toEqual([0, 1, 9]);
    expect(faults(demuxer)).toEqual({ pes_truncated: 1 });
  });

  it('gives up a picture larger than it may hold, and holds no more than that', () => {
    const writer = movie(start(), 2).pes(VIDEO, frame(2, 50_000), { pts: 2 * FRAME });
    writer.pes(VIDEO, frame(3), { pts: 3 * FRAME });
    const { out, demuxer } = demux([], { maxVideoBytes: 20_000 });
    for (const packet of writer.packets) {
      demuxer.push(packet);
      expect(demuxer.heldBytes).toBeLessThanOrEqual(20_000);
    }
    demuxer.flush();
    expect(out.video.map(({ dts }) => dts / FRAME)).toEqual([0, 1, 3]);
    expect(faults(demuxer)).toEqual({ pes_too_large: 1 });
  });
});

describe('packets', () => {
  const packets = movie(start(), 6).packets;
  const plain = demux(concat(...packets)).out.log;

  it.each([
    ['192 bytes apart (M2TS)', (packet: Uint8Array) => concat(Uint8Array.of(1, 2, 3, 4), packet)],
    ['204 bytes apart (Reed-Solomon)', (packet: Uint8Array) => concat(packet, new Uint8Array(16).fill(9))],
  ])('%s are read as well', (_, wrap) => {
    const { out, demuxer } = demux(concat(...packets.map(wrap)));
    expect([out.log, faults(demuxer)]).toEqual([plain, {}]);
  });

  it('give the same output however their bytes are split', () => {
    const bytes = concat(...packets);
    for (const size of [1, 7, 187, 188, 189, 1000, 1316]) {
      expect(demux(inPieces(bytes, size)).out.log).toEqual(plain);
    }
  });

  it('tell the program clock', () => {
    const pcr = 300 * (2 ** 32 + 12_345) + 299;
    const writer = start().packet(VIDEO, new Uint8Array(0), { pcr });
    expect(demux(writer.bytes).demuxer.pcr).toBe(pcr);
  });
});

describe('program tables', () => {
  it('are not believed when their CRC is wrong', () => {
    const bad = pmtSection(1, [H264]);
    bad[14] = (bad[14] ?? 0) ^ 1;
    const { out, demuxer } = demux(movie(new TsWriter().pat([[1, PMT]]).sections(PMT, [bad]), 3).bytes);
    expect([out.log, faults(demuxer)]).toEqual([[], { section_crc: 1 }]);
  });

  it('may take several packets, and share one', () => {
    const many = Array.from({ length: 60 }, (_, index) => ({ pid: 0x200 + index, type: 0x05 }));
    const spare = pmtSection(7, []);
    const writer = new TsWriter().pat([[1, PMT]]).sections(PMT, [spare, pmtSection(1, [...many, H264])]);
    expect(demux(movie(writer, 3).bytes).out.video).toHaveLength(3);
  });

  it('may come in several sections of the association table', () => {
    const entry = (program: number, pid: number) => Uint8Array.of(0, program, 0xe0 | (pid >> 8), pid & 0xff);
    const first = tableSection(0, 1, 0, entry(1, 0x30), { section: 0, last: 1 });
    const second = tableSection(0, 1, 0, entry(2, PMT), { section: 1, last: 1 });
    const writer = new TsWriter().sections(0, [first]).sections(0, [second]).pmt(PMT, 2, [H264]);
    expect(demux(movie(writer, 3).bytes).out.video).toHaveLength(3);
  });

  it('name several programs: the first with video is taken, or the one asked for', () => {
    const other = { pid: 0x300, type: 0x1b };
    const writer = new TsWriter().pat([
      [1, 0x30],
      [2, PMT],
      [3, 0x31],
    ]);
    writer.pmt(0x30, 1, [ADTS]).pmt(PMT, 2, [H264]).pmt(0x31, 3, [other]);
    movie(writer, 3).pes(0x300, IDR, { pts: 77 });
    expect(demux(writer.bytes).out.video.map(({ dts }) => dts)).toEqual([0, FRAME, 2 * FRAME]);
    expect(demux(writer.bytes, { program: 3 }).out.video.map(({ dts }) => dts)).toEqual([77]);
  });

  it('may have sound alone', () => {
    const writer = start([ADTS]).pes(AUDIO, adts(10, 1), { pts: 5, bounded: true, streamId: 0xc0 });
    const { out } = demux(writer.bytes);
    expect([out.trackSets, out.audio.map(({ dts }) => dts)]).toEqual([[{ video: false, audio: true }], [5]]);
  });

  it('may change in mid-stream: what stays goes on, what comes is opened, what goes is closed', () => {
    const writer = movie(start(), 4);
    writer.pmt(PMT, 1, [H264, ADTS], { version: 1 });
    writer.pes(VIDEO, frame(4), { pts: 4 * FRAME });
    writer.pes(AUDIO, adts(10, 1), { pts: 5, bounded: true, streamId: 0xc0 });
    writer.pat([[1, 0x40]], 1).pmt(0x40, 1, [{ pid: 0x200, type: 0x1b }, ADTS], { version: 2 });
    writer.pes(0x200, IDR, { pts: 5 * FRAME }).pes(VIDEO, frame(6), { pts: 6 * FRAME });
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ dts }) => dts / FRAME)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(out.trackSets).toEqual([
      { video: true, audio: false },
      { video: true, audio: true },
    ]);
    expect(faults(demuxer)).toEqual({});
  });

  it('may change within a picture, and in parts, without harm to it', () => {
    const entry = (program: number, pid: number) => Uint8Array.of(0, program, 0xe0 | (pid >> 8), pid & 0xff);
    const tables = new TsWriter();
    tables.sections(0, [tableSection(0, 1, 1, entry(5, 0x30), { section: 0, last: 1 })]);
    tables.packets[0]?.writeUInt8(0x11, 3);
    const rest = new TsWriter();
    rest
      .sections(0, [tableSection(0, 1, 1, entry(1, PMT), { section: 1, last: 1 })])
      .pmt(PMT, 1, [H264, ADTS], { version: 1 });
    rest.packets[0]?.writeUInt8(0x12, 3);
    rest.packets[1]?.writeUInt8(0x11, 3);
    const writer = movie(start(), 5);
    writer.packets.splice(-2, 0, ...tables.packets);
    writer.packets.splice(-1, 0, ...rest.packets);
    const { out, demuxer } = demux(writer.bytes);
    expect(out.video.map(({ data }) => data).at(-1)).toEqual(sampleOf(4));
    expect([out.video.length, out.videoConfigs.length, faults(demuxer)]).toEqual([5, 1, {}]);
    expect(out.trackSets.at(-1)).toEqual({ video: true, audio: true });
  });

  it('that are not in force yet change nothing', () => {
    const writer = start().sections(PMT, [pmtSection(1, [ADTS], { version: 1, current: false })]);
    expect(demux(movie(writer, 3).bytes).out.video).toHaveLength(3);
  });

  it('name codecs that are not carried, once each', () => {
    const streams = [
      H264,
      { pid: 0x110, type: 0x03 },
      { pid: 0x111, type: 0x03 },
      { pid: 0x112, type: 0x02 },
    ];
    const writer = start(streams).pmt(PMT, 1, streams, { version: 1 });
    expect(demux(writer.bytes).out.unsupportedCodecs).toEqual(['MPEG-1 audio', 'MPEG-2 video']);
  });

  it('name what they have of codecs that are not carried when no program has any that is', () => {
    const [mpeg2, mpeg1, dts] = [0x02, 0x03, 0x82].map((type, i) => ({ pid: 0x110 + i, type }));
    if (!mpeg2 || !mpeg1 || !dts) throw new Error('no streams');
    const writer = new TsWriter().pat([
      [1, PMT],
      [2, 0x30],
    ]);
    writer.pmt(PMT, 1, [mpeg2, mpeg1]);
    expect(demux(writer.bytes).out.unsupportedCodecs).toEqual([]);
    writer.pmt(0x30, 2, [dts]).pmt(PMT, 1, [mpeg2, mpeg1]);
    const { out } = demux(writer.bytes);
    expect([out.unsupportedCodecs, out.trackSets]).toEqual([['MPEG-2 video', 'MPEG-1 audio', 'DTS'], []]);
  });

  it('name them although another program was never told of, and take that one when it comes', () => {
    const writer = new TsWriter().pat([
      [1, PMT],
      [2, 0x30],
    ]);
    for (let times = 0; times < 3; times++) writer.pmt(PMT, 1, [{ pid: 0x110, type: 0x02 }]);
    expect(demux(writer.bytes).out.unsupportedCodecs).toEqual(['MPEG-2 video']);
    writer.pmt(0x30, 2, [H264]);
    const { out } = demux(movie(writer, 3).bytes);
    expect([out.video.length, out.unsupportedCodecs]).toEqual([3, ['MPEG-2 video']]);
  });
});

describe('sound in a transport stream', () => {
  const options = { bounded: true, streamId: 0xc0 };

  it('comes frame by frame with exact times, over the borders of PES packets', () => {
    const frames = Array.from({ length: 9 }, (_, index) => adts(100 + index, index, 4));
    const bytes = concat(...frames);
    const writer = start([ADTS]);
    const cuts = [0, 250, 480, bytes.length];
    const firstIn = [0, 3, 5];
    const time = (index: number): number => 1000 + Math.round((index * 1024 * 90_000) / 44_100);
    firstIn.forEach((index, at) =>
      writer.pes(AUDIO, bytes.subarray(cuts[at], cuts[at + 1]), { pts: time(index), ...options }),
    );
    const { out } = demux(writer.bytes);
    expect(out.audioConfigs.map(({ config }) => [...config])).toEqual([[0x12, 0x10]]);
    expect(out.audio.map(({ dts }) => dts)).toEqual(frames.map((_, index) => time(index)));
    expect(out.audio.map(({ data }) => data)).toEqual(frames.map((bytesOf) => bytesOf.subarray(7)));
  });

  it('does not drift when only the first PES packet has a time', () => {
    const writer = start([ADTS]).pes(AUDIO, adts(8, 1, 4), { pts: 0, ...options });
    for (let index = 1; index < 2000; index++) writer.pes(AUDIO, adts(8, 1, 4), options);
    const { out } = demux(writer.bytes);
    expect(out.audio.at(-1)?.dts).toBe(Math.round((1999 * 1024 * 90_000) / 44_100));
  });

  it('is damaged frame by frame: the others keep their times', () => {
    const writer = start([ADTS]);
    for (let index = 0; index < 10; index++) {
      const frames = [adts(50, 1), adts(50, 2)];
      const second = frames[1];
      if (index === 4 && second) second[0] = 0x12;
      writer.pes(AUDIO, concat(...frames), { pts: index * 3840, ...options });
    }
    const { out, demuxer } = demux(writer.bytes);
    expect(out.audio.map(({ dts }) => dts / 1920)).toEqual(
      Array.from({ length: 20 }, (_, index) => index).filter((index) => index !== 8 && index !== 9),
    );
    expect(drops(demuxer, 'audio')).toEqual({ damaged: 1 });
  });

  it('takes another configuration only when two frames say so', () => {
    const writer = start([ADTS]);
    const send = (rateIndex: number, index: number) =>
      writer.pes(AUDIO, adts(50, 1, rateIndex), { pts: index * 2000, ...options });
    for (const [index, rate] of [3, 3, 4, 3, 3, 4, 4, 4].entries()) send(rate, index);
    const { out, demuxer } = demux(writer.bytes);
    expect(out.audioConfigs.map(({ at }) => at)).toEqual([0, 4]);
    expect(out.audio.map(({ dts }) => dts / 2000)).toEqual([0, 1, 3, 4, 6, 7]);
    expect(drops(demuxer, 'audio')).toEqual({ unconfirmed_config: 2 });
  });

  it('refuses frames of several blocks and channels that the header does not tell', () => {
    const blocks = adts(20, 1);
    blocks[6] = 0xfd;
    const told = adts(20, 1);
    told[3] = (told[3] ?? 0) & 0x3f;
    const writer = start([ADTS]).pes(AUDIO, blocks, { pts: 0, ...options });
    writer.pes(AUDIO, told, { pts: 2000, ...options });
    const { out, demuxer } = demux(writer.bytes);
    expect([out.audio, drops(demuxer, 'audio')]).toEqual([[], { unsupported_form: 2 }]);
  });

  it('is the first of several', () => {
    const writer = start([ADTS, { pid: 0x200, type: 0x0f }]);
    writer.pes(0x200, adts(20, 2), { pts: 1, ...options }).pes(AUDIO, adts(20, 1), { pts: 2, ...options });
    expect(demux(writer.bytes).out.audio.map(({ dts }) => dts)).toEqual([2]);
  });
});

describe('timed metadata', () => {
  const pes = { streamId: 0xbd, bounded: true };
  const id3 = Uint8Array.of(0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, 3, 1, 2, 3);
  const label = [0x06, 0x0e, 0x2b, 0x34, 2, 11, 1, 1, 14, 1, 3, 1, 1, 0, 0, 0];
  const klv = Uint8Array.of(...label, 2, 7, 8);
  const longKlv = Uint8Array.of(...label, 0x82, 1, 44, ...Array.from({ length: 300 }, () => 5));

  it('comes as ID3 tags, one event each', () => {
    const metadata = descriptor(
      0x26,
      Uint8Array.of(0xff, 0xff, 0x49, 0x44, 0x33, 0x20, 0xff, ...Buffer.from('ID3 '), 0, 0),
    );
    const writer = start([H264, { pid: DATA, type: 0x15, descriptors: metadata }]);
    writer.pes(DATA, concat(id3, id3), { pts: 90, ...pes });
    expect(demux(writer.bytes).out.events).toEqual([
      { kind: 'id3', pts: 90, data: id3 },
      { kind: 'id3', pts: 90, data: id3 },
    ]);
  });

  it('comes as KLV packets without times', () => {
    const stream = { pid: DATA, type: 0x06, descriptors: descriptor(0x05, 'KLVA') };
    const writer = start([H264, stream]).pes(DATA, concat(klv, longKlv), pes);
    expect(demux(writer.bytes).out.events).toEqual([
      { kind: 'klv', pts: undefined, data: klv },
      { kind: 'klv', pts: undefined, data: longKlv },
    ]);
  });

  it('comes as KLV packets in access unit cells, whole or in fragments', () => {
    const metadata = descriptor(0x26, Uint8Array.of(1, 0, 0xff, ...Buffer.from('KLVA'), 0, 0x0f));
    const cell = (place: number, data: Uint8Array) => [
      0,
      0,
      place << 6,
      data.length >> 8,
      data.length & 0xff,
      ...data,
    ];
    const writer = start([H264, { pid: DATA, type: 0x15, descriptors: metadata }]);
    const options = { streamId: 0xfc, bounded: true };
    writer.pes(DATA, Uint8Array.from(cell(3, klv)), { pts: 1, ...options });
    writer.pes(
      DATA,
      Uint8Array.from([...cell(2, longKlv.subarray(0, 99)), ...cell(0, longKlv.subarray(99, 200))]),
      { pts: 2, ...options },
    );
    writer.pes(DATA, Uint8Array.from(cell(1, longKlv.subarray(200))), { pts: 2, ...options });
    expect(demux(writer.bytes).out.events).toEqual([
      { kind: 'klv', pts: 1, data: klv },
      { kind: 'klv', pts: 2, data: longKlv },
    ]);
  });

  it('comes as SCTE-35 sections with the splice time, and not with a wrong CRC', () => {
    // time_signal at 0x1_0000_0001 with an adjustment of 2^33 - 1.
    const body = [0xfc, 0x30, 0x16, 0, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xf0, 0x05, 0x06];
    const section = withCrc(Uint8Array.from([...body, 0xff, 0, 0, 0, 1, 0, 0]));
    const bad = section.slice();
    bad[16] = 9;
    const writer = start([H264, { pid: DATA, type: 0x86 }]).sections(DATA, [section, bad]);
    const { out, demuxer } = demux(writer.bytes);
    expect(out.events).toEqual([{ kind: 'scte35', pts: 2 ** 32, data: section }]);
    expect(faults(demuxer)).toEqual({ section_crc: 1 });
  });
});
