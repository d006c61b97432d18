import type { XmlElement } from './xml.ts';

/** A scheme with a value, as UTCTiming and the properties have it. */
export interface Descriptor {
  readonly scheme: string;
  readonly value: string;
}

/** An attribute that is not of its type, or one that must be there and is not read as absent. */
export interface AttributeFault {
  /** Where, e.g. `Period p1 / Representation v`. */
  readonly place: string;
  readonly attribute: string;
  readonly value: string;
  /** What it should be, e.g. `xs:duration`. */
  readonly wanted: string;
}

/** An MPD (ISO/IEC 23009-1 5.3), times in seconds unless named otherwise, inheritance resolved. */
export interface Mpd {
  readonly element: XmlElement;
  readonly id: string | undefined;
  readonly dynamic: boolean;
  /** As written; undefined when absent, which means `static`. */
  readonly type: string | undefined;
  readonly profiles: readonly string[];
  readonly availabilityStartMs: number | undefined;
  readonly publishTimeMs: number | undefined;
  readonly presentationDuration: number | undefined;
  readonly minimumUpdatePeriod: number | undefined;
  readonly minBufferTime: number | undefined;
  readonly timeShiftBufferDepth: number | undefined;
  readonly suggestedPresentationDelay: number | undefined;
  readonly maxSegmentDuration: number | undefined;
  /** Where to ask for the next state of the MPD, absolute. */
  readonly locations: readonly string[];
  readonly utcTimings: readonly Descriptor[];
  readonly serviceDescriptions: readonly ServiceDescription[];
  readonly periods: readonly Period[];
  readonly faults: readonly AttributeFault[];
}

/** ISO/IEC 23009-1 Annex K. */
export interface ServiceDescription {
  readonly id: string | undefined;
  readonly latency:
    | {
        readonly referenceId: string | undefined;
        readonly targetMs: number | undefined;
        readonly minMs: number | undefined;
        readonly maxMs: number | undefined;
      }
    | undefined;
  readonly playbackRate: { readonly min: number | undefined; readonly max: number | undefined } | undefined;
}

export interface Period {
  readonly element: XmlElement;
  readonly id: string | undefined;
  readonly index: number;
  /** Undefined when it can not be told (an early available Period). */
  readonly start: number | undefined;
  /** Undefined: it goes on. */
  readonly end: number | undefined;
  /** `@start` and `@duration` as written. */
  readonly declaredStart: number | undefined;
  readonly declaredDuration: number | undefined;
  /** Filled from elsewhere by XLink, which is not followed. */
  readonly remote: boolean;
  readonly adaptationSets: readonly AdaptationSet[];
}

export type ContentKind = 'video' | 'audio' | 'text' | 'other';

export interface AdaptationSet {
  readonly element: XmlElement;
  readonly id: string | undefined;
  readonly kind: ContentKind;
  readonly segmentAlignment: boolean;
  readonly startWithSap: number | undefined;
  readonly properties: readonly Descriptor[];
  readonly references: readonly ProducerReference[];
  readonly representations: readonly Representation[];
}

/** ISO/IEC 23009-1 5.12. */
export interface ProducerReference {
  readonly id: string | undefined;
  readonly inband: boolean;
  readonly wallClockMs: number | undefined;
  /** Ticks of the Representation's timescale. */
  readonly presentationTicks: number | undefined;
}

export interface Representation {
  readonly element: XmlElement;
  readonly id: string | undefined;
  /** For people: Period, AdaptationSet and Representation. */
  readonly place: string;
  readonly bandwidth: number | undefined;
  readonly mimeType: string | undefined;
  readonly codecs: readonly string[];
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly frameRate: number | undefined;
  readonly audioSamplingRate: number | undefined;
  readonly hasChannelConfiguration: boolean;
  readonly startWithSap: number | undefined;
  readonly references: readonly ProducerReference[];
  /** What relative URLs of its segments are relative to. */
  readonly baseUrl: string;
  /** Undefined when nothing says where its segments are. */
  readonly addressing: Addressing | undefined;
  /** Kinds of addressing said at one and the same level, when more than one. */
  readonly conflicting: readonly string[];
}

/** How to find a Representation's segments (ISO/IEC 23009-1 5.3.9). */
export interface Addressing {
  readonly kind: 'template' | 'list' | 'single';
  readonly timescale: number;
  readonly presentationTimeOffset: number;
  /** Ticks; undefined when a timeline says it, or nothing does. */
  readonly duration: number | undefined;
  readonly timeline: Timeline | undefined;
  readonly startNumber: number;
  readonly endNumber: number | undefined;
  /** Seconds, all levels added; Infinity for `INF`. */
  readonly availabilityTimeOffset: number;
  readonly availabilityTimeComplete: boolean;
  /** Template or URL; undefined when there is none. */
  readonly initialization: string | undefined;
  readonly initializationRange: string | undefined;
  readonly media: string | undefined;
  /** SegmentURL elements of a SegmentList. */
  readonly urls: readonly { readonly media: string | undefined; readonly range: string | undefined }[];
  readonly indexRange: string | undefined;
}

/** SegmentTimeline with its repeats written out. */
export interface Timeline {
  readonly segments: readonly TimelineSegment[];
  readonly faults: readonly string[];
  /** Not written out to its end: it has too many segments. */
  readonly truncated: boolean;
}

export interface TimelineSegment {
  readonly start: number;
  readonly duration: number;
}
