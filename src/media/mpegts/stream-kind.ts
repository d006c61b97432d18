import type { Descriptor, PmtStream } from './psi.ts';

/** What an elementary stream is, as its program map says. */
export type StreamKind =
  | { readonly kind: 'video'; readonly codec: 'h264' | 'hevc' }
  | { readonly kind: 'audio'; readonly codec: 'adts' | 'latm' | 'ac3' }
  | {
      readonly kind: 'audio';
      readonly codec: 'opus';
      /** channel_config_code of the Opus descriptor. */
      readonly channelConfig: number;
    }
  | { readonly kind: 'scte35' }
  | { readonly kind: 'id3' }
  | {
      readonly kind: 'klv';
      /** In metadata access unit cells (ISO/IEC 13818-1 2.12.4, MISB ST 1402), with presentation times. */
      readonly cells: boolean;
    }
  | UnsupportedStream
  /** Subtitles, data, private things: nothing to say about. */
  | { readonly kind: 'ignored' };

/** A picture or sound that is not carried. `codec` comes from a closed list. */
export interface UnsupportedStream {
  readonly kind: 'unsupported';
  readonly media: 'video' | 'audio';
  readonly codec: string;
}

const IGNORED: StreamKind = { kind: 'ignored' };
const PRIVATE_PES = 0x06;
const METADATA_PES = 0x15;

/** By stream_type (table 2-34; SCTE 35; ATSC A/53 for 0x81 and 0x87). */
const BY_TYPE = new Map<number, StreamKind>([
  [0x0f, { kind: 'audio', codec: 'adts' }],
  [0x11, { kind: 'audio', codec: 'latm' }],
  [0x1b, { kind: 'video', codec: 'h264' }],
  [0x24, { kind: 'video', codec: 'hevc' }],
  [0x81, { kind: 'audio', codec: 'ac3' }],
  [0x86, { kind: 'scte35' }],
  [0x87, { kind: 'audio', codec: 'ac3' }],
  [0x01, unsupported('video', 'MPEG-1 video')],
  [0x02, unsupported('video', 'MPEG-2 video')],
  [0x03, unsupported('audio', 'MPEG-1 audio')],
  [0x04, unsupported('audio', 'MPEG-2 audio')],
  [0x10, unsupported('video', 'MPEG-4 part 2')],
  [0x1c, unsupported('audio', 'MPEG-4 audio without framing')],
  [0x21, unsupported('video', 'JPEG 2000')],
  [0x32, unsupported('video', 'JPEG XS')],
  [0x33, unsupported('video', 'VVC')],
  [0x42, unsupported('video', 'AVS')],
  [0x80, unsupported('audio', 'PCM')],
  [0x82, unsupported('audio', 'DTS')],
  [0x83, unsupported('audio', 'TrueHD')],
  [0x8a, unsupported('audio', 'DTS')],
  [0xd1, unsupported('video', 'Dirac')],
  [0xd2, unsupported('video', 'AVS2')],
  [0xd4, unsupported('video', 'AVS3')],
  [0xea, unsupported('video', 'VC-1')],
]);

/** Of a private PES stream, by format_identifier of its registration descriptor (2.6.8). */
const BY_REGISTRATION = new Map<string, StreamKind>([
  ['AC-3', { kind: 'audio', codec: 'ac3' }],
  ['EAC3', { kind: 'audio', codec: 'ac3' }],
  ['HEVC', { kind: 'video', codec: 'hevc' }],
  ['KLVA', { kind: 'klv', cells: false }],
  ['ID3 ', { kind: 'id3' }],
  ['AV01', unsupported('video', 'AV1 in MPEG-TS')],
  ['BSSD', unsupported('audio', 'SMPTE 302M')],
  ['DTS1', unsupported('audio', 'DTS')],
  ['DTS2', unsupported('audio', 'DTS')],
  ['DTS3', unsupported('audio', 'DTS')],
  ['VC-1', unsupported('video', 'VC-1')],
]);

const REGISTRATION = 0x05;
const METADATA = 0x26;
/** DVB descriptors (ETSI EN 300 468) that name the sound of a private PES stream. */
const BY_DESCRIPTOR = new Map<number, StreamKind>([
  [0x6a, { kind: 'audio', codec: 'ac3' }],
  [0x7a, { kind: 'audio', codec: 'ac3' }],
  [0x7b, unsupported('audio', 'DTS')],
  [0x7c, { kind: 'audio', codec: 'adts' }],
]);
const EXTENSION = 0x7f;
const OPUS_EXTENSION = 0x80;
/** metadata_application_format and metadata_format values that say: an identifier follows. */
const APPLICATION_IDENTIFIER = 0xffff;
const FORMAT_IDENTIFIER = 0xff;
const MAX_OPUS_CHANNELS = 8;

function unsupported(media: 'video' | 'audio', codec: string): UnsupportedStream {
  return { kind: 'unsupported', media, codec };
}

/** Tells what a stream of a program map is. */
export function streamKind(stream: PmtStream): StreamKind {
  if (stream.type === PRIVATE_PES) return privateKind(stream.descriptors);
  if (stream.type === METADATA_PES) return metadataKind(stream.descriptors);
  return BY_TYPE.get(stream.type) ?? IGNORED;
}

function privateKind(descriptors: readonly Descriptor[]): StreamKind {
  const registration = registrationOf(descriptors);
  if (registration === 'Opus') return opusKind(descriptors);
  const registered = registration === undefined ? undefined : BY_REGISTRATION.get(registration);
  if (registered) return registered;
  for (const { tag } of descriptors) {
    const named = BY_DESCRIPTOR.get(tag);
    if (named) return named;
  }
  return IGNORED;
}

function opusKind(descriptors: readonly Descriptor[]): StreamKind {
  const extension = descriptors.find(({ tag, data }) => tag === EXTENSION && data[0] === OPUS_EXTENSION);
  const channelConfig = extension?.data[1];
  return channelConfig !== undefined && channelConfig >= 1 && channelConfig <= MAX_OPUS_CHANNELS
    ? { kind: 'audio', codec: 'opus', channelConfig }
    : unsupported('audio', 'Opus with a channel map of its own');
}

function metadataKind(descriptors: readonly Descriptor[]): StreamKind {
  const metadata = descriptors.find(({ tag }) => tag === METADATA);
  const format = (metadata && metadataFormat(metadata.data)) ?? registrationOf(descriptors);
  if (format === 'ID3 ') return { kind: 'id3' };
  return format === 'KLVA' ? { kind: 'klv', cells: true } : IGNORED;
}

function registrationOf(descriptors: readonly Descriptor[]): string | undefined {
  const registration = descriptors.find(({ tag, data }) => tag === REGISTRATION && data.length >= 4);
  return registration && fourCc(registration.data, 0);
}

/** metadata_format_identifier of a metadata_descriptor (2.6.60). */
function metadataFormat(data: Uint8Array): string | undefined {
  const application = (data[0] ?? 0) * 256 + (data[1] ?? 0);
  const at = application === APPLICATION_IDENTIFIER ? 6 : 2;
  return data[at] === FORMAT_IDENTIFIER && data.length >= at + 5 ? fourCc(data, at + 1) : undefined;
}

function fourCc(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
