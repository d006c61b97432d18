import { flacConfigFromStreamInfo } from '../../media/flac.ts';
import type { FlvAudioCodec, FlvVideoCodec } from '../../media/flv-codecs.ts';
import { opusConfigFromHead } from '../../media/opus.ts';

/** Nothing: the hub counts it as a configuration that is not usable. */
const UNUSABLE = new Uint8Array(0);

/** Version 1 and no flags, which `vpcC` has before its record and Enhanced RTMP leaves out (as senders do). */
const VPCC_VERSION = Uint8Array.of(1, 0, 0, 0);
/** The record is 8 bytes, and initialization data that VP9 does not have. */
const MAX_VPCC_BYTES = 1024;

/** OpusHead (RFC 7845 5.1) of plain stereo, for senders that send an empty one. */
const STEREO_OPUS_HEAD = Uint8Array.from([
  ...Buffer.from('OpusHead'),
  ...[1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0],
]);

/**
 * Body of the codec's box, of what Enhanced RTMP sends as sequence start. What is not usable becomes empty. The result is
 * memory of its own, so that a few bytes that are kept for long do not keep the message they came in.
 */
export function videoBoxBody(codec: FlvVideoCodec, config: Uint8Array): Uint8Array {
  if (codec !== 'vp09' || startsWith(config, VPCC_VERSION)) return new Uint8Array(config);
  return Uint8Array.of(...VPCC_VERSION, ...config.subarray(0, MAX_VPCC_BYTES));
}

/** As {@link videoBoxBody}; the codecs that have no sequence start do not come here. */
export function audioBoxBody(
  codec: Exclude<FlvAudioCodec, '.mp3' | 'ac-3' | 'ec-3'>,
  config: Uint8Array,
): Uint8Array {
  if (codec === 'mp4a') return new Uint8Array(config);
  if (codec === 'fLaC') return flacConfigFromStreamInfo(new Uint8Array(config)) ?? UNUSABLE;
  return opusConfigFromHead(new Uint8Array(config.length === 0 ? STEREO_OPUS_HEAD : config)) ?? UNUSABLE;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((value, i) => bytes[i] === value);
}
