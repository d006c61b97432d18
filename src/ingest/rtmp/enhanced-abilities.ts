import type { Amf0Value } from '../../media/amf0.ts';
import { FLV_AUDIO_CODECS, FLV_VIDEO_CODECS } from '../../media/flv-codecs.ts';

/** CapsExMask: several tracks, modifiers, and the one modifier there is (nanoseconds). */
const MULTITRACK = 0x02;
const MOD_EX = 0x04;
const TIMESTAMP_NANO_OFFSET = 0x08;

/** FourCcInfoMask: decoded here, or handed on as it is. */
const CAN_DECODE = 0x01;
const CAN_FORWARD = 0x04;

/**
 * What the connect reply says of Enhanced RTMP (v2, "Enhancing NetConnection connect Command"), in the words of both
 * versions. MP3 is not handed on but encoded anew, where there is something to do it.
 */
export function enhancedAbilities(encodesAudio: boolean): Readonly<Record<string, Amf0Value>> {
  const audio = FLV_AUDIO_CODECS.filter((codec) => codec !== '.mp3' || encodesAudio);
  return {
    fourCcList: [...FLV_VIDEO_CODECS, ...audio],
    videoFourCcInfoMap: new Map(FLV_VIDEO_CODECS.map((codec) => [codec, CAN_FORWARD])),
    audioFourCcInfoMap: new Map(audio.map((codec) => [codec, codec === '.mp3' ? CAN_DECODE : CAN_FORWARD])),
    capsEx: MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET,
  };
}
