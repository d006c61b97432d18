import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { parseSubrip } from '../../media/subrip.ts';
import { parseSubstation } from '../../media/substation.ts';
import { parseTtml } from '../../media/ttml.ts';
import { type Cue, type CueOutcome, parseWebvtt } from '../../media/webvtt.ts';
import { PermanentJobError } from '../../state/job-queue.ts';

/** Largest file or track of subtitles. */
export const MAX_TEXT_BYTES = 16 * 1024 * 1024;
/** By the codec of a text: how its bytes are read. */
const PARSERS: Readonly<Record<string, (text: string) => CueOutcome>> = {
  subrip: parseSubrip,
  webvtt: parseWebvtt,
  ttml: parseTtml,
  ass: parseSubstation,
  ssa: parseSubstation,
};

/** The cues of a file of subtitles; a symbolic link is not followed. @throws PermanentJobError VOD_TEXT_UNREADABLE */
export async function fileCues(path: string, codec: string): Promise<readonly Cue[]> {
  return parseCues(codec, decodeText(await readBounded(path)));
}

async function readBounded(path: string): Promise<Uint8Array> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    throw unreadableText('The file of subtitles cannot be opened.', error);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unreadableText('The file of subtitles is not a file.');
    if (stat.size > MAX_TEXT_BYTES)
      throw unreadableText(`It has ${stat.size} bytes; ${MAX_TEXT_BYTES} are allowed.`);
    const bytes = new Uint8Array(stat.size);
    const { bytesRead } = await file.read(bytes, 0, stat.size, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** UTF-8, UTF-16 where a byte order mark says so, and else what Windows wrote in western Europe. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return decodeWindows(bytes);
  }
}

/** Characters 0x80 to 0x9F of windows-1252, where it differs from Latin-1 (WHATWG Encoding, index windows-1252). */
const WINDOWS = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F\u0090‘’“”•–—˜™š›œ\u009DžŸ';

/** By hand: some versions of Node take windows-1252 for Latin-1. */
function decodeWindows(bytes: Uint8Array): string {
  const latin = Buffer.from(bytes).toString('latin1');
  return latin.replace(/[\u0080-\u009F]/g, (each) => WINDOWS.charAt(each.charCodeAt(0) - 0x80));
}

/** @throws PermanentJobError VOD_TEXT_UNREADABLE */
export function parseCues(codec: string, text: string): readonly Cue[] {
  const outcome = PARSERS[codec]?.(text) ?? { kind: 'unreadable', reason: 'nobody here reads it' };
  if (outcome.kind === 'unreadable') throw unreadableText(`The subtitles cannot be read: ${outcome.reason}.`);
  return outcome.cues;
}

/** To try again would end the same way. The message is for people, and has no path in it. */
export function unreadableText(message: string, cause?: unknown): PermanentJobError {
  return new PermanentJobError('VOD_TEXT_UNREADABLE', message, { cause });
}
