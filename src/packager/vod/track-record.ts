import { KEY_TIERS, type KeyTier, type SystemData, type TrackProtection } from '../../media/protection.ts';
import type { AudioCodec, Track, VideoCodec } from '../../stream/track.ts';
import { toBase64 } from './record-bytes.ts';
import type { RecordReader } from './record-reader.ts';

const VIDEO_CODECS: readonly [VideoCodec, ...VideoCodec[]] = ['avc1', 'hvc1', 'av01', 'vp09'];
const AUDIO_CODECS: readonly [AudioCodec, ...AudioCodec[]] = ['mp4a', 'ac-3', 'ec-3', 'Opus', 'fLaC'];
const SYSTEMS = ['clearkey', 'widevine', 'playready', 'fairplay'] as const;
const MAX_SYSTEMS = 16;
/** RFC 6381 strings, as they stand in playlists. */
const CODEC_STRING = /^[A-Za-z0-9.-]{1,64}$/;
const MAX_URL = 4096;
const KID_BYTES = 16;

export function trackRecord(track: Track) {
  return { ...track, config: toBase64(track.config) };
}

export function readTrack(reader: RecordReader, value: unknown): Track {
  const fields = reader.object(value);
  const kind = reader.oneOf(fields['kind'], ['video', 'audio']);
  const common = {
    codecString: reader.match(fields['codecString'], CODEC_STRING),
    timescale: reader.positive(reader.whole(fields['timescale'])),
    config: reader.bytes(fields['config']),
  };
  if (kind === 'audio') {
    return {
      kind,
      codec: reader.oneOf(fields['codec'], AUDIO_CODECS),
      ...common,
      channels: reader.positive(reader.whole(fields['channels'])),
      frameTicks: reader.positive(fields['frameTicks']),
    };
  }
  const cadence = reader.object(fields['cadence']);
  return {
    kind,
    codec: reader.oneOf(fields['codec'], VIDEO_CODECS),
    ...common,
    width: reader.positive(reader.whole(fields['width'])),
    height: reader.positive(reader.whole(fields['height'])),
    cadence: {
      frameTicks: reader.optional(cadence['frameTicks'], (own, each) => own.positive(each)),
      gopTicks: reader.optional(cadence['gopTicks'], (own, each) => own.positive(each)),
    },
  };
}

export function protectionRecord({ scheme, tier, kid, constantIv, systems }: TrackProtection) {
  return {
    scheme,
    tier,
    kid: toBase64(kid),
    constantIv: constantIv && toBase64(constantIv),
    systems: systems.map(({ system, pssh, playReadyObject, licenseUrl }) => ({
      system,
      pssh: pssh && toBase64(pssh),
      playReadyObject: playReadyObject && toBase64(playReadyObject),
      licenseUrl,
    })),
  };
}

export function readProtection(reader: RecordReader, value: unknown): TrackProtection {
  const fields = reader.object(value);
  const kid = reader.bytes(fields['kid']);
  if (kid.length !== KID_BYTES) reader.fail();
  return {
    scheme: reader.oneOf(fields['scheme'], ['cbcs', 'cenc']),
    tier: reader.oneOf(fields['tier'], KEY_TIERS as readonly [KeyTier, ...KeyTier[]]),
    kid,
    constantIv: reader.optional(fields['constantIv'], readBytes),
    systems: reader.list(fields['systems'], MAX_SYSTEMS, readSystem),
  };
}

function readSystem(reader: RecordReader, value: unknown): SystemData {
  const fields = reader.object(value);
  return {
    system: reader.oneOf(fields['system'], SYSTEMS),
    pssh: reader.optional(fields['pssh'], readBytes),
    playReadyObject: reader.optional(fields['playReadyObject'], readBytes),
    licenseUrl: reader.optionalText(fields['licenseUrl'], MAX_URL),
  };
}

function readBytes(reader: RecordReader, value: unknown): Uint8Array {
  return reader.bytes(value);
}
