import type { Severity } from '../finding.ts';

interface Rule {
  readonly severity: Severity;
  readonly clause: string;
}

const AVAILABILITY = 'ISO/IEC 23009-1 5.3.9.5.3, A.3.4';

/** What can be wrong with how a DASH presentation is delivered, and with its bytes beside its MPD. */
export const BEHAVIOUR_RULES = {
  'dash-mpd-unreadable': { severity: 'error', clause: 'ISO/IEC 23009-1 5.2.2; XML 1.0' },
  'dash-mpd-unavailable': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4' },

  'dash-utc-clock-unreachable': { severity: 'error', clause: 'ISO/IEC 23009-1 5.8.5.7' },
  'dash-utc-clock-wrong': { severity: 'error', clause: 'ISO/IEC 23009-1 5.8.5.7' },
  'dash-utc-clock-off': { severity: 'warning', clause: 'ISO/IEC 23009-1 5.8.5.7' },
  'dash-utc-clock-cached': { severity: 'warning', clause: 'ISO/IEC 23009-1 5.8.5.7; RFC 9111 5.2.2' },

  'dash-init-unavailable': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.9.5.2, A.3.4' },
  'dash-segment-missing': { severity: 'error', clause: AVAILABILITY },
  'dash-window-missing': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.1.2, A.3.4' },
  'dash-segment-early': { severity: 'warning', clause: AVAILABILITY },
  'dash-edge-late': { severity: 'error', clause: AVAILABILITY },
  'dash-segment-slow': { severity: 'warning', clause: AVAILABILITY },
  'dash-edge-not-progressive': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.9.5.3 (availabilityTimeComplete); DASH-IF IOP low latency 9.X.4.5',
  },
  'dash-edge-first-byte': { severity: 'warning', clause: 'DASH-IF IOP low latency 9.X.4.5' },
  'dash-timeline-stalled': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.9.6, 5.4' },
  'dash-range': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.9.2; RFC 9110 14.2' },

  'dash-content-type': { severity: 'warning', clause: 'ISO/IEC 23009-1 Annex C, 5.3.7.2; RFC 9110 8.3' },
  'dash-cors': { severity: 'warning', clause: 'WHATWG Fetch 3.2' },
  'dash-cache-mpd': { severity: 'warning', clause: 'ISO/IEC 23009-1 5.4; RFC 9111 5.2.2' },
  'dash-cache-segment': { severity: 'warning', clause: 'RFC 9111 5.2.2.5' },
  'dash-cache-missing': { severity: 'warning', clause: 'RFC 9111 4.2' },

  'dash-segment-time': { severity: 'error', clause: 'ISO/IEC 23009-1 7.2.1; DASH-IF IOP timing model' },
  'dash-timeline-time': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.9.6, 7.2.1' },
  'dash-timeline-duration': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.9.6' },
  'dash-prft-missing': { severity: 'error', clause: 'ISO/IEC 23009-1 5.12.2' },
  'dash-prft-future': { severity: 'warning', clause: 'ISO/IEC 14496-12 8.16.5' },
  'dash-reference-time-off': { severity: 'warning', clause: 'ISO/IEC 23009-1 5.12.2' },
  'dash-bandwidth-too-low': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.5.2' },
  'dash-switching-boundaries': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2; ISO/IEC 23000-19 7.3.4',
  },
  'dash-media-short': { severity: 'warning', clause: 'ISO/IEC 23009-1 5.3.2.1' },
  'dash-media-type': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.7.2' },

  'dash-kid-mismatch': { severity: 'error', clause: 'ISO/IEC 23001-7 11.2.1; DASH-IF IOP 7.5.2' },
  'dash-protection-mismatch': { severity: 'error', clause: 'ISO/IEC 23009-1 5.8.5.2; ISO/IEC 23001-7 11.1' },
  'dash-protection-missing': { severity: 'error', clause: 'ISO/IEC 23009-1 5.8.4.1; DASH-IF IOP 7.5.2' },
  'dash-protection-on-clear': { severity: 'error', clause: 'ISO/IEC 23009-1 5.8.4.1' },

  'dash-update-id': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4' },
  'dash-update-type': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4' },
  'dash-update-availability-start': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.4; DASH-IF IOP timing model',
  },
  'dash-update-publish-time': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.1.2, 5.4' },
  'dash-update-period-removed': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.4; DASH-IF IOP timing model',
  },
  'dash-update-period-changed': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.4; DASH-IF IOP timing model',
  },
  'dash-update-period-moved': {
    severity: 'info',
    clause: 'ISO/IEC 23009-1 5.4; players that have read of it prepare for the old time',
  },
  'dash-update-sets': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4; DASH-IF IOP timing model' },
  'dash-update-addressing': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4' },
  'dash-update-timeline': { severity: 'error', clause: 'ISO/IEC 23009-1 5.4, 5.3.9.6' },
} as const satisfies Record<string, Rule>;

export type BehaviourRule = keyof typeof BEHAVIOUR_RULES;
