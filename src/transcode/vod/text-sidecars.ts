import { opendir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { isNamedLanguage, languageName, languageTag, UNDETERMINED } from './master-language.ts';
import { printable } from './probe-process.ts';
import { fileCues, unreadableText } from './text-files.ts';
import type { MasterText } from './title-plan.ts';

/** What a file of subtitles is, by the end of its name; `codec` of a {@link MasterText} that has a path. */
export type SidecarKind = 'subrip' | 'webvtt' | 'ttml';

const KINDS: Readonly<Record<string, SidecarKind>> = {
  '.srt': 'subrip',
  '.vtt': 'webvtt',
  '.ttml': 'ttml',
  '.dfxp': 'ttml',
};
/** Entries of a folder that are looked at. */
const MAX_ENTRIES = 10_000;
const MAX_SIDECARS = 64;

/** What kind of subtitles a file is by its name; undefined: of none that is read. */
export function sidecarKind(path: string): SidecarKind | undefined {
  return KINDS[extname(path).toLowerCase()];
}

/** What lies beside a master. */
export interface Sidecars {
  readonly texts: readonly MasterText[];
  /** A sentence for each that cannot be read. */
  readonly leftOut: readonly string[];
}

/**
 * The files of subtitles beside a master that are called like it: `film.srt`, `film.de.srt`, `film.en.forced.vtt`,
 * `film.en.sdh.ttml` beside `film.mp4`. In the order of their names; plain files only, and only those with something to read.
 */
export async function findSidecars(masterPath: string): Promise<Sidecars> {
  const stem = basename(masterPath, extname(masterPath));
  const texts: MasterText[] = [];
  const leftOut: string[] = [];
  for (const name of await namesBeside(masterPath, stem)) {
    try {
      texts.push(await readSidecar(join(dirname(masterPath), name), undefined, stem));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      leftOut.push(`${printable(name)} is left out. ${error.message}`);
    }
  }
  return { texts, leftOut };
}

async function namesBeside(masterPath: string, stem: string): Promise<string[]> {
  // A folder that cannot be listed has no sidecars for us.
  const entries = await opendir(dirname(masterPath)).catch(() => undefined);
  if (!entries) return [];
  const names: string[] = [];
  let seen = 0;
  for await (const entry of entries) {
    seen += 1;
    if (seen > MAX_ENTRIES) break;
    if (entry.isFile() && entry.name.startsWith(`${stem}.`) && sidecarKind(entry.name))
      names.push(entry.name);
  }
  return names.sort().slice(0, MAX_SIDECARS);
}

/**
 * Looks at a file of subtitles beside a master: what it is by its name, and whether there is something to read in it.
 * `path` is one that may be read; a symbolic link is not followed. `stem`: see {@link describeSidecar}.
 * @throws AppError VOD_TEXT_UNREADABLE with a sentence for people and no path in it
 */
export async function readSidecar(
  path: string,
  language: string | undefined,
  stem?: string,
): Promise<MasterText> {
  const text = describeSidecar(path, language, stem);
  if (!text) throw unreadableText('Subtitles beside a master are .srt, .vtt, .ttml or .dfxp files.');
  await checkSidecar(path, text.codec);
  return text;
}

/**
 * Looks into a file of subtitles, whatever it is called.
 * @throws AppError VOD_TEXT_UNREADABLE with a sentence for people and no path in it
 */
export async function checkSidecar(path: string, codec: string): Promise<void> {
  const cues = await fileCues(path, codec);
  if (cues.length === 0) throw unreadableText('There is nothing to read in it.');
}

/**
 * What a file of subtitles is by its name and what somebody said of its language. Undefined: of no kind that is read.
 * `stem`: what its name begins with before it says more.
 */
export function describeSidecar(
  path: string,
  language: string | undefined,
  stem?: string,
): MasterText | undefined {
  const codec = sidecarKind(path);
  if (codec === undefined) return undefined;
  const name = basename(path, extname(path));
  const words = (stem !== undefined && name.startsWith(stem) ? name.slice(stem.length) : name).split('.');
  const parts = stem === undefined ? words.slice(1) : words;
  const tags = parts.map(languageTag).filter((tag) => tag !== UNDETERMINED && isNamedLanguage(tag));
  const said = new Set(parts.map((part) => part.toLowerCase()));
  const tag = language === undefined ? (tags[0] ?? UNDETERMINED) : languageTag(language);
  const isForHardOfHearing = said.has('sdh') || said.has('cc');
  return {
    index: undefined,
    path,
    codec,
    language: tag,
    label: isForHardOfHearing ? `${languageName(tag) ?? 'Subtitles'} (SDH)` : undefined,
    isDefault: said.has('default'),
    isForced: said.has('forced'),
  };
}
