import { box, concat, u32s } from './media-bytes.ts';

/** Fragmented MP4 as a foreign encoder may write it, field by field. */

export interface TestTrack {
  readonly id: number;
  readonly handler: 'vide' | 'soun' | 'text';
  readonly entry: string;
  readonly timescale: number;
  /** The codec's box, its body; left out: none. */
  readonly config?: { readonly type: string; readonly body: Uint8Array };
  readonly width?: number;
  readonly height?: number;
  readonly bitrateBps?: number;
  /** Media time shown first. */
  readonly editMediaTime?: number;
  /** Movie ticks (1000 a second) of an empty edit before it. */
  readonly editEmpty?: number;
  readonly defaults?: { readonly duration?: number; readonly size?: number; readonly flags?: number };
}

export const AVC_CONFIG = Uint8Array.from([1, 0x64, 0, 31, 0xff, 0xe0, 0]);

export const VIDEO: TestTrack = {
  id: 1,
  handler: 'vide',
  entry: 'avc1',
  timescale: 90_000,
  config: { type: 'avcC', body: AVC_CONFIG },
  width: 1280,
  height: 720,
};

/** An esds of AAC-LC, 48 kHz, stereo. */
export const ESDS = Uint8Array.from([
  ...[0, 0, 0, 0, 3, 25, 0, 0, 0, 4, 17, 0x40, 0x15],
  ...new Uint8Array(11),
  ...[5, 2, 0x11, 0x90, 6, 1, 2],
]);

export const AUDIO: TestTrack = {
  id: 1,
  handler: 'soun',
  entry: 'mp4a',
  timescale: 48_000,
  config: { type: 'esds', body: ESDS },
};

const zeros = (count: number): Uint8Array => new Uint8Array(count);
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** An `ftyp` and a `moov`. */
export function initBytes(tracks: readonly TestTrack[]): Uint8Array {
  return concat([box('ftyp', concat([ascii('cmf2'), u32s(0), ascii('cmfc')])), moovBytes(tracks)]);
}

export function moovBytes(tracks: readonly TestTrack[], options: { fragmented?: boolean } = {}): Uint8Array {
  const mvhd = box('mvhd', concat([u32s(0, 0, 0, 1000, 0), zeros(80)]));
  const trex = tracks.map(({ id, defaults = {} }) =>
    box('trex', u32s(0, id, 1, defaults.duration ?? 0, defaults.size ?? 0, defaults.flags ?? 0)),
  );
  const mvex = options.fragmented === false ? [] : [box('mvex', concat(trex))];
  return box('moov', concat([mvhd, ...tracks.map(trakBytes), ...mvex]));
}

function trakBytes(track: TestTrack): Uint8Array {
  const tkhd = box('tkhd', concat([u32s(7, 0, 0, track.id), zeros(68)]));
  const mdhd = box('mdhd', u32s(0, 0, 0, track.timescale, 0, 0));
  const hdlr = box('hdlr', concat([u32s(0, 0), ascii(track.handler), zeros(13)]));
  const stsd = box('stsd', concat([u32s(0, 1), sampleEntry(track)]));
  const minf = box('minf', box('stbl', stsd));
  return box('trak', concat([tkhd, ...editBytes(track), box('mdia', concat([mdhd, hdlr, minf]))]));
}

function editBytes({ editMediaTime, editEmpty }: TestTrack): Uint8Array[] {
  if (editMediaTime === undefined && editEmpty === undefined) return [];
  const entries = [
    ...(editEmpty === undefined ? [] : [u32s(editEmpty, 0xffffffff, 0x10000)]),
    u32s(0, editMediaTime ?? 0, 0x10000),
  ];
  return [box('edts', box('elst', concat([u32s(0, entries.length), ...entries])))];
}

function sampleEntry(track: TestTrack): Uint8Array {
  const boxes = [
    ...(track.config ? [box(track.config.type, track.config.body)] : []),
    ...(track.bitrateBps ? [box('btrt', u32s(0, track.bitrateBps, track.bitrateBps))] : []),
  ];
  if (track.handler === 'soun') return box(track.entry, concat([zeros(28), ...boxes]));
  const size = u32s(((track.width ?? 0) << 16) | (track.height ?? 0));
  return box(track.entry, concat([zeros(24), size, zeros(50), ...boxes]));
}

export interface TestSample {
  readonly data: Uint8Array;
  readonly duration: number;
  readonly compositionOffset?: number;
  readonly key?: boolean;
}

export interface TestRun {
  readonly trackId: number;
  readonly baseTicks: bigint;
  readonly samples: readonly TestSample[];
}

/** One `moof` with its `mdat`: the runs' samples one run after the other. */
export function fragmentBytes(runs: readonly TestRun[], sequence = 1): Uint8Array {
  const sizeOf = (dataOffsets: readonly number[]): Uint8Array =>
    box(
      'moof',
      concat([box('mfhd', u32s(0, sequence)), ...runs.map((run, i) => trafBytes(run, dataOffsets[i] ?? 0))]),
    );
  const moofSize = sizeOf(runs.map(() => 0)).length;
  let at = moofSize + 8;
  const offsets = runs.map(({ samples }) => {
    const start = at;
    for (const { data } of samples) at += data.length;
    return start;
  });
  const mdat = box('mdat', concat(runs.flatMap(({ samples }) => samples.map(({ data }) => data))));
  return concat([sizeOf(offsets), mdat]);
}

const KEY_FLAGS = 0x02000000;
const OTHER_FLAGS = 0x01010000;

function trafBytes({ trackId, baseTicks, samples }: TestRun, dataOffset: number): Uint8Array {
  const tfhd = box('tfhd', u32s(0x20000, trackId));
  const tfdt = box('tfdt', u32s(0x01000000, Number(baseTicks >> 32n), Number(baseTicks & 0xffffffffn)));
  const fields = samples.map(({ data, duration, compositionOffset = 0, key = true }) =>
    u32s(duration, data.length, key ? KEY_FLAGS : OTHER_FLAGS, compositionOffset >>> 0),
  );
  const trun = box('trun', concat([u32s(0x01000f01, samples.length, dataOffset), ...fields]));
  return box('traf', concat([tfhd, tfdt, trun]));
}

/** A run of `count` samples of `duration` ticks whose data says which they are: `<label><index>`. */
export function labelled(
  label: string,
  run: { trackId?: number; baseTicks: bigint; count: number; duration: number; from?: number },
): TestRun {
  const { trackId = 1, baseTicks, count, duration, from = 0 } = run;
  return {
    trackId,
    baseTicks,
    samples: Array.from({ length: count }, (_, i) => ({
      data: Buffer.from(`${label}${from + i};`),
      duration,
      key: i === 0,
    })),
  };
}

export interface TestEvent {
  readonly scheme: string;
  readonly value?: string;
  readonly timescale: number;
  readonly time: bigint;
  readonly id: number;
  readonly data: Uint8Array;
}

/** An `emsg` of version 0 (time behind the segment's start) or 1 (presentation time). */
export function emsgBytes(
  version: 0 | 1,
  { scheme, value = '', timescale, time, id, data }: TestEvent,
): Uint8Array {
  const texts = concat([ascii(`${scheme}\0${value}\0`)]);
  const [high, low] = [Number(time >> 32n), Number(time & 0xffffffffn)];
  const body =
    version === 0
      ? [u32s(0), texts, u32s(timescale, low, 0xffffffff, id)]
      : [u32s(0x01000000, timescale, high, low, 0xffffffff, id), texts];
  return box('emsg', concat([...body, data]));
}

export function stypBytes(...brands: readonly string[]): Uint8Array {
  return box('styp', concat([ascii('msdh'), u32s(0), ...brands.map(ascii)]));
}
