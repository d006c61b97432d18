import { deepStrictEqual, ok } from 'node:assert';
import { type AudioCodecName, audioFrameTicks, parseAudioConfig } from '../../../src/media/audio-config.ts';
import { parseAudioTag, parseVideoTag } from '../../../src/media/flv.ts';
import { parseHevcSps } from '../../../src/media/h265-sps.ts';
import { parseHevcConfig } from '../../../src/media/h265.ts';
import {
  parseVideoConfig,
  readVideoFrame,
  type VideoCodecName,
  videoConfigOfFrame,
} from '../../../src/media/video-config.ts';
import * as ertmp from '../../support/ertmp.ts';
import { AVC_720P25, accessUnit } from '../../support/stream-source.ts';
import { type FuzzTarget, hex, mutated } from '../fuzz-target.ts';

/** Configurations and the beginnings of frames, as ffmpeg's encoders wrote them. */
const HEVC =
  '0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003cba0240' +
  'a10001002942010101600000030090000003000003003ca00a080c1f3e5ba4a4c2f0168080000003008000000f04a2000100064401c073c189';
export const HEVC_CONFIG = hex(HEVC);
const AV1 = '81000c000a0b000000043cfecc02f80040';
const AV1_FRAME = '0a0b000000043cfeccfbf90040320f201400218820000082f3ef0003e020dd';
const VP9 = '01000000000b820202020000';
const VP9_FRAME = '824983420013f00b360638241c184a000ce05fcdf7fbfcdf7d6fc3f8bfe37dfe3fa7e3fa';
const OPUS = '000201380000bb80000000';
const FLAC = '00000000800000221200120000010e0005170bb802f000004b00581c026f9fb198c5a69bdefdd58a1c2c';
const FLAC_FRAME = 'fff85a8800374e000000a6014c01f20295033603d50470e6a4d21948002bb887';
const AC3_FRAME = `0b771e8b1c40ebf8403eff74fe1e108083f8787f0f0fe1e1bab8${'7cf9f3e7'.repeat(20)}`;
const EAC3_FRAME = `0b7700ff3f87c000208020000200400003a81f657e1e0101${'07e1e1f8'.repeat(20)}`;

const VIDEO: Readonly<Record<VideoCodecName, readonly Uint8Array[]>> = {
  avc1: [AVC_720P25],
  hvc1: [HEVC_CONFIG],
  av01: [hex(AV1), hex(AV1.slice(0, 8))],
  vp09: [hex(VP9)],
};
const VIDEO_CODECS = Object.keys(VIDEO) as VideoCodecName[];
const AUDIO: Readonly<Record<AudioCodecName, readonly Uint8Array[]>> = {
  mp4a: [hex('1190'), hex('eb8a0800')],
  'ac-3': [hex('103dc0')],
  'ec-3': [hex('0800200f00')],
  Opus: [hex(OPUS)],
  fLaC: [hex(FLAC)],
};
const AUDIO_CODECS = Object.keys(AUDIO) as AudioCodecName[];
/** No codec has larger pictures: 65,536 is the most that a field of any of them holds. */
const MAX_SIDE = 65_536;

export const videoConfig: FuzzTarget = {
  name: 'video-config',
  bytes: mutated(Object.values(VIDEO).flat()),
  runs: 2000,
  check({ bytes }) {
    for (const codec of VIDEO_CODECS) {
      const config = parseVideoConfig(codec, bytes);
      if (!config || config === 'in-band') continue;
      const { width, height } = config.picture;
      ok(width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE, `${codec} ${width}x${height}`);
      ok(/^[a-zA-Z0-9.]+$/.test(config.codecString), config.codecString);
      const again = parseVideoConfig(codec, config.record);
      ok(again && again !== 'in-band', 'what is passed on cannot be read');
      deepStrictEqual(again.picture, config.picture, 'what is passed on says otherwise');
    }
  },
};

export const videoFrame: FuzzTarget = {
  name: 'video-frame',
  bytes: mutated([
    hex(AV1_FRAME),
    hex(VP9_FRAME),
    accessUnit(true, 1, 40),
    hex('00000009 2801ac2130b9f2d711 00000003 4201aa'),
  ]),
  runs: 2000,
  check({ bytes }) {
    for (const codec of VIDEO_CODECS) {
      const [record = bytes] = VIDEO[codec];
      const parsed = parseVideoConfig(codec, record);
      const config = parsed === 'in-band' ? videoConfigOfFrame(codec, record, bytes) : parsed;
      const frame = config && readVideoFrame(config, bytes);
      if (frame) ok(frame.data.length <= 4 * bytes.length + 4, 'grew');
    }
  },
};

export const hevc: FuzzTarget = {
  name: 'hevc',
  bytes: mutated([...VIDEO.hvc1, ...(parseHevcConfig(hex(HEVC))?.sps ?? [])]),
  runs: 2000,
  check({ bytes }) {
    const sps = parseHevcSps(bytes);
    if (sps) ok(sps.width > 0 && sps.height > 0 && sps.width <= MAX_SIDE && sps.height <= MAX_SIDE);
    const config = parseHevcConfig(bytes);
    if (config) ok(config.record.length <= bytes.length + 64, 'grew');
  },
};

export const audioConfig: FuzzTarget = {
  name: 'audio-config',
  bytes: mutated([
    ...Object.values(AUDIO).flat(),
    hex(FLAC_FRAME),
    hex(AC3_FRAME),
    hex(EAC3_FRAME),
    hex('fcb4065aa7'),
    hex('fb86'),
  ]),
  runs: 2000,
  check({ bytes }) {
    for (const codec of AUDIO_CODECS) {
      const own = parseAudioConfig(codec, bytes);
      const config = own ?? parseAudioConfig(codec, AUDIO[codec][0] ?? bytes);
      if (!config) continue;
      ok(config.sampleRate > 0 && config.sampleRate <= 1_000_000, `${codec} ${config.sampleRate} Hz`);
      ok(config.channels > 0 && config.frameTicks > 0, `${codec} ${config.channels} ${config.frameTicks}`);
      const ticks = audioFrameTicks(config, bytes);
      ok(ticks === undefined || (ticks > 0 && ticks <= 65_536 * 8), `${codec} ${ticks} ticks`);
    }
  },
};

const part = (track: number, fourCc: string): ertmp.TrackPart => ({ track, fourCc, data: hex(HEVC) });

export const flvBody: FuzzTarget = {
  name: 'flv-body',
  bytes: mutated(
    [
      hex('17 00 000000 0142c01effe1'),
      hex('27 01 000021 000000024101'),
      hex('af 00 1190'),
      hex('af 01 2110'),
      hex('2fff'),
      ertmp.exVideo(ertmp.VIDEO_PACKET.sequenceStart, 'hvc1', hex(HEVC)),
      ertmp.exVideo(
        ertmp.VIDEO_PACKET.codedFrames,
        'hvc1',
        ertmp.withComposition(40, accessUnit(true, 1, 20)),
      ),
      ertmp.exVideo(ertmp.VIDEO_PACKET.codedFramesX, 'av01', hex(AV1_FRAME), {
        modEx: [ertmp.nanoOffset(5000)],
      }),
      ertmp.exVideoTracks(ertmp.VIDEO_PACKET.sequenceStart, ertmp.MULTITRACK.manyTracks, [
        part(0, 'hvc1'),
        part(1, 'hvc1'),
      ]),
      ertmp.exVideoTracks(ertmp.VIDEO_PACKET.codedFramesX, ertmp.MULTITRACK.manyTracksManyCodecs, [
        part(0, 'hvc1'),
        part(7, 'av01'),
      ]),
      ertmp.exAudio(ertmp.AUDIO_PACKET.codedFrames, 'Opus', hex('fcb4065aa7')),
      ertmp.exAudioTracks(ertmp.AUDIO_PACKET.sequenceStart, ertmp.MULTITRACK.oneTrack, [part(2, 'mp4a')]),
    ].map((bytes) => new Uint8Array(bytes)),
  ),
  runs: 3000,
  check({ bytes }) {
    for (const parse of [parseVideoTag, parseAudioTag]) {
      const tag = parse(bytes);
      const tags = tag.kind === 'tracks' ? tag.tags : [tag];
      let total = 0;
      for (const one of tags) {
        if (one.kind === 'frame') total += one.data.length;
        if (one.kind === 'config') total += one.config.length;
        if (one.kind === 'frame' || one.kind === 'config') ok(one.track >= 0 && one.track <= 255);
      }
      ok(total <= bytes.length, 'more bytes than were sent');
    }
  },
};
