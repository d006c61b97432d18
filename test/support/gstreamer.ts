import { type ProcessResult, run } from './ffmpeg.ts';

/** A live picture and tone of this long, encoded by GStreamer: x264 with B-frames, and an AAC encoder that is not ffmpeg's. */
export interface GstreamerSource {
  readonly seconds: number;
  /** `flvmux streamable=true`, `mpegtsmux`…; elements that give one stream of bytes. */
  readonly mux: string;
  /** Elements that take the bytes, such as `rtmp2sink location=…`. */
  readonly sink: string;
  /** The same bytes go to this file as well. */
  readonly copyPath: string;
}

const FRAME_RATE = 30;
const SAMPLE_RATE = 48_000;
const SAMPLES = 1024;

/** Runs gst-launch-1.0 until it has sent everything and said goodbye. */
export function gstreamerPublish({ seconds, mux, sink, copyPath }: GstreamerSource): Promise<ProcessResult> {
  const picture = `videotestsrc is-live=true pattern=ball num-buffers=${seconds * FRAME_RATE}`;
  const size = `video/x-raw,format=I420,width=320,height=180,framerate=${FRAME_RATE}/1`;
  const x264 = `x264enc bframes=2 b-adapt=false key-int-max=${2 * FRAME_RATE} bitrate=600 speed-preset=veryfast rc-lookahead=5`;
  const tone = `audiotestsrc is-live=true samplesperbuffer=${SAMPLES} num-buffers=${Math.floor((seconds * SAMPLE_RATE) / SAMPLES)}`;
  const pcm = `audio/x-raw,rate=${SAMPLE_RATE},channels=2`;
  const pipeline = [
    `${mux} name=mux ! tee name=bytes`,
    `bytes. ! queue ! ${sink}`,
    `bytes. ! queue ! filesink location=${copyPath}`,
    `${picture} ! ${size} ! ${x264} ! h264parse ! queue ! mux.`,
    `${tone} ! ${pcm} ! voaacenc ! aacparse ! queue ! mux.`,
  ];
  return run('gst-launch-1.0', ['-q', '-e', ...pipeline.join(' ').split(' ')]);
}
