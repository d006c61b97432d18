import { parseAvcConfig } from '../../src/media/h264.ts';
import { parseHevcConfig } from '../../src/media/h265.ts';
import { ffmpeg, run } from './ffmpeg.ts';
import type { TsRecorder } from './ts-recorder.ts';

/** What ffmpeg is to put into a transport stream. Codecs' own arguments. */
export interface TsFile {
  readonly seconds?: number;
  readonly video?: readonly string[];
  readonly audio?: readonly string[];
  readonly mux?: readonly string[];
  readonly audios?: number;
}

const X264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '30', '-pix_fmt', 'yuv420p'];

export const AVC = [...X264, '-bf', '0'];
export const AVC_B_FRAMES = [...X264, '-bf', '3'];
export const AVC_OPEN_GOP = [...X264, '-x264-params', 'open-gop=1:bframes=3:keyint=30:min-keyint=30'];
export const AVC_INTERLACED = [...X264, '-flags', '+ildct+ilme', '-x264-params', 'tff=1:bframes=2'];
export const AVC_SLICES = [...X264, '-x264-params', 'slices=6:bframes=1'];
export const HEVC = [
  ...['-c:v', 'libx265', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'],
  ...['-x265-params', 'keyint=30:min-keyint=30:bframes=3:log-level=none'],
];

/** A transport stream made by ffmpeg: a moving picture and tones. */
export async function makeTs(file: TsFile): Promise<Uint8Array> {
  const { seconds = 3, video = [], audio = [], mux = [], audios = audio.length > 0 ? 1 : 0 } = file;
  const args: string[] = [];
  if (video.length > 0) args.push('-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30');
  for (let tone = 0; tone < audios; tone++) {
    args.push('-f', 'lavfi', '-i', `sine=frequency=${440 + 200 * tone}:sample_rate=44100`);
  }
  const inputs = (video.length > 0 ? 1 : 0) + audios;
  for (let input = 0; input < inputs; input++) args.push('-map', `${input}`);
  args.push('-t', `${seconds}`, ...video, ...audio, '-f', 'mpegts', ...mux, 'pipe:1');
  const { stdout } = await ffmpeg(args);
  return new Uint8Array(stdout);
}

export interface ProbedPacket {
  readonly pts: number;
  readonly dts: number;
  readonly key: boolean;
}

/** The packets of one stream as ffprobe sees them, times modulo 2^33. */
export async function probePackets(bytes: Uint8Array, stream: string): Promise<ProbedPacket[]> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-f', 'mpegts', '-select_streams', stream, '-show_packets', '-of', 'json', 'pipe:0'],
    { stdin: bytes },
  );
  const { packets } = JSON.parse(stdout.toString('utf8')) as {
    packets: { pts: number; dts: number; flags: string }[];
  };
  const wrap = (time: number): number => ((time % 2 ** 33) + 2 ** 33) % 2 ** 33;
  return packets.map(({ pts, dts, flags }) => ({
    pts: wrap(pts),
    dts: wrap(dts),
    key: flags.startsWith('K'),
  }));
}

const START_CODE = Buffer.of(0, 0, 0, 1);

/** The video samples as the byte stream they came from: parameter sets first, then every access unit. */
export function asAnnexB(out: TsRecorder): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (unit: Uint8Array): void => void parts.push(START_CODE, unit);
  out.video.forEach(({ data }, index) => {
    for (const { at, codec, config } of out.videoConfigs) {
      if (at === index) for (const unit of parameterSets(codec, config)) add(unit);
    }
    const bytes = Buffer.from(data);
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + bytes.readUInt32BE(at);
      add(bytes.subarray(at + 4, end));
      at = end;
    }
  });
  return new Uint8Array(Buffer.concat(parts));
}

function parameterSets(codec: 'avc1' | 'hvc1', config: Uint8Array): Uint8Array[] {
  if (codec === 'avc1') {
    const parsed = parseAvcConfig(config);
    return parsed ? [...parsed.sps, ...parsed.pps] : [];
  }
  const parsed = parseHevcConfig(config);
  return parsed ? [...parsed.vps, ...parsed.sps, ...parsed.pps] : [];
}

/** The audio samples as a file ffmpeg reads: AAC gets its ADTS headers again. */
export function asSoundFile(out: TsRecorder): Uint8Array {
  const [form] = out.audioConfigs;
  const config = form?.codec === 'mp4a' ? form.config : undefined;
  return new Uint8Array(
    Buffer.concat(
      out.audio.flatMap(({ data }) => (config ? [adtsHeader(config, data.length), data] : [data])),
    ),
  );
}

function adtsHeader(config: Uint8Array, sizeBytes: number): Uint8Array {
  const [first = 0, second = 0] = config;
  const length = sizeBytes + 7;
  const rate = ((first & 7) << 1) | (second >> 7);
  const channels = (second >> 3) & 0x0f;
  return Uint8Array.of(
    0xff,
    0xf1,
    (((first >> 3) - 1) << 6) | (rate << 2) | (channels >> 2),
    ((channels & 3) << 6) | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  );
}

/** Hashes of the decoded frames of one stream of a file of this format, in order. */
export async function decodedHashes(bytes: Uint8Array, format: string, stream: string): Promise<string[]> {
  const { stdout } = await ffmpeg(
    ['-f', format, '-i', 'pipe:0', '-map', stream, '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'],
    { stdin: bytes },
  );
  const lines = stdout.toString('utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(',').at(-1) ?? '');
}
