import type { FindingLog } from '../finding.ts';
import { attribute, numberAttribute, type MultivariantPlaylist, type Variant } from './playlist.ts';
import type { RenditionWatch } from './rendition-watch.ts';
import type { SegmentRate } from './rendition.ts';
import { apple, rfc, tell } from './rule.ts';

const PEAK = { rule: 'hls-bandwidth-exceeded', severity: 'error' } as const;
const AVERAGE = { rule: 'hls-average-bandwidth-exceeded', severity: 'warning' } as const;
/** The rules of declared rates. */
export const BANDWIDTH_RULES = [PEAK, AVERAGE] as const;
/** What the measured peak may be of BANDWIDTH: live 125 %, on demand 110 % (Apple 1.27, 1.29). */
const LIVE_PEAK = 1.25;
const VOD_PEAK = 1.1;
const AVERAGE_LIMIT = 1.1;
/** Averages of less say nothing of the stream. */
const LEAST_AVERAGE_SECONDS = 60;

/** Highest bit rate of any run of segments between half and one and a half target durations (RFC 8216bis 4.4.6.2). */
export function peakBps(rates: readonly SegmentRate[], targetDuration: number): number {
  let peak = 0;
  for (const [index, first] of rates.entries()) {
    let seconds = 0;
    let bytes = 0;
    let msn = first.msn;
    for (const rate of rates.slice(index)) {
      if (rate.msn !== msn) break;
      seconds += rate.seconds;
      bytes += rate.bytes;
      msn += 1;
      if (seconds > 1.5 * targetDuration) break;
      if (seconds >= 0.5 * targetDuration) peak = Math.max(peak, (bytes * 8) / seconds);
    }
  }
  return peak;
}

/** Compares what variants declare with what was fetched of them. */
export function judgeBandwidth(
  multivariant: MultivariantPlaylist,
  watches: readonly RenditionWatch[],
  live: boolean,
  log: FindingLog,
): void {
  const sink = { log, url: multivariant.url };
  for (const variant of multivariant.variants) {
    if (variant.iFrames || !watches.some(({ role }) => role.url === variant.url)) continue;
    const members = membersOf(variant, multivariant, watches);
    const declared = numberAttribute(variant.tag, 'BANDWIDTH');
    const average = numberAttribute(variant.tag, 'AVERAGE-BANDWIDTH');
    const peak = sum(members.map((group) => Math.max(...group.map(peakOf))));
    const [limit, clause] = live
      ? [LIVE_PEAK, `${rfc('4.4.6.2')}; ${apple('1.29')}`]
      : [VOD_PEAK, `${rfc('4.4.6.2')}; ${apple('1.27')}`];
    if (declared !== undefined && peak > declared * limit) {
      const message = `BANDWIDTH is ${declared}, the measured peak ${Math.round(peak)} bit/s`;
      tell({ ...PEAK, clause }, { line: variant.tag.line, message }, sink);
    }
    const seconds = Math.min(...members.flat().map((watch) => sum(watch.rates.map((rate) => rate.seconds))));
    const measured = sum(members.map((group) => Math.max(...group.map(averageOf))));
    if (average !== undefined && seconds >= LEAST_AVERAGE_SECONDS && measured > average * AVERAGE_LIMIT) {
      const message = `AVERAGE-BANDWIDTH is ${average}, over ${Math.round(seconds)} s it was ${Math.round(measured)} bit/s`;
      tell({ ...AVERAGE, clause: apple('1.28') }, { line: variant.tag.line, message }, sink);
    }
  }
}

/** What plays together: the variant's own playlist, and one of each group. */
function membersOf(
  variant: Variant,
  { renditions }: MultivariantPlaylist,
  watches: readonly RenditionWatch[],
): readonly (readonly RenditionWatch[])[] {
  const own = watches.filter(({ role }) => role.url === variant.url);
  const groups = ['AUDIO', 'VIDEO'].map((type) => {
    const group = attribute(variant.tag, type);
    const urls = renditions.filter((rendition) => rendition.type === type && rendition.groupId === group);
    return watches.filter(({ role }) => urls.some(({ url }) => url === role.url) && role.url !== variant.url);
  });
  return [own, ...groups].filter((group) => group.length > 0);
}

function peakOf(watch: RenditionWatch): number {
  return peakBps(watch.rates, watch.latest?.targetDuration ?? 0);
}

function averageOf({ rates }: RenditionWatch): number {
  const seconds = sum(rates.map((rate) => rate.seconds));
  return seconds === 0 ? 0 : (sum(rates.map((rate) => rate.bytes)) * 8) / seconds;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
