import type { Attributes } from './attribute-list.ts';

/** One `#EXT` line. */
export interface Tag {
  /** Without the `#`. */
  readonly name: string;
  /** After the colon; '' when there is none. */
  readonly value: string;
  /** From 1. */
  readonly line: number;
  /** Of a tag whose value is an attribute list; empty else. */
  readonly attributes: Attributes;
}

export type TextProblemKind =
  | 'no-header'
  | 'byte-order-mark'
  | 'not-utf8'
  | 'malformed'
  | 'attribute-twice'
  | 'attribute-missing'
  | 'attribute-form'
  | 'uri'
  | 'too-long';

/** A fault that reading the text brought out. */
export interface TextProblem {
  readonly kind: TextProblemKind;
  readonly line: number;
  readonly message: string;
  /** Section of RFC 8216bis. */
  readonly section: string;
}

/** A sub-range of a resource. */
export interface ByteRange {
  readonly length: number;
  /** Undefined: it begins where the last range of the same resource ended, which the reader has resolved if it could. */
  readonly offset: number | undefined;
  /** The text gave the offset. */
  readonly explicit: boolean;
}

/** EXT-X-MAP. */
export interface InitSection {
  readonly url: string;
  readonly range: ByteRange | undefined;
  readonly line: number;
}

/** EXT-X-KEY in force. */
export interface Key {
  readonly method: string;
  readonly text: string;
  readonly line: number;
  readonly uri: string | undefined;
  /** `identity` when the tag does not say. */
  readonly keyFormat: string;
  /** KEYID without its 0x, in lower case: no attribute of the standard, but packagers write and players read it. */
  readonly keyId: string | undefined;
}

/** EXT-X-PART. */
export interface Part {
  readonly msn: number;
  readonly index: number;
  /** As printed. */
  readonly uri: string;
  readonly url: string;
  readonly seconds: number;
  readonly independent: boolean;
  readonly gap: boolean;
  readonly range: ByteRange | undefined;
  readonly line: number;
}

/** A media segment, or the parent of the last parts, which is not complete yet. */
export interface Segment {
  readonly msn: number;
  /** Undefined while it is not complete. */
  readonly uri: string | undefined;
  /** Resolved; '' while it is not complete or when the URI cannot be resolved. */
  readonly url: string;
  /** EXTINF; undefined when there is none that can be read. */
  readonly seconds: number | undefined;
  /** Line of the URI, or of its first tag. */
  readonly line: number;
  readonly discontinuity: boolean;
  /** Discontinuity sequence number (6.2.1). */
  readonly discontinuityNumber: number;
  readonly map: InitSection | undefined;
  /** Of each KEYFORMAT the last one; of METHOD=NONE that alone. */
  readonly keys: readonly Key[];
  /** EXT-X-KEY and EXT-X-MAP of this very segment, as they stand. */
  readonly openingTags: readonly Tag[];
  /** Of EXT-X-PROGRAM-DATE-TIME on this very segment, ms since 1970. */
  readonly dateMs: number | undefined;
  readonly gap: boolean;
  readonly range: ByteRange | undefined;
  readonly parts: readonly Part[];
  /** Tags of the segment that stand after its first EXT-X-PART. */
  readonly tagsAfterParts: readonly Tag[];
}

export interface ServerControl {
  readonly text: string;
  readonly canSkipUntilSeconds: number | undefined;
  readonly canSkipDateRanges: boolean;
  readonly holdBackSeconds: number | undefined;
  readonly partHoldBackSeconds: number | undefined;
  readonly canBlockReload: boolean;
}

export interface PreloadHint {
  readonly type: string;
  readonly url: string;
  readonly uri: string;
  readonly rangeStart: number | undefined;
  readonly rangeLength: number | undefined;
  readonly line: number;
}

export interface RenditionReport {
  readonly uri: string;
  readonly url: string;
  readonly lastMsn: number | undefined;
  readonly lastPart: number | undefined;
  readonly line: number;
}

export interface Skip {
  readonly count: number;
  readonly removedDateRanges: string | undefined;
  readonly line: number;
}

export type PlaylistKind = 'media' | 'multivariant' | 'neither';

/** What is common to both kinds of playlist. */
export interface PlaylistText {
  /** Where it came from, after redirects: the base of its URIs. */
  readonly url: string;
  readonly kind: PlaylistKind;
  readonly tags: readonly Tag[];
  readonly problems: readonly TextProblem[];
  /** EXT-X-VERSION; undefined when there is none. */
  readonly version: number | undefined;
}

/** A media playlist, full or a delta update. */
export interface MediaPlaylist extends PlaylistText {
  readonly targetDuration: number | undefined;
  readonly partTarget: number | undefined;
  readonly serverControl: ServerControl | undefined;
  /** 0 when the tag is absent. */
  readonly mediaSequence: number;
  /** 0 when the tag is absent. */
  readonly discontinuitySequence: number;
  readonly type: string | undefined;
  readonly ended: boolean;
  readonly iFramesOnly: boolean;
  readonly independentSegments: boolean;
  readonly skip: Skip | undefined;
  /** Complete ones. In a delta the first has the number `mediaSequence + skip.count`. */
  readonly segments: readonly Segment[];
  /** The parts after the last complete segment. */
  readonly open: Segment | undefined;
  readonly hints: readonly PreloadHint[];
  readonly reports: readonly RenditionReport[];
  readonly dateRanges: readonly Tag[];
}

/** EXT-X-STREAM-INF with its URI, or EXT-X-I-FRAME-STREAM-INF. */
export interface Variant {
  readonly tag: Tag;
  readonly uri: string | undefined;
  readonly url: string;
  readonly iFrames: boolean;
}

/** EXT-X-MEDIA. */
export interface MediaRendition {
  readonly tag: Tag;
  readonly type: string;
  readonly groupId: string;
  readonly name: string;
  /** Undefined: it is in the variant's own playlist. */
  readonly url: string | undefined;
}

export interface MultivariantPlaylist extends PlaylistText {
  readonly variants: readonly Variant[];
  readonly renditions: readonly MediaRendition[];
  readonly independentSegments: boolean;
}

/** Text of an attribute; undefined when absent. */
export function attribute(tag: Tag, name: string): string | undefined {
  return tag.attributes.get(name)?.text;
}

/** A number of an attribute; undefined when absent or not a number. */
export function numberAttribute(tag: Tag, name: string): number | undefined {
  return toNumber(attribute(tag, name));
}

/** Undefined for what is not a plain decimal number. */
export function toNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d+(\.\d*)?$/.test(text) ? Number(text) : undefined;
}

/** EXT-X-KEY as it is in force. */
export function keyOf(tag: Tag): Key {
  return {
    method: attribute(tag, 'METHOD') ?? '',
    text: tag.value,
    line: tag.line,
    uri: attribute(tag, 'URI'),
    keyFormat: attribute(tag, 'KEYFORMAT') ?? 'identity',
    keyId: attribute(tag, 'KEYID')?.toLowerCase().replace(/^0x/, ''),
  };
}

/** Every segment, the open one last. */
export function allSegments(playlist: MediaPlaylist): readonly Segment[] {
  return playlist.open ? [...playlist.segments, playlist.open] : playlist.segments;
}

/** Every part that is listed, in order. */
export function allParts(playlist: MediaPlaylist): readonly Part[] {
  return allSegments(playlist).flatMap((segment) => segment.parts);
}

/** Seconds that a segment has so far. */
export function secondsOf(segment: Segment): number {
  return segment.seconds ?? segment.parts.reduce((sum, part) => sum + part.seconds, 0);
}

/** Seconds from the first listed segment to the last listed part. */
export function playlistSeconds(playlist: MediaPlaylist): number {
  return allSegments(playlist).reduce((sum, segment) => sum + secondsOf(segment), 0);
}

/** Number and part index of the last thing listed; part -1 where the last is a whole segment without parts. */
export function lastListed(
  playlist: MediaPlaylist,
): { readonly msn: number; readonly part: number } | undefined {
  const last = allSegments(playlist).at(-1);
  return last && { msn: last.msn, part: last.parts.length - 1 };
}

/** Low latency is offered. */
export function isLowLatency(playlist: MediaPlaylist): boolean {
  return playlist.partTarget !== undefined || allParts(playlist).length > 0;
}
