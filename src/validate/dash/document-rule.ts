import type { Severity } from '../finding.ts';
import type { Mpd } from './mpd-model.ts';

/** A rule about one state of the MPD, looked at by itself. */
export interface DocumentRule {
  readonly rule: string;
  readonly severity: Severity;
  readonly clause: string;
  /** What is wrong, a sentence for each place; empty when all is well. */
  readonly find: (mpd: Mpd) => readonly string[];
}

/** The sentence in a list when the condition holds, else nothing. */
export function when(condition: boolean, sentence: string): string[] {
  return condition ? [sentence] : [];
}

/** Values that occur more than once, each once. */
export function repeated(values: readonly (string | undefined)[]): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const value of values) {
    if (value === undefined) continue;
    if (seen.has(value)) twice.add(value);
    seen.add(value);
  }
  return [...twice];
}
