import type { KeyTier } from '../../media/protection.ts';
import type {
  CpixDocument,
  CpixKeyPeriod,
  CpixRange,
  CpixRefusal,
  CpixUsageRule,
  CpixVideoFilter,
} from './cpix-document.ts';

/** A rendition in a crypto period: what one key must be found for. */
export interface KeyContext {
  readonly track:
    | {
        readonly kind: 'video';
        readonly pixels: number;
        readonly framesPerSecond?: number;
        readonly hdr?: boolean;
        readonly wcg?: boolean;
      }
    | { readonly kind: 'audio'; readonly channels: number };
  readonly labels?: readonly string[];
  readonly bitrateMbps?: number;
  /** Undefined: the content does not rotate. */
  readonly period?: { readonly index: number; readonly startMs: number } | undefined;
}

/**
 * The one key for a context (CPIX 2.3, usage rules); undefined: it stays in the clear. A rule that is not understood
 * ends the whole document: whoever maps keys by rules must understand all of them.
 */
export function keyFor(context: KeyContext, document: CpixDocument): Uint8Array | undefined | CpixRefusal {
  const odd = document.usageRules.find((rule) => !isUsable(rule, context));
  if (odd) return { refused: 'a usage rule has a filter that cannot be judged' };
  const kids = new Map(
    document.usageRules
      .filter((rule) => matches(rule, context, document.periods))
      .map(({ kid }) => [Buffer.from(kid).toString('hex'), kid]),
  );
  if (kids.size > 1) return { refused: 'the usage rules give one track several keys' };
  return [...kids.values()][0];
}

/** Known filters only, and we know of the track what they ask. */
function isUsable(rule: CpixUsageRule, { track, bitrateMbps }: KeyContext): boolean {
  if (rule.unknownFilters.length > 0) return false;
  if (rule.bitrate.length > 0 && bitrateMbps === undefined) return false;
  if (track.kind !== 'video') return true;
  return rule.video.every(
    ({ framesPerSecond, hdr, wcg }) =>
      (!isBounded(framesPerSecond) || track.framesPerSecond !== undefined) &&
      (hdr === undefined || track.hdr !== undefined) &&
      (wcg === undefined || track.wcg !== undefined),
  );
}

function isBounded({ min, max }: CpixRange): boolean {
  return min !== undefined || max !== undefined;
}

function matches(rule: CpixUsageRule, context: KeyContext, periods: readonly CpixKeyPeriod[]): boolean {
  const { track, labels = [], bitrateMbps = 0, period } = context;
  return (
    any(rule.video, (filter) => track.kind === 'video' && fitsVideo(filter, track)) &&
    any(rule.audio, (channels) => track.kind === 'audio' && within(track.channels, channels)) &&
    any(rule.bitrate, (range) => within(bitrateMbps, range)) &&
    any(rule.labels, (label) => labels.includes(label)) &&
    any(
      rule.periodIds,
      (id) => period === undefined || periods.some((each) => each.id === id && isIn(period, each)),
    )
  );
}

/** A type of filter that is not there lets everything pass. */
function any<T>(filters: readonly T[], fits: (filter: T) => boolean): boolean {
  return filters.length === 0 || filters.some(fits);
}

function fitsVideo(
  { pixels, framesPerSecond: { min, max }, hdr, wcg }: CpixVideoFilter,
  track: Extract<KeyContext['track'], { kind: 'video' }>,
): boolean {
  const { framesPerSecond = 0 } = track;
  return (
    within(track.pixels, pixels) &&
    (min === undefined || framesPerSecond > min) &&
    (max === undefined || framesPerSecond <= max) &&
    (hdr === undefined || hdr === track.hdr) &&
    (wcg === undefined || wcg === track.wcg)
  );
}

function within(value: number, { min, max }: CpixRange): boolean {
  return (min === undefined || value >= min) && (max === undefined || value <= max);
}

function isIn(period: { index: number; startMs: number }, { index, startMs, endMs }: CpixKeyPeriod): boolean {
  if (startMs !== undefined && endMs !== undefined)
    return period.startMs >= startMs && period.startMs < endMs;
  return index === undefined || index === period.index;
}

const SD_PIXELS = 854 * 480;
/** What a peer may call SD: up to 1024x576, the largest picture of standard definition. */
const PEER_SD_PIXELS = 1024 * 576;
const HD_PIXELS = 1920 * 1080;

/**
 * The tier of a peer's key: that of the largest picture which its rules let it open, so that a licence never gives more
 * than the name of a rule promises. Undefined: not to be told.
 */
export function tierOfRules(rules: readonly CpixUsageRule[]): KeyTier | undefined {
  const tiers = new Set(rules.map(tierOfRule));
  const [only] = tiers;
  return tiers.size === 1 ? only : undefined;
}

function tierOfRule({ intendedTrackType = '', video, audio }: CpixUsageRule): KeyTier | undefined {
  if (video.length > 0 && audio.length > 0) return undefined;
  if (audio.length > 0) return 'AUDIO';
  if (video.length === 0) return tierOfName(intendedTrackType);
  const largest = Math.max(...video.map(({ pixels }) => pixels.max ?? Number.POSITIVE_INFINITY));
  if (largest <= SD_PIXELS) return 'SD';
  if (largest <= PEER_SD_PIXELS && intendedTrackType === 'SD') return 'SD';
  return largest <= HD_PIXELS ? 'HD' : tierOfUnbounded(intendedTrackType);
}

/** HD without an upper bound is the top of a ladder without UHD. */
function tierOfUnbounded(intendedTrackType: string): KeyTier {
  return /^HD\d?$/.test(intendedTrackType) ? 'HD' : 'UHD';
}

function tierOfName(intendedTrackType: string): KeyTier | undefined {
  if (/AUDIO/.test(intendedTrackType)) return 'AUDIO';
  if (intendedTrackType === 'SD') return 'SD';
  if (/^(HD\d?|SD\+HD\d?)$/.test(intendedTrackType)) return 'HD';
  return /^(UHD\d?|VIDEO)$/.test(intendedTrackType) ? 'UHD' : undefined;
}
