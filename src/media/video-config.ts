import {
  type Av1Config,
  av1ConfigOf,
  inspectAv1TemporalUnit,
  isBareAv1Config,
  parseAv1Config,
  withoutTemporalDelimiters,
} from './av1.ts';
import { type Colour, type HdrRange, hdrRange } from './colour.ts';
import { type AvcConfig, inspectAccessUnit, normalizeAccessUnit, parseAvcConfig } from './h264.ts';
import {
  type HevcConfig,
  hevcConfigAfter,
  inspectHevcAccessUnit,
  normalizeHevcAccessUnit,
  parseHevcConfig,
} from './h265.ts';
import {
  inspectVp9Frame,
  isVp9Level,
  parseVp9Config,
  type Vp9Config,
  type Vp9KeyFacts,
  vp9CodecString,
  vp9LevelFor,
  writeVp9Config,
} from './vp9.ts';

/** Sample entries of the video that is carried; what a configuration of each is, {@link parseVideoConfig} says. */
export type VideoCodecName = 'avc1' | 'hvc1' | 'av01' | 'vp09';

/** What a frame of the stream is, as far as the configuration tells. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Frames a second as a fraction; a hint only, encoders often write nonsense. */
  readonly frameRate: { readonly numerator: number; readonly denominator: number } | undefined;
}

interface Described {
  /** RFC 6381. */
  readonly codecString: string;
  /** What the codec's box holds: `avcC`, `hvcC`, `av1C`, or `vpcC` with its version and flags. */
  readonly record: Uint8Array;
  readonly picture: Picture;
  readonly colour: Colour | undefined;
}

/** A codec configuration that is understood, with what only its codec knows. */
export type VideoConfig = Described &
  (
    | { readonly codec: 'avc1'; readonly detail: AvcConfig }
    | { readonly codec: 'hvc1'; readonly detail: HevcConfig }
    | { readonly codec: 'av01'; readonly detail: Av1Config }
    | { readonly codec: 'vp09'; readonly detail: Vp9Config }
  );

type ConfigOf<C extends VideoCodecName> = Extract<VideoConfig, { readonly codec: C }>;

/**
 * Parses the body of `avcC`, `hvcC`, `av1C`, or of `vpcC` with its version and flags. `in-band`: well-formed, but the
 * first key frame tells the rest ({@link videoConfigOfFrame}). Undefined when malformed or not supported.
 */
export function parseVideoConfig(
  codec: VideoCodecName,
  bytes: Uint8Array,
): VideoConfig | 'in-band' | undefined {
  return PARSERS[codec](bytes);
}

const PARSERS: Readonly<Record<VideoCodecName, (bytes: Uint8Array) => VideoConfig | 'in-band' | undefined>> =
  {
    avc1: (bytes) => {
      const detail = parseAvcConfig(bytes);
      return detail && { codec: 'avc1', ...described(detail), colour: undefined, detail };
    },
    hvc1: (bytes) => {
      const detail = parseHevcConfig(bytes);
      return detail && hevcConfig(detail);
    },
    av01: (bytes) => {
      const detail = parseAv1Config(bytes);
      return detail ? av1Config(detail) : isBareAv1Config(bytes) ? 'in-band' : undefined;
    },
    vp09: (bytes) => (parseVp9Config(bytes) ? 'in-band' : undefined),
  };

function described(detail: AvcConfig | HevcConfig | Av1Config): Omit<Described, 'colour'> {
  const { codecString, record, picture } = detail;
  return { codecString, record, picture };
}

function hevcConfig(detail: HevcConfig): ConfigOf<'hvc1'> {
  return { codec: 'hvc1', ...described(detail), colour: detail.picture.colour, detail };
}

function av1Config(detail: Av1Config): ConfigOf<'av01'> {
  return { codec: 'av01', ...described(detail), colour: detail.picture.colour, detail };
}

/** VP9 levels depend on the frame rate too, which nothing tells: the highest that is supported. */
const LEVEL_FRAME_RATE = 60;

function vp9Config(declared: Vp9Config, facts: Vp9KeyFacts, level: number): ConfigOf<'vp09'> {
  const { profile, bitDepth, width, height } = facts;
  const sameSampling = isFourTwoZero(declared.chromaSubsampling) && facts.chromaSubsampling === 1;
  const detail: Vp9Config = {
    codec: 'vp09',
    profile,
    level,
    bitDepth,
    chromaSubsampling: sameSampling ? declared.chromaSubsampling : facts.chromaSubsampling,
    colour: { ...declared.colour, fullRange: facts.fullRange },
  };
  return {
    codec: 'vp09',
    codecString: vp9CodecString(detail),
    record: writeVp9Config(detail),
    picture: { width, height, frameRate: undefined },
    colour: detail.colour,
    detail,
  };
}

function isFourTwoZero(chromaSubsampling: number): boolean {
  return chromaSubsampling < 2;
}

/**
 * The configuration of a stream whose declared one was `in-band`, by its first key frame. Undefined for any other
 * frame, and when it cannot be used.
 */
export function videoConfigOfFrame(
  codec: VideoCodecName,
  declared: Uint8Array,
  data: Uint8Array,
): VideoConfig | undefined {
  if (codec === 'av01') {
    const header = inspectAv1TemporalUnit(data)?.sequenceHeader;
    const detail = header && av1ConfigOf(header);
    return detail && av1Config(detail);
  }
  const config = codec === 'vp09' ? parseVp9Config(declared) : undefined;
  const facts = config && inspectVp9Frame(data)?.keyFacts;
  if (!config || !facts) return undefined;
  const least = vp9LevelFor(facts.width, facts.height, LEVEL_FRAME_RATE);
  return vp9Config(config, facts, isVp9Level(config.level) ? config.level : least);
}

/** The colour that a configuration's own bytes tell; undefined where they do not, and for H.264. */
export function videoColour(codec: VideoCodecName, record: Uint8Array): Colour | undefined {
  if (codec === 'hvc1') return parseHevcConfig(record)?.picture.colour;
  if (codec === 'av01') return parseAv1Config(record)?.picture.colour;
  return codec === 'vp09' ? parseVp9Config(record)?.colour : undefined;
}

/** The high dynamic range that a configuration tells; undefined: SDR, or it does not say, which is taken for SDR. */
export function videoHdrRange(codec: VideoCodecName, record: Uint8Array): HdrRange | undefined {
  const colour = videoColour(codec, record);
  return colour && hdrRange(colour);
}

/** One frame as a publisher sent it, checked. */
export interface VideoFrame {
  /** Decoding may start here. */
  readonly key: boolean;
  /** Has a picture at all. */
  readonly picture: boolean;
  /**
   * Cannot be decoded when decoding started at the key frame before it: HEVC's RASL pictures, which lie before their
   * key frame in time and need what came before it in the stream.
   */
  readonly leading: boolean;
  /** As a sample of the codec's sample entry is to be; the data given where nothing was to be changed. */
  readonly data: Uint8Array;
  /** The configuration from this frame on; the object given where the frame does not change it. */
  readonly config: VideoConfig;
  /** Pixels of the largest picture the frame says it has; 0 when only the configuration says. */
  readonly pixels: number;
}

/** Checks one access unit of the stream that `config` is of. Undefined when malformed. */
export function readVideoFrame(config: VideoConfig, data: Uint8Array): VideoFrame | undefined {
  switch (config.codec) {
    case 'avc1':
      return readAvc(config, data);
    case 'hvc1':
      return readHevc(config, data);
    case 'av01':
      return readAv1(config, data);
    default:
      return readVp9(config, data);
  }
}

function readAvc(config: ConfigOf<'avc1'>, data: Uint8Array): VideoFrame | undefined {
  const { lengthSize } = config.detail;
  const facts = inspectAccessUnit(data, lengthSize);
  if (!facts) return undefined;
  const { idr: key, picture } = facts;
  const normal = normalizeAccessUnit(data, lengthSize, facts);
  return { key, picture, leading: false, data: normal, config, pixels: 0 };
}

function readHevc(config: ConfigOf<'hvc1'>, data: Uint8Array): VideoFrame | undefined {
  const { lengthSize } = config.detail;
  const facts = inspectHevcAccessUnit(data, lengthSize);
  if (!facts) return undefined;
  const after = facts.parameterSets ? hevcConfigAfter(config.detail, data) : config.detail;
  if (!after) return undefined;
  return {
    key: facts.key,
    picture: facts.picture,
    leading: facts.rasl,
    data: normalizeHevcAccessUnit(data, lengthSize, facts),
    config: after === config.detail ? config : hevcConfig(after),
    pixels: 0,
  };
}

function readAv1(config: ConfigOf<'av01'>, data: Uint8Array): VideoFrame | undefined {
  const { picture: sequence, sequenceHeader } = config.detail;
  const facts = inspectAv1TemporalUnit(data, sequence.reduced);
  if (!facts) return undefined;
  const header = facts.sequenceHeader;
  const changed = header && !isSame(header, sequenceHeader) ? av1ConfigOf(header) : config.detail;
  if (!changed) return undefined;
  return {
    key: facts.key,
    picture: facts.picture,
    leading: false,
    data: facts.delimiters ? withoutTemporalDelimiters(data) : data,
    config: isSame(changed.record, config.record) ? config : av1Config(changed),
    pixels: 0,
  };
}

function readVp9(config: ConfigOf<'vp09'>, data: Uint8Array): VideoFrame | undefined {
  const facts = inspectVp9Frame(data);
  if (!facts) return undefined;
  const { key, picture, keyFacts, pixels } = facts;
  const after = keyFacts ? vp9After(config, keyFacts) : config;
  return { key, picture, leading: false, data, config: after, pixels };
}

/** A key frame may bring another size or format. */
function vp9After(config: ConfigOf<'vp09'>, facts: Vp9KeyFacts): ConfigOf<'vp09'> {
  const { picture, detail } = config;
  const sameSize = picture.width === facts.width && picture.height === facts.height;
  const level = sameSize ? detail.level : vp9LevelFor(facts.width, facts.height, LEVEL_FRAME_RATE);
  const after = vp9Config(detail, facts, level);
  return sameSize && isSame(after.record, config.record) ? config : after;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
