import { readTags, writeCueText } from './cue-text.ts';

/** Something to read for a time. */
export interface Cue {
  readonly startMs: number;
  /** After {@link startMs}. */
  readonly endMs: number;
  /** As WebVTT has it between two empty lines: escaped, with `<i>`, `<b>`, `<u>` only. Not empty. */
  readonly text: string;
  /** Cue settings of WebVTT that move it from where cues stand; empty: there. */
  readonly settings: string;
}

/** How much of a file of subtitles is taken. */
export interface CueLimits {
  readonly maxCharacters: number;
  /** Further ones are left out. */
  readonly maxCues: number;
}

export const DEFAULT_CUE_LIMITS: CueLimits = { maxCharacters: 16 * 1024 * 1024, maxCues: 50_000 };

/** What a file of subtitles has in it. */
export interface CueFile {
  /** In the order of their beginnings. */
  readonly cues: readonly Cue[];
  /** Those that could not be read or were over the limit. */
  readonly dropped: number;
}

export type CueOutcome =
  | ({ readonly kind: 'cues' } & CueFile)
  | { readonly kind: 'unreadable'; readonly reason: string };

/** The line of a cue near the upper edge. */
export const AT_THE_TOP = 'line:0';
export const IN_THE_MIDDLE = 'line:50%';

/** Later than that nobody means. */
const MAX_TIME_MS = 1000 * 3_600_000;

const TIMING =
  /^[ \t]*(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,:](\d{1,3})[ \t]*-->[ \t]*(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,:](\d{1,3})(?:[ \t]+(.{0,300}))?$/;

/** A line with the times of a cue, as WebVTT and SubRip have it; undefined: it is another line. */
export function readTiming(
  line: string,
): { readonly startMs: number; readonly endMs: number; readonly rest: string } | undefined {
  // Most lines are none: a cheap look first.
  if (!line.includes('-->')) return undefined;
  const match = TIMING.exec(line);
  if (!match) return undefined;
  const time = (at: number): number => {
    const [hours = '0', minutes = '0', seconds = '0', fraction = '0'] = match.slice(at, at + 4);
    const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    return whole * 1000 + Number(fraction.padEnd(3, '0'));
  };
  return { startMs: time(1), endMs: time(5), rest: match[9] ?? '' };
}

/** Lines without their ends, of any system. */
export function linesOf(text: string): string[] {
  return text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
}

/** Collects cues up to the limit; those without text or time are dropped. */
export class CueCollector {
  readonly #cues: Cue[] = [];
  readonly #seen = new Set<string>();
  readonly #maxCues: number;
  #dropped = 0;

  constructor({ maxCues }: CueLimits) {
    this.#maxCues = maxCues;
  }

  add(cue: Cue): void {
    const { startMs, endMs, text, settings } = cue;
    const isTimed = startMs >= 0 && endMs > startMs && endMs <= MAX_TIME_MS;
    if (!isTimed || text === '' || this.#cues.length >= this.#maxCues) {
      this.#dropped += 1;
      return;
    }
    // Layers and shadows of the same words would be read twice.
    const key = `${startMs} ${endMs} ${settings} ${text}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#cues.push(cue);
  }

  get file(): CueFile {
    return { cues: this.#cues.toSorted(byTime), dropped: this.#dropped };
  }
}

function byTime(a: Cue, b: Cue): number {
  return a.startMs - b.startMs || a.endMs - b.endMs;
}

/** Parses WebVTT (W3C, section 6.1). Never throws; what is no cue is skipped. */
export function parseWebvtt(text: string, limits: CueLimits = DEFAULT_CUE_LIMITS): CueOutcome {
  if (text.length > limits.maxCharacters) return tooLong(limits);
  const lines = linesOf(text);
  if (!/^WEBVTT(?:[ \t]|$)/.test(lines[0] ?? '')) {
    return { kind: 'unreadable', reason: 'it does not begin with WEBVTT' };
  }
  const collector = new CueCollector(limits);
  for (let at = 1; at < lines.length; at++) {
    const timing = readTiming(lines[at] ?? '');
    if (!timing) continue;
    const end = endOfCue(lines, at + 1);
    const tokens = readTags(lines.slice(at + 1, end).join('\n'), decodeEntities);
    const { startMs, endMs, rest } = timing;
    collector.add({ startMs, endMs, text: writeCueText(tokens), settings: readSettings(rest) });
    at = end - 1;
  }
  return { kind: 'cues', ...collector.file };
}

export function tooLong({ maxCharacters }: CueLimits): CueOutcome {
  return { kind: 'unreadable', reason: `it is longer than ${maxCharacters} characters` };
}

/** A cue ends at an empty line, or where another begins. */
function endOfCue(lines: readonly string[], from: number): number {
  let at = from;
  while (at < lines.length && lines[at] !== '' && !readTiming(lines[at] ?? '')) at += 1;
  return at;
}

/** Values of settings that are well-formed (W3C WebVTT 4.4); regions are dropped, with what they would have moved. */
const SETTINGS: Readonly<Record<string, RegExp>> = {
  vertical: /^(?:rl|lr)$/,
  line: /^(?:-?\d{1,3}|\d{1,3}(?:\.\d{1,6})?%)(?:,(?:start|center|end))?$/,
  position: /^\d{1,3}(?:\.\d{1,6})?%(?:,(?:line-left|center|line-right))?$/,
  size: /^\d{1,3}(?:\.\d{1,6})?%$/,
  align: /^(?:start|center|end|left|right)$/,
};

function readSettings(text: string): string {
  const kept = new Map<string, string>();
  for (const word of text.split(/[ \t]+/)) {
    const [name = '', value = ''] = word.split(':');
    if (Object.hasOwn(SETTINGS, name) && SETTINGS[name]?.test(value)) kept.set(name, value);
  }
  return [...kept].map(([name, value]) => `${name}:${value}`).join(' ');
}

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', nbsp: '\u00A0', quot: '"', apos: "'" },
  ...{ lrm: '\u200E', rlm: '\u200F' },
};

/** Character references, as far as subtitles have them. */
export function decodeEntities(text: string): string {
  return text.replace(/&(#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-z]{2,4});/g, (whole, name: string) => {
    if (!name.startsWith('#')) return (Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined) ?? whole;
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    const isCharacter = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : '';
  });
}

/** A WebVTT file. */
export function writeWebvtt(cues: readonly Cue[]): string {
  const blocks = cues.toSorted(byTime).map(({ startMs, endMs, text, settings }) => {
    const timing = `${clock(startMs)} --> ${clock(endMs)}`;
    return `${settings === '' ? timing : `${timing} ${settings}`}\n${text}\n`;
  });
  return ['WEBVTT\n', ...blocks].join('\n');
}

function clock(ms: number): string {
  const all = Math.round(ms);
  const two = (value: number): string => `${Math.floor(value)}`.padStart(2, '0');
  const parts = [all / 3_600_000, (all / 60_000) % 60, (all / 1000) % 60].map(two);
  return `${parts.join(':')}.${`${all % 1000}`.padStart(3, '0')}`;
}

/**
 * Cues on another clock: moved by `offsetMs`, those outside of `[0, durationMs)` left out, those that begin before 0 or
 * last longer cut.
 */
export function moveCues(cues: readonly Cue[], offsetMs: number, durationMs: number): Cue[] {
  return cues.flatMap((cue) => {
    const startMs = Math.max(0, Math.round(cue.startMs + offsetMs));
    const endMs = Math.min(durationMs, Math.round(cue.endMs + offsetMs));
    return endMs > startMs ? [{ ...cue, startMs, endMs }] : [];
  });
}
