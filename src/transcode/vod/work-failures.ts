import { AppError, type ErrorCode } from '../../base/errors.ts';
import { PermanentJobError } from '../../state/job-queue.ts';
import type { WorkEnd } from './work-run.ts';

/** What a failed run is called, by the kind of work. */
export type WorkErrorCode = Extract<
  ErrorCode,
  'VOD_COMPLEXITY_FAILED' | 'VOD_PIECE_FAILED' | 'VOD_AUDIO_FAILED' | 'VOD_THUMBNAILS_FAILED'
>;

/** To read it again would end the same way. */
const MASTER_IS_BROKEN = [
  /invalid data found when processing input/i,
  /moov atom not found/i,
  /could not find codec parameters/i,
  /matches no streams/i,
  /not on (the )?(codec|format) whitelist|not in whitelist|not on whitelist/i,
  /error rate \S+ exceeds maximum/i,
  /picture size \S+ (is invalid|exceeds)/i,
];

/** This ffmpeg lacks something, or we asked for nonsense: another attempt does not help either. */
const CANNOT_BE_DONE = [
  /unknown encoder/i,
  /no such filter/i,
  /unrecognized option/i,
  /option \S+ not found/i,
];

/** Said after what went wrong, without saying what. */
const NOISE =
  /^(conversion failed|error while filtering|failed to inject frame|terminating thread|last message repeated)/i;

const LINES_THAT_MATTER = [
  ...CANNOT_BE_DONE,
  ...MASTER_IS_BROKEN,
  /no space left|cannot allocate|too many open files|permission denied|input\/output error|no such file/i,
  /error|invalid|failed|cannot|corrupt|missing|unsupported/i,
];

/** Of what ffmpeg said last, the line that tells most. */
export function lineThatMatters(lines: readonly string[]): string | undefined {
  const telling = lines.filter((line) => !NOISE.test(line.replace(/^\[[^\]]*\]\s*/, '')));
  for (const pattern of LINES_THAT_MATTER) {
    const line = telling.find((candidate) => pattern.test(candidate));
    if (line !== undefined) return line;
  }
  return telling.at(-1) ?? lines.at(-1);
}

/**
 * What a run of ffmpeg that did not end well is for the job. Only what the master or this ffmpeg makes sure of fails for
 * good: one that was killed, or found no room, may fare better elsewhere.
 */
export function failureOf(end: WorkEnd, code: WorkErrorCode, masterPath: string): AppError {
  if (end.killedFor === 'aborted') return new AppError('JOB_CANCELLED', 'The job was taken back.');
  if (end.exit.kind === 'missing') return new AppError('TRANSCODE_FFMPEG_MISSING');
  if (end.killedFor === 'hung') return new AppError(code, 'ffmpeg got nowhere for too long and was ended.');
  const { signal } = end.exit;
  const line = lineThatMatters(end.lines)?.replaceAll(masterPath, 'master').trim();
  if (signal !== null) return new AppError(code, withLine(`ffmpeg was ended by ${signal}`, line));
  const message = withLine(`ffmpeg ended with ${end.exit.code}`, line);
  const isFinal = [...MASTER_IS_BROKEN, ...CANNOT_BE_DONE].some((pattern) => line && pattern.test(line));
  return isFinal ? new PermanentJobError(code, message) : new AppError(code, message);
}

function withLine(sentence: string, line: string | undefined): string {
  return line === undefined || line === '' ? `${sentence}.` : `${sentence}: ${line}`;
}
