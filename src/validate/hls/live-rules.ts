import { apple, rfc, type Rule } from './rule.ts';

type LiveRule = Pick<Rule<never>, 'rule' | 'severity' | 'clause'>;

/** Rules that are judged by what happens while a presentation is watched. */
export const LIVE_RULES = {
  playlistUnavailable: { rule: 'hls-playlist-unavailable', severity: 'error', clause: rfc('6.2.1') },
  notMedia: { rule: 'hls-playlist-kind', severity: 'error', clause: rfc('4.1') },
  notUpdated: { rule: 'hls-not-updated', severity: 'error', clause: rfc('6.2.1') },
  partLate: { rule: 'hls-part-late', severity: 'error', clause: rfc('6.2.1') },
  dateInFuture: { rule: 'hls-date-in-future', severity: 'warning', clause: apple('8.5') },

  blockRefused: { rule: 'hls-block-refused', severity: 'error', clause: rfc('6.2.5.2') },
  blockEarly: { rule: 'hls-block-answered-early', severity: 'error', clause: rfc('6.2.5.2') },
  blockEndless: { rule: 'hls-block-endless', severity: 'warning', clause: rfc('6.2.5.2') },
  farFuture: { rule: 'hls-far-future-not-refused', severity: 'warning', clause: rfc('6.2.5.2') },
  partWithoutMsn: { rule: 'hls-part-without-msn-accepted', severity: 'error', clause: rfc('6.2.5.2') },
  oldMsn: { rule: 'hls-old-msn-not-answered', severity: 'error', clause: rfc('6.2.5.2') },
  pastFinalPart: { rule: 'hls-past-final-part', severity: 'error', clause: rfc('6.2.5.2') },
  directivesAfterEnd: { rule: 'hls-directives-after-end', severity: 'error', clause: rfc('6.2.5.2') },

  deltaMissing: { rule: 'hls-delta-missing', severity: 'error', clause: rfc('6.2.5.1') },
  deltaWrong: { rule: 'hls-delta-wrong', severity: 'error', clause: rfc('6.2.5.1') },
  deltaDateRanges: { rule: 'hls-delta-dateranges', severity: 'error', clause: rfc('4.4.5.2') },

  hintUnavailable: { rule: 'hls-hint-unavailable', severity: 'error', clause: rfc('6.2.6') },
  hintTrickles: { rule: 'hls-hint-trickles', severity: 'error', clause: rfc('6.2.6') },
  hintOtherBytes: { rule: 'hls-hint-other-bytes', severity: 'error', clause: rfc('4.4.5.3') },

  reportMissing: { rule: 'hls-report-missing', severity: 'error', clause: rfc('B.1') },
  reportUnknown: { rule: 'hls-report-unknown', severity: 'error', clause: rfc('4.4.5.4') },
  reportStale: { rule: 'hls-report-stale', severity: 'error', clause: rfc('4.4.5.4') },
  reportAhead: { rule: 'hls-report-ahead', severity: 'error', clause: rfc('4.4.5.4') },

  http1: { rule: 'hls-http2-missing', severity: 'warning', clause: rfc('B.1') },

  mediaUnavailable: { rule: 'hls-media-unavailable', severity: 'error', clause: rfc('6.2.1') },
  segmentGone: { rule: 'hls-segment-gone-early', severity: 'error', clause: rfc('6.2.2') },
  partGone: { rule: 'hls-part-gone-early', severity: 'error', clause: rfc('6.2.2') },
  unknownNotMissing: { rule: 'hls-unknown-not-missing', severity: 'warning', clause: rfc('6.2.6') },
} as const satisfies Record<string, LiveRule>;
