import { deepStrictEqual, ok } from 'node:assert';
import { parseAacConfig } from '../../../src/media/aac.ts';
import { BitReader } from '../../../src/media/bit-reader.ts';
import { FlvReader } from '../../../src/media/flv-reader.ts';
import { writeFlvAudio, writeFlvFrame, writeFlvStart } from '../../../src/media/flv-writer.ts';
import { inspectAccessUnit, normalizeAccessUnit, parseAvcConfig } from '../../../src/media/h264.ts';
import { parseH264Sps } from '../../../src/media/h264-sps.ts';
import { readBoxes, walkBoxes } from '../../../src/media/isobmff/box-reader.ts';
import { writeChunk } from '../../../src/media/isobmff/chunk.ts';
import { readFragments, readInitSegment } from '../../../src/media/isobmff/fragment-reader.ts';
import { writeInitSegment } from '../../../src/media/isobmff/init-segment.ts';
import { audioTrack, videoTrack } from '../../support/sample-source.ts';
import { AVC_1080P2997, AVC_360P30, AVC_720P25, accessUnit } from '../../support/stream-source.ts';
import { type FuzzTarget, hex, joined, mutated, split } from '../fuzz-target.ts';

const MAX_TAG_BYTES = 5000;
const LARGE_TAG = writeFlvAudio(90, new Uint8Array(MAX_TAG_BYTES + 20));

export const FLV_FILE = joined([
  writeFlvStart({ config: AVC_360P30, frameRate: 30 }),
  writeFlvAudio(0, hex('af00 1190')),
  ...Array.from({ length: 4 }, (_, frame) => [
    writeFlvFrame({
      dtsMs: frame * 33,
      ptsMs: frame * 33,
      key: frame === 0,
      data: accessUnit(frame === 0, frame),
    }),
    writeFlvAudio(frame * 21, hex('af01 2110 04')),
  ]).flat(),
]);

export const flvFile: FuzzTarget = {
  name: 'flv-file',
  bytes: mutated([FLV_FILE, FLV_FILE.slice(0, 200), joined([FLV_FILE, LARGE_TAG])]),
  runs: 2000,
  check(input) {
    const read = (pieces: readonly Uint8Array[]): unknown => {
      const reader = new FlvReader({ maxTagBytes: MAX_TAG_BYTES });
      const tags = pieces.flatMap((piece) => reader.push(piece));
      for (const { body } of tags) ok(body.length <= MAX_TAG_BYTES, 'a tag over the limit');
      return { tags, fault: reader.fault };
    };
    deepStrictEqual(read(split(input)), read([input.bytes]));
  },
};

const AVC_RECORDS = [AVC_360P30, AVC_720P25, AVC_1080P2997];

/** Sizes above this come from no level of the standard: nobody may be asked to allocate for them. */
const MAX_SIDE = 16_896;

export const h264Config: FuzzTarget = {
  name: 'h264-config',
  bytes: mutated(AVC_RECORDS),
  runs: 2000,
  check({ bytes }) {
    const config = parseAvcConfig(bytes);
    if (!config) return;
    const { width, height } = config.picture;
    ok(width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE, `${width}x${height}`);
    deepStrictEqual(parseAvcConfig(config.record)?.picture, config.picture, 'the record says otherwise');
  },
};

export const h264Sps: FuzzTarget = {
  name: 'h264-sps',
  bytes: mutated(AVC_RECORDS.map((record) => parseAvcConfig(record)?.sps[0] ?? record)),
  runs: 2000,
  check({ bytes }) {
    const sps = parseH264Sps(bytes);
    if (!sps) return;
    ok(sps.width > 0 && sps.height > 0 && sps.width <= MAX_SIDE && sps.height <= MAX_SIDE);
    const rate = sps.frameRate;
    ok(!rate || (rate.numerator > 0 && rate.denominator > 0), 'a frame rate of nothing');
  },
};

export const h264AccessUnit: FuzzTarget = {
  name: 'h264-access-unit',
  bytes: mutated([
    accessUnit(true, 1, 60),
    joined([accessUnit(false, 2, 20), accessUnit(false, 3, 12)]),
    hex('00000000 00000002 0910 00000003 658880'),
    hex('0003 658880 0000 0001 09'),
  ]),
  runs: 2000,
  check({ bytes, cuts }) {
    const lengthSize = [1, 2, 4][(cuts[0] ?? 0) % 3] ?? 4;
    const facts = inspectAccessUnit(bytes, lengthSize);
    if (!facts) return;
    const normal = normalizeAccessUnit(bytes, lengthSize, facts);
    ok(normal.length <= 4 * bytes.length + 4, 'grew');
    const after = inspectAccessUnit(normal, 4);
    deepStrictEqual(after, { ...facts, emptyUnits: false });
  },
};

export const aacConfig: FuzzTarget = {
  name: 'aac-config',
  bytes: mutated(['1190', '1210', '2b8a0800', '139056e500', 'eb8a0800', 'f8e85000'].map(hex)),
  runs: 2000,
  check({ bytes }) {
    const config = parseAacConfig(bytes);
    if (!config) return;
    ok(Number.isInteger(config.frameTicks) && config.frameTicks > 0 && config.frameTicks <= 4096);
    ok(config.sampleRate >= 1000 && config.sampleRate <= 192_000 && config.channels > 0);
    deepStrictEqual(config.config, new Uint8Array(bytes));
  },
};

export const bitReader: FuzzTarget = {
  name: 'bit-reader',
  bytes: mutated([hex('a6421c'), hex('0000000180'), hex('ffffffff')]),
  runs: 1000,
  check({ bytes, cuts }) {
    const reader = new BitReader(bytes);
    for (const cut of cuts) {
      const value = cut % 3 === 0 ? reader.unsignedExpGolomb() : reader.bits(cut % 33);
      ok(Number.isSafeInteger(value) && value >= 0 && value <= 2 ** 32, `read ${value}`);
    }
  },
};

const KEY_SAMPLE = { dts: 9e13, pts: 9e13 + 10, duration: 3000, key: true, data: new Uint8Array(20) };
const FRAGMENT = writeChunk({
  sequence: 1,
  samples: [KEY_SAMPLE, { ...KEY_SAMPLE, key: false, dts: KEY_SAMPLE.dts + 3000 }],
  position: 'segment-start',
  reference: undefined,
});

/** All samples that a reader may be made to list from so few bytes. */
const MAX_SAMPLES = 400_000;

export const fragmentedMp4: FuzzTarget = {
  name: 'fragmented-mp4',
  bytes: mutated([
    writeInitSegment(videoTrack()),
    writeInitSegment(audioTrack()),
    FRAGMENT,
    joined([writeInitSegment(videoTrack()), FRAGMENT]),
    hex('00000000 6d6f6f66'),
    hex('00000001 6d646174 ffffffffffffffff'),
    // Boxes in boxes, each claiming the rest.
    joined(
      Array.from({ length: 40 }, (_, depth) =>
        hex(`0000${(8 * (40 - depth)).toString(16).padStart(4, '0')}6d6f6f76`),
      ),
    ),
  ]),
  runs: 2000,
  check({ bytes }) {
    let boxes = 0;
    walkBoxes(readBoxes(bytes).boxes, (box) => {
      boxes++;
      ok(box.bodyStart <= box.end && box.end <= bytes.length, 'a box outside the bytes');
    });
    ok(boxes * 8 <= bytes.length, 'more boxes than fit');
    const tracks = readInitSegment(bytes) ?? [];
    let samples = 0;
    for (const fragment of readFragments(bytes, tracks) ?? []) {
      for (const track of fragment.tracks) {
        samples += track.samples.length;
        for (const { data } of track.samples)
          ok(data.byteLength <= bytes.length, 'a sample outside the bytes');
      }
    }
    ok(samples <= MAX_SAMPLES, `${samples} samples`);
  },
};
