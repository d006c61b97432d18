import { parseAudioTag } from '../media/flv.ts';

/** What the head of an FLV audio tag says of the audio that is to be encoded. */
export interface AudioSource {
  /** The tag's first byte: codec, and for some codecs rate and channels. Another one is another source. */
  readonly format: number;
  /** By name, for logs: from a closed list. */
  readonly codec: string;
  /** Samples a second of the AAC that is made of it. */
  readonly sampleRate: number;
}

/** Rates that are kept; all of them are AAC's too. */
const KEPT_RATES: ReadonlySet<number> = new Set([32_000, 44_100, 48_000]);
const OTHERWISE_RATE = 48_000;
/** SoundRate (E.4.2.1), for the codecs whose rate it tells. */
const FLAG_RATES = [5512, 11_025, 22_050, 44_100];
/** Codecs whose rate is fixed, whatever the flags say. */
const FIXED_RATES = new Map<number, number>([
  [4, 16_000],
  [5, 8000],
  [7, 8000],
  [8, 8000],
  [11, 16_000],
  [14, 8000],
]);
const MP3 = 2;
/** Sampling rates of MPEG-1 layer III (ISO/IEC 11172-3 2.4.2.3); those of MPEG-2 are below what is kept. */
const MPEG1_RATES = [44_100, 48_000, 32_000];
const MPEG1 = 3;

/**
 * Reads the head of a tag's body. Undefined when there is nothing behind it, and when it belongs to MP3 but no frame
 * begins there: then it is whatever the tags before were.
 */
export function readAudioSource(body: Uint8Array): AudioSource | undefined {
  const [format] = body;
  const tag = parseAudioTag(body);
  if (format === undefined || tag.kind !== 'unsupported' || body.length < 2) return undefined;
  const rate = format >> 4 === MP3 ? mp3Rate(body) : (FIXED_RATES.get(format >> 4) ?? flagRate(format));
  if (rate === undefined) return undefined;
  return { format, codec: tag.codec, sampleRate: KEPT_RATES.has(rate) ? rate : OTHERWISE_RATE };
}

function flagRate(format: number): number {
  return FLAG_RATES[(format >> 2) & 3] ?? 0;
}

/** The flags cannot say 48 kHz, the frame's header can. */
function mp3Rate(body: Uint8Array): number | undefined {
  const [, sync, version = 0, rates = 0] = body;
  if (sync !== 0xff || (version & 0xe0) !== 0xe0) return undefined;
  return ((version >> 3) & 3) === MPEG1 ? MPEG1_RATES[(rates >> 2) & 3] : 0;
}
