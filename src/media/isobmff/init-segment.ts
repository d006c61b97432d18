import type { AudioCodecName } from '../audio-config.ts';
import { type Colour, isColourKnown } from '../colour.ts';
import { parseFlacConfig } from '../flac.ts';
import type { TrackProtection } from '../protection.ts';
import { videoColour, type VideoCodecName } from '../video-config.ts';
import { BoxWriter, fourCc } from './box-writer.ts';
import { PROTECTED_ENTRY, PROTECTION_INFO_BYTES, writeProtectionInfo } from './protection-info.ts';

/** What an initialization segment must know of a video track. */
export interface VideoInit {
  readonly kind: 'video';
  readonly codec: VideoCodecName;
  readonly timescale: number;
  /** Body of `avcC`, `hvcC`, `av1C`, or of `vpcC` with its version and flags. */
  readonly config: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What an initialization segment must know of an audio track. */
export interface AudioInit {
  readonly kind: 'audio';
  readonly codec: AudioCodecName;
  /** The sample rate, too. */
  readonly timescale: number;
  /** AudioSpecificConfig for `mp4a`; else body of `dac3`, `dec3`, `dOps`, or of `dfLa` with its version and flags. */
  readonly config: Uint8Array;
  readonly channels: number;
}

export type TrackInit = VideoInit | AudioInit;

/** Every file holds one track. */
export const TRACK_ID = 1;

/** All that is written here besides the codec configuration fits well within this. */
const FIXED_BYTES = 1024;

/** Unity matrix of tkhd and mvhd (ISO/IEC 14496-12 8.2.2): 16.16, 2.30 in the last column. */
const UNITY_MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000] as const;

/** ISO 639-2 'und', packed five bits a letter. */
const LANGUAGE_UNDETERMINED = 0x55c4;

/** Flags of tkhd: enabled, in movie, in preview. */
const TRACK_IN_USE = 0x7;

/**
 * The CMAF header of a track (ISO/IEC 23000-19 7.3): ftyp and moov, no samples, duration 0. The structural brand is
 * cmf2 because chunks carry trun version 1 with negative composition offsets and there is no edit list.
 * With `protection` the track is marked as encrypted; manifests tell players more, so `pssh` boxes are only written when
 * asked for.
 */
export function writeInitSegment(
  track: TrackInit,
  protection?: TrackProtection,
  { pssh = false }: { readonly pssh?: boolean } = {},
): Uint8Array {
  const boxes = pssh ? (protection?.systems ?? []).flatMap((system) => system.pssh ?? []) : [];
  const psshBytes = boxes.reduce((sum, box) => sum + box.length, 0);
  const writer = new BoxWriter(FIXED_BYTES + PROTECTION_INFO_BYTES + track.config.length + psshBytes);
  writeFileType(writer, track.kind);
  const moov = writer.begin(fourCc('moov'));
  writeMovieHeader(writer, track.timescale);
  const trak = writer.begin(fourCc('trak'));
  writeTrackHeader(writer, track);
  writeMedia(writer, track, protection);
  writer.end(trak);
  writeMovieExtends(writer);
  for (const box of boxes) writer.raw(box);
  writer.end(moov);
  return writer.bytes.slice(0, writer.offset);
}

/** Audio has no composition offsets, so it keeps the stricter cmfc as well. */
const COMPATIBLE_BRANDS = {
  video: ['cmf2', 'iso6', 'dash'],
  audio: ['cmf2', 'cmfc', 'iso6', 'dash'],
} as const;

function writeFileType(writer: BoxWriter, kind: TrackInit['kind']): void {
  const ftyp = writer.begin(fourCc('ftyp'));
  writer.ascii('cmf2');
  writer.u32(0);
  for (const brand of COMPATIBLE_BRANDS[kind]) writer.ascii(brand);
  writer.end(ftyp);
}

function writeMovieHeader(writer: BoxWriter, timescale: number): void {
  const mvhd = writer.beginFull(fourCc('mvhd'), 0, 0);
  writer.zeros(8);
  writer.u32(timescale);
  writer.u32(0);
  writer.u32(0x10000);
  writer.u16(0x100);
  writer.zeros(10);
  for (const cell of UNITY_MATRIX) writer.u32(cell);
  writer.zeros(24);
  writer.u32(TRACK_ID + 1);
  writer.end(mvhd);
}

function writeTrackHeader(writer: BoxWriter, track: TrackInit): void {
  const tkhd = writer.beginFull(fourCc('tkhd'), 0, TRACK_IN_USE);
  writer.zeros(8);
  writer.u32(TRACK_ID);
  writer.zeros(4 + 4 + 8 + 4);
  writer.u16(track.kind === 'audio' ? 0x100 : 0);
  writer.zeros(2);
  for (const cell of UNITY_MATRIX) writer.u32(cell);
  writer.u32(track.kind === 'video' ? track.width * 0x10000 : 0);
  writer.u32(track.kind === 'video' ? track.height * 0x10000 : 0);
  writer.end(tkhd);
}

function writeMedia(writer: BoxWriter, track: TrackInit, protection: TrackProtection | undefined): void {
  const mdia = writer.begin(fourCc('mdia'));
  const mdhd = writer.beginFull(fourCc('mdhd'), 0, 0);
  writer.zeros(8);
  writer.u32(track.timescale);
  writer.u32(0);
  writer.u16(LANGUAGE_UNDETERMINED);
  writer.u16(0);
  writer.end(mdhd);

  const hdlr = writer.beginFull(fourCc('hdlr'), 0, 0);
  writer.u32(0);
  writer.ascii(track.kind === 'video' ? 'vide' : 'soun');
  writer.zeros(12);
  writer.ascii(track.kind === 'video' ? 'VideoHandler' : 'SoundHandler');
  writer.u8(0);
  writer.end(hdlr);

  const minf = writer.begin(fourCc('minf'));
  writeMediaHeader(writer, track.kind);
  writeDataInformation(writer);
  writeSampleTable(writer, track, protection);
  writer.end(minf);
  writer.end(mdia);
}

function writeMediaHeader(writer: BoxWriter, kind: TrackInit['kind']): void {
  const header =
    kind === 'video' ? writer.beginFull(fourCc('vmhd'), 0, 1) : writer.beginFull(fourCc('smhd'), 0, 0);
  writer.zeros(kind === 'video' ? 8 : 4);
  writer.end(header);
}

function writeDataInformation(writer: BoxWriter): void {
  const dinf = writer.begin(fourCc('dinf'));
  const dref = writer.beginFull(fourCc('dref'), 0, 0);
  writer.u32(1);
  const url = writer.beginFull(fourCc('url '), 0, 1);
  writer.end(url);
  writer.end(dref);
  writer.end(dinf);
}

function writeSampleTable(
  writer: BoxWriter,
  track: TrackInit,
  protection: TrackProtection | undefined,
): void {
  const stbl = writer.begin(fourCc('stbl'));
  const stsd = writer.beginFull(fourCc('stsd'), 0, 0);
  writer.u32(1);
  const entry = writer.begin(fourCc(protection ? PROTECTED_ENTRY[track.kind] : track.codec));
  if (track.kind === 'video') writeVisualEntry(writer, track);
  else writeAudioEntry(writer, track);
  if (protection) writeProtectionInfo(writer, track.kind, track.codec, protection);
  writer.end(entry);
  writer.end(stsd);
  for (const table of ['stts', 'stsc', 'stsz', 'stco'] as const) {
    const start = writer.beginFull(fourCc(table), 0, 0);
    writer.zeros(table === 'stsz' ? 8 : 4);
    writer.end(start);
  }
  writer.end(stbl);
}

/** The box of each sample entry that holds the codec's configuration. */
const CONFIG_BOX: Readonly<Record<VideoCodecName | Exclude<AudioCodecName, 'mp4a'>, string>> = {
  avc1: 'avcC',
  hvc1: 'hvcC',
  av01: 'av1C',
  vp09: 'vpcC',
  'ac-3': 'dac3',
  'ec-3': 'dec3',
  Opus: 'dOps',
  fLaC: 'dfLa',
};

function writeConfigBox(writer: BoxWriter, codec: keyof typeof CONFIG_BOX, config: Uint8Array): void {
  const box = writer.begin(fourCc(CONFIG_BOX[codec]));
  writer.raw(config);
  writer.end(box);
}

function writeVisualEntry(writer: BoxWriter, track: VideoInit): void {
  writer.zeros(6);
  writer.u16(1);
  writer.zeros(16);
  writer.u16(track.width);
  writer.u16(track.height);
  writer.u32(0x480000);
  writer.u32(0x480000);
  writer.u32(0);
  writer.u16(1);
  writer.zeros(32);
  writer.u16(0x18);
  writer.u16(0xffff);
  writeConfigBox(writer, track.codec, track.config);
  const colour = videoColour(track.codec, track.config);
  if (colour && isColourKnown(colour)) writeColour(writer, colour);
}

/** colr of type nclx (ISO/IEC 14496-12 12.1.5). */
function writeColour(writer: BoxWriter, colour: Colour): void {
  const colr = writer.begin(fourCc('colr'));
  writer.ascii('nclx');
  writer.u16(colour.primaries);
  writer.u16(colour.transfer);
  writer.u16(colour.matrix);
  writer.u8(colour.fullRange ? 0x80 : 0);
  writer.end(colr);
}

function writeAudioEntry(writer: BoxWriter, track: AudioInit): void {
  const { codec, config } = track;
  writer.zeros(6);
  writer.u16(1);
  writer.zeros(8);
  writer.u16(track.channels);
  writer.u16((codec === 'fLaC' && parseFlacConfig(config)?.bitsPerSample) || 16);
  writer.zeros(4);
  writer.u32(entrySampleRate(track) * 0x10000);
  if (codec === 'mp4a') writeElementaryStream(writer, config);
  else writeConfigBox(writer, codec, config);
}

/**
 * 16.16 cannot hold rates of 64 kHz and up. Decoders take the rate from the codec's configuration; FLAC wants the
 * greatest regular division here, 48000 for 96000 (Encapsulation of FLAC in ISO Base Media File Format 3.3.1).
 */
function entrySampleRate({ codec, timescale }: AudioInit): number {
  if (timescale < 0x10000) return timescale;
  if (codec !== 'fLaC') return 0;
  let rate = timescale;
  while (rate >= 0x10000) rate = rate % 2 === 0 ? rate / 2 : 0;
  return rate;
}

/** Bytes of a descriptor header: tag and the four-byte form of the size. */
const DESCRIPTOR_HEADER = 5;

/** esds: ES_Descriptor, DecoderConfigDescriptor, DecoderSpecificInfo, SLConfigDescriptor (ISO/IEC 14496-1 7.2.6). */
function writeElementaryStream(writer: BoxWriter, config: Uint8Array): void {
  const decoderConfigBytes = 13 + DESCRIPTOR_HEADER + config.length;
  const esds = writer.beginFull(fourCc('esds'), 0, 0);
  writeDescriptor(writer, 0x03, 3 + DESCRIPTOR_HEADER + decoderConfigBytes + DESCRIPTOR_HEADER + 1);
  writer.u16(TRACK_ID);
  writer.u8(0);
  writeDescriptor(writer, 0x04, decoderConfigBytes);
  writer.u8(0x40);
  writer.u8(0x15);
  writer.zeros(3 + 4 + 4);
  writeDescriptor(writer, 0x05, config.length);
  writer.raw(config);
  writeDescriptor(writer, 0x06, 1);
  writer.u8(0x02);
  writer.end(esds);
}

function writeDescriptor(writer: BoxWriter, tag: number, sizeBytes: number): void {
  writer.u8(tag);
  for (const shift of [21, 14, 7]) writer.u8(0x80 | ((sizeBytes >> shift) & 0x7f));
  writer.u8(sizeBytes & 0x7f);
}

function writeMovieExtends(writer: BoxWriter): void {
  const mvex = writer.begin(fourCc('mvex'));
  const trex = writer.beginFull(fourCc('trex'), 0, 0);
  writer.u32(TRACK_ID);
  writer.u32(1);
  // No defaults here: every chunk says all it needs itself.
  writer.zeros(12);
  writer.end(trex);
  writer.end(mvex);
}
