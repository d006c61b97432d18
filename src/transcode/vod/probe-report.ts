import { printable } from './probe-process.ts';
import type { Ratio } from './title-plan.ts';

/** One stream as ffprobe tells it, as far as it is of use here; what it does not know is undefined. Seconds. */
export interface ProbedStream {
  readonly index: number;
  readonly kind: string;
  readonly codec: string;
  readonly codecTag: string;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly sampleAspectRatio: Ratio | undefined;
  /** Degrees it is to be turned, counter-clockwise. */
  readonly rotation: number;
  readonly fieldOrder: string | undefined;
  readonly transfer: string | undefined;
  /** Of colours, by ffmpeg's name. */
  readonly matrix: string | undefined;
  readonly dolbyVision: { readonly profile: number; readonly compatibility: number } | undefined;
  /** The lowest that fits all frames near the beginning, and the mean. */
  readonly baseRate: Ratio | undefined;
  readonly meanRate: Ratio | undefined;
  readonly tickSeconds: number | undefined;
  readonly start: number | undefined;
  readonly duration: number | undefined;
  readonly channels: number | undefined;
  readonly sampleRate: number | undefined;
  readonly bitrateBps: number | undefined;
  readonly dispositions: ReadonlySet<string>;
  readonly tags: ReadonlyMap<string, string>;
}

export interface ProbedChapter {
  readonly start: number;
  readonly title: string | undefined;
}

export interface ProbeReport {
  readonly start: number | undefined;
  readonly duration: number | undefined;
  readonly streams: readonly ProbedStream[];
  readonly chapters: readonly ProbedChapter[];
}

/** A frame that was decoded. */
export interface ProbedFrame {
  readonly time: number | undefined;
  readonly isInterlaced: boolean;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly transfer: string | undefined;
  readonly matrix: string | undefined;
}

export interface ProbedPacket {
  readonly pts: number | undefined;
  readonly dts: number | undefined;
  readonly duration: number | undefined;
  readonly isKey: boolean;
  /** An edit list takes it out. */
  readonly isDiscarded: boolean;
  readonly isEncrypted: boolean;
}

/** The entries that {@link readReport} reads, for `-show_entries`. */
export const REPORT_ENTRIES = [
  'format=start_time,duration',
  'stream=index,codec_type,codec_name,codec_tag_string,width,height,sample_aspect_ratio,field_order,color_transfer,color_space,r_frame_rate,avg_frame_rate,time_base,start_time,duration,channels,sample_rate,bit_rate',
  'stream_disposition',
  'stream_tags',
  'stream_side_data',
  'chapter=start_time',
  'chapter_tags',
].join(':');

/** The same for {@link readFrames}. */
export const FRAME_ENTRIES =
  'frame=best_effort_timestamp_time,interlaced_frame,width,height,color_transfer,color_space';

/** The same for {@link readPackets}. */
export const PACKET_ENTRIES = 'packet=pts_time,dts_time,duration_time,flags:packet_side_data=side_data_type';

const MAX_TEXT = 200;

/** Reads what `ffprobe -of json` says of streams, container and chapters; undefined when it is not that. */
export function readReport(json: string): ProbeReport | undefined {
  const root = parse(json);
  if (!isRecord(root)) return undefined;
  const format = isRecord(root['format']) ? root['format'] : {};
  return {
    start: decimal(format['start_time']),
    duration: decimal(format['duration']),
    streams: records(root['streams']).flatMap((stream) => readStream(stream) ?? []),
    chapters: records(root['chapters']).flatMap((chapter) => {
      const start = decimal(chapter['start_time']);
      return start === undefined ? [] : [{ start, title: tagsOf(chapter).get('title') }];
    }),
  };
}

/** Reads the frames that `ffprobe -of json` tells of. */
export function readFrames(json: string): ProbedFrame[] {
  const root = parse(json);
  return records(isRecord(root) ? root['frames'] : undefined).map((frame) => ({
    time: decimal(frame['best_effort_timestamp_time']),
    isInterlaced: frame['interlaced_frame'] === 1,
    width: whole(frame['width']),
    height: whole(frame['height']),
    transfer: known(frame['color_transfer']),
    matrix: known(frame['color_space']),
  }));
}

/** Reads lines of `ffprobe -of compact=p=0`; a last line that was cut off is left out. */
export function readPackets(output: string): ProbedPacket[] {
  const ended = output.slice(0, output.lastIndexOf('\n') + 1);
  return ended.split('\n').flatMap((line) => {
    const fields = new Map(line.split('|').map(split));
    const flags = fields.get('flags');
    if (flags === undefined) return [];
    return {
      pts: decimal(fields.get('pts_time')),
      dts: decimal(fields.get('dts_time')),
      duration: decimal(fields.get('duration_time')),
      isKey: flags.includes('K'),
      isDiscarded: flags.includes('D'),
      isEncrypted: line.includes('=Encryption info'),
    };
  });
}

function split(field: string): readonly [string, string] {
  const at = field.indexOf('=');
  return [field.slice(0, at), field.slice(at + 1)];
}

function readStream(stream: Record<string, unknown>): ProbedStream | undefined {
  const index = whole(stream['index']);
  if (index === undefined) return undefined;
  const sideData = records(stream['side_data_list']);
  const tags = tagsOf(stream);
  return {
    index,
    kind: word(stream['codec_type']) ?? 'unknown',
    codec: word(stream['codec_name']) ?? 'unknown',
    codecTag: word(stream['codec_tag_string']) ?? '',
    width: positive(stream['width']),
    height: positive(stream['height']),
    sampleAspectRatio: ratio(stream['sample_aspect_ratio'], ':'),
    rotation: rotationOf(sideData, tags),
    fieldOrder: word(stream['field_order']),
    transfer: known(stream['color_transfer']),
    matrix: known(stream['color_space']),
    dolbyVision: dolbyVisionOf(sideData),
    baseRate: ratio(stream['r_frame_rate'], '/'),
    meanRate: ratio(stream['avg_frame_rate'], '/'),
    tickSeconds: tickOf(stream['time_base']),
    start: decimal(stream['start_time']),
    duration: decimal(stream['duration']),
    channels: positive(stream['channels']),
    sampleRate: positive(stream['sample_rate']),
    bitrateBps: positive(stream['bit_rate']),
    dispositions: dispositionsOf(stream['disposition']),
    tags,
  };
}

function rotationOf(sideData: readonly Record<string, unknown>[], tags: ReadonlyMap<string, string>): number {
  const matrix = sideData.find((each) => each['side_data_type'] === 'Display Matrix');
  const turned = matrix ? decimal(matrix['rotation']) : undefined;
  // Old containers say it in a tag, clockwise.
  return turned ?? -(decimal(tags.get('rotate')) ?? 0);
}

function dolbyVisionOf(sideData: readonly Record<string, unknown>[]): ProbedStream['dolbyVision'] {
  const record = sideData.find((each) => each['side_data_type'] === 'DOVI configuration record');
  const profile = record ? whole(record['dv_profile']) : undefined;
  if (profile === undefined) return undefined;
  return { profile, compatibility: whole(record?.['dv_bl_signal_compatibility_id']) ?? 0 };
}

function dispositionsOf(given: unknown): ReadonlySet<string> {
  const entries = isRecord(given) ? Object.entries(given) : [];
  return new Set(entries.flatMap(([name, value]) => (value === 1 ? [name] : [])));
}

/** By their names in small letters. */
function tagsOf(owner: Record<string, unknown>): ReadonlyMap<string, string> {
  const entries = isRecord(owner['tags']) ? Object.entries(owner['tags']) : [];
  return new Map(
    entries.flatMap(([name, value]) => {
      const text = typeof value === 'string' ? printable(value.slice(0, MAX_TEXT)) : '';
      return text === '' ? [] : [[name.toLowerCase(), text] as const];
    }),
  );
}

function tickOf(given: unknown): number | undefined {
  const tick = ratio(given, '/');
  return tick && tick.numerator / tick.denominator;
}

/** Of two positive numbers. */
function ratio(given: unknown, separator: string): Ratio | undefined {
  const parts = typeof given === 'string' ? given.split(separator) : [];
  const [numerator, denominator] = parts.map(positive);
  return parts.length === 2 && numerator && denominator ? { numerator, denominator } : undefined;
}

function decimal(given: unknown): number | undefined {
  const value = typeof given === 'string' && given !== '' ? Number(given) : given;
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function whole(given: unknown): number | undefined {
  const value = decimal(given);
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

function positive(given: unknown): number | undefined {
  const value = whole(given);
  return value !== undefined && value > 0 ? value : undefined;
}

function word(given: unknown): string | undefined {
  return typeof given === 'string' && /^[\w.[\]-]{1,64}$/.test(given) ? given : undefined;
}

/** Where a word can also be `unknown`. */
function known(given: unknown): string | undefined {
  const value = word(given);
  return value === 'unknown' || value === 'reserved' ? undefined : value;
}

function records(given: unknown): Record<string, unknown>[] {
  return Array.isArray(given) ? given.filter(isRecord) : [];
}

function isRecord(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
