import { type CueToken, readTags, writeCueText } from './cue-text.ts';
import {
  AT_THE_TOP,
  CueCollector,
  type CueLimits,
  type CueOutcome,
  DEFAULT_CUE_LIMITS,
  IN_THE_MIDDLE,
  linesOf,
  readTiming,
  tooLong,
} from './webvtt.ts';

/** Overrides of SubStation in SubRip's text: only where on the picture it stands is taken from them. */
const OVERRIDES = /\{\\[^{}]{0,200}\}/g;
const ALIGNMENT = /\\an([1-9])/;

/**
 * Parses SubRip, as it is found: with or without numbers, hours and empty lines, with tags of HTML, most of which are
 * dropped. Never throws.
 */
export function parseSubrip(text: string, limits: CueLimits = DEFAULT_CUE_LIMITS): CueOutcome {
  if (text.length > limits.maxCharacters) return tooLong(limits);
  const lines = linesOf(text);
  const timings = lines.flatMap((line, at) => {
    const timing = readTiming(line);
    return timing ? [{ at, ...timing }] : [];
  });
  if (timings.length === 0) return { kind: 'unreadable', reason: 'it has no times' };
  const collector = new CueCollector(limits);
  for (const [index, { at, startMs, endMs }] of timings.entries()) {
    const next = timings[index + 1]?.at;
    const body = lines.slice(at + 1, next === undefined ? undefined : endOfBody(lines, at + 1, next));
    const joined = body.join('\n');
    collector.add({ startMs, endMs, text: writeCueText(readBody(joined)), settings: settingsOf(joined) });
  }
  return { kind: 'cues', ...collector.file };
}

/** Before the next cue's number, where it has one: a number with an empty line before it, or nothing but it. */
function endOfBody(lines: readonly string[], from: number, nextTiming: number): number {
  const last = nextTiming - 1;
  const isNumber = last >= from && /^\s*\d{1,9}\s*$/.test(lines[last] ?? '');
  const isApart = last === from || (lines[last - 1] ?? '').trim() === '';
  return isNumber && isApart ? last : nextTiming;
}

function readBody(text: string): CueToken[] {
  return readTags(text.replace(OVERRIDES, ''));
}

function settingsOf(text: string): string {
  const [override = ''] = text.match(OVERRIDES) ?? [];
  return alignmentSettings(Number(ALIGNMENT.exec(override)?.[1] ?? 2));
}

/** Where a cue stands, by SubStation's numbers: those of a keypad. */
export function alignmentSettings(alignment: number): string {
  const line = alignment >= 7 ? AT_THE_TOP : alignment >= 4 ? IN_THE_MIDDLE : '';
  const align = ['right', 'left', ''][alignment % 3] ?? '';
  return [line, align === '' ? '' : `align:${align}`].filter((word) => word !== '').join(' ');
}
