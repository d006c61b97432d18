import { findBox, readBoxes } from '../../media/isobmff/box-reader.ts';
import { BoxWriter, fourCc } from '../../media/isobmff/box-writer.ts';
import { TRACK_ID } from '../../media/isobmff/init-segment.ts';
import type { Title, TitlePeriod, TitleTrack } from '../../stream/title.ts';
import { type IndexedStretch, MAX_INDEXED_STRETCHES, writeSegmentIndex } from './segment-index.ts';
import { type StoredPart, storedPart, type TitleFile } from './title-file.ts';

/** One track of a download: what a rendition has in each period of the title. */
interface DownloadTrack {
  readonly trackId: number;
  readonly rendition: string;
  readonly first: TitleTrack;
}

/** Fragments of one segment that have numbers of their own. */
const SEQUENCES_A_SEGMENT = 512;

/**
 * A rendition with the sound that is played unless the viewer wants another, as one MP4 file (fragmented, with an index):
 * the stored samples as they are, times from 0. Undefined: there is no such rendition, or the title cannot be one file in
 * the clear: it still grows, is encrypted, or changes its pictures' size or codec in the middle.
 */
export function downloadFile(title: Title, rendition: string): TitleFile | undefined {
  const tracks = tracksOf(title, rendition);
  if (!tracks || title.state !== 'complete') return undefined;
  const head = fileHead(tracks, title);
  const body: StoredPart[] = [];
  const stretches: IndexedStretch[] = [];
  let nextTicks = 0;
  let isSeamless = true;
  for (const period of title.periods) {
    for (const number of numbersOf(period, tracks)) {
      const parts = tracks.flatMap((track) => partOf(track, period, number, body.length + track.trackId));
      const [lead] = parts;
      if (!lead) continue;
      isSeamless &&= lead.rendition === rendition && Math.abs(lead.startTicks - nextTicks) < 1;
      nextTicks = lead.startTicks + lead.durationTicks;
      body.push(...parts.map(({ part }) => part));
      stretches.push({
        sizeBytes: parts.reduce((sum, { part }) => sum + part.sizeBytes, 0),
        durationTicks: lead.durationTicks,
        isIndependent: lead.isIndependent,
      });
    }
  }
  const isIndexed = isSeamless && stretches.length > 0 && stretches.length <= MAX_INDEXED_STRETCHES;
  const timescale = tracks[0]?.first.track.timescale ?? 1;
  const index = isIndexed ? [writeSegmentIndex(timescale, 0, stretches)] : [];
  const parts = [head, ...index, ...body];
  const sizeBytes = parts.reduce(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : part.sizeBytes),
    0,
  );
  return { parts, sizeBytes };
}

/** The track asked for, and the default sound beside pictures. */
function tracksOf(title: Title, rendition: string): readonly DownloadTrack[] | undefined {
  const main = title.renditions.find(({ id }) => id === rendition);
  if (!main) return undefined;
  const sounds = main.kind === 'video' ? title.renditions.filter(({ kind }) => kind === 'audio') : [];
  const sound = sounds.find(({ isDefault }) => isDefault) ?? sounds[0];
  const tracks: DownloadTrack[] = [];
  for (const { id } of sound ? [main, sound] : [main]) {
    const first = onlyTrack(title, id);
    if (!first) return undefined;
    tracks.push({ trackId: TRACK_ID + tracks.length, rendition: id, first });
  }
  return tracks;
}

/** What a rendition has in the first period that has it, when it has the same in all, in the clear. */
function onlyTrack({ periods }: Title, rendition: string): TitleTrack | undefined {
  const all = periods.flatMap(({ tracks }) => tracks.get(rendition) ?? []);
  const [first] = all;
  if (!first || all.some(({ protection }) => protection)) return undefined;
  return all.every(({ init }) => Buffer.compare(init, first.init) === 0) ? first : undefined;
}

function numbersOf({ tracks: all }: TitlePeriod, tracks: readonly DownloadTrack[]): number[] {
  const numbers = tracks.flatMap(({ rendition }) =>
    (all.get(rendition)?.segments ?? []).flatMap(({ number, isGap }) => (isGap ? [] : number)),
  );
  return [...new Set(numbers)].toSorted((one, other) => one - other);
}

function partOf({ trackId, rendition }: DownloadTrack, period: TitlePeriod, number: number, index: number) {
  const own = period.tracks.get(rendition);
  const segment = own?.segments[number - (own.segments[0]?.number ?? 0)];
  if (!own || !segment || segment.isGap) return [];
  const { timescale, kind } = own.track;
  const shiftTicks = Math.round((period.startMs * timescale) / 1000) - own.offsetTicks;
  return [
    {
      rendition,
      startTicks: segment.startTicks + shiftTicks,
      durationTicks: segment.durationTicks,
      isIndependent: kind === 'audio' || segment.keyFrameBytes > 0,
      part: storedPart(rendition, period.id, segment, {
        trackId,
        shiftTicks,
        sequence: index * SEQUENCES_A_SEGMENT + 1,
      }),
    },
  ];
}

const BRANDS = ['iso6', 'mp41', 'isom'] as const;
/** ftyp, mvhd, mvex with a trex for each track. */
const FIXED_BYTES = 512;

/** ftyp and moov of all tracks. */
function fileHead(tracks: readonly DownloadTrack[], title: Title): Uint8Array {
  const size = tracks.reduce((sum, { first }) => sum + first.init.length, FIXED_BYTES);
  const writer = new BoxWriter(size);
  const ftyp = writer.begin(fourCc('ftyp'));
  writer.ascii('iso6');
  writer.u32(0);
  for (const brand of BRANDS) writer.ascii(brand);
  writer.end(ftyp);
  const moov = writer.begin(fourCc('moov'));
  const [main] = tracks;
  if (!main) throw new RangeError('a download has a track');
  const mvhd = copyBox(writer, main.first.init, ['moov', 'mvhd']);
  // Its last field: the id that the next track would have.
  patch(writer, mvhd.end - 4, TRACK_ID + tracks.length);
  for (const { first, trackId } of tracks) {
    const trak = copyBox(writer, first.init, ['moov', 'trak']);
    patch(writer, trak.start + TKHD_TRACK_ID, trackId);
  }
  const mvex = writer.begin(fourCc('mvex'));
  const mehd = writer.beginFull(fourCc('mehd'), 1, 0);
  writer.u64(Math.round((title.durationMs * main.first.track.timescale) / 1000));
  writer.end(mehd);
  for (const { first, trackId } of tracks) {
    const trex = copyBox(writer, first.init, ['moov', 'mvex', 'trex']);
    patch(writer, trex.start + TREX_TRACK_ID, trackId);
  }
  writer.end(mvex);
  writer.end(moov);
  return writer.bytes.slice(0, writer.offset);
}

/** In a trak that begins with its tkhd of version 0, as ours do. */
const TKHD_TRACK_ID = 8 + 8 + 4 + 8;
const TREX_TRACK_ID = 8 + 4;

function copyBox(writer: BoxWriter, init: Uint8Array, path: readonly string[]) {
  const box = findBox(readBoxes(init).boxes, path);
  if (!box) throw new Error(`an initialization segment has no ${path.at(-1)}`);
  const start = writer.offset;
  writer.raw(init.subarray(box.start, box.end));
  return { start, end: writer.offset };
}

function patch({ bytes }: BoxWriter, offset: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(offset, value);
}
