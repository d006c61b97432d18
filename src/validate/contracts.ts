import type { Clock } from '../base/clock.ts';
import type { Fetcher } from './fetcher.ts';
import type { Finding, FindingLog } from './finding.ts';
import type { CounterBoard } from './media/counter-board.ts';

/** What every part of a validation works with. */
export interface ValidationContext {
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly log: FindingLog;
  /** Counters seen so far: of all renditions together, for they may share a key. */
  readonly counters: CounterBoard;
  /** `clock.monotonicMs()` at which watching a live presentation ends. A VOD one is read whole, but not past it. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** What was looked at of one rendition or representation. */
export interface WatchedRendition {
  /** Its id in the manifest, or its playlist's URL. */
  readonly id: string;
  readonly kind: 'video' | 'audio' | 'text' | 'muxed' | 'unknown';
  /** Manifest or playlist updates read, the first included. */
  readonly updates: number;
  readonly segments: number;
  readonly parts: number;
  readonly mediaSeconds: number;
  readonly bytes: number;
}

/** What was looked at altogether. */
export interface WatchedSummary {
  readonly format: 'hls' | 'dash';
  readonly live: boolean;
  /** LL-HLS parts or LL-DASH chunked segments are offered. */
  readonly lowLatency: boolean;
  readonly renditions: readonly WatchedRendition[];
}

/** Exported by `dash/validate-dash.ts`: judges the presentation whose MPD is `manifestText`, fetched from `url`. */
export type ValidateDash = (
  context: ValidationContext,
  url: string,
  manifestText: string,
) => Promise<WatchedSummary>;

/** Takes a finding about one resource; who hands it out has bound the URL. */
export type Report = (finding: Omit<Finding, 'url'>) => void;

/** What the manifest says of an initialization segment. */
export interface InitExpectations {
  /** The clauses that count: RFC 8216bis 3.1.2 for `hls`, CMAF and DASH for `dash`. */
  readonly format: 'hls' | 'dash';
  readonly kind: 'video' | 'audio' | undefined;
  /** RFC 6381 strings of its tracks; undefined when the manifest does not tell or one string covers several files. */
  readonly codecs: readonly string[] | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/** One `trak`. */
export interface TrackFacts {
  readonly trackId: number;
  readonly kind: 'video' | 'audio' | 'text' | 'other';
  readonly timescale: number;
  /** RFC 6381 string as the sample entry says; undefined when the entry is not one we can name. */
  readonly codec: string | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Bytes of a NAL unit's length in front of it; undefined for other than unencrypted H.264 and H.265. */
  readonly nalLengthSize: number | undefined;
  /** Of a protected track (`encv`, `enca`); undefined when it is in the clear. */
  readonly protection: ProtectionFacts | undefined;
}

/** What the `sinf` of a protected track says. */
export interface ProtectionFacts {
  /** scheme_type of `schm`; undefined when there is none. */
  readonly scheme: string | undefined;
  /** `tenc`: holds for samples of which no group says otherwise; undefined when there is none that can be read. */
  readonly encryption: SampleEncryption | undefined;
}

/** How samples are encrypted, of `tenc` or of a `seig` group (ISO/IEC 23001-7 6, 8.2). */
export interface SampleEncryption {
  readonly isProtected: boolean;
  /** Blocks of 16 bytes that are encrypted and left clear by turns; both 0: no pattern. */
  readonly cryptBlocks: number;
  readonly skipBlocks: number;
  /** 0: the IV is constant. */
  readonly ivBytes: number;
  /** 32 hex digits, lower case. */
  readonly kid: string;
  readonly constantIvBytes: number;
}

/** What an initialization segment turned out to be; handed to the checks of its media segments. */
export interface InitFacts {
  readonly tracks: readonly TrackFacts[];
  /** Of `trex`, by track id: what `trun` and `tfhd` leave out. Opaque to others than the media checks. */
  readonly defaults: ReadonlyMap<number, SampleDefaults>;
  /** The brands claim CMAF (`cmfc`, `cmf2`), so that its rules hold. */
  readonly cmaf: boolean;
}

export interface SampleDefaults {
  readonly durationTicks: number;
  readonly sizeBytes: number;
  readonly flags: number;
}

/** What the manifest says of a run of fragments: a whole segment or one LL-HLS part. */
export interface MediaExpectations {
  readonly format: 'hls' | 'dash';
  readonly scope: 'segment' | 'part';
  readonly init: InitFacts;
  /**
   * True: the manifest promises that it begins with a random access point (EXT-X-INDEPENDENT-SEGMENTS,
   * `startWithSAP`); undefined: it says nothing. LL-HLS parts are judged by the caller from the facts.
   */
  readonly startsWithSync: boolean | undefined;
  /** Where counters of `cenc` are compared; without it they are not. */
  readonly counters?: CounterLog | undefined;
}

/** Where the counters of one resource go. */
export interface CounterLog {
  readonly board: CounterBoard;
  readonly url: string;
}

/** One track of a run of fragments. */
export interface TrackRunFacts {
  readonly trackId: number;
  /** `tfdt` of the first fragment, timescale ticks. */
  readonly startTicks: number;
  /** Sum of the sample durations. */
  readonly durationTicks: number;
  readonly earliestPresentationTicks: number;
  /** Largest presentation time + duration. */
  readonly endPresentationTicks: number;
  readonly sampleCount: number;
  readonly syncSampleCount: number;
  readonly firstSampleIsSync: boolean;
}

/** One `prft`: wall time and media time of the same picture (ISO/IEC 14496-12 8.16.5). */
export interface ReferenceTimeFacts {
  readonly trackId: number;
  /** Milliseconds since the Unix epoch, fractional. */
  readonly wallMs: number;
  readonly mediaTicks: number;
}

/** What a run of fragments turned out to be. */
export interface MediaFacts {
  readonly references: readonly ReferenceTimeFacts[];
  readonly tracks: readonly TrackRunFacts[];
  /** moof + mdat pairs. */
  readonly fragmentCount: number;
  /** Brands of the first `styp`. */
  readonly brands: readonly string[];
  /** Key ids (32 hex digits) that its protected samples need, each once. */
  readonly kids: readonly string[];
}

/** Exported by `media/check-init-segment.ts`. Undefined when the bytes are no initialization segment at all (told). */
export type CheckInitSegment = (
  bytes: Uint8Array,
  expectations: InitExpectations,
  report: Report,
) => InitFacts | undefined;

/** Exported by `media/check-media-segment.ts`. Undefined when the bytes are no fragments at all (told). */
export type CheckMediaSegment = (
  bytes: Uint8Array,
  expectations: MediaExpectations,
  report: Report,
) => MediaFacts | undefined;
