import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { renderTitleMpd } from '../../src/packager/dash/title-mpd.ts';
import { renderChapters } from '../../src/packager/hls/title-chapters.ts';
import { renderKeyFramesPlaylist } from '../../src/packager/hls/title-iframes.ts';
import { renderTitleMultivariant } from '../../src/packager/hls/title-multivariant.ts';
import { renderTitlePlaylist } from '../../src/packager/hls/title-playlist.ts';
import { renderThumbnailsVtt } from '../../src/packager/hls/title-thumbnails.ts';
import {
  CHAPTERS_NAME,
  initPath,
  keyFramesName,
  MPD_NAME,
  MULTIVARIANT_NAME,
  playlistName,
  segmentPath,
  textPath,
  thumbnailPath,
  THUMBNAILS_ID,
  THUMBNAILS_VTT_NAME,
} from '../../src/packager/media-path.ts';
import { type Encryption, PeriodCipher } from '../../src/packager/period-cipher.ts';
import { completeTitle, growTitle } from '../../src/packager/vod/title-growth.ts';
import { type PackagedSegment, TitleTrackPackager } from '../../src/packager/vod/title-track-packager.ts';
import type { Title, TitlePeriod, TitleTrack } from '../../src/stream/title.ts';
import type { Sample, Track } from '../../src/stream/track.ts';
import { readPiece, readStretch } from '../../src/vod/read-media.ts';
import { ffmpeg } from './ffmpeg.ts';

/** One rendition as its encoder made it. */
export interface SourceTrack {
  readonly id: string;
  readonly track: Track;
  readonly samples: readonly Sample[];
  readonly language: string | undefined;
  readonly label: string | undefined;
  /** The encoder's own file, to be compared with. */
  readonly file: string;
}

export const FRAME_RATE = { numerator: 24_000, denominator: 1001 };
export const FRAMES = 168;
const GOP_FRAMES = 24;
/** 2.002 s. */
export const SEGMENT_SECONDS = (48 * 1001) / 24_000;
export const DURATION_MS = Math.round((FRAMES * 1_001_000) / 24_000);

const RUNGS = [
  { id: '180p', size: '320x180', bitrate: '300k' },
  { id: '90p', size: '160x90', bitrate: '100k' },
];
const SOUNDS = [
  { id: 'audio-en', language: 'en', label: 'English', tone: 440, codec: ['aac', '-ac', '2', '-b:a', '64k'] },
  { id: 'audio-de', language: 'de', label: 'Deutsch', tone: 660, codec: ['aac', '-ac', '2', '-b:a', '64k'] },
  { id: 'audio-en-surround', language: 'en', label: 'English (5.1)', tone: 440, codec: ['ac3', '-ac', '6'] },
];

/** Encodes a moving picture at 23.976 fps with B-frames, two rungs, and sound in two languages, one also in 5.1. */
export async function encodeTitle(folder: string): Promise<SourceTrack[]> {
  const fragmented = ['-movflags', 'empty_moov+default_base_moof+frag_keyframe', '-f', 'mp4'];
  const seconds = String(DURATION_MS / 1000);
  const picture = `testsrc2=size=320x180:rate=${FRAME_RATE.numerator}/${FRAME_RATE.denominator}`;
  const rungs = RUNGS.flatMap(({ id, size, bitrate }) => [
    ...['-map', '0:v', '-s', size, '-frames:v', String(FRAMES), '-c:v', 'libx264', '-preset', 'veryfast'],
    ...['-pix_fmt', 'yuv420p', '-bf', '2', '-g', String(GOP_FRAMES), '-keyint_min', String(GOP_FRAMES)],
    ...['-sc_threshold', '0', '-b:v', bitrate, ...fragmented, join(folder, `${id}.mp4`)],
  ]);
  const tones = SOUNDS.flatMap(({ tone }) => [
    '-f',
    'lavfi',
    '-i',
    `sine=frequency=${tone}:sample_rate=48000`,
  ]);
  const sounds = SOUNDS.flatMap(({ id, codec }, index) => [
    ...['-map', `${index + 1}:a`, '-t', seconds, '-c:a', ...codec],
    ...['-movflags', 'delay_moov+default_base_moof', '-frag_duration', '1000000', '-f', 'mp4'],
    join(folder, `${id}.mp4`),
  ]);
  await ffmpeg(['-f', 'lavfi', '-i', picture, ...tones, ...rungs, ...sounds]);
  return Promise.all([
    ...RUNGS.map(async ({ id }) => {
      const file = join(folder, `${id}.mp4`);
      const place = { startFrame: 0, frameRate: FRAME_RATE, gopFrames: GOP_FRAMES };
      return { id, ...readPiece(await readFile(file), place), language: undefined, label: undefined, file };
    }),
    ...SOUNDS.map(async ({ id, language, label }) => {
      const file = join(folder, `${id}.mp4`);
      return { id, ...readStretch(await readFile(file)), language, label, file };
    }),
  ]);
}

/** A title with its files by their paths below `/vod/<title>/`. */
export interface BuiltTitle {
  readonly title: Title;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

export interface BuildOptions {
  /** Undefined: in the clear. */
  readonly encryption?: Encryption | undefined;
  /** Only so many segments of each rendition: the title grows. */
  readonly segments?: number | undefined;
  /** Of the only period. */
  readonly period?: string | undefined;
}

/** Two cues; times of the title. */
export const SUBTITLES =
  'WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello\n\n00:00:05.000 --> 00:00:06.000\nGoodbye\n';
/** Stands for a JPEG where nobody looks at it. */
const SHEET = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9);

/** Packages what {@link encodeTitle} made. */
export function buildTitle(sources: readonly SourceTrack[], options: BuildOptions = {}): BuiltTitle {
  const { encryption, segments: count, period = 'g1' } = options;
  const cipher = encryption && new PeriodCipher(encryption, 0);
  const blobs = new Map<string, Uint8Array>();
  const tracks = new Map<string, TitleTrack>();
  const packaged = new Map<string, PackagedSegment[]>();
  for (const { id, track, samples } of sources) {
    const sealed = cipher?.lock(track);
    const segmentTicks = SEGMENT_SECONDS * track.timescale;
    const packager = new TitleTrackPackager(track, { segmentTicks, startNumber: 0, offsetTicks: 0, sealed });
    const all = [...packager.add(samples), ...packager.flush()].slice(0, count);
    packaged.set(id, all);
    blobs.set(initPath(id, period), packager.init);
    for (const { bytes, segment } of all) blobs.set(segmentPath(id, period, segment.number), bytes);
    tracks.set(id, {
      track,
      init: packager.init,
      protection: sealed?.protection,
      offsetTicks: 0,
      segments: [],
    });
  }
  const empty: Title = {
    id: 'film',
    name: 'A film',
    state: 'growing',
    durationMs: DURATION_MS,
    segmentMs: SEGMENT_SECONDS * 1000,
    renditions: sources.map(({ id, track, language, label }) => ({
      ...{ id, kind: track.kind, language, label, isDefault: id === 'audio-en' },
      // What was planned: more than any of it takes.
      ...{ peakBps: 500_000, averageBps: 250_000 },
    })),
    periods: [{ id: period, startMs: 0, continues: false, tracks }],
    texts: [
      {
        id: 'text-en',
        language: 'en',
        label: 'English',
        isDefault: true,
        isForced: false,
        sizeBytes: SUBTITLES.length,
      },
    ],
    thumbnails: { columns: 2, rows: 2, width: 80, height: 45, intervalMs: 1000, sheetBytes: [4, 4] },
    chapters: [{ startMs: 0, name: 'All of it' }],
    createdMs: Date.UTC(2026, 10, 23),
    updatedMs: Date.UTC(2026, 10, 23),
  };
  blobs.set(textPath('text-en', period), Buffer.from(SUBTITLES));
  for (const sheet of [0, 1]) blobs.set(thumbnailPath(period, sheet), SHEET);
  const additions = [...packaged].map(([rendition, all]) => ({
    period,
    rendition,
    segments: all.map(({ segment }) => segment),
  }));
  const grown = growTitle(empty, additions, empty.createdMs + 1000);
  return { title: count === undefined ? completeTitle(grown, grown.updatedMs) : grown, blobs };
}

/** Every text that a title has by its name, as an origin would give it. */
export function titleTexts(title: Title): Map<string, string> {
  const texts = new Map([
    [MULTIVARIANT_NAME, renderTitleMultivariant(title)],
    [MPD_NAME, renderTitleMpd(title, { clockUrl: '/time' })],
    [CHAPTERS_NAME, renderChapters(title)],
    [THUMBNAILS_VTT_NAME, renderThumbnailsVtt(title)],
  ]);
  for (const id of [...title.renditions, ...title.texts, { id: THUMBNAILS_ID }].map((each) => each.id)) {
    const playlist = renderTitlePlaylist(title, id);
    if (playlist !== undefined) texts.set(playlistName(id), playlist);
    const keyFrames = renderKeyFramesPlaylist(title, id);
    if (keyFrames !== undefined) texts.set(keyFramesName(id), keyFrames);
  }
  return texts;
}

/** Writes a title into a folder, as it is served. */
export async function writeTitle({ title, blobs }: BuiltTitle, folder: string): Promise<void> {
  for (const [path, body] of [...blobs, ...titleTexts(title)]) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    // Whole or not at all: somebody may be reading.
    await writeFile(`${file}.new`, body);
    await rename(`${file}.new`, file);
  }
}

/**
 * The same title as one that was live has it: a second period from segment `at` on, and no media in one segment of a
 * rendition.
 */
export function splitTitle(
  { title, blobs }: BuiltTitle,
  at: number,
  gap: { readonly rendition: string; readonly number: number },
): BuiltTitle {
  const [whole] = title.periods;
  if (!whole) throw new Error('a title has a period');
  const startMs = at * SEGMENT_SECONDS * 1000;
  const part = (id: string, isFirst: boolean): TitlePeriod => ({
    id,
    startMs: isFirst ? 0 : startMs,
    continues: !isFirst,
    liveMs: Date.UTC(2026, 10, 22) + (isFirst ? 0 : startMs),
    tracks: new Map(
      [...whole.tracks].map(([rendition, own]) => [
        rendition,
        {
          ...own,
          offsetTicks: isFirst ? 0 : Math.round(at * SEGMENT_SECONDS * own.track.timescale),
          segments: own.segments
            .filter(({ number }) => number < at === isFirst)
            .map((segment) =>
              rendition === gap.rendition && segment.number === gap.number
                ? { ...segment, isGap: true, sizeBytes: 0, keyFrameBytes: 0 }
                : segment,
            ),
        },
      ]),
    ),
  });
  const second = 'g2';
  const moved = [...blobs].map(
    ([path, bytes]) => [path.replace(`/${whole.id}/`, `/${second}/`), bytes] as const,
  );
  return {
    title: { ...title, periods: [part(whole.id, true), part(second, false)] },
    blobs: new Map([...blobs, ...moved]),
  };
}
