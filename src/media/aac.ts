import { BitReader } from './bit-reader.ts';

/** A parsed AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) of AAC-LC or HE-AAC. */
export interface AacConfig {
  /** RFC 6381: `mp4a.40.2` AAC-LC, `mp4a.40.5` with SBR, `mp4a.40.29` with SBR and PS. */
  readonly codecString: string;
  /**
   * Rate of the sound that comes out: with signalled SBR the extension's rate, twice the core's. It is the track's
   * timescale, so a frame is always a whole number of ticks. SBR that is not signalled keeps the core rate: a frame
   * then is 1024 ticks of half the length, which is the same time.
   */
  readonly sampleRate: number;
  /** Channels of the core stream; parametric stereo counts as 2. */
  readonly channels: number;
  /** Ticks of {@link sampleRate} in a frame: 1024 or 960, doubled with SBR. */
  readonly frameTicks: number;
  /** A copy of the bytes, as they go into `esds`. */
  readonly config: Uint8Array;
}

const SAMPLE_RATES = [
  96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];
const EXPLICIT_RATE = 15;
const MAX_SAMPLE_RATE = 192_000;
const MIN_SAMPLE_RATE = 1000;
/** Channels by channelConfiguration (table 1.19); 0 is told by a program_config_element. */
const CHANNELS = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8];
/** SBR gives twice the core's rate, never more (ISO/IEC 14496-3 4.6.18). */
const MAX_SBR_RATIO = 2;
const AOT_LC = 2;
const AOT_SBR = 5;
const AOT_PS = 29;
const AOT_ESCAPE = 31;
const SYNC_EXTENSION_SBR = 0x2b7;
const SYNC_EXTENSION_PS = 0x548;
/** A record larger than this is not read: real ones are 2 to 30 bytes. */
const MAX_CONFIG_BYTES = 512;

/**
 * Parses an AudioSpecificConfig. Undefined when malformed, or of an object type that browsers do not play (anything
 * but AAC-LC, HE-AAC and HE-AAC v2).
 */
export function parseAacConfig(bytes: Uint8Array): AacConfig | undefined {
  if (bytes.length < 2 || bytes.length > MAX_CONFIG_BYTES) return undefined;
  const reader = new BitReader(bytes);
  const declared = readObjectType(reader);
  const coreRate = readSampleRate(reader);
  const channelConfig = reader.bits(4);
  const explicit = declared === AOT_SBR || declared === AOT_PS;
  const explicitRate = explicit ? readSampleRate(reader) : undefined;
  const core = explicit ? readObjectType(reader) : declared;
  if (core !== AOT_LC || !isUsableRate(coreRate)) return undefined;
  const general = readGeneralAudio(reader, channelConfig);
  if (reader.overrun || general.channels === 0) return undefined;
  const extension = explicit
    ? { rate: explicitRate ?? 0, parametricStereo: declared === AOT_PS }
    : readSyncExtension(reader);
  return describe(bytes, coreRate, general, extension);
}

interface GeneralAudio {
  readonly frameLength: number;
  readonly channels: number;
}

interface SbrExtension {
  readonly rate: number;
  readonly parametricStereo: boolean;
}

function describe(
  bytes: Uint8Array,
  coreRate: number,
  general: GeneralAudio,
  extension: SbrExtension | undefined,
): AacConfig | undefined {
  const sampleRate = extension?.rate ?? coreRate;
  const frameTicks = (general.frameLength * sampleRate) / coreRate;
  if (!isUsableRate(sampleRate) || !Number.isInteger(frameTicks)) return undefined;
  if (sampleRate > MAX_SBR_RATIO * coreRate) return undefined;
  const objectType = extension ? (extension.parametricStereo ? AOT_PS : AOT_SBR) : AOT_LC;
  return {
    codecString: `mp4a.40.${objectType}`,
    sampleRate,
    channels: extension?.parametricStereo && general.channels === 1 ? 2 : general.channels,
    frameTicks,
    config: bytes.slice(),
  };
}

function isUsableRate(rate: number): boolean {
  return rate >= MIN_SAMPLE_RATE && rate <= MAX_SAMPLE_RATE;
}

function readObjectType(reader: BitReader): number {
  const type = reader.bits(5);
  return type === AOT_ESCAPE ? 32 + reader.bits(6) : type;
}

/** 0 for a reserved index. */
function readSampleRate(reader: BitReader): number {
  const index = reader.bits(4);
  return index === EXPLICIT_RATE ? reader.bits(24) : (SAMPLE_RATES[index] ?? 0);
}

/** GASpecificConfig (4.4.1) of AAC-LC. */
function readGeneralAudio(reader: BitReader, channelConfig: number): GeneralAudio {
  const frameLength = reader.flag() ? 960 : 1024;
  if (reader.flag()) reader.skip(14);
  reader.skip(1);
  const channels = channelConfig === 0 ? readProgramChannels(reader) : (CHANNELS[channelConfig] ?? 0);
  return { frameLength, channels };
}

/** Channels of a program_config_element (4.4.1.1). */
function readProgramChannels(reader: BitReader): number {
  reader.skip(4 + 2 + 4);
  const counts = [reader.bits(4), reader.bits(4), reader.bits(4)];
  const lfe = reader.bits(2);
  const data = reader.bits(3);
  const coupling = reader.bits(4);
  if (reader.flag()) reader.skip(4);
  if (reader.flag()) reader.skip(4);
  if (reader.flag()) reader.skip(3);
  let channels = lfe;
  for (const count of counts) {
    for (let element = 0; element < count; element++) {
      channels += reader.flag() ? 2 : 1;
      reader.skip(4);
    }
  }
  reader.skip(4 * lfe + 4 * data + 5 * coupling);
  reader.alignToByte();
  reader.skip(8 * reader.bits(8));
  return channels;
}

/** SBR signalled behind the core's configuration, where old decoders do not look (1.6.5.2, table 1.15). */
function readSyncExtension(reader: BitReader): SbrExtension | undefined {
  if (reader.remainingBits < 16 || reader.bits(11) !== SYNC_EXTENSION_SBR) return undefined;
  if (readObjectType(reader) !== AOT_SBR || !reader.flag()) return undefined;
  const rate = readSampleRate(reader);
  if (reader.overrun) return undefined;
  const more = reader.remainingBits >= 12 && reader.bits(11) === SYNC_EXTENSION_PS;
  return { rate, parametricStereo: more && reader.flag() };
}
