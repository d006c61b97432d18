import type { ValidationContext, WatchedRendition } from '../contracts.ts';
import { parseHttpDate } from '../date-time.ts';
import { ANSWER_RULES } from './answer-rules.ts';
import type { DateBoard } from './date-board.ts';
import { DATE_RANGE_RULES } from './date-range-rules.ts';
import { DepartedMedia } from './departed.ts';
import { directivesAfter, DirectiveProbes } from './directive-probes.ts';
import { HintProbe } from './hint-probe.ts';
import { KEY_TEXT_RULES } from './key-rules.ts';
import { LIVE_RULES } from './live-rules.ts';
import { MEDIA_RULES } from './media-rules.ts';
import { MediaReader } from './media-reader.ts';
import { isMultivariant } from './parse-playlist.ts';
import { PART_RULES } from './part-rules.ts';
import { allSegments, lastListed, secondsOf, type MediaPlaylist } from './playlist.ts';
import { loadPlaylist, pause, troubleOf, type Directives, type Loaded } from './playlist-client.ts';
import { RELOAD_RULES } from './reload-rules.ts';
import type { RenditionRole, SegmentRate, Snapshot } from './rendition.ts';
import type { ReportBoard } from './report-board.ts';
import { judge, say, tell, type Sink } from './rule.ts';
import { TEXT_RULES } from './text-rules.ts';
import { UpdateClock } from './update-clock.ts';

const PLAYLIST_TIMEOUT_MS = 10_000;
/** Complete segments before the live edge that are fetched when watching begins. */
const BACKLOG_SEGMENTS = 3;
/** Failures in a row after which a rendition is given up. */
const MAX_FAILURES = 3;
/** Least wait between two requests that are not held. */
const LEAST_PAUSE_MS = 100;
/** What clocks may be apart, the whole seconds of the Date header included. */
const CLOCK_TOLERANCE_MS = 2000;

/** What renditions of one presentation are compared by. */
export interface Boards {
  readonly dates: DateBoard;
  readonly reports: ReportBoard;
}

/** Follows one media playlist from the first request until it ends or watching does. */
export class RenditionWatch {
  readonly role: RenditionRole;
  readonly #context: ValidationContext;
  readonly #signal: AbortSignal;
  readonly #boards: Boards;
  readonly #sink: Sink;
  readonly #reader: MediaReader;
  readonly #hints: HintProbe;
  readonly #departed: DepartedMedia;
  readonly #updates: UpdateClock;
  #first: MediaPlaylist | undefined;
  #newest: Snapshot | undefined;
  #loads = 0;
  #failures = 0;
  /** The last held request was answered without what it asked for. */
  #early = false;
  /** What was handed to the reader last. */
  #nextSegment = 0;
  #nextPart = { msn: 0, index: 0 };

  /** `signal` ends the watching; the context's own ends everything. */
  constructor(context: ValidationContext, role: RenditionRole, signal: AbortSignal, boards: Boards) {
    this.role = role;
    this.#context = context;
    this.#signal = signal;
    this.#boards = boards;
    this.#sink = { log: context.log, url: role.url };
    this.#hints = new HintProbe(context, role.url, signal);
    this.#reader = new MediaReader(context, role, signal, { dates: boards.dates, hints: this.#hints });
    this.#departed = new DepartedMedia(context);
    this.#updates = new UpdateClock(this.#sink);
  }

  /** The newest playlist; undefined when none could be read. */
  get latest(): MediaPlaylist | undefined {
    return this.#newest?.playlist;
  }

  get rates(): readonly SegmentRate[] {
    return this.#reader.rates;
  }

  get summary(): WatchedRendition {
    return { id: this.role.url, kind: this.#reader.kind, updates: this.#loads, ...this.#reader.totals };
  }

  async run(): Promise<void> {
    await this.#step(undefined);
    const first = this.latest;
    if (!first) return;
    this.#first = first;
    const reading = this.#reader.run();
    const probes = new DirectiveProbes(
      this.#context,
      this.role.url,
      this.#signal,
      () => this.latest ?? first,
    );
    const probing = probes.run();
    while (!this.#signal.aborted && !(this.latest?.ended ?? false) && this.#failures < MAX_FAILURES)
      await this.#next();
    this.#reader.close();
    await Promise.all([reading, probing, this.#hints.settle()]);
  }

  /** What can only be looked at when the watching is over. */
  async conclude(): Promise<void> {
    const { signal } = this.#context;
    if (this.#first?.type === 'VOD') await this.#reload({}, signal);
    this.#reader.conclude();
    await this.#departed.probe(signal);
  }

  /** One reload: held where the server offers it, else after a pause (6.3.4). */
  async #next(): Promise<void> {
    const latest = this.latest;
    if (!latest) return;
    if (latest.serverControl?.canBlockReload) {
      await this.#step(directivesAfter(latest));
      // Whoever is answered before there is anything new does not ask again at once (as ExoPlayer does it).
      if (this.#early) await pause(this.#context, this.#pauseMs(latest, true), this.#signal);
      return;
    }
    const before = lastListed(latest);
    await pause(this.#context, this.#pauseMs(latest, true), this.#signal);
    await this.#step({});
    const after = this.latest && lastListed(this.latest);
    if (before && after && before.msn === after.msn && before.part === after.part) {
      await pause(this.#context, this.#pauseMs(latest, false), this.#signal);
    }
  }

  /** After a change a client waits a target duration, else half of it; parts are worth coming for sooner. */
  #pauseMs({ targetDuration = 1, partTarget }: MediaPlaylist, changed: boolean): number {
    const seconds = partTarget ?? targetDuration;
    return Math.max(LEAST_PAUSE_MS, (seconds * 1000) / (changed ? 2 : 4));
  }

  async #step(directives: Directives | undefined): Promise<void> {
    const asked = directives ?? {};
    const startedMs = this.#context.clock.monotonicMs();
    const loaded = await this.#reload(asked, this.#signal);
    if (loaded === 'ok') {
      this.#failures = 0;
      return;
    }
    if (loaded.kind === 'failed' && loaded.failure.reason === 'aborted') return;
    this.#failures += 1;
    if (asked.msn === undefined) this.#tellUnavailable(loaded);
    else this.#tellNotHeld(loaded, asked, startedMs);
    if (this.latest) await this.#recover(this.latest);
  }

  /** After a refusal the next request is one without directives, as players do it. */
  async #recover(latest: MediaPlaylist): Promise<void> {
    await pause(this.#context, this.#pauseMs(latest, true), this.#signal);
    const startedMs = this.#context.clock.monotonicMs();
    if ((await this.#reload({}, this.#signal)) === 'ok') this.#failures = 0;
    else this.#updates.stillUnchanged(latest, startedMs);
  }

  /** Fetches, judges and takes one text; returns what came when it was no playlist. */
  async #reload(
    directives: Directives,
    signal: AbortSignal,
  ): Promise<'ok' | Exclude<Loaded, { kind: 'playlist' }>> {
    const { targetDuration } = this.latest ?? {};
    const held = directives.msn !== undefined;
    const timeoutMs = held ? 3000 * (targetDuration ?? 1) + 2000 : PLAYLIST_TIMEOUT_MS;
    const loaded = await loadPlaylist(this.#context, this.role.url, directives, timeoutMs, signal);
    if (loaded.kind !== 'playlist') return loaded;
    const { playlist, result } = loaded;
    if (isMultivariant(playlist) || playlist.kind === 'neither') {
      tell(LIVE_RULES.notMedia, { message: 'is no media playlist' }, this.#sink);
      this.#failures = MAX_FAILURES;
      return 'ok';
    }
    const live = !playlist.ended && playlist.type !== 'VOD';
    judge(TEXT_RULES, playlist, this.#sink);
    judge(
      ANSWER_RULES,
      {
        what: 'playlist',
        result,
        live,
        targetDuration: playlist.targetDuration,
        directed: held,
        ranged: false,
      },
      this.#sink,
    );
    this.#take({ playlist, result, startedMs: result.startedMs, endedMs: result.endedMs }, directives);
    return 'ok';
  }

  #take(snapshot: Snapshot, asked: Directives): void {
    const { playlist } = snapshot;
    const before = this.latest;
    this.#loads += 1;
    judge(MEDIA_RULES, playlist, this.#sink);
    judge(KEY_TEXT_RULES, playlist, this.#sink);
    judge(PART_RULES, playlist, this.#sink);
    judge(DATE_RANGE_RULES, playlist, this.#sink);
    if (before) judge(RELOAD_RULES, { before, after: playlist }, this.#sink);
    this.#early = asked.msn !== undefined && !hasAsked(playlist, asked);
    if (this.#early) this.#tellEarly(playlist, asked);
    this.#updates.note(snapshot, before, asked.msn !== undefined && !this.#early);
    this.#departed.note(this.#newest, snapshot);
    this.#newest = snapshot;
    if (!this.role.iFrames) this.#boards.reports.note(this.role.url, snapshot);
    this.#judgeDate(snapshot);
    if (!before) this.#beginAt(playlist);
    this.#hand(playlist);
    if (!playlist.ended) this.#hints.follow(playlist);
  }

  /** A live playlist is read from a little before its edge, any other from its start. */
  #beginAt(playlist: MediaPlaylist): void {
    const { segments, ended } = playlist;
    const from = ended || playlist.type !== undefined ? segments[0] : segments.slice(-BACKLOG_SEGMENTS)[0];
    this.#nextSegment = from?.msn ?? playlist.mediaSequence;
    this.#nextPart = { msn: segments.at(-1)?.msn ?? playlist.mediaSequence, index: 0 };
  }

  /** Hands what is new to the reader, parts before their parent. */
  #hand(playlist: MediaPlaylist): void {
    for (const segment of allSegments(playlist)) {
      for (const part of segment.parts) {
        const { msn, index } = this.#nextPart;
        if (part.msn < msn || (part.msn === msn && part.index < index)) continue;
        this.#nextPart = { msn: part.msn, index: part.index + 1 };
        this.#reader.push({ kind: 'part', part, segment, playlist });
      }
      if (segment.uri === undefined || segment.msn < this.#nextSegment) continue;
      this.#nextSegment = segment.msn + 1;
      this.#reader.push({ kind: 'segment', segment, playlist });
    }
  }

  #judgeDate({ playlist, result }: Snapshot): void {
    if (playlist.ended || playlist.type === 'VOD') return;
    const endMs = endDateMs(playlist);
    const nowMs = parseHttpDate(result.headers.get('date') ?? '') ?? result.endedWallMs;
    if (endMs === undefined || endMs <= nowMs + CLOCK_TOLERANCE_MS) return;
    const message = `the newest media are dated ${say(Math.round((endMs - nowMs) / 100) / 10)} ahead of the server's clock`;
    tell(LIVE_RULES.dateInFuture, { message }, this.#sink);
  }

  #tellEarly(playlist: MediaPlaylist, { msn, part }: Directives): void {
    const edge = lastListed(playlist);
    const asked = part === undefined ? `segment ${msn}` : `part ${part} of segment ${msn}`;
    const got = edge ? `part ${edge.part} of segment ${edge.msn}` : 'nothing';
    tell(LIVE_RULES.blockEarly, { message: `asked for ${asked}, the answer ends with ${got}` }, this.#sink);
  }

  #tellUnavailable(loaded: Exclude<Loaded, { kind: 'playlist' }>): void {
    tell(LIVE_RULES.playlistUnavailable, { message: `no playlist: ${troubleOf(loaded)}` }, this.#sink);
  }

  #tellNotHeld(
    loaded: Exclude<Loaded, { kind: 'playlist' }>,
    { msn, part }: Directives,
    startedMs: number,
  ): void {
    const asked = `_HLS_msn=${msn}${part === undefined ? '' : `&_HLS_part=${part}`}`;
    if (loaded.kind === 'failed') {
      const rule =
        loaded.failure.reason === 'timeout' ? LIVE_RULES.blockEndless : LIVE_RULES.playlistUnavailable;
      tell(rule, { message: `${asked}: ${troubleOf(loaded)}` }, this.#sink);
      return;
    }
    const seconds = (this.#context.clock.monotonicMs() - startedMs) / 1000;
    const patient = seconds >= 2 * (this.latest?.targetDuration ?? 1);
    // Service Unavailable after a long wait is what the server should say.
    if (loaded.result.status === 503 && patient) return;
    tell(
      LIVE_RULES.blockRefused,
      { message: `${asked}, the next to come, got ${troubleOf(loaded)}` },
      this.#sink,
    );
  }
}

/** The playlist has what was asked for, or ended without it. */
function hasAsked(playlist: MediaPlaylist, { msn = 0, part }: Directives): boolean {
  const edge = lastListed(playlist);
  if (playlist.ended) return true;
  if (!edge || edge.msn < msn) return false;
  if (edge.msn > msn) return true;
  return (playlist.segments.at(-1)?.msn ?? -1) >= msn || (part !== undefined && edge.part >= part);
}

/** Date of the end of the newest thing listed. */
function endDateMs(playlist: MediaPlaylist): number | undefined {
  let endMs: number | undefined;
  for (const segment of allSegments(playlist)) {
    const startMs = segment.dateMs ?? endMs;
    endMs = startMs === undefined ? undefined : startMs + secondsOf(segment) * 1000;
  }
  return endMs;
}
