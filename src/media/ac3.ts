import { BitReader } from './bit-reader.ts';

/** One syncframe of AC-3 or E-AC-3 (ETSI TS 102 366). */
export interface Ac3Frame {
  readonly codec: 'ac-3' | 'ec-3';
  /** Body of `dac3` or `dec3` (annex F) for a stream of frames such as this one. */
  readonly config: Uint8Array;
  readonly frameBytes: number;
  readonly sampleRate: number;
  /** LFE counted. */
  readonly channels: number;
  /** 1536 for AC-3; 256 a block for E-AC-3. 0 for a dependent substream, which adds channels and no time. */
  readonly frameSamples: number;
  /** A dependent substream's frame: belongs to the access unit of the independent one before it. */
  readonly dependent: boolean;
  /** 0 for the programme itself; others of an E-AC-3 stream are further programmes. */
  readonly substream: number;
}

/** What `dac3` and `dec3` tell of a track. */
export interface Ac3Config {
  readonly codec: 'ac-3' | 'ec-3';
  readonly codecString: 'ac-3' | 'ec-3';
  readonly sampleRate: number;
  readonly channels: number;
  /** Where the channels are, in the bits of chanmap (table E.1.4): what DASH says of Dolby audio. */
  readonly channelMask: number;
  /** A copy of the bytes. */
  readonly config: Uint8Array;
}

const SYNC_WORD = 0x0b77;
const SAMPLE_RATES = [48_000, 44_100, 32_000] as const;
/** Channels by acmod (table 4.3), LFE not counted. */
const CHANNELS = [2, 1, 2, 3, 3, 4, 4, 5] as const;
/** Kilobits a second by half of frmsizecod (table 4.13). */
const BITRATES = [
  32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
] as const;
const AC3_SAMPLES = 1536;
const BLOCK_SAMPLES = 256;
const MAX_AC3_BSID = 8;
const MIN_EAC3_BSID = 11;
const MAX_EAC3_BSID = 16;
const DEPENDENT = 1;
const RESERVED_TYPE = 3;
const HALF_RATES = 3;
/** Eight programmes of 5 bytes behind the rate. */
const MAX_DEC3_BYTES = 2 + 8 * 5;
/** bsid lies in the same place in both formats: byte 5, upper five bits. */
const HEADER_BYTES = 8;

/** Parses the syncframe at the start of `bytes`, which may hold more. Undefined when there is none. */
export function parseAc3Frame(bytes: Uint8Array): Ac3Frame | undefined {
  if (bytes.length < HEADER_BYTES || (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0) !== SYNC_WORD) return undefined;
  const bsid = (bytes[5] ?? 0) >> 3;
  if (bsid <= MAX_AC3_BSID) return parseAc3(bytes);
  return bsid >= MIN_EAC3_BSID && bsid <= MAX_EAC3_BSID ? parseEac3(bytes) : undefined;
}

/** syncinfo and the first of bsi (4.3.1, 4.3.2). */
function parseAc3(bytes: Uint8Array): Ac3Frame | undefined {
  const reader = new BitReader(bytes.subarray(4, HEADER_BYTES));
  const fscod = reader.bits(2);
  const frmsizecod = reader.bits(6);
  const bsid = reader.bits(5);
  const bsmod = reader.bits(3);
  const acmod = reader.bits(3);
  if ((acmod & 1) === 1 && acmod !== 1) reader.skip(2);
  if (acmod & 4) reader.skip(2);
  if (acmod === 2) reader.skip(2);
  const lfe = reader.bits(1);
  const sampleRate = SAMPLE_RATES[fscod];
  const bitrate = BITRATES[frmsizecod >> 1];
  if (sampleRate === undefined || bitrate === undefined || reader.overrun) return undefined;
  const word = Math.floor((bitrate * 1000 * AC3_SAMPLES) / sampleRate / 16);
  const padding = sampleRate === 44_100 ? frmsizecod & 1 : 0;
  const fields = (fscod << 22) | (bsid << 17) | (bsmod << 14) | (acmod << 11) | (lfe << 10);
  const packed = fields | ((frmsizecod >> 1) << 5);
  return {
    codec: 'ac-3',
    config: Uint8Array.of(packed >> 16, (packed >> 8) & 0xff, packed & 0xff),
    frameBytes: 2 * (word + padding),
    sampleRate,
    channels: (CHANNELS[acmod] ?? 0) + lfe,
    frameSamples: AC3_SAMPLES,
    dependent: false,
    substream: 0,
  };
}

interface Eac3Header {
  readonly fscod: number;
  readonly bsid: number;
  readonly acmod: number;
  readonly lfe: number;
  /** Kilobits a second. */
  readonly bitrate: number;
}

/** The dependent substreams of an access unit, as `dec3` has them. */
interface DependentStreams {
  readonly count: number;
  /** chan_loc: what channels they add. */
  readonly location: number;
}

interface Eac3Frame {
  readonly frame: Omit<Ac3Frame, 'config'>;
  readonly header: Eac3Header;
  /** chanmap of a dependent substream (table E.1.4); 0 when it has none. */
  readonly channelMap: number;
}

const NO_DEPENDENTS: DependentStreams = { count: 0, location: 0 };

function parseEac3(bytes: Uint8Array): Ac3Frame | undefined {
  const parsed = readEac3(bytes);
  return parsed && { ...parsed.frame, config: writeEac3Config(parsed.header, NO_DEPENDENTS) };
}

/** syncinfo and the first of bsi (E.1.2.1, E.1.2.2). */
function readEac3(bytes: Uint8Array): Eac3Frame | undefined {
  const reader = new BitReader(bytes.subarray(2, 32));
  const type = reader.bits(2);
  const substream = reader.bits(3);
  const frameBytes = 2 * (reader.bits(11) + 1);
  const fscod = reader.bits(2);
  const code = reader.bits(2);
  const half = SAMPLE_RATES[code];
  const sampleRate = fscod === HALF_RATES ? half && half / 2 : SAMPLE_RATES[fscod];
  const blocks = fscod === HALF_RATES ? 6 : ([1, 2, 3, 6][code] ?? 6);
  const acmod = reader.bits(3);
  const lfe = reader.bits(1);
  const bsid = reader.bits(5);
  if (type === RESERVED_TYPE || sampleRate === undefined || frameBytes < HEADER_BYTES) return undefined;
  const dependent = type === DEPENDENT;
  const channelMap = dependent ? readChannelMap(reader, acmod) : 0;
  const samples = blocks * BLOCK_SAMPLES;
  const bitrate = Math.ceil((frameBytes * 8 * sampleRate) / samples / 1000);
  const channels = (CHANNELS[acmod] ?? 0) + lfe;
  return {
    frame: {
      codec: 'ec-3',
      frameBytes,
      sampleRate,
      channels,
      frameSamples: dependent ? 0 : samples,
      dependent,
      substream,
    },
    header: { fscod, bsid, acmod, lfe, bitrate },
    channelMap,
  };
}

function readChannelMap(reader: BitReader, acmod: number): number {
  for (let programme = acmod === 0 ? 2 : 1; programme > 0; programme--) {
    reader.skip(5);
    if (reader.flag()) reader.skip(8);
  }
  const map = reader.flag() ? reader.bits(16) : 0;
  return reader.overrun ? 0 : map;
}

/** chan_loc bit by bit from the lowest, each with the chanmap bit it comes of and how many channels that is. */
const LOCATIONS = [
  [0x400, 2],
  [0x200, 2],
  [0x100, 1],
  [0x080, 1],
  [0x040, 2],
  [0x020, 2],
  [0x010, 2],
  [0x008, 1],
  [0x002, 1],
] as const;

/** EC3SpecificBox (F.6) of one independent substream; bsmod is main audio, complete. */
function writeEac3Config(header: Eac3Header, dependents: DependentStreams): Uint8Array {
  const { fscod, bsid, acmod, lfe, bitrate } = header;
  const rate = Math.min(bitrate, 0x1fff) << 3;
  const fields = (fscod << 14) | (bsid << 9) | (acmod << 1) | lfe;
  const { count, location } = dependents;
  const tail = count > 0 ? [(count << 1) | (location >> 8), location & 0xff] : [0];
  return Uint8Array.of(rate >> 8, rate & 0xff, fields >> 8, fields & 0xff, ...tail);
}

/** A whole access unit: of E-AC-3 with all its substreams. */
export interface Ac3AccessUnit {
  readonly codec: 'ac-3' | 'ec-3';
  /** Body of `dac3` or `dec3`, dependent substreams told. */
  readonly config: Uint8Array;
  readonly sampleRate: number;
  /** With what dependent substreams add; LFE counted. */
  readonly channels: number;
  /** Samples of the main programme: of several syncframes when the unit holds several. */
  readonly frameSamples: number;
}

/** More syncframes than a sample can hold: 6 frames of a block, 8 programmes, each with 8 dependents. */
const MAX_SYNCFRAMES = 6 * 8 * 9;

/** Parses an access unit of whole syncframes. Undefined when it is not made of them. */
export function parseAc3AccessUnit(bytes: Uint8Array): Ac3AccessUnit | undefined {
  const first = parseAc3Frame(bytes);
  if (!first || first.dependent) return undefined;
  return first.codec === 'ac-3' ? wholeAc3(bytes, first) : wholeEac3(bytes);
}

function wholeAc3(bytes: Uint8Array, first: Ac3Frame): Ac3AccessUnit | undefined {
  let frameSamples = 0;
  let at = 0;
  for (let frames = 0; at < bytes.length && frames < MAX_SYNCFRAMES; frames++) {
    const frame = parseAc3Frame(bytes.subarray(at));
    if (frame?.codec !== 'ac-3') return undefined;
    frameSamples += frame.frameSamples;
    at += frame.frameBytes;
  }
  if (at !== bytes.length) return undefined;
  const { codec, config, sampleRate, channels } = first;
  return { codec, config, sampleRate, channels, frameSamples };
}

function wholeEac3(bytes: Uint8Array): Ac3AccessUnit | undefined {
  const main = readEac3(bytes);
  if (!main) return undefined;
  let frameSamples = 0;
  let location = 0;
  let frameBytes = 0;
  let dependents = 0;
  let at = 0;
  for (let frames = 0; at < bytes.length && frames < MAX_SYNCFRAMES; frames++) {
    const parsed = readEac3(bytes.subarray(at));
    if (!parsed || !isSync(bytes, at)) return undefined;
    const { frame, channelMap } = parsed;
    frameBytes += frame.frameBytes;
    frameSamples += frame.substream === 0 ? frame.frameSamples : 0;
    if (frame.dependent) {
      dependents = Math.max(dependents, frame.substream + 1);
      location |= locationOf(channelMap);
    }
    at += frame.frameBytes;
  }
  if (at !== bytes.length || frameSamples === 0) return undefined;
  const { sampleRate, channels } = main.frame;
  const bitrate = Math.ceil((frameBytes * 8 * sampleRate) / frameSamples / 1000);
  const config = writeEac3Config({ ...main.header, bitrate }, { count: dependents, location });
  return { codec: 'ec-3', config, sampleRate, channels: channels + channelsAt(location), frameSamples };
}

function isSync(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0) === SYNC_WORD;
}

function locationOf(channelMap: number): number {
  return LOCATIONS.reduce((bits, [mask], bit) => bits | (channelMap & mask ? 1 << bit : 0), 0);
}

function channelsAt(location: number): number {
  return LOCATIONS.reduce((sum, [, channels], bit) => sum + (location & (1 << bit) ? channels : 0), 0);
}

/** Parses the body of `dac3` (F.4). Undefined when malformed. */
export function parseDac3(bytes: Uint8Array): Ac3Config | undefined {
  if (bytes.length < 3) return undefined;
  const reader = new BitReader(bytes);
  const sampleRate = SAMPLE_RATES[reader.bits(2)];
  const bsid = reader.bits(5);
  reader.skip(3);
  const acmod = reader.bits(3);
  const lfe = reader.flag();
  if (sampleRate === undefined || bsid > MAX_AC3_BSID) return undefined;
  return {
    codec: 'ac-3',
    codecString: 'ac-3',
    sampleRate,
    channels: (CHANNELS[acmod] ?? 0) + Number(lfe),
    channelMask: channelMask(acmod, lfe, 0),
    config: new Uint8Array(bytes.subarray(0, 3)),
  };
}

/** Parses the body of `dec3` (F.6) as far as its first programme. Undefined when malformed. */
export function parseDec3(bytes: Uint8Array): Ac3Config | undefined {
  if (bytes.length < 5 || bytes.length > MAX_DEC3_BYTES) return undefined;
  const reader = new BitReader(bytes);
  reader.skip(16);
  const fscod = reader.bits(2);
  reader.skip(10);
  const acmod = reader.bits(3);
  const lfe = reader.flag();
  reader.skip(3);
  const dependents = reader.bits(4);
  const location = dependents > 0 ? reader.bits(9) : 0;
  // The half rates have no place in dec3: such a stream's rate cannot be told, and nobody makes them.
  const sampleRate = SAMPLE_RATES[fscod];
  if (sampleRate === undefined || reader.overrun) return undefined;
  return {
    codec: 'ec-3',
    codecString: 'ec-3',
    sampleRate,
    channels: (CHANNELS[acmod] ?? 0) + Number(lfe) + channelsAt(location),
    channelMask: channelMask(acmod, lfe, location),
    config: new Uint8Array(bytes),
  };
}

/** {@link Ac3Config.channelMask} of a track's configuration; undefined for other codecs. */
export function ac3ChannelMask(codec: string, config: Uint8Array): number | undefined {
  if (codec === 'ac-3') return parseDac3(config)?.channelMask;
  return codec === 'ec-3' ? parseDec3(config)?.channelMask : undefined;
}

/** Channels by acmod in the bits of chanmap (table E.1.4): L is the highest, LFE the lowest. */
const MASKS = [0xa000, 0x4000, 0xa000, 0xe000, 0xa100, 0xe100, 0xb800, 0xf800] as const;

function channelMask(acmod: number, lfe: boolean, location: number): number {
  const added = LOCATIONS.reduce((mask, [map], bit) => mask | (location & (1 << bit) ? map : 0), 0);
  return (MASKS[acmod] ?? 0) | added | Number(lfe);
}
