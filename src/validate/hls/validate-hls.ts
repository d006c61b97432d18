import { setMaxListeners } from 'node:events';
import type { ValidationContext, WatchedSummary } from '../contracts.ts';
import { ANSWER_RULES } from './answer-rules.ts';
import { judgeBandwidth } from './bandwidth.ts';
import { DateBoard } from './date-board.ts';
import { LIVE_RULES } from './live-rules.ts';
import { codecsOf, isVideoCodec, MULTIVARIANT_RULES } from './multivariant-rules.ts';
import { isMultivariant } from './parse-playlist.ts';
import { attribute, isLowLatency, type MediaRendition, type MultivariantPlaylist } from './playlist.ts';
import { loadPlaylist, troubleOf } from './playlist-client.ts';
import { PRESENTATION_RULES } from './presentation-rules.ts';
import { RenditionWatch } from './rendition-watch.ts';
import type { RenditionRole } from './rendition.ts';
import { ReportBoard } from './report-board.ts';
import { judge, tell } from './rule.ts';
import { TEXT_RULES } from './text-rules.ts';

/** Renditions watched at once; further ones are left alone. */
const MAX_RENDITIONS = 32;
const TIMEOUT_MS = 10_000;
/** A name that nothing has. */
const UNKNOWN_NAME = 'headwater-validate-no-such-media.m4s';

/**
 * Judges the HLS presentation at `url`, a multivariant or a media playlist: live until the deadline, on demand until
 * everything is read.
 */
export async function validateHls(context: ValidationContext, url: string): Promise<WatchedSummary> {
  const stop = new AbortController();
  const timer = context.clock.after(Math.max(0, context.deadlineMs - context.clock.monotonicMs()), () =>
    stop.abort(),
  );
  try {
    const signal = AbortSignal.any([context.signal, stop.signal]);
    // All renditions listen to it.
    setMaxListeners(0, signal);
    return await validateUntil(context, url, signal);
  } finally {
    timer.cancel();
    stop.abort();
  }
}

async function validateUntil(
  context: ValidationContext,
  url: string,
  signal: AbortSignal,
): Promise<WatchedSummary> {
  const multivariant = await readMultivariant(context, url, signal);
  const roles = multivariant ? rolesOf(multivariant) : [soleRole(url)];
  const urls = new Set(roles.filter(({ iFrames }) => !iFrames).map((role) => role.url));
  const boards = { dates: new DateBoard(context.log), reports: new ReportBoard(context.log, urls) };
  const watches = roles
    .slice(0, MAX_RENDITIONS)
    .map((role) => new RenditionWatch(context, role, signal, boards));
  await Promise.all(watches.map((watch) => watch.run()));
  await Promise.all([
    ...watches.map((watch) => watch.conclude()),
    probeUnknown(context, watches),
    probeProtocol(context, watches),
  ]);

  const playlists = watches.flatMap((watch) => (watch.latest ? [watch.latest] : []));
  const live = playlists.some(({ ended }) => !ended);
  if (multivariant) {
    const renditions = watches.flatMap(({ role, latest }) => (latest ? [{ role, playlist: latest }] : []));
    judge(PRESENTATION_RULES, { multivariant, renditions }, { log: context.log, url });
    // Live rates are measured as they come: what is declared by now counts.
    const now = live
      ? ((await readMultivariant(context, url, context.signal)) ?? multivariant)
      : multivariant;
    judgeBandwidth(now, watches, live, context.log);
  }
  return {
    format: 'hls',
    live,
    lowLatency: playlists.some(isLowLatency),
    renditions: watches.map(({ summary }) => summary),
  };
}

/** Undefined when `url` is a media playlist, or cannot be read (told). */
async function readMultivariant(
  context: ValidationContext,
  url: string,
  signal: AbortSignal,
): Promise<MultivariantPlaylist | undefined> {
  const loaded = await loadPlaylist(context, url, {}, TIMEOUT_MS, signal);
  const sink = { log: context.log, url };
  if (loaded.kind !== 'playlist') {
    if (loaded.kind === 'refused' || loaded.failure.reason !== 'aborted') {
      tell(LIVE_RULES.playlistUnavailable, { message: `no playlist: ${troubleOf(loaded)}` }, sink);
    }
    return undefined;
  }
  const { playlist, result } = loaded;
  if (!isMultivariant(playlist)) return undefined;
  judge(TEXT_RULES, playlist, sink);
  judge(MULTIVARIANT_RULES, playlist, sink);
  judge(
    ANSWER_RULES,
    { what: 'multivariant', result, live: true, targetDuration: undefined, directed: false, ranged: false },
    sink,
  );
  return playlist;
}

/** Every media playlist of a presentation, once. */
function rolesOf(multivariant: MultivariantPlaylist): RenditionRole[] {
  const roles = new Map<string, RenditionRole>();
  const { independentSegments } = multivariant;
  for (const variant of multivariant.variants) {
    if (roles.size >= MAX_RENDITIONS) break;
    if (variant.url === '' || roles.has(variant.url)) continue;
    const codecs = codecsOf(variant);
    const hasVideo = variant.tag.attributes.has('RESOLUTION') || codecs?.some(isVideoCodec);
    const height = Number(attribute(variant.tag, 'RESOLUTION')?.split('x')[1] ?? Number.NaN);
    roles.set(variant.url, {
      url: variant.url,
      // With video it may carry its sound as well: the bytes will tell.
      kind: hasVideo ? 'unknown' : (codecs?.length ?? 0) > 0 ? 'audio' : 'unknown',
      codecs,
      height: Number.isNaN(height) ? undefined : height,
      iFrames: variant.iFrames,
      independentSegments,
    });
  }
  for (const rendition of multivariant.renditions) {
    const { url } = rendition;
    if (roles.size >= 2 * MAX_RENDITIONS) break;
    if (url === undefined || url === '' || roles.has(url)) continue;
    roles.set(url, {
      url,
      kind: kindOf(rendition),
      codecs: groupCodecs(rendition, multivariant),
      height: undefined,
      iFrames: false,
      independentSegments,
    });
  }
  return [...roles.values()];
}

function kindOf({ type }: MediaRendition): RenditionRole['kind'] {
  if (type === 'AUDIO') return 'audio';
  if (type === 'VIDEO') return 'video';
  return type === 'SUBTITLES' ? 'text' : 'unknown';
}

/** Codecs of every variant that plays a group: each must name those of the group's members. */
function groupCodecs(
  { type, groupId }: MediaRendition,
  { variants }: MultivariantPlaylist,
): readonly string[] | undefined {
  const users = variants.filter((variant) => attribute(variant.tag, type) === groupId);
  const lists = users.map(codecsOf);
  if (lists.some((list) => list === undefined)) return undefined;
  return lists.length === 0 ? undefined : lists.flatMap((list) => list ?? []);
}

function soleRole(url: string): RenditionRole {
  return {
    url,
    kind: 'unknown',
    codecs: undefined,
    height: undefined,
    iFrames: false,
    independentSegments: undefined,
  };
}

/** RFC 8216bis 6.2.6: what does not exist is Not Found. */
async function probeUnknown(context: ValidationContext, watches: readonly RenditionWatch[]): Promise<void> {
  const media = watches.find(({ latest }) => latest)?.latest?.segments.at(-1)?.url;
  if (media === undefined || media === '') return;
  const url = new URL(UNKNOWN_NAME, media).href;
  const outcome = await context.fetcher.get(url, {
    signal: context.signal,
    timeoutMs: TIMEOUT_MS,
    maxBytes: 1024 * 1024,
  });
  if (outcome.kind === 'failed' || outcome.status >= 400) return;
  const message = `something that does not exist gives status ${outcome.status} instead of 404`;
  tell(LIVE_RULES.unknownNotMissing, { message }, { log: context.log, url });
}

/** B.1: low latency is for HTTP/2 or 3. Without TLS nothing is negotiated, as in front of a proxy. */
async function probeProtocol(
  { fetcher, log }: ValidationContext,
  watches: readonly RenditionWatch[],
): Promise<void> {
  const low = watches.find(({ latest }) => latest && !latest.ended && isLowLatency(latest))?.role.url;
  if (low === undefined || !low.startsWith('https:')) return;
  const protocol = await fetcher.negotiate?.(low, TIMEOUT_MS);
  if (protocol === undefined || protocol === 'h2') return;
  const message = `the server speaks ${protocol} only: Apple's player falls back to normal latency`;
  tell(LIVE_RULES.http1, { message }, { log, url: low });
}
