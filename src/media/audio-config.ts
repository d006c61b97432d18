import { parseAacConfig } from './aac.ts';
import { parseAc3AccessUnit, parseDac3, parseDec3 } from './ac3.ts';
import { flacFrameSamples, parseFlacConfig } from './flac.ts';
import { opusPacketSamples, parseOpusConfig } from './opus.ts';

/** Sample entries of the audio that is carried; what a configuration of each is, {@link parseAudioConfig} says. */
export type AudioCodecName = 'mp4a' | 'ac-3' | 'ec-3' | 'Opus' | 'fLaC';

/** A codec configuration that is understood. */
export interface AudioConfig {
  readonly codec: AudioCodecName;
  /** RFC 6381, e.g. `mp4a.40.2`. */
  readonly codecString: string;
  /** Rate of the sound that comes out. It is the track's timescale. */
  readonly sampleRate: number;
  readonly channels: number;
  /** Ticks of {@link sampleRate} in a frame: of every one for AAC and AC-3, of a usual one for the others. */
  readonly frameTicks: number;
  /** An AudioSpecificConfig for `mp4a`; else what the codec's box holds. */
  readonly config: Uint8Array;
}

interface AudioFormat {
  parse(bytes: Uint8Array): Omit<AudioConfig, 'codec'> | undefined;
  /** Samples of one frame by its own header; undefined when it is malformed. */
  readonly frameSamples: ((data: Uint8Array) => number | undefined) | undefined;
}

/** 20 ms, what senders use where they do not say. */
const OPUS_FRAME = 960;
const AC3_FRAME = 1536;

const FORMATS: Readonly<Record<AudioCodecName, AudioFormat>> = {
  mp4a: { parse: parseAacConfig, frameSamples: undefined },
  'ac-3': { parse: (bytes) => withFrame(parseDac3(bytes), AC3_FRAME), frameSamples: ac3Samples },
  'ec-3': { parse: (bytes) => withFrame(parseDec3(bytes), AC3_FRAME), frameSamples: ac3Samples },
  Opus: { parse: (bytes) => withFrame(parseOpusConfig(bytes), OPUS_FRAME), frameSamples: opusPacketSamples },
  fLaC: {
    parse: (bytes) => {
      const flac = parseFlacConfig(bytes);
      return flac && withFrame(flac, flac.maxBlockSamples);
    },
    frameSamples: flacFrameSamples,
  },
};

function withFrame<T extends object>(
  config: T | undefined,
  frameTicks: number,
): (T & { readonly frameTicks: number }) | undefined {
  return config && { ...config, frameTicks };
}

function ac3Samples(data: Uint8Array): number | undefined {
  return parseAc3AccessUnit(data)?.frameSamples;
}

/**
 * Parses an AudioSpecificConfig (`mp4a`), or the body of `dac3`, `dec3`, `dOps`, or of `dfLa` with its version and
 * flags. Undefined when malformed or not supported.
 */
export function parseAudioConfig(codec: AudioCodecName, bytes: Uint8Array): AudioConfig | undefined {
  const parsed = FORMATS[codec].parse(bytes);
  if (!parsed) return undefined;
  const { codecString, sampleRate, channels, frameTicks, config } = parsed;
  return { codec, codecString, sampleRate, channels, frameTicks, config };
}

/** Ticks of {@link AudioConfig.sampleRate} that a frame lasts, by its own header. Undefined when it is malformed. */
export function audioFrameTicks(config: AudioConfig, data: Uint8Array): number | undefined {
  if (data.length === 0) return undefined;
  const read = FORMATS[config.codec].frameSamples;
  return read ? read(data) : config.frameTicks;
}
