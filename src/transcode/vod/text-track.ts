import { type Cue, moveCues, writeWebvtt } from '../../media/webvtt.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { Attempt } from './encode-piece.ts';
import { masterInputArguments } from './master-input.ts';
import { type RunTool, tellingLine } from './probe-process.ts';
import { fileCues, MAX_TEXT_BYTES, parseCues, unreadableText } from './text-files.ts';
import { type PlannedText, type TextResult, type TitleWork, workPrefix } from './title-plan.ts';
import { MAX_WORK_PIXELS, MAX_WORK_STREAMS } from './work-limits.ts';

export interface TextDeps {
  readonly run: RunTool;
  readonly store: BlobStore;
  /** The program: a name looked up in PATH, or a path. */
  readonly ffmpeg: string;
}

/** All of a large master is read for its text; no more than that happens. */
const TIMEOUT_MS = 4 * 3_600_000;

/**
 * Does the `text` job of a title: one track of subtitles, of the master or a file beside it, as WebVTT whose times count from
 * the title's 0. Times of a file beside the master count from there already.
 * @throws PermanentJobError VOD_TEXT_UNREADABLE; AppError STORAGE_…; the signal's reason
 */
export async function makeText(
  work: TitleWork,
  id: string,
  { number, signal }: Pick<Attempt, 'number' | 'signal'>,
  deps: TextDeps,
): Promise<TextResult> {
  const text = work.plan.texts.find((each) => each.id === id);
  if (!text) throw unreadableText('The plan has no such track of text.');
  const moved =
    text.path === undefined
      ? await embeddedCues(work, text, signal, deps)
      : moveCues(await fileCues(text.path, text.codec), 0, work.plan.durationMs);
  const bytes = Buffer.from(writeWebvtt(moved), 'utf8');
  const key = `${workPrefix(work)}${id}/${number}/text.vtt`;
  signal.throwIfAborted();
  await deps.store.put(key, bytes, { contentType: 'text/vtt; charset=utf-8' });
  return { key, sizeBytes: bytes.length, cues: moved.length };
}

/** Where the title begins on the master's clock. Of sound alone nobody has looked: its files begin at 0, or so. */
function zeroMs({ master }: TitleWork): number {
  return master.video?.startMs ?? 0;
}

/** SubStation as it is, since ffmpeg would write its drawings out as words; everything else as ffmpeg makes WebVTT of it. */
async function embeddedCues(
  work: TitleWork,
  text: PlannedText,
  signal: AbortSignal,
  deps: TextDeps,
): Promise<readonly Cue[]> {
  const isSubstation = text.codec === 'ass' || text.codec === 'ssa';
  const zero = zeroMs(work);
  // SubStation counts hundredths of a second: they are made to begin with the title, not with the file.
  const aheadMs = isSubstation ? Math.ceil(zero / SUBSTATION_TICK_MS) * SUBSTATION_TICK_MS - zero : 0;
  const format = isSubstation ? ['-c:s', 'copy', '-f', 'ass'] : ['-c:s', 'webvtt', '-f', 'webvtt'];
  const bytes = await extract(work, { index: text.index ?? 0, aheadMs, format }, signal, deps);
  const cues = parseCues(isSubstation ? 'ass' : 'webvtt', bytes.toString('utf8'));
  return moveCues(cues, -(zero + aheadMs), work.plan.durationMs);
}

const SUBSTATION_TICK_MS = 10;

interface Extraction {
  readonly index: number;
  /** Added to all times. */
  readonly aheadMs: number;
  readonly format: readonly string[];
}

async function extract(
  { master, masterPath }: TitleWork,
  { index, aheadMs, format }: Extraction,
  signal: AbortSignal,
  { run, ffmpeg }: TextDeps,
): Promise<Buffer> {
  const limits = { maxPixels: MAX_WORK_PIXELS, maxStreams: MAX_WORK_STREAMS };
  const args = [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error', '-copyts'],
    ...['-itsoffset', (aheadMs / 1000).toFixed(6)],
    ...masterInputArguments(master.demuxer, masterPath, limits),
    ...['-map', `0:${index}`, ...format, 'pipe:1'],
  ];
  const outcome = await run(
    { program: ffmpeg, args, timeoutMs: TIMEOUT_MS, maxOutputBytes: MAX_TEXT_BYTES },
    signal,
  );
  if (outcome.kind === 'too-much') {
    throw unreadableText(`The track of text is longer than ${MAX_TEXT_BYTES} bytes.`);
  }
  if (outcome.kind === 'too-slow' || outcome.code !== 0) throw unreadableText(sentence(outcome.said));
  return outcome.output;
}

function sentence(said: string): string {
  const line = tellingLine(said);
  return line === '' ? 'The track of text cannot be read.' : `The track of text cannot be read: ${line}`;
}
