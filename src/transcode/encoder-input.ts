import { writeFlvFrame, writeFlvStart } from '../media/flv-writer.ts';
import { parseAvcConfig } from '../media/h264.ts';
import { writeMatroskaFrame, writeMatroskaStart } from '../media/matroska-writer.ts';
import type { VideoTrack } from '../stream/track.ts';

/** A frame on the clock of the fed file. */
export interface InputFrame {
  readonly dtsMs: number;
  readonly ptsMs: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** The file that is written to the encoder's standard input. */
export interface EncoderInput {
  /** What ffmpeg calls the format. */
  readonly format: 'flv' | 'matroska';
  /** Decode times are to be fed so much before what they are. */
  readonly decodeShiftMs: number;
  start(): Uint8Array;
  frame(frame: InputFrame): Uint8Array;
}

const VIDEO_TIMESCALE = 90_000;
/**
 * With B-frames decode times are fed so much earlier: FLV readers distrust a file in which a frame is shown before it
 * is decoded, which is how the hub's times may be.
 */
const REORDER_SHIFT_MS = 4000;

/**
 * H.264 goes in as FLV. That has no place for other codecs, but in Enhanced RTMP, which ffmpeg reads from 6.1 on; they
 * go in as Matroska, which every ffmpeg reads frame by frame, at a millisecond's clock as well.
 */
export function encoderInput(source: VideoTrack): EncoderInput {
  const { frameTicks } = source.cadence;
  const frameRate = frameTicks === undefined ? undefined : VIDEO_TIMESCALE / frameTicks;
  const { codec, config, width, height } = source;
  if (codec !== 'avc1') {
    return {
      format: 'matroska',
      decodeShiftMs: 0,
      start: () => writeMatroskaStart({ codec, config, width, height, frameRate }),
      frame: writeMatroskaFrame,
    };
  }
  return {
    format: 'flv',
    decodeShiftMs: parseAvcConfig(config)?.picture.maxReorderFrames === 0 ? 0 : REORDER_SHIFT_MS,
    start: () => writeFlvStart({ config, frameRate }),
    frame: writeFlvFrame,
  };
}
