import type { Report } from '../contracts.ts';
import { type TellMedia, tellerOf } from './media-rules.ts';

/** Findings of one file; further ones are more of the same. */
const MAX_TOLD = 5;
const TIMESTAMP = String.raw`(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})`;
const TIMING = new RegExp(`^${TIMESTAMP}[ \\t]+-->[ \\t]+${TIMESTAMP}(?:[ \\t]+\\S.*)?$`);

/** Judges a WebVTT file (W3C WebVTT 4): header, and that each cue has a time at which it is shown. */
export function checkWebVtt(bytes: Uint8Array, report: Report): void {
  const tell = tellerOf(report);
  const text = decode(bytes);
  if (text === undefined) {
    tell('media-webvtt-encoding', 'it is not UTF-8');
    return;
  }
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const [header = ''] = lines;
  if (!/^WEBVTT(?:[ \t].*)?$/.test(header)) {
    tell('media-webvtt-header', `its first line is ${JSON.stringify(header.slice(0, 40))}`);
    return;
  }
  checkCues(lines, tell);
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function checkCues(lines: readonly string[], tell: TellMedia): void {
  let told = 0;
  for (const [index, line] of lines.entries()) {
    if (told >= MAX_TOLD || !isTimingLine(lines, index)) continue;
    const fault = timingFault(line);
    if (fault === undefined) continue;
    told += 1;
    tell('media-webvtt-timing', `line ${index + 1}: ${fault}`);
  }
}

/** The first line of a block, or its second behind an identifier; a comment may hold what it likes. */
function isTimingLine(lines: readonly string[], index: number): boolean {
  const line = lines[index] ?? '';
  const before = lines[index - 1] ?? '';
  if (!line.includes('-->') || [line, before].some((each) => each.startsWith('NOTE'))) return false;
  if (before.includes('-->')) return false;
  return before === '' || (lines[index - 2] ?? '') === '';
}

function timingFault(line: string): string | undefined {
  const match = TIMING.exec(line);
  if (!match) return `${JSON.stringify(line.slice(0, 60))} are no cue timings`;
  const [start, end] = [milliseconds(match.slice(1, 5)), milliseconds(match.slice(5, 9))];
  return end > start ? undefined : `a cue that ends at ${end} ms, before it begins at ${start} ms`;
}

function milliseconds([hours = '0', minutes = '0', seconds = '0', rest = '0']: readonly string[]): number {
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(rest);
}
