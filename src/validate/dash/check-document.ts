import type { Report } from '../contracts.ts';
import type { DocumentRule } from './document-rule.ts';
import type { Mpd } from './mpd-model.ts';
import { ADDRESSING_RULES } from './rules-addressing.ts';
import { LOW_LATENCY_RULES } from './rules-low-latency.ts';
import { MPD_RULES } from './rules-mpd.ts';
import { PERIOD_RULES } from './rules-period.ts';
import { PROTECTION_RULES } from './rules-protection.ts';
import { SET_RULES } from './rules-set.ts';

/** Every rule about one state of the MPD. */
export const DOCUMENT_RULES: readonly DocumentRule[] = [
  ...MPD_RULES,
  ...PERIOD_RULES,
  ...SET_RULES,
  ...PROTECTION_RULES,
  ...ADDRESSING_RULES,
  ...LOW_LATENCY_RULES,
];

/** Judges one state of the MPD by itself. */
export function checkDocument(mpd: Mpd, report: Report): void {
  for (const { rule, severity, clause, find } of DOCUMENT_RULES) {
    for (const message of find(mpd)) report({ rule, severity, clause, message });
  }
}
