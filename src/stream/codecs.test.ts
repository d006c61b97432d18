import { describe, expect, test } from 'vitest';
import { setUp } from '../../test/support/hub-bench.ts';
import { RTMP_INFO } from '../../test/support/stream-source.ts';
import type { Publisher } from './publisher.ts';
import type { AudioCodec, VideoCodec } from './track.ts';

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function nal(...units: string[]): Uint8Array {
  return bytes(units.map((hex) => (hex.length / 2).toString(16).padStart(8, '0') + hex).join(''));
}

const SPS_180P = '42010101600000030090000003000003003ca00a080c1f3e595912930bc05a020000030002000003003c10';
const HVCC =
  '0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959009' +
  `a10001002b${SPS_180P}a2000100074401c073c18927`;
/** The same in 10 bits and high tier. */
const OTHER_SPS =
  '42010122200000030090000003000003007ba00a080c1f3b65959529385e02d424402410000003001000000301e080';
const AV1C = '81000c000a0b000000043cfecc02f80040';
const VPCC = '01000000000b820202020000';

/** Key frames and others of each codec, all of 320x180; the number makes each a different one. */
const FRAMES: Record<Exclude<VideoCodec, 'avc1'>, (key: boolean, number: number) => Uint8Array> = {
  hvc1: (key, number) => nal(`${key ? '2801' : '0201'}${number.toString(16).padStart(8, '0')}`),
  av01: (key, number) =>
    bytes(`${key ? '0a0b000000043cfecc02f800403206100' : '3206300'}0${number.toString(16).padStart(8, '0')}`),
  vp09: (key, number) =>
    bytes(`${key ? '824983420013f00b3606' : '860000020000'}00${number.toString(16).padStart(8, '0')}00`),
};
const CONFIGS: Record<keyof typeof FRAMES, string> = { hvc1: HVCC, av01: AV1C, vp09: VPCC };
const CODECS = Object.keys(FRAMES) as (keyof typeof FRAMES)[];

type SetUp = ReturnType<typeof setUp>;

function publisher({ hub, closedWith }: SetUp): Publisher {
  return hub.publish('show', RTMP_INFO, (code) => closedWith.push(code));
}

/** Sends frames at 25 a second, a key frame each second. */
function send(
  { clock }: SetUp,
  to: Publisher,
  frames: number,
  frame: (key: boolean, number: number) => Uint8Array,
  from = 0,
): void {
  for (let number = from; number < from + frames; number++) {
    const key = number % 25 === 0;
    to.write({ kind: 'video', dts: number * 40, compositionOffset: 0, key, data: frame(key, number) });
    clock.advance(40);
  }
}

describe('video of each codec', () => {
  test.each(CODECS)('%s becomes a track with its cadence, and every frame comes through', (codec) => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig(codec, bytes(CONFIGS[codec]));
    send(all, source, 100, FRAMES[codec]);
    const [timeline] = all.sink().timelines;
    expect(timeline?.video).toMatchObject({ codec, width: 320, height: 180 });
    expect(timeline?.video?.cadence).toEqual({ frameTicks: 3600, gopTicks: 90_000 });
    const samples = all.sink().samples('video');
    expect(samples.map(({ data }) => Buffer.from(data).toString('hex'))).toEqual(
      Array.from({ length: 100 }, (_, n) => Buffer.from(FRAMES[codec](n % 25 === 0, n)).toString('hex')),
    );
    expect(samples.filter(({ key }) => key)).toHaveLength(4);
  });

  test.each([
    // pic_width_in_luma_samples 8192, pic_height 4320.
    ['hvc1', HVCC.replace(SPS_180P, hevcSps(8192, 4320)).replace('01002b', lengthOf(8192, 4320)), undefined],
    // max_frame_width_minus_1 and height_minus_1 of 16 bits: all ones.
    ['av01', '81000c000a0d00000007fffffffff800000000', undefined],
    ['vp09', VPCC, '824983420fff0fff0600000000'],
  ] as const)('%s of a picture that is too large is refused by its headers alone', (codec, config, frame) => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig(codec, bytes(config));
    if (frame) source.write({ kind: 'video', dts: 0, compositionOffset: 0, key: true, data: bytes(frame) });
    expect(all.closedWith).toEqual(['STREAM_VIDEO_TOO_LARGE']);
  });

  test.each([
    ['hvc1', HVCC, nal(hevcSps(8192, 4320), '28010000')],
    ['av01', AV1C, bytes('0a0d00000007fffffffff80000000032021000')],
  ] as const)('%s that grows by what its frames bring is refused too', (codec, config, grown) => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig(codec, bytes(config));
    send(all, source, 30, FRAMES[codec]);
    source.write({ kind: 'video', dts: 1200, compositionOffset: 0, key: true, data: grown });
    expect(all.closedWith).toEqual(['STREAM_VIDEO_TOO_LARGE']);
  });

  test('vp9 that grows between key frames is refused too', () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('vp09', bytes(VPCC));
    send(all, source, 30, FRAMES.vp09);
    const bomb = bytes('860000007fffffffff');
    source.write({ kind: 'video', dts: 1200, compositionOffset: 0, key: false, data: bomb });
    expect(all.closedWith).toEqual(['STREAM_VIDEO_TOO_LARGE']);
  });

  test('another configuration inside the frames is a new timeline with it, as if it had been declared', () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('hvc1', bytes(HVCC));
    send(all, source, 75, FRAMES.hvc1);
    const changed = (key: boolean, number: number): Uint8Array =>
      key
        ? nal(OTHER_SPS, '28010000', `0201${number.toString(16).padStart(8, '0')}`)
        : FRAMES.hvc1(key, number);
    send(all, source, 75, changed, 75);
    expect(all.sink().reasons).toEqual(['start', 'tracks']);
    expect(all.sink().timelines.map(({ video }) => video?.codecString)).toEqual([
      'hvc1.1.6.L60.90',
      'hvc1.2.4.H123.90',
    ]);
    expect(all.sink().samples('video')).toHaveLength(150);
  });

  test('a change of codec is a new timeline at its first key frame', () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('hvc1', bytes(HVCC));
    send(all, source, 75, FRAMES.hvc1);
    source.videoConfig('vp09', bytes(VPCC));
    send(all, source, 75, FRAMES.vp09, 75);
    expect(all.sink().timelines.map(({ video }) => video?.codec)).toEqual(['hvc1', 'vp09']);
  });

  test('av1 whose configuration has no sequence header starts at its first key frame', async () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('av01', bytes('81000c00'));
    send(all, source, 90, FRAMES.av01, 10);
    expect(all.sink().timelines[0]?.video).toMatchObject({ codecString: 'av01.0.00M.08', width: 320 });
    expect(all.sink().samples('video')).toHaveLength(75);
    expect(await all.metric('stream_samples_dropped_total', { cause: 'before_key' })).toBe(15);
  });

  test('vp9 that never has a key frame is closed as any other', () => {
    const all = setUp({ maxGopMs: 2000 });
    const source = publisher(all);
    source.videoConfig('vp09', bytes(VPCC));
    send(all, source, 120, (_key, number) => FRAMES.vp09(false, number));
    expect(all.closedWith).toEqual(['STREAM_NO_KEY_FRAME']);
  });

  test('what is no configuration of the codec it is said to be is passed over', async () => {
    const all = setUp();
    const source = publisher(all);
    for (const codec of CODECS) source.videoConfig(codec, bytes('00112233'));
    send(all, source, 10, FRAMES.hvc1);
    expect(await all.metric('stream_unusable_configs_total', { kind: 'video' })).toBe(3);
    expect(await all.metric('stream_samples_dropped_total', { cause: 'no_config' })).toBe(10);
  });
});

describe('leading pictures of an open GOP', () => {
  const cra = (number: number): Uint8Array => nal(`2a01${number.toString(16).padStart(8, '0')}`);
  const rasl = (number: number): Uint8Array => nal(`1001${number.toString(16).padStart(8, '0')}`);
  const frame = (key: boolean, number: number): Uint8Array =>
    key ? cra(number) : number % 25 < 3 ? rasl(number) : FRAMES.hvc1(false, number);

  test('go with what they need, and come through where that is there', async () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('hvc1', bytes(HVCC));
    send(all, source, 100, frame);
    expect(all.sink().samples('video')).toHaveLength(98);
    expect(await all.metric('stream_samples_dropped_total', { cause: 'before_key' })).toBe(2);
  });

  test('go too where a new configuration has made a hole before their key frame', async () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('hvc1', bytes(HVCC));
    send(all, source, 85, frame);
    source.videoConfig('hvc1', bytes(HVCC.replace(SPS_180P, OTHER_SPS).replace('01002b', '01002f')));
    send(all, source, 65, frame, 85);
    expect(await all.metric('stream_samples_dropped_total', { cause: 'new_timeline' })).toBe(15);
    expect(await all.metric('stream_samples_dropped_total', { cause: 'before_key' })).toBe(4);
  });
});

describe('video tracks of one publisher', () => {
  test('beyond the eighth are passed over, and counted', async () => {
    const all = setUp();
    const source = publisher(all);
    for (let track = 0; track < 10; track++) source.videoConfig('av01', bytes(AV1C), track);
    expect(await all.metric('stream_unusable_configs_total', { kind: 'video' })).toBe(2);
    const frame = {
      kind: 'video',
      dts: 0,
      compositionOffset: 0,
      key: true,
      data: FRAMES.av01(true, 0),
    } as const;
    source.write({ ...frame, track: 7 });
    expect(await all.metric('stream_samples_dropped_total', { cause: 'no_config' })).toBe(0);
    source.write({ ...frame, track: 8 });
    expect(await all.metric('stream_samples_dropped_total', { cause: 'no_config' })).toBe(1);
  });

  test('are held to the same limit of size', () => {
    const all = setUp();
    const source = publisher(all);
    source.videoConfig('av01', bytes(AV1C));
    source.videoConfig('av01', bytes('81000c000a0d00000007fffffffff800000000'), 1);
    expect(all.closedWith).toEqual(['STREAM_VIDEO_TOO_LARGE']);
  });
});

describe('audio of each codec', () => {
  const frames: [AudioCodec, string, string, number, number][] = [
    ['Opus', '000201380000bb80000000', 'fc', 960, 48_000],
    ['Opus', '000201380000bb80000000', 'ff83', 2880, 48_000],
    ['fLaC', `00000000800000221200120000025800051b0bb802f0${'00'.repeat(20)}`, 'fff85a8800', 4608, 48_000],
    ['ac-3', '101140', '0b77fe95144043e1', 1536, 48_000],
    ['ec-3', '0800200f00', '0b7701ff3f87c000', 1536, 48_000],
  ];

  test.each(frames)('%s %s, frames of %s', (codec, config, head, frameTicks, timescale) => {
    const all = setUp();
    const source = publisher(all);
    source.audioConfig(codec, bytes(config));
    const sizeBytes = { 'ac-3': 768, 'ec-3': 1024 }[codec as string] ?? 40;
    for (let number = 0; number * frameTicks < 3 * timescale; number++) {
      const data = new Uint8Array(sizeBytes);
      data.set(bytes(head));
      data[sizeBytes - 1] = number;
      const dts = Math.floor((number * frameTicks * 1000) / timescale);
      source.write({ kind: 'audio', dts, compositionOffset: 0, key: true, data });
      all.clock.advance((frameTicks * 1000) / timescale);
    }
    const [timeline] = all.sink().timelines;
    expect(timeline?.audio).toMatchObject({ codec, timescale, frameTicks });
    expect(all.sink().timelines).toHaveLength(1);
    const samples = all.sink().samples('audio');
    expect(samples.length).toBe(Math.ceil((3 * timescale) / frameTicks));
    expect(new Set(samples.map(({ duration }) => duration))).toEqual(new Set([frameTicks]));
  });

  test('packets of different lengths follow each other without holes', () => {
    const all = setUp();
    const source = publisher(all);
    source.audioConfig('Opus', bytes('000201380000bb80000000'));
    // 20, 10 and 60 ms in turn, some of them odd.
    let ms = 0;
    for (let number = 0; ms < 4000; number++) {
      const [hex, lasts] = [['fc', 20] as const, ['f0', 10] as const, ['ff83', 60] as const][number % 3] ?? [
        'fc',
        20,
      ];
      const data = Uint8Array.of(...bytes(hex), number & 0xff, number >> 8);
      source.write({ kind: 'audio', dts: ms, compositionOffset: 0, key: true, data });
      all.clock.advance(lasts);
      ms += lasts;
    }
    const samples = all.sink().samples('audio');
    expect(samples.slice(0, 3).map(({ duration }) => duration)).toEqual([960, 480, 2880]);
    samples.slice(1).forEach((sample, index) => {
      const before = samples[index];
      expect(sample.dts).toBe((before?.dts ?? 0) + (before?.duration ?? 0));
    });
  });

  test('bytes that are no frame are dropped', async () => {
    const all = setUp();
    const source = publisher(all);
    source.audioConfig('ac-3', bytes('101140'));
    source.write({ kind: 'audio', dts: 0, compositionOffset: 0, key: true, data: bytes('0b77fe95') });
    source.write({ kind: 'audio', dts: 32, compositionOffset: 0, key: true, data: new Uint8Array() });
    expect(await all.metric('stream_samples_dropped_total', { kind: 'audio', cause: 'malformed' })).toBe(1);
    expect(await all.metric('stream_samples_dropped_total', { kind: 'audio', cause: 'empty' })).toBe(1);
  });
});

/** An SPS of x265's main profile with another picture size, no conformance window and nothing behind it. */
function hevcSps(width: number, height: number): string {
  let bits = '';
  const put = (value: number, count: number): void => {
    bits += value.toString(2).padStart(count, '0');
  };
  const golomb = (value: number): void => {
    const code = (value + 1).toString(2);
    bits += '0'.repeat(code.length - 1) + code;
  };
  golomb(0);
  golomb(1);
  golomb(width);
  golomb(height);
  put(0, 1);
  for (const value of [0, 0, 4]) golomb(value);
  put(1, 1);
  for (const value of [4, 2, 0]) golomb(value);
  put(1, 8 - (bits.length % 8));
  const head = SPS_180P.slice(0, SPS_180P.indexOf('3ca00a') + 2);
  const body = (bits.match(/.{8}/g) ?? []).map((byte) =>
    Number.parseInt(byte, 2).toString(16).padStart(2, '0'),
  );
  return head + body.join('');
}

function lengthOf(width: number, height: number): string {
  return `01${(hevcSps(width, height).length / 2).toString(16).padStart(4, '0')}`;
}
