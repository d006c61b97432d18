import { AUDIO_CODECS, TEXT_CODECS, VIDEO_CODECS } from './master-input.ts';
import { languageTag } from './master-language.ts';
import { milliseconds } from './master-video.ts';
import type { ProbedChapter, ProbedStream } from './probe-report.ts';
import type { Master, MasterAudio, MasterText } from './title-plan.ts';

/** The streams of a file, by what is made of them. */
export interface SortedStreams {
  /** The one that is encoded. */
  readonly video: ProbedStream | undefined;
  readonly audios: readonly ProbedStream[];
  readonly texts: readonly ProbedStream[];
  /** A sentence for each that is not. */
  readonly leftOut: readonly string[];
  /** It has pictures, but all in codecs that are not decoded: which. */
  readonly undecodable: string | undefined;
}

/** Covers and other pictures that stand beside the film. */
const STILL = ['attached_pic', 'timed_thumbnails', 'still_image'];
/** Tracks of one kind that are taken. */
const MAX_AUDIOS = 32;
const MAX_TEXTS = 64;
const MAX_CHAPTERS = 500;
const MAX_CHAPTER_NAME = 100;

/** Picks the streams that something is made of. */
export function sortStreams(streams: readonly ProbedStream[]): SortedStreams {
  const pictures = streams.filter(
    ({ kind, dispositions }) => kind === 'video' && !STILL.some((name) => dispositions.has(name)),
  );
  const decodable = pictures.filter(({ codec }) => VIDEO_CODECS.has(codec));
  const video = mainVideo(decodable);
  const audio = streams.filter(({ kind }) => kind === 'audio');
  const audios = audio.filter(isAudible);
  const text = streams.filter(({ kind }) => kind === 'subtitle');
  const texts = text.filter(({ codec }) => TEXT_CODECS.has(codec));
  const leftOut = [
    ...pictures
      .filter((stream) => stream !== video)
      .map((stream) => `${nameOf(stream)}: other pictures than the main ones are left out.`),
    ...audio
      .filter((stream) => !isAudible(stream))
      .map((stream) => `${nameOf(stream)}: this sound cannot be decoded and is left out.`),
    ...text
      .filter(({ codec }) => !TEXT_CODECS.has(codec))
      .map((stream) => `${nameOf(stream)}: subtitles that are pictures, not text, are left out.`),
    ...tooMany('sound', audios.length, MAX_AUDIOS),
    ...tooMany('subtitles', texts.length, MAX_TEXTS),
  ];
  return {
    video,
    audios: audios.slice(0, MAX_AUDIOS),
    texts: texts.slice(0, MAX_TEXTS),
    leftOut,
    undecodable: video ? undefined : pictures[0]?.codec,
  };
}

/** The one marked as default, else the largest; of equals the first. */
function mainVideo(streams: readonly ProbedStream[]): ProbedStream | undefined {
  const marked = streams.filter(({ dispositions }) => dispositions.has('default'));
  const area = ({ width = 0, height = 0 }: ProbedStream): number => width * height;
  return (marked.length > 0 ? marked : streams).toSorted((a, b) => area(b) - area(a))[0];
}

function isAudible({ codec, channels, sampleRate }: ProbedStream): boolean {
  return AUDIO_CODECS.has(codec) && channels !== undefined && sampleRate !== undefined;
}

function tooMany(what: string, count: number, allowed: number): string[] {
  return count > allowed ? [`Only ${allowed} of ${count} tracks of ${what} are taken.`] : [];
}

function nameOf({ index, codec }: ProbedStream): string {
  return `Stream ${index} (${codec})`;
}

/** A track of sound. */
export function describeAudio(stream: ProbedStream): MasterAudio {
  return {
    index: stream.index,
    codec: stream.codec,
    channels: stream.channels ?? 0,
    sampleRate: stream.sampleRate ?? 0,
    language: languageTag(stream.tags.get('language')),
    label: labelOf(stream),
    isDefault: stream.dispositions.has('default'),
    bitrateBps: stream.bitrateBps ?? bitrateTag(stream),
  };
}

/** A track of subtitles in the file. */
export function describeText(stream: ProbedStream): MasterText {
  return {
    index: stream.index,
    path: undefined,
    codec: stream.codec,
    language: languageTag(stream.tags.get('language')),
    label: labelOf(stream),
    isDefault: stream.dispositions.has('default'),
    isForced: stream.dispositions.has('forced'),
  };
}

/** Names that muxers give of themselves. */
const SAYS_NOTHING = /^(?:audio|sound|stereo|mono|subtitles?|text|track|und)[\s\d]*$/i;

/** What a menu is to say, when the file says so itself. `handler_name` is what the muxer's makers call their code. */
function labelOf({ tags, dispositions }: ProbedStream): string | undefined {
  const title = tags.get('title') ?? tags.get('name');
  if (title !== undefined && !SAYS_NOTHING.test(title)) return title;
  if (dispositions.has('comment')) return 'Commentary';
  return dispositions.has('visual_impaired') || dispositions.has('descriptions')
    ? 'Audio description'
    : undefined;
}

/** Matroska's statistics. */
function bitrateTag({ tags }: ProbedStream): number | undefined {
  const rate = Number(tags.get('bps') ?? Number.NaN);
  return Number.isSafeInteger(rate) && rate > 0 ? rate : undefined;
}

/** Chapters on the title's clock, which begins at `zeroMs` of the file's; those behind its end are left out. */
export function describeChapters(
  chapters: readonly ProbedChapter[],
  zeroMs: number,
  durationMs: number,
): Master['chapters'] {
  return chapters
    .toSorted((a, b) => a.start - b.start)
    .slice(0, MAX_CHAPTERS)
    .map(({ start, title }, index) => ({
      startMs: Math.max(0, Math.round(milliseconds(start) - zeroMs)),
      name: title?.slice(0, MAX_CHAPTER_NAME) ?? `Chapter ${index + 1}`,
    }))
    .filter(({ startMs }) => startMs < durationMs);
}
