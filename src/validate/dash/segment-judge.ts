import type { InitFacts, MediaFacts, TrackFacts, TrackRunFacts } from '../contracts.ts';
import type { FetchResult } from '../fetcher.ts';
import { checkInitSegment } from '../media/check-init-segment.ts';
import { checkKeyFrame } from '../media/check-key-frame.ts';
import { checkMediaSegment } from '../media/check-media-segment.ts';
import { checkTransportStream } from '../media/check-transport-stream.ts';
import { checkWebVtt } from '../media/check-webvtt.ts';
import { sniffMedia } from '../media/sniff-media.ts';
import { TrackChain } from '../media/track-chain.ts';
import type { BoundaryBoard } from './boundary-board.ts';
import { checkKey } from './check-key.ts';
import { findOverflow, type MeasuredSegment } from './check-bandwidth.ts';
import { checkSegmentResponse } from './check-response.ts';
import { checkSegmentTime } from './check-segment-time.ts';
import type { DashRun } from './dash-run.ts';
import type { Mpd, ProducerReference } from './mpd-model.ts';
import { isTrickMode, type Placed } from './mpd-query.ts';
import type { SegmentRef } from './segments.ts';
import { initializationOf } from './segments.ts';

/** Reference times may be this far apart from each other, and this far in the future: more than a clock is read wrong. */
const REFERENCE_TOLERANCE_MS = 1000;
/** The key frame of a trick mode set may be off its place by this much. */
const KEY_FRAME_TOLERANCE_SECONDS = 0.1;
/** Longest row of segments the channel is computed over: its cost grows with the square. */
const MAX_MEASURED = 1500;
/** SAP types 1 and 2: the segment begins with a sync sample. */
const CLOSED_SAP_TYPES = [1, 2];

/** What was read of one Representation. */
export interface ReadTotals {
  segments: number;
  chunks: number;
  mediaSeconds: number;
  bytes: number;
}

/** Reads the initialization segment and judges the media segments of one Representation in one Period. */
export class SegmentJudge {
  readonly totals: ReadTotals = { segments: 0, chunks: 0, mediaSeconds: 0, bytes: 0 };
  /** Where the media that was read ends, seconds in the Period; undefined before there is any. */
  mediaEnd: number | undefined;
  readonly #run: DashRun;
  readonly #placed: Placed;
  readonly #boundaries: BoundaryBoard;
  readonly #chain = new TrackChain();
  readonly #measured: MeasuredSegment[] = [];
  #init: InitFacts | undefined;

  constructor(run: DashRun, placed: Placed, boundaries: BoundaryBoard) {
    this.#run = run;
    this.#placed = placed;
    this.#boundaries = boundaries;
  }

  /** Fetches and judges the initialization segment. */
  async readInit(): Promise<void> {
    const { set, representation } = this.#placed;
    const init = initializationOf(representation);
    if (!init) return;
    const outcome = await this.#run.get(init.url, { range: init.range });
    if (outcome.kind === 'failed') {
      if (outcome.reason !== 'aborted') this.#run.tell('dash-init-unavailable', init.url, outcome.detail);
      return;
    }
    if (!checkRange(this.#run, outcome, init.range, init.url)) return;
    if (outcome.status !== 200 && outcome.status !== 206) {
      this.#run.tell(
        'dash-init-unavailable',
        init.url,
        `the initialization segment gives status ${outcome.status}`,
      );
      return;
    }
    checkSegmentResponse(this.#run, outcome, representation.mimeType, init.url);
    this.totals.bytes += outcome.body.length;
    if (!isMp4(representation.mimeType)) return;
    const { codecs, width, height } = representation;
    this.#init = checkInitSegment(
      outcome.body,
      {
        format: 'dash',
        kind: set.kind === 'video' || set.kind === 'audio' ? set.kind : undefined,
        codecs: codecs.length === 0 ? undefined : codecs,
        width,
        height,
      },
      this.#run.reportTo(init.url),
    );
    if (!this.#init) return;
    for (const { rule, message } of checkKey(this.#placed, this.#init)) {
      this.#run.tell(rule, init.url, message);
    }
  }

  /** Judges one segment that came whole. Gives the seconds that its samples last, when they could be read. */
  judge(segment: SegmentRef, result: FetchResult): number | undefined {
    const { representation } = this.#placed;
    checkSegmentResponse(this.#run, result, representation.mimeType, segment.url);
    this.totals.segments += 1;
    this.totals.bytes += result.body.length;
    this.totals.mediaSeconds += segment.duration;
    if (this.#measured.length < MAX_MEASURED) {
      const { index, duration } = segment;
      this.#measured.push({ index, seconds: duration, bytes: result.body.length });
    }
    return this.#judgeBytes(segment, result.body);
  }

  /** The next segment need not follow the last one judged. */
  breakChain(): void {
    this.#chain.break();
  }

  /** Judges what only all segments together tell. */
  finish(mpd: Mpd): void {
    const { bandwidth, place } = this.#placed.representation;
    if (!bandwidth || mpd.minBufferTime === undefined) return;
    const worst = findOverflow(this.#measured, bandwidth, mpd.minBufferTime);
    if (!worst) return;
    const [needed, allowed] = [worst.bits, worst.allowedBits].map((bits) => Math.round(bits / 1000));
    this.#run.tell(
      'dash-bandwidth-too-low',
      this.#placed.representation.baseUrl,
      `${place}: ${worst.segments} segments of ${worst.seconds.toFixed(2)} s have ${needed} kbit, bandwidth ${bandwidth} with minBufferTime ${mpd.minBufferTime} s carries ${allowed}`,
    );
  }

  #judgeBytes(segment: SegmentRef, bytes: Uint8Array): number | undefined {
    const { representation } = this.#placed;
    const report = this.#run.reportTo(segment.url);
    const container = sniffMedia(bytes);
    if (container === 'mpeg-ts') {
      checkTransportStream(bytes, true, report);
      return undefined;
    }
    if (representation.mimeType === 'text/vtt') {
      if (container === 'webvtt') checkWebVtt(bytes, report);
      else this.#run.tell('dash-media-type', segment.url, `a segment of text/vtt is ${container}`);
      return undefined;
    }
    if (!isMp4(representation.mimeType)) return undefined;
    const init = this.#init;
    if (!init) {
      if (container !== 'isobmff') {
        this.#run.tell(
          'dash-media-type',
          segment.url,
          `a segment of ${representation.mimeType} is ${container}`,
        );
      }
      return undefined;
    }
    if (isTrickMode(this.#placed.set)) return this.#judgeKeyFrame(segment, bytes, init);
    const startsWithSync = CLOSED_SAP_TYPES.includes(this.#sapType()) ? true : undefined;
    const counters = { board: this.#run.counters, url: segment.url };
    const expected = { format: 'dash', scope: 'segment', init, startsWithSync, counters } as const;
    const facts = checkMediaSegment(bytes, expected, report);
    if (!facts) {
      this.breakChain();
      return undefined;
    }
    this.totals.chunks += facts.fragmentCount;
    this.#chain.next(
      facts.tracks,
      (id) => init.tracks.find(({ trackId }) => trackId === id)?.timescale,
      report,
    );
    const [run] = facts.tracks;
    const track = run && init.tracks.find(({ trackId }) => trackId === run.trackId);
    if (run && track) this.#judgeTimes(segment, track, run);
    if (track) this.#judgeReferences(segment, facts, track);
    return run && track && track.timescale > 0 ? run.durationTicks / track.timescale : undefined;
  }

  /** Key frames with holes between them: each stands until the next, which is how long the MPD says it lasts. */
  #judgeKeyFrame(segment: SegmentRef, bytes: Uint8Array, init: InitFacts): undefined {
    const facts = checkKeyFrame(bytes, init, this.#run.reportTo(segment.url));
    this.mediaEnd = segment.start + segment.duration;
    const { addressing } = this.#placed.representation;
    if (!facts || !addressing?.timeline) return;
    const declared = segment.mediaTicks / addressing.timescale;
    const off = facts.presentationSeconds - declared;
    if (Math.abs(off) <= KEY_FRAME_TOLERANCE_SECONDS) return;
    const message = `a key frame of ${facts.presentationSeconds.toFixed(4)} s, the MPD says ${declared.toFixed(4)} s`;
    this.#run.tell('dash-timeline-time', segment.url, message);
  }

  #sapType(): number {
    const { set, representation } = this.#placed;
    return representation.startWithSap ?? set.startWithSap ?? 0;
  }

  #judgeTimes(segment: SegmentRef, track: TrackFacts, run: TrackRunFacts): void {
    const { period, set, representation } = this.#placed;
    const { addressing } = representation;
    if (!addressing) return;
    const fault = checkSegmentTime(segment, addressing, track, run);
    if (fault) this.#run.tell(fault.rule, segment.url, fault.message);
    const offset = addressing.presentationTimeOffset / addressing.timescale;
    this.mediaEnd = run.endPresentationTicks / track.timescale - offset;
    if (run.sampleCount === 0 || track.kind !== 'video') return;
    const apart = this.#boundaries.note({
      set: `${period.id ?? period.index} ${period.adaptationSets.indexOf(set)}`,
      representation: representation.id ?? '?',
      nominalStart: segment.start,
      actualStart: run.startTicks / track.timescale - offset,
      sampleSeconds: run.durationTicks / run.sampleCount / track.timescale,
    });
    if (apart !== undefined) this.#run.tell('dash-switching-boundaries', segment.url, apart);
  }

  #judgeReferences(segment: SegmentRef, facts: MediaFacts, track: TrackFacts): void {
    const { set, representation } = this.#placed;
    const declared = representation.references.length > 0 ? representation.references : set.references;
    if (declared.some(({ inband }) => inband) && facts.references.length === 0) {
      this.#run.tell(
        'dash-prft-missing',
        segment.url,
        'ProducerReferenceTime@inband is true, the segment has no prft',
      );
    }
    const [box] = facts.references;
    if (!box || track.timescale === 0) return;
    const aheadMs = box.wallMs - this.#run.nowMs() - this.#run.clockUncertaintyMs;
    if (aheadMs > REFERENCE_TOLERANCE_MS) {
      const seconds = (aheadMs / 1000).toFixed(1);
      this.#run.tell('dash-prft-future', segment.url, `a prft lies ${seconds} s in the future`);
    }
    const boxMs = box.wallMs - (box.mediaTicks / track.timescale) * 1000;
    for (const reference of declared) this.#compareReference(segment, reference, boxMs);
  }

  /** Both map media time to wall time: they must map it alike. */
  #compareReference(segment: SegmentRef, reference: ProducerReference, boxMs: number): void {
    const { wallClockMs, presentationTicks, inband, id } = reference;
    const timescale = this.#placed.representation.addressing?.timescale;
    if (!inband || wallClockMs === undefined || presentationTicks === undefined || !timescale) return;
    const offMs = boxMs - (wallClockMs - (presentationTicks / timescale) * 1000);
    if (Math.abs(offMs) <= REFERENCE_TOLERANCE_MS) return;
    const seconds = (offMs / 1000).toFixed(2);
    this.#run.tell(
      'dash-reference-time-off',
      segment.url,
      `the prft puts media time ${seconds} s later than ProducerReferenceTime ${id}`,
    );
  }
}

function isMp4(mimeType: string | undefined): boolean {
  return mimeType === undefined || mimeType.endsWith('/mp4');
}

/** A byte range that was asked for must be what came; false when it is the whole file instead. */
export function checkRange(
  run: DashRun,
  result: FetchResult,
  range: string | undefined,
  url: string,
): boolean {
  if (range === undefined || result.status !== 200) return true;
  const [first = 0, last = 0] = range.split('-').map(Number);
  if (first === 0 && result.body.length === last + 1) return true;
  run.tell(
    'dash-range',
    url,
    `the MPD asks for bytes ${range}, the server answers 200 with ${result.body.length} bytes`,
  );
  return false;
}
