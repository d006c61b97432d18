import { DEFAULT_TS_OPTIONS, TsDemuxer, type TsDemuxerOptions } from '../../src/media/mpegts/demuxer.ts';
import type {
  TsAudioCodec,
  TsEvent,
  TsSample,
  TsSink,
  TsVideoCodec,
} from '../../src/media/mpegts/ts-sink.ts';

/** Writes down what a demuxer gives, in order and by kind. */
export class TsRecorder implements TsSink {
  /** Everything in order, bytes as hex: for comparing two runs. */
  readonly log: string[] = [];
  readonly video: TsSample[] = [];
  readonly audio: TsSample[] = [];
  readonly events: TsEvent[] = [];
  readonly videoConfigs: { codec: TsVideoCodec; config: Uint8Array; at: number }[] = [];
  readonly audioConfigs: { codec: TsAudioCodec; config: Uint8Array; at: number }[] = [];
  readonly trackSets: { video: boolean; audio: boolean }[] = [];
  readonly unsupportedCodecs: string[] = [];

  tracks(present: { readonly video: boolean; readonly audio: boolean }): void {
    this.trackSets.push({ ...present });
    this.log.push(`tracks ${present.video} ${present.audio}`);
  }

  videoConfig(codec: TsVideoCodec, config: Uint8Array): void {
    this.videoConfigs.push({ codec, config, at: this.video.length });
    this.log.push(`video config ${codec} ${hex(config)}`);
  }

  audioConfig(codec: TsAudioCodec, config: Uint8Array): void {
    this.audioConfigs.push({ codec, config, at: this.audio.length });
    this.log.push(`audio config ${codec} ${hex(config)}`);
  }

  sample(sample: TsSample): void {
    (sample.kind === 'video' ? this.video : this.audio).push(sample);
    const { kind, dts, compositionOffset, key, data } = sample;
    this.log.push(`${kind} ${dts} ${compositionOffset} ${key} ${hex(data)}`);
  }

  event(event: TsEvent): void {
    this.events.push(event);
    this.log.push(`${event.kind} ${event.pts} ${hex(event.data)}`);
  }

  unsupported(kind: 'video' | 'audio', codec: string): void {
    this.unsupportedCodecs.push(codec);
    this.log.push(`unsupported ${kind} ${codec}`);
  }
}

/** Runs bytes, in pieces, through a demuxer to its end. */
export function demux(
  pieces: Uint8Array | readonly Uint8Array[],
  options: Partial<TsDemuxerOptions> = {},
): { out: TsRecorder; demuxer: TsDemuxer } {
  const out = new TsRecorder();
  const demuxer = new TsDemuxer(out, { ...DEFAULT_TS_OPTIONS, ...options });
  for (const piece of pieces instanceof Uint8Array ? [pieces] : pieces) demuxer.push(piece);
  demuxer.flush();
  return { out, demuxer };
}

/** Bytes cut every `size` bytes. */
export function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
