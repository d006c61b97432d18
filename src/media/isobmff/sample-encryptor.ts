import { parseAvcConfig } from '../h264.ts';
import { AvcSliceHeaders } from '../h264-slice.ts';
import { parseHevcConfig } from '../h265.ts';
import { HevcSliceHeaders } from '../h265-slice.ts';
import type { ProtectionScheme, TrackProtection } from '../protection.ts';
import type { SliceHeaders } from '../slice-window.ts';
import type { TrackInit, VideoInit } from './init-segment.ts';
import { mapNalUnits } from './nal-subsamples.ts';
import { CbcsCipher, CencCipher, type PlainSample, type SampleCipher } from './sample-cipher.ts';
import type { SampleProtection } from './sample-protection.ts';

/** An encrypted sample, as `writeChunk` takes it. */
export interface EncryptedSample extends SampleProtection {
  readonly data: Uint8Array;
  /**
   * Slices whose header could not be read. They are encrypted all the same, from further ahead than they should be:
   * a decoder behind a secure decryptor may not show them. More than now and then one says that the source is broken.
   */
  readonly unreadSlices: number;
}

/** Why a track cannot be protected. */
export type ProtectionRefusal =
  /** AV1 and VP9: where their tiles and superframes begin is not read here. */
  | 'codec-not-covered'
  /** H.264 Extended profile, whose data partitions cannot be protected; HEVC for screens or with several layers. */
  | 'profile-not-covered'
  /** The parameter sets cannot be read. */
  | 'config-unreadable';

/** Whether samples of the track can be encrypted; a track that cannot must not be published in its place. */
export function canProtect(
  track: TrackInit,
  _scheme: ProtectionScheme,
): true | { readonly reason: ProtectionRefusal } {
  if (track.kind === 'audio') return true;
  const headers = sliceHeadersOf(track);
  return typeof headers === 'string' ? { reason: headers } : true;
}

/**
 * Encrypts the samples of one track with one key (ISO/IEC 23001-7): `cenc` or `cbcs` as `protection` says. Video is
 * encrypted behind its slice headers, audio as a whole. Holds the key.
 */
export class SampleEncryptor {
  readonly #cipher: SampleCipher;
  /** Undefined: samples are protected as a whole. */
  readonly #headers: SliceHeaders | undefined;
  readonly #scheme: ProtectionScheme;

  /**
   * @param key 16 bytes
   * @param ivStart `cenc`: 8 bytes, the IV of the first sample; each further one takes the next, of 2^32 in all
   * @throws RangeError when {@link canProtect} refuses the track, or a key or IV has the wrong length or is missing
   */
  constructor(track: TrackInit, protection: TrackProtection, key: Uint8Array, ivStart?: Uint8Array) {
    this.#scheme = protection.scheme;
    this.#headers = headersFor(track);
    this.#cipher = createCipher(protection, key, ivStart);
  }

  /** Encrypts samples, given in decode order. Each is to be given once; its bytes are left as they are. */
  encrypt(samples: readonly Uint8Array[]): readonly EncryptedSample[] {
    const maps = samples.map((sample) => this.#map(sample));
    return this.#cipher.encrypt(maps).map(({ data, iv }, index) => ({
      data,
      iv,
      subsamples: maps[index]?.subsamples,
      unreadSlices: maps[index]?.unreadSlices ?? 0,
    }));
  }

  #map(data: Uint8Array): PlainSample & { readonly unreadSlices: number } {
    if (!this.#headers) return { data, subsamples: undefined, unreadSlices: 0 };
    return { data, ...mapNalUnits(data, this.#headers, this.#scheme) };
  }
}

function createCipher(
  { scheme, constantIv }: TrackProtection,
  key: Uint8Array,
  ivStart: Uint8Array | undefined,
): SampleCipher {
  if (scheme === 'cenc') {
    if (!ivStart) throw new RangeError('cenc needs the first IV');
    return new CencCipher(key, ivStart);
  }
  if (!constantIv) throw new RangeError('cbcs needs a constant IV');
  return new CbcsCipher(key, constantIv);
}

function headersFor(track: TrackInit): SliceHeaders | undefined {
  if (track.kind === 'audio') return undefined;
  const headers = sliceHeadersOf(track);
  if (typeof headers === 'string') throw new RangeError(`the track cannot be protected: ${headers}`);
  return headers;
}

/** profile_idc of the only profile with data partitions. */
const AVC_EXTENDED_PROFILE = 88;

function sliceHeadersOf({ codec, config }: VideoInit): SliceHeaders | ProtectionRefusal {
  if (codec === 'avc1') return avcSliceHeaders(config);
  if (codec === 'hvc1') return hevcSliceHeaders(config);
  return 'codec-not-covered';
}

function avcSliceHeaders(record: Uint8Array): SliceHeaders | ProtectionRefusal {
  const config = parseAvcConfig(record);
  if (!config) return 'config-unreadable';
  if (config.picture.profile === AVC_EXTENDED_PROFILE) return 'profile-not-covered';
  const headers = new AvcSliceHeaders(config);
  return headers.usable ? headers : 'config-unreadable';
}

function hevcSliceHeaders(record: Uint8Array): SliceHeaders | ProtectionRefusal {
  const config = parseHevcConfig(record);
  if (!config) return 'config-unreadable';
  if (!isPlainHevc(config.picture.profile)) return 'profile-not-covered';
  const headers = new HevcSliceHeaders(config);
  return headers.usable ? headers : 'config-unreadable';
}

/** Main to format range extensions and high throughput: their slice headers are those of version 1 (A.3). */
function isPlainHevc({ space, profile }: { readonly space: number; readonly profile: number }): boolean {
  return space === 0 && profile <= 5;
}
