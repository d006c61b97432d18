import type { Report } from '../contracts.ts';
import type { Severity } from '../finding.ts';

interface Rule {
  readonly severity: Severity;
  readonly clause: string;
}

/** What can be wrong with the bytes of a presentation, whichever manifest led to them. */
export const MEDIA_RULES = {
  'media-box-structure': { severity: 'error', clause: 'ISO/IEC 14496-12 4.2' },

  'media-init-no-moov': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.3; RFC 8216bis 3.1.2' },
  'media-init-ftyp': { severity: 'error', clause: 'ISO/IEC 14496-12 4.3; RFC 8216bis 3.1.2' },
  'media-init-brand': { severity: 'error', clause: 'RFC 8216bis 3.1.2' },
  'media-init-no-track': { severity: 'error', clause: 'ISO/IEC 14496-12 8.3.1' },
  'media-init-track-unreadable': { severity: 'error', clause: 'ISO/IEC 14496-12 8.3 to 8.5' },
  'media-init-several-tracks': { severity: 'error', clause: 'ISO/IEC 23000-19 7.3.1' },
  'media-init-no-mvex': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.1; RFC 8216bis 3.1.2' },
  'media-init-no-trex': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.3' },
  'media-init-samples': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.3; RFC 8216bis 3.1.2' },
  'media-init-media': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.3' },
  'media-init-duration': { severity: 'error', clause: 'RFC 8216bis 3.1.2' },
  'media-init-timescale': { severity: 'error', clause: 'ISO/IEC 14496-12 8.4.2' },
  'media-init-kind': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.3.2; RFC 8216bis 4.4.6.1' },
  'media-codec-mismatch': {
    severity: 'error',
    clause: 'RFC 6381 3.3; ISO/IEC 23009-1 5.3.7.2; RFC 8216bis 4.4.6.2',
  },
  'media-codec-level': { severity: 'error', clause: 'RFC 6381 3.3; ISO/IEC 14496-10 A.3' },
  'media-picture-size': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.7.2; RFC 8216bis 4.4.6.2' },
  'media-entry-size': { severity: 'warning', clause: 'ISO/IEC 14496-12 12.1.3' },

  'media-segment-unknown': { severity: 'error', clause: 'RFC 8216bis 3.1; ISO/IEC 23009-1 6.3.4' },
  'media-segment-no-fragment': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.4.2; RFC 8216bis 3.1.2' },
  'media-segment-no-samples': { severity: 'error', clause: 'ISO/IEC 23000-19 7.3.2.3' },
  'media-styp-order': { severity: 'warning', clause: 'ISO/IEC 14496-12 8.16.2' },
  'media-styp-brand': { severity: 'warning', clause: 'ISO/IEC 23009-1 6.3.4.2' },
  'media-no-mdat': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.4.2; ISO/IEC 23000-19 7.5.19' },
  'media-sequence-number': { severity: 'warning', clause: 'ISO/IEC 14496-12 8.8.5' },
  'media-fragment-unreadable': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.6 to 8.8.8' },
  'media-track-id': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.7; RFC 8216bis 3.1.2' },
  'media-tfdt-missing': {
    severity: 'error',
    clause: 'ISO/IEC 23009-1 6.3.4.2; ISO/IEC 23000-19 7.5.16; RFC 8216bis 3.1.2',
  },
  'media-base-offset': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.4.2; RFC 8216bis 3.1.2' },
  'media-base-is-moof': { severity: 'warning', clause: 'ISO/IEC 23009-1 6.3.4.2; ISO/IEC 14496-12 8.8.7' },
  'media-data-offset': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.8; ISO/IEC 23000-19 7.3.2.3' },
  'media-composition-offset': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.8' },
  'media-composition-origin': { severity: 'warning', clause: 'ISO/IEC 23000-19 7.5.17' },
  'media-sample-duration': { severity: 'error', clause: 'ISO/IEC 14496-12 8.6.1, 8.8.8' },
  'media-duration-zero': { severity: 'error', clause: 'ISO/IEC 23009-1 6.3.4.2' },
  'media-tfdt-order': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.12' },
  'media-gap': { severity: 'error', clause: 'ISO/IEC 23000-19 7.3.2.2; ISO/IEC 14496-12 8.8.12' },
  'media-overlap': { severity: 'error', clause: 'ISO/IEC 23000-19 7.3.2.2; ISO/IEC 14496-12 8.8.12' },
  'media-decode-time-drift': { severity: 'warning', clause: 'ISO/IEC 23000-19 7.3.2.2' },

  'media-not-sync': { severity: 'error', clause: 'ISO/IEC 23009-1 5.3.3.2; RFC 8216bis 4.4.2.1' },
  'media-sample-flags': { severity: 'error', clause: 'ISO/IEC 14496-12 8.8.3.1' },
  'media-sync-flag': { severity: 'error', clause: 'ISO/IEC 14496-15 5.4, 8.4; ISO/IEC 14496-12 8.8.3.1' },
  'media-sync-unmarked': { severity: 'warning', clause: 'ISO/IEC 14496-12 8.8.3.1' },
  'media-nal-length': { severity: 'error', clause: 'ISO/IEC 14496-15 5.3.4' },

  'media-prft-track': { severity: 'error', clause: 'ISO/IEC 14496-12 8.16.5' },
  'media-prft-order': { severity: 'error', clause: 'ISO/IEC 14496-12 8.16.5' },
  'media-prft-time': { severity: 'warning', clause: 'ISO/IEC 14496-12 8.16.5' },
  'media-emsg': { severity: 'error', clause: 'ISO/IEC 23009-1 5.10.3.3' },
  'media-emsg-version': { severity: 'error', clause: 'ISO/IEC 23000-19 7.4.5' },
  'media-emsg-order': { severity: 'error', clause: 'ISO/IEC 23009-1 5.10.3.3; ISO/IEC 23000-19 7.4.5' },
  'media-sidx': { severity: 'error', clause: 'ISO/IEC 14496-12 8.16.3' },

  'media-protection-incomplete': {
    severity: 'error',
    clause: 'ISO/IEC 14496-12 8.12; ISO/IEC 23001-7 4.1, 8.2',
  },
  'media-protection-scheme': { severity: 'error', clause: 'ISO/IEC 23001-7 4.2; ISO/IEC 23000-19 8.2.2' },
  'media-tenc-scheme': { severity: 'error', clause: 'ISO/IEC 23001-7 8.2, 10; ISO/IEC 23000-19 8.2.3.1' },
  'media-cbcs-pattern': { severity: 'warning', clause: 'ISO/IEC 23001-7 10.4; Apple HLS authoring 13.7' },
  'media-kid-zero': { severity: 'warning', clause: 'ISO/IEC 23001-7 8.2' },
  'media-pssh': { severity: 'error', clause: 'ISO/IEC 23001-7 8.1' },
  'media-auxiliary-missing': { severity: 'error', clause: 'ISO/IEC 23001-7 7.1' },
  'media-senc': { severity: 'error', clause: 'ISO/IEC 23001-7 7.2' },
  'media-senc-count': { severity: 'error', clause: 'ISO/IEC 23001-7 7.2; ISO/IEC 14496-12 8.7.8' },
  'media-saiz': { severity: 'error', clause: 'ISO/IEC 14496-12 8.7.8; ISO/IEC 23001-7 7.1' },
  'media-saio': { severity: 'error', clause: 'ISO/IEC 14496-12 8.7.9; ISO/IEC 23001-7 7.1' },
  'media-subsamples-missing': { severity: 'error', clause: 'ISO/IEC 23001-7 9.5' },
  'media-subsamples-sum': { severity: 'error', clause: 'ISO/IEC 23001-7 9.5.1' },
  'media-cenc-blocks': { severity: 'warning', clause: 'ISO/IEC 23001-7 9.5.2' },
  'media-iv-reused': { severity: 'error', clause: 'ISO/IEC 23001-7 9.3' },
  'media-counter-overlap': { severity: 'error', clause: 'ISO/IEC 23001-7 9.3' },
  'media-key-frame-incomplete': { severity: 'error', clause: 'RFC 8216bis 4.4.3.6; DASH-IF IOP 4.3 3.2.9' },
  'media-key-frame-not-sync': { severity: 'error', clause: 'RFC 8216bis 4.4.3.6; DASH-IF IOP 4.3 3.2.9' },
  'media-key-frame-surplus': { severity: 'warning', clause: 'RFC 8216bis 4.4.3.6; DASH-IF IOP 4.3 3.2.9' },
  'media-webvtt-encoding': { severity: 'error', clause: 'W3C WebVTT 4.1; RFC 8216bis 3.1.4' },
  'media-webvtt-header': { severity: 'error', clause: 'W3C WebVTT 4.1; RFC 8216bis 3.1.4' },
  'media-webvtt-timing': { severity: 'error', clause: 'W3C WebVTT 4.1' },
  'media-ts-sync': { severity: 'error', clause: 'ISO/IEC 13818-1 2.4.3; RFC 8216bis 3.1.1' },
  'media-ts-tables': { severity: 'warning', clause: 'RFC 8216bis 3.1.1' },
} as const satisfies Record<string, Rule>;

export type MediaRule = keyof typeof MEDIA_RULES;

/** Tells that a rule is broken, with what was seen and what it should have been. */
export type TellMedia = (rule: MediaRule, message: string) => void;

/** A {@link TellMedia} that hands findings to `report`. */
export function tellerOf(report: Report): TellMedia {
  return (rule, message) => report({ rule, ...MEDIA_RULES[rule], message });
}
