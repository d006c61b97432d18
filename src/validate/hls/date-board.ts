import type { FindingLog } from '../finding.ts';
import type { Segment } from './playlist.ts';
import { rfc, tell } from './rule.ts';

/** The rule this board holds. */
export const DATE_BOARD_RULE = {
  rule: 'hls-dates-disagree',
  severity: 'error',
  clause: rfc('6.2.4'),
} as const;
/** Two frames at 20 fps: players align renditions by date and do not notice less. */
const TOLERANCE_MS = 100;

/** Holds how dates stand to media time in each rendition: the same everywhere, or switching makes the picture jump. */
export class DateBoard {
  readonly #log: FindingLog;
  /** By discontinuity sequence number: the first rendition's offset, ms. */
  readonly #offsets = new Map<number, { readonly url: string; readonly offsetMs: number }>();

  constructor(log: FindingLog) {
    this.#log = log;
  }

  /** Takes a dated segment whose media begin at `mediaMs`. */
  note(url: string, { discontinuityNumber, dateMs, msn }: Segment, mediaMs: number): void {
    if (dateMs === undefined) return;
    const offsetMs = dateMs - mediaMs;
    const known = this.#offsets.get(discontinuityNumber);
    if (!known) {
      this.#offsets.set(discontinuityNumber, { url, offsetMs });
      return;
    }
    const apartMs = Math.abs(offsetMs - known.offsetMs);
    if (known.url === url || apartMs <= TOLERANCE_MS) return;
    const message = `at segment ${msn} dates stand ${Math.round(apartMs)} ms off those of ${known.url} for the same media time`;
    tell(DATE_BOARD_RULE, { message }, { log: this.#log, url });
  }
}
