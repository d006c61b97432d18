import { type CueStyle, type CueToken, writeCueText } from './cue-text.ts';
import { alignmentSettings } from './subrip.ts';
import {
  CueCollector,
  type CueLimits,
  type CueOutcome,
  DEFAULT_CUE_LIMITS,
  linesOf,
  tooLong,
} from './webvtt.ts';

/** The fields of a line of dialogue when the file does not say. */
const FIELDS = ['layer', 'start', 'end', 'style', 'name', 'marginl', 'marginr', 'marginv', 'effect', 'text'];
const MAX_FIELDS = 32;
const TIME = /^\s*(\d{1,4}):(\d{1,2}):(\d{1,2})[.:](\d{1,3})\s*$/;
const DEFAULT_ALIGNMENT = 2;

/**
 * Parses SubStation Alpha (ASS, SSA): the words with italics, bold and underline, and whether they stand above; drawings
 * and effects are dropped. Never throws.
 */
export function parseSubstation(text: string, limits: CueLimits = DEFAULT_CUE_LIMITS): CueOutcome {
  if (text.length > limits.maxCharacters) return tooLong(limits);
  const collector = new CueCollector(limits);
  const styles = new Map<string, number>();
  let section = '';
  let format: readonly string[] = FIELDS;
  for (const line of linesOf(text)) {
    const [, header] = /^\s*\[([^\]]{1,40})\]/.exec(line) ?? [];
    if (header !== undefined) {
      section = header.toLowerCase();
      continue;
    }
    const colon = line.indexOf(':');
    const key = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1);
    if (key === 'format') format = namesOf(value);
    else if (key === 'style' && section.endsWith('styles')) addStyle(styles, format, value);
    else if (key === 'dialogue' && section === 'events') addDialogue(collector, format, styles, value);
  }
  return { kind: 'cues', ...collector.file };
}

function namesOf(value: string): string[] {
  return value.split(',', MAX_FIELDS).map((name) => name.trim().toLowerCase());
}

/** Fields by their names; the last one has the commas that are left. */
function fieldsOf(format: readonly string[], value: string): ReadonlyMap<string, string> {
  const parts = value.split(',');
  const last = format.length - 1;
  return new Map(
    format.map((name, at) => [name, at === last ? parts.slice(at).join(',') : (parts[at] ?? '')] as const),
  );
}

function addStyle(styles: Map<string, number>, format: readonly string[], value: string): void {
  const fields = fieldsOf(format, value);
  const alignment = Number(fields.get('alignment') ?? DEFAULT_ALIGNMENT);
  if (styles.size < 1000) styles.set((fields.get('name') ?? '').trim(), alignment);
}

function addDialogue(
  collector: CueCollector,
  format: readonly string[],
  styles: ReadonlyMap<string, number>,
  value: string,
): void {
  const fields = fieldsOf(format, value);
  const text = fields.get('text') ?? '';
  const style = (fields.get('style') ?? '').trim().replace(/^\*/, '');
  const [, own] = /\\an([1-9])/.exec(text) ?? [];
  const alignment = own === undefined ? (styles.get(style) ?? DEFAULT_ALIGNMENT) : Number(own);
  collector.add({
    startMs: timeOf(fields.get('start')),
    endMs: timeOf(fields.get('end')),
    text: writeCueText(readDialogue(text)),
    settings: alignmentSettings(alignment >= 1 && alignment <= 9 ? alignment : DEFAULT_ALIGNMENT),
  });
}

/** -1: it is no time. */
function timeOf(text = ''): number {
  const match = TIME.exec(text);
  if (!match) return -1;
  const [, hours = '', minutes = '', seconds = '', fraction = ''] = match;
  const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
  return whole * 1000 + Number(fraction.padEnd(3, '0'));
}

const OVERRIDE_BLOCK = /\{[^{}]*\}/g;
const OVERRIDE = /\\(?:(i|b|u)(\d{0,3})|(p)(\d{1,2})|(r))(?![a-zA-Z])/g;

function readDialogue(text: string): CueToken[] {
  const tokens: CueToken[] = [];
  let isDrawing = false;
  let at = 0;
  const words = (end: number): void => {
    if (!isDrawing && end > at) tokens.push({ kind: 'text', text: plain(text.slice(at, end)) });
  };
  for (const block of text.matchAll(OVERRIDE_BLOCK)) {
    words(block.index);
    at = block.index + block[0].length;
    for (const [, style, value = '', draws, scale, reset] of block[0].matchAll(OVERRIDE)) {
      if (draws !== undefined) isDrawing = Number(scale) > 0;
      else if (reset !== undefined) tokens.push(...closeAll());
      // Bold may be a weight: 400 is that of plain text.
      else if (style !== undefined) tokens.push(styleToken(style as CueStyle, Number(value)));
    }
  }
  words(text.length);
  return tokens;
}

function styleToken(style: CueStyle, value: number): CueToken {
  return { kind: value === 1 || value > 400 ? 'open' : 'close', style };
}

function closeAll(): CueToken[] {
  return (['i', 'b', 'u'] as const).map((style) => ({ kind: 'close', style }));
}

function plain(text: string): string {
  return text.replaceAll('\\N', '\n').replaceAll('\\n', ' ').replaceAll('\\h', '\u00A0');
}
