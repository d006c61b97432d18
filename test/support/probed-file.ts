import { run } from './ffmpeg.ts';

export interface ProbedPacket {
  /** Milliseconds, rounded. */
  readonly dts: number;
  readonly pts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

export interface ProbedTrack {
  readonly kind: 'video' | 'audio';
  readonly codec: string;
  /** What a decoder needs, as ffmpeg has it of this file. */
  readonly config: Buffer;
  readonly packets: readonly ProbedPacket[];
}

interface ProbeOutput {
  readonly streams: readonly {
    index: number;
    codec_type: 'video' | 'audio';
    codec_name: string;
    time_base: string;
    extradata?: string;
  }[];
  readonly packets: readonly {
    stream_index: number;
    dts: number;
    pts: number;
    flags: string;
    data: string;
  }[];
}

/** The tracks of a file with every byte of them, as ffprobe finds them. */
export async function probeFile(path: string): Promise<ProbedTrack[]> {
  const args = ['-v', 'error', '-show_streams', '-show_packets', '-show_data', '-of', 'json', path];
  const { code, stdout, stderr } = await run('ffprobe', args);
  if (code !== 0) throw new Error(`ffprobe ended with ${code}: ${stderr}`);
  const { streams, packets } = JSON.parse(stdout.toString()) as ProbeOutput;
  return streams.map(({ index, codec_type: kind, codec_name: codec, time_base: base, extradata = '' }) => ({
    kind,
    codec,
    config: fromDump(extradata),
    packets: packets
      .filter((packet) => packet.stream_index === index)
      .map(({ dts, pts, flags, data }) => ({
        dts: toMs(dts, base),
        pts: toMs(pts, base),
        key: flags.startsWith('K'),
        data: fromDump(data),
      })),
  }));
}

/** Lines of `00000000: 0a1b 2c3d …  text`. */
function fromDump(dump: string): Buffer {
  const lines = dump.split('\n').filter((line) => line !== '');
  const digits = lines.map((line) => line.slice(10, 50).replaceAll(' ', ''));
  return Buffer.from(digits.join(''), 'hex');
}

/** `timeBase` is `1/90000` and the like. */
function toMs(ticks: number, timeBase: string): number {
  const [numerator = 0, denominator = 1] = timeBase.split('/').map(Number);
  return Math.round((ticks * numerator * 1000) / denominator);
}
