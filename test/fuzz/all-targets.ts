import type { FuzzTarget } from './fuzz-target.ts';
import { audioConfig, flvBody, hevc, videoConfig, videoFrame } from './targets/codecs.ts';
import { flvToWindow } from './targets/hub.ts';
import {
  aacConfig,
  bitReader,
  flvFile,
  fragmentedMp4,
  h264AccessUnit,
  h264Config,
  h264Sps,
} from './targets/media.ts';
import { encryptedAvc, encryptedHevc } from './targets/protection.ts';
import { amf0, rtmpAggregate, rtmpChunks, rtmpHandshake } from './targets/rtmp.ts';
import { mp4Stream, srtConnection, srtPacket, tsDemuxer } from './targets/transport.ts';

/** Everything that reads bytes of strangers. */
export const ALL_TARGETS: readonly FuzzTarget[] = [
  rtmpHandshake,
  rtmpChunks,
  rtmpAggregate,
  amf0,
  flvFile,
  flvBody,
  flvToWindow,
  srtPacket,
  srtConnection,
  tsDemuxer,
  videoConfig,
  videoFrame,
  audioConfig,
  hevc,
  h264Config,
  h264Sps,
  h264AccessUnit,
  aacConfig,
  bitReader,
  fragmentedMp4,
  mp4Stream,
  encryptedAvc,
  encryptedHevc,
];
