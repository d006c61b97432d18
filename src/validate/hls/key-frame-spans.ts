import type { KeyFrameFacts } from '../media/check-key-frame.ts';
import type { Segment } from './playlist.ts';
import { rfc, say, type Sink, tell } from './rule.ts';

export const KEY_FRAME_RULES = {
  span: { rule: 'hls-i-frame-span-wrong', severity: 'error', clause: rfc('4.4.3.6') },
} as const;

/** What EXTINF may be off: some text has two decimals, and many frames are rounded. */
const TOLERANCE_SECONDS = 0.1;

/** Compares the EXTINF of each I-frame with when the next one is shown (RFC 8216bis 4.4.3.6). */
export class KeyFrameSpans {
  readonly #sink: Sink;
  #last: { readonly segment: Segment; readonly facts: KeyFrameFacts } | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Takes the next I-frame; undefined facts: it could not be read. */
  note(segment: Segment, facts: KeyFrameFacts | undefined): void {
    const last = this.#last;
    this.#last = facts && { segment, facts };
    if (!last || !facts || segment.discontinuity || segment.msn !== last.segment.msn + 1) return;
    const { seconds, msn, line } = last.segment;
    if (seconds === undefined) return;
    const span = facts.presentationSeconds - last.facts.presentationSeconds;
    if (Math.abs(span - seconds) <= TOLERANCE_SECONDS) return;
    const message = `EXTINF of I-frame ${msn} is ${say(seconds)}, the next one comes after ${say(span)}`;
    tell(KEY_FRAME_RULES.span, { line, message }, this.#sink);
  }
}
