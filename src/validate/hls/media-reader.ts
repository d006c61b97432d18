import type { InitFacts, MediaFacts, Report, ValidationContext } from '../contracts.ts';
import type { FetchOutcome, FetchResult } from '../fetcher.ts';
import { checkInitSegment } from '../media/check-init-segment.ts';
import { checkKeyFrame } from '../media/check-key-frame.ts';
import { checkMediaSegment } from '../media/check-media-segment.ts';
import { checkTransportStream } from '../media/check-transport-stream.ts';
import { checkWebVtt } from '../media/check-webvtt.ts';
import { matchCodec } from '../media/codec-match.ts';
import { sniffMedia } from '../media/sniff-media.ts';
import { TrackChain } from '../media/track-chain.ts';
import { ANSWER_RULES } from './answer-rules.ts';
import type { DateBoard } from './date-board.ts';
import type { HintProbe } from './hint-probe.ts';
import { KEY_MEDIA_RULES } from './key-rules.ts';
import { KeyFrameSpans } from './key-frame-spans.ts';
import { KeyWatch, mapKey } from './key-watch.ts';
import { LIVE_RULES } from './live-rules.ts';
import type { ByteRange, InitSection, MediaPlaylist, Part, Segment } from './playlist.ts';
import type { RenditionRole, SegmentRate } from './rendition.ts';
import { judge, rfc, say, tell } from './rule.ts';
import {
  durationTolerance,
  leadTrack,
  PART_MEDIA_RULES,
  SEGMENT_MEDIA_RULES,
  type ReadPart,
  type ReadSegment,
} from './segment-rules.ts';

/** Longest segment that is read. */
const MAX_SEGMENT_BYTES = 256 * 1024 * 1024;
const MEDIA_TIMEOUT_MS = 20_000;
/** Things waiting to be fetched; past it the oldest are left out, for the live edge is what matters. */
const MAX_QUEUE = 4000;
/** Initialization sections kept of one rendition. */
const MAX_INITS = 64;
/** Segments that must have been read before anything is said of all of them. */
const LEAST_SEGMENTS = 3;
/** Segments whose parts are kept until the segment itself comes. */
const MAX_PARENTS = 8;

/** Rules that need more than one segment, or the multivariant playlist, beside the bytes. */
export const READER_RULES = {
  codecs: { rule: 'hls-codecs-incomplete', severity: 'error', clause: rfc('6.2.4') },
  height: { rule: 'hls-resolution-wrong', severity: 'warning', clause: rfc('4.4.6.2') },
  format: { rule: 'hls-format-change-unmarked', severity: 'error', clause: rfc('6.2.1') },
  independent: {
    rule: 'hls-independent-missing',
    severity: 'warning',
    clause: 'Apple HLS authoring 9.11, 9.12',
  },
  drift: { rule: 'hls-duration-drift', severity: 'error', clause: 'Apple HLS authoring 8.1' },
} as const;

type Item =
  | { readonly kind: 'segment'; readonly segment: Segment; readonly playlist: MediaPlaylist }
  | {
      readonly kind: 'part';
      readonly part: Part;
      readonly segment: Segment;
      readonly playlist: MediaPlaylist;
    };

/** Where a run of segments without a break began: EXTINFs add up from here, and so must the media. */
interface Run {
  readonly startTicks: number;
  readonly timescale: number;
  readonly discontinuityNumber: number;
  declaredSeconds: number;
  nextMsn: number;
}

/** Fetches what one rendition lists, in order, and judges the bytes beside what the playlist says of them. */
export class MediaReader {
  readonly #context: ValidationContext;
  readonly #role: RenditionRole;
  readonly #signal: AbortSignal;
  readonly #dates: DateBoard;
  readonly #hints: HintProbe;
  readonly #keys: KeyWatch;
  readonly #spans: KeyFrameSpans;
  readonly #queue: Item[] = [];
  readonly #inits = new Map<string, Promise<InitFacts | undefined>>();
  readonly #parts = new Map<number, Map<number, ReadPart>>();
  readonly #chain = new TrackChain();
  readonly #rates: SegmentRate[] = [];
  #kind: RenditionRole['kind'];
  #run: Run | undefined;
  /** What the media of the last segment are: no change without a discontinuity. */
  #format: string | undefined;
  #promised = false;
  #videoSegments = 0;
  #dependentSegments = 0;
  #wake: (() => void) | undefined;
  #closed = false;
  #partCount = 0;
  #bytes = 0;
  #seconds = 0;

  constructor(
    context: ValidationContext,
    role: RenditionRole,
    signal: AbortSignal,
    shared: { readonly dates: DateBoard; readonly hints: HintProbe },
  ) {
    this.#context = context;
    this.#role = role;
    this.#kind = role.kind;
    this.#signal = signal;
    this.#dates = shared.dates;
    this.#hints = shared.hints;
    this.#keys = new KeyWatch(this.#sink(role.url));
    this.#spans = new KeyFrameSpans(this.#sink(role.url));
  }

  /** Bytes and time of the segments fetched, in order. */
  get rates(): readonly SegmentRate[] {
    return this.#rates;
  }

  get kind(): RenditionRole['kind'] {
    return this.#kind;
  }

  get totals(): {
    readonly segments: number;
    readonly parts: number;
    readonly mediaSeconds: number;
    readonly bytes: number;
  } {
    return {
      segments: this.#rates.length,
      parts: this.#partCount,
      mediaSeconds: this.#seconds,
      bytes: this.#bytes,
    };
  }

  /** Adds something to fetch. */
  push(item: Item): void {
    this.#queue.push(item);
    if (this.#queue.length > MAX_QUEUE) this.#queue.shift();
    this.#wake?.();
  }

  /** Nothing more will be added: `run` ends when the queue is empty. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** What only all segments together show. */
  conclude(): void {
    if (this.#promised || this.#role.independentSegments === undefined) return;
    if (this.#videoSegments < LEAST_SEGMENTS || this.#dependentSegments > 0) return;
    const message = 'every segment begins with a key frame, but nothing says EXT-X-INDEPENDENT-SEGMENTS';
    tell(READER_RULES.independent, { message }, this.#sink(this.#role.url));
  }

  /** Fetches until closed and empty, or until told to stop. */
  async run(): Promise<void> {
    const wakeUp = (): void => this.#wake?.();
    this.#signal.addEventListener('abort', wakeUp);
    while (!this.#signal.aborted) {
      const item = this.#queue.shift();
      if (item) await this.#read(item);
      else if (this.#closed) break;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    this.#signal.removeEventListener('abort', wakeUp);
  }

  #read(item: Item): Promise<void> {
    if (item.kind === 'part') return this.#readPart(item.part, item.segment, item.playlist);
    return this.#readSegment(item.segment, item.playlist);
  }

  async #readPart(part: Part, segment: Segment, playlist: MediaPlaylist): Promise<void> {
    if (part.gap || part.url === '') return;
    const hinted = this.#hints.take(part);
    const outcome = hinted ? await hinted : await this.#fetch(part.url, part.range);
    const result = this.#accept(outcome, 'part', part.url, playlist, part.range !== undefined && !hinted);
    if (!result) return;
    const { facts, init } = await this.#judgeBytes(result.body, segment, part.url, 'part', playlist);
    const read: ReadPart = { part, bytes: result.body, facts, init };
    judge(PART_MEDIA_RULES, read, this.#sink(part.url));
    this.#partCount += 1;
    this.#keep(read);
  }

  async #readSegment(segment: Segment, playlist: MediaPlaylist): Promise<void> {
    if (segment.gap || segment.url === '') {
      this.#chain.break();
      this.#run = undefined;
      return;
    }
    const outcome = await this.#fetch(segment.url, segment.range);
    const result = this.#accept(outcome, 'segment', segment.url, playlist, segment.range !== undefined);
    if (!result) return this.#chain.break();
    const seconds = segment.seconds ?? 0;
    this.#rates.push({ msn: segment.msn, seconds, bytes: result.body.length });
    this.#seconds += seconds;
    if (playlist.iFramesOnly) return this.#readKeyFrame(result.body, segment, playlist);
    const { facts, init } = await this.#judgeBytes(result.body, segment, segment.url, 'segment', playlist);
    const isIsobmff = sniffMedia(result.body) === 'isobmff';
    const parts = this.#takeParts(segment);
    const read: ReadSegment = { segment, bytes: result.body, facts, init, isIsobmff, parts };
    judge(SEGMENT_MEDIA_RULES, read, this.#sink(segment.url));
    judge(KEY_MEDIA_RULES, read, this.#sink(this.#role.url));
    this.#keys.note(read);
    this.#follow(read);
  }

  async #readKeyFrame(bytes: Uint8Array, segment: Segment, playlist: MediaPlaylist): Promise<void> {
    const init = segment.map && !isHidden(segment) ? await this.#init(segment.map, playlist) : undefined;
    this.#spans.note(segment, init && checkKeyFrame(bytes, init, this.#reportTo(segment.url)));
  }

  /** A usable answer, or undefined after the finding. */
  #accept(
    outcome: FetchOutcome,
    what: 'init' | 'segment' | 'part',
    url: string,
    { ended, targetDuration }: MediaPlaylist,
    ranged: boolean,
  ): FetchResult | undefined {
    const sink = this.#sink(url);
    if (outcome.kind === 'failed') {
      if (outcome.reason !== 'aborted') {
        tell(
          LIVE_RULES.mediaUnavailable,
          { message: `a listed ${what} cannot be fetched: ${outcome.detail}` },
          sink,
        );
      }
      return undefined;
    }
    if (outcome.status !== 200 && outcome.status !== 206) {
      tell(LIVE_RULES.mediaUnavailable, { message: `a listed ${what} gives status ${outcome.status}` }, sink);
      return undefined;
    }
    const answer = { what, result: outcome, live: !ended, targetDuration, directed: false, ranged };
    judge(ANSWER_RULES, answer, sink);
    this.#bytes += outcome.body.length;
    return outcome;
  }

  /** Box checks, as far as the bytes can be read: whole-segment encryption hides them. */
  async #judgeBytes(
    bytes: Uint8Array,
    segment: Segment,
    url: string,
    scope: 'segment' | 'part',
    playlist: MediaPlaylist,
  ): Promise<{ readonly facts: MediaFacts | undefined; readonly init: InitFacts | undefined }> {
    const nothing = { facts: undefined, init: undefined };
    if (isHidden(segment)) return nothing;
    const container = sniffMedia(bytes);
    const report = this.#reportTo(url);
    if (container === 'mpeg-ts' && scope === 'segment')
      checkTransportStream(bytes, segment.map !== undefined, report);
    if (container === 'webvtt') checkWebVtt(bytes, report);
    if (container === 'unknown') {
      report({
        rule: 'media-segment-unknown',
        severity: 'error',
        clause: rfc('3.1'),
        message: `a ${scope} in no supported media format`,
      });
    }
    if (container !== 'isobmff' || !segment.map) return nothing;
    const init = await this.#init(segment.map, playlist);
    if (!init) return nothing;
    const promised = (this.#role.independentSegments ?? false) || playlist.independentSegments;
    this.#promised ||= promised;
    const startsWithSync = scope === 'segment' && promised ? true : undefined;
    const counters = { board: this.#context.counters, url };
    const expected = { format: 'hls', scope, init, startsWithSync, counters } as const;
    return { init, facts: checkMediaSegment(bytes, expected, report) };
  }

  #init(map: InitSection, playlist: MediaPlaylist): Promise<InitFacts | undefined> {
    const key = mapKey(map);
    const known = this.#inits.get(key);
    if (known) return known;
    if (this.#inits.size >= MAX_INITS) this.#inits.clear();
    const fresh = this.#readInit(map, playlist);
    this.#inits.set(key, fresh);
    return fresh;
  }

  async #readInit(map: InitSection, playlist: MediaPlaylist): Promise<InitFacts | undefined> {
    if (map.url === '') return undefined;
    const outcome = await this.#fetch(map.url, map.range);
    const result = this.#accept(outcome, 'init', map.url, playlist, map.range !== undefined);
    if (!result) return undefined;
    const { kind } = this.#role;
    const expected = kind === 'video' || kind === 'audio' ? kind : undefined;
    const report = this.#reportTo(map.url);
    const facts = checkInitSegment(
      result.body,
      { format: 'hls', kind: expected, codecs: undefined, width: undefined, height: undefined },
      report,
    );
    if (facts) this.#compareWithVariant(facts, map.url);
    return facts;
  }

  #compareWithVariant(facts: InitFacts, url: string): void {
    const { codecs, height } = this.#role;
    const kinds = new Set(facts.tracks.map(({ kind }) => kind));
    this.#kind =
      kinds.has('video') && kinds.has('audio')
        ? 'muxed'
        : facts.tracks[0]?.kind === 'other'
          ? this.#kind
          : (facts.tracks[0]?.kind ?? this.#kind);
    for (const { codec, kind, height: coded } of facts.tracks) {
      if (
        codec !== undefined &&
        codecs &&
        !codecs.some((declared) => matchCodec(declared, codec) === 'same')
      ) {
        tell(
          READER_RULES.codecs,
          { message: `the media are ${codec}, CODECS says ${codecs.join(',')}` },
          this.#sink(url),
        );
      }
      if (kind === 'video' && height !== undefined && coded !== undefined && coded !== height) {
        tell(
          READER_RULES.height,
          { message: `the picture has ${coded} lines, RESOLUTION says ${height}` },
          this.#sink(url),
        );
      }
    }
  }

  /** Compares the segment with the one before it, and the run of them with what EXTINF adds up to. */
  #follow({ segment, facts, init }: ReadSegment): void {
    const lead = facts && init && leadTrack(facts, init);
    if (!facts || !init || !lead) return this.#breakRun();
    if (segment.discontinuity || this.#run?.nextMsn !== segment.msn) this.#breakRun();
    this.#noteStart(lead.isVideo, lead.firstSampleIsSync);
    this.#noteFormat(segment, init);
    this.#chain.next(
      facts.tracks,
      (trackId) => init.tracks.find((track) => track.trackId === trackId)?.timescale,
      this.#reportTo(segment.url),
    );
    const { startTicks, timescale, durationTicks, sampleCount } = lead;
    this.#run ??= {
      startTicks,
      timescale,
      discontinuityNumber: segment.discontinuityNumber,
      declaredSeconds: 0,
      nextMsn: 0,
    };
    const run = this.#run;
    const media = (startTicks - run.startTicks) / timescale;
    const tolerance = Math.max((durationTicks / timescale / Math.max(sampleCount, 1)) * 1.5, 0.05);
    if (Math.abs(media - run.declaredSeconds) > durationTolerance(run.declaredSeconds, tolerance)) {
      const message = `up to segment ${segment.msn} EXTINF adds up to ${say(run.declaredSeconds)}, the media to ${say(media)}`;
      tell(READER_RULES.drift, { message }, this.#sink(this.#role.url));
      this.#run = { ...run, startTicks, declaredSeconds: 0 };
    }
    this.#run.declaredSeconds += segment.seconds ?? 0;
    this.#run.nextMsn = segment.msn + 1;
    if (segment.dateMs !== undefined) {
      this.#dates.note(this.#role.url, segment, (lead.earliestPresentationTicks / timescale) * 1000);
    }
  }

  #noteStart(isVideo: boolean, isSync: boolean): void {
    if (!isVideo) return;
    this.#videoSegments += 1;
    if (!isSync) this.#dependentSegments += 1;
  }

  /** Codec, size, timescale or tracks that change want a discontinuity. */
  #noteFormat(segment: Segment, { tracks }: InitFacts): void {
    const format = tracks
      .map(
        ({ trackId, codec, timescale, width, height }) =>
          `${trackId} ${codec} ${timescale} ${width}x${height}`,
      )
      .join(', ');
    if (this.#format !== undefined && this.#format !== format) {
      const message = `segment ${segment.msn} is (${format}), the one before it (${this.#format}), without a discontinuity`;
      tell(READER_RULES.format, { message }, this.#sink(this.#role.url));
    }
    this.#format = format;
  }

  #breakRun(): void {
    this.#format = undefined;
    this.#chain.break();
    this.#run = undefined;
  }

  #keep(read: ReadPart): void {
    const { msn, index } = read.part;
    const own = this.#parts.get(msn) ?? new Map<number, ReadPart>();
    own.set(index, read);
    this.#parts.set(msn, own);
    for (const known of this.#parts.keys()) {
      if (this.#parts.size <= MAX_PARENTS) break;
      this.#parts.delete(known);
    }
  }

  /** All parts of a segment, when each was fetched. */
  #takeParts({ msn, parts }: Segment): readonly ReadPart[] | undefined {
    const own = this.#parts.get(msn);
    this.#parts.delete(msn);
    if (!own || parts.length === 0 || parts.some(({ gap }) => gap)) return undefined;
    const all = parts.flatMap(({ index }) => own.get(index) ?? []);
    return all.length === parts.length ? all : undefined;
  }

  #fetch(url: string, range: ByteRange | undefined): Promise<FetchOutcome> {
    const offset = range ? (range.offset ?? 0) : 0;
    return this.#context.fetcher.get(url, {
      signal: this.#signal,
      timeoutMs: MEDIA_TIMEOUT_MS,
      maxBytes: MAX_SEGMENT_BYTES,
      ...(range && { headers: { range: `bytes=${offset}-${offset + range.length - 1}` } }),
    });
  }

  #sink(url: string) {
    return { log: this.#context.log, url };
  }

  #reportTo(url: string): Report {
    return (finding) => this.#context.log.add({ ...finding, url });
  }
}

/** Encryption of whole segments hides what is in them. */
function isHidden({ keys }: Segment): boolean {
  return keys.some(({ method }) => method === 'AES-128' || method === 'AES-256-GCM');
}
