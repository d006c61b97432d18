import { addressingKinds, readAddressing } from './addressing.ts';
import { AttributeReader } from './attribute-reader.ts';
import type {
  AdaptationSet,
  ContentKind,
  Descriptor,
  Mpd,
  Period,
  ProducerReference,
  Representation,
  ServiceDescription,
} from './mpd-model.ts';
import { childOf, childrenOf, parseXml, type XmlElement } from './xml.ts';

export const MPD_NAMESPACE = 'urn:mpeg:dash:schema:mpd:2011';

export type MpdOutcome =
  | { readonly kind: 'mpd'; readonly mpd: Mpd }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Parses an MPD that was fetched from `url`. Never throws. */
export function parseMpd(text: string, url: string): MpdOutcome {
  const outcome = parseXml(text);
  if (outcome.kind === 'unreadable') return outcome;
  const { root } = outcome;
  if (root.name !== 'MPD' || root.namespace !== MPD_NAMESPACE) {
    const reason = `the root element is ${root.name} of namespace "${root.namespace}"`;
    return { kind: 'unreadable', reason };
  }
  return { kind: 'mpd', mpd: readMpd(root, url) };
}

function readMpd(root: XmlElement, url: string): Mpd {
  const reader = new AttributeReader();
  const place = 'MPD';
  const type = reader.text(root, 'type');
  const presentationDuration = reader.duration(root, 'mediaPresentationDuration', place);
  const dynamic = type === 'dynamic';
  const base = resolveBase({ url, offset: 0, complete: undefined }, root, reader, place);
  return {
    element: root,
    id: reader.text(root, 'id'),
    dynamic,
    type,
    profiles: listOf(reader.text(root, 'profiles')),
    availabilityStartMs: reader.dateTime(root, 'availabilityStartTime', place),
    publishTimeMs: reader.dateTime(root, 'publishTime', place),
    presentationDuration,
    minimumUpdatePeriod: reader.duration(root, 'minimumUpdatePeriod', place),
    minBufferTime: reader.duration(root, 'minBufferTime', place),
    timeShiftBufferDepth: reader.duration(root, 'timeShiftBufferDepth', place),
    suggestedPresentationDelay: reader.duration(root, 'suggestedPresentationDelay', place),
    maxSegmentDuration: reader.duration(root, 'maxSegmentDuration', place),
    locations: childrenOf(root, 'Location').map((location) => resolveUrl(location.text, url)),
    utcTimings: descriptors(root, 'UTCTiming'),
    serviceDescriptions: childrenOf(root, 'ServiceDescription').map((each) => readService(each, reader)),
    periods: readPeriods(root, { base, dynamic, presentationDuration }, reader),
    faults: reader.faults,
  };
}

/** Longest list of profiles or codecs that is read, and longest URL that is followed. */
const MAX_LIST = 4096;
const MAX_URL = 16 * 1024;

function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .slice(0, MAX_LIST)
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function descriptors(element: XmlElement, name: string): Descriptor[] {
  return childrenOf(element, name).map(({ attributes }) => ({
    scheme: attributes.get('schemeIdUri') ?? '',
    value: attributes.get('value') ?? '',
  }));
}

function readService(element: XmlElement, reader: AttributeReader): ServiceDescription {
  const latency = childOf(element, 'Latency');
  const rate = childOf(element, 'PlaybackRate');
  const place = 'ServiceDescription';
  return {
    id: reader.text(element, 'id'),
    latency: latency && {
      referenceId: reader.text(latency, 'referenceId'),
      targetMs: reader.unsigned(latency, 'target', place),
      minMs: reader.unsigned(latency, 'min', place),
      maxMs: reader.unsigned(latency, 'max', place),
    },
    playbackRate: rate && {
      min: reader.decimal(rate, 'min', place),
      max: reader.decimal(rate, 'max', place),
    },
  };
}

/** What BaseURL elements have made of the URL so far (ISO/IEC 23009-1 5.6). */
interface Base {
  readonly url: string;
  readonly offset: number;
  readonly complete: boolean | undefined;
}

/** The first of alternative BaseURLs is followed. */
function resolveBase(base: Base, element: XmlElement, reader: AttributeReader, place: string): Base {
  const baseUrl = childOf(element, 'BaseURL');
  if (!baseUrl) return base;
  return {
    url: resolveUrl(baseUrl.text, base.url),
    offset: base.offset + (reader.decimal(baseUrl, 'availabilityTimeOffset', place) ?? 0),
    complete: reader.boolean(baseUrl, 'availabilityTimeComplete', place) ?? base.complete,
  };
}

/** An absolute URL; `reference` itself when it cannot be made one, or only one that is too long. */
export function resolveUrl(reference: string, base: string): string {
  if (reference.length + base.length > MAX_URL) return reference;
  return URL.canParse(reference, base) ? new URL(reference, base).href : reference;
}

interface PeriodContext {
  readonly base: Base;
  readonly dynamic: boolean;
  readonly presentationDuration: number | undefined;
}

function readPeriods(root: XmlElement, context: PeriodContext, reader: AttributeReader): Period[] {
  const elements = childrenOf(root, 'Period');
  const times = periodTimes(elements, context, reader);
  return elements.map((element, index) => readPeriod(element, index, times[index] ?? {}, context, reader));
}

interface PeriodTimes {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  readonly declaredStart?: number | undefined;
  readonly declaredDuration?: number | undefined;
}

/** Starts and ends of all Periods (ISO/IEC 23009-1 5.3.2.1). */
function periodTimes(
  elements: readonly XmlElement[],
  { dynamic, presentationDuration }: PeriodContext,
  reader: AttributeReader,
): PeriodTimes[] {
  const times: PeriodTimes[] = [];
  for (const [index, element] of elements.entries()) {
    const place = placeOfPeriod(element, index);
    const declaredStart = reader.duration(element, 'start', place);
    const declaredDuration = reader.duration(element, 'duration', place);
    const before = times.at(-1);
    const follows =
      before?.start !== undefined && before.declaredDuration !== undefined
        ? before.start + before.declaredDuration
        : undefined;
    const start = declaredStart ?? (index === 0 ? (dynamic ? undefined : 0) : follows);
    times.push({ start, declaredStart, declaredDuration });
  }
  return times.map((period, index) => {
    const { start, declaredDuration } = period;
    const own = start !== undefined && declaredDuration !== undefined ? start + declaredDuration : undefined;
    const last = index === times.length - 1;
    return { ...period, end: own ?? (last ? presentationDuration : times[index + 1]?.start) };
  });
}

function placeOfPeriod(element: XmlElement, index: number): string {
  return `Period ${element.attributes.get('id') ?? `#${index + 1}`}`;
}

/** The levels above a Representation, and what they say. */
interface Above {
  readonly place: string;
  readonly base: Base;
  readonly levels: readonly XmlElement[];
  readonly periodDuration: number | undefined;
}

function readPeriod(
  element: XmlElement,
  index: number,
  times: PeriodTimes,
  context: PeriodContext,
  reader: AttributeReader,
): Period {
  const place = placeOfPeriod(element, index);
  const { start, end } = times;
  const above: Above = {
    place,
    base: resolveBase(context.base, element, reader, place),
    levels: [element],
    periodDuration: start !== undefined && end !== undefined ? end - start : undefined,
  };
  return {
    element,
    id: reader.text(element, 'id'),
    index,
    start,
    end,
    declaredStart: times.declaredStart,
    declaredDuration: times.declaredDuration,
    remote: element.attributes.has('xlink:href'),
    adaptationSets: childrenOf(element, 'AdaptationSet').map((set, at) => readSet(set, at, above, reader)),
  };
}

function readSet(element: XmlElement, index: number, above: Above, reader: AttributeReader): AdaptationSet {
  const place = `${above.place} / AdaptationSet ${element.attributes.get('id') ?? `#${index + 1}`}`;
  const own: Above = {
    ...above,
    place,
    base: resolveBase(above.base, element, reader, place),
    levels: [...above.levels, element],
  };
  const representations = childrenOf(element, 'Representation').map((each, at) =>
    readRepresentation(each, at, own, reader),
  );
  return {
    element,
    id: reader.text(element, 'id'),
    kind: kindOf(
      reader.text(element, 'contentType'),
      representations[0]?.mimeType,
      representations[0]?.codecs,
    ),
    segmentAlignment: isAligned(reader.text(element, 'segmentAlignment')),
    startWithSap: reader.unsigned(element, 'startWithSAP', place),
    properties: [
      ...descriptors(element, 'SupplementalProperty'),
      ...descriptors(element, 'EssentialProperty'),
    ],
    references: readReferences(element, reader, place),
    representations,
  };
}

/** A boolean, or the number of a group of sets that are aligned with each other. */
function isAligned(text: string | undefined): boolean {
  return text !== undefined && text !== 'false' && text !== '0';
}

function kindOf(
  contentType: string | undefined,
  mimeType: string | undefined,
  codecs: readonly string[] = [],
): ContentKind {
  const top = contentType ?? mimeType?.split('/')[0];
  if (top === 'video' || top === 'audio' || top === 'text') return top;
  return codecs.some((codec) => /^(stpp|wvtt)/.test(codec)) ? 'text' : 'other';
}

function readReferences(element: XmlElement, reader: AttributeReader, place: string): ProducerReference[] {
  return childrenOf(element, 'ProducerReferenceTime').map((each) => ({
    id: reader.text(each, 'id'),
    inband: reader.boolean(each, 'inband', place) ?? false,
    wallClockMs: reader.dateTime(each, 'wallClockTime', place),
    presentationTicks: reader.unsigned(each, 'presentationTime', place),
  }));
}

function readRepresentation(
  element: XmlElement,
  index: number,
  above: Above,
  reader: AttributeReader,
): Representation {
  const id = reader.text(element, 'id');
  const place = `${above.place} / Representation ${id ?? `#${index + 1}`}`;
  const base = resolveBase(above.base, element, reader, place);
  const levels = [...above.levels, element];
  const [, set = element] = levels;
  /** Common attributes stand on either level (5.3.7). */
  const holder = (attribute: string): XmlElement => (element.attributes.has(attribute) ? element : set);
  return {
    element,
    id,
    place,
    bandwidth: reader.unsigned(element, 'bandwidth', place),
    mimeType: reader.text(holder('mimeType'), 'mimeType'),
    codecs: listOf(reader.text(holder('codecs'), 'codecs')),
    width: reader.unsigned(holder('width'), 'width', place),
    height: reader.unsigned(holder('height'), 'height', place),
    frameRate: reader.frameRate(holder('frameRate'), 'frameRate', place),
    audioSamplingRate: firstNumber(reader.text(holder('audioSamplingRate'), 'audioSamplingRate')),
    hasChannelConfiguration: [element, set].some((each) => childOf(each, 'AudioChannelConfiguration')),
    startWithSap: reader.unsigned(holder('startWithSAP'), 'startWithSAP', place),
    references: readReferences(element, reader, place),
    baseUrl: base.url,
    addressing: readAddressing(levels, {
      reader,
      place,
      baseOffset: base.offset,
      baseComplete: base.complete,
      periodDuration: above.periodDuration,
      hasBaseUrl: base.url !== above.base.url,
    }),
    conflicting: levels.map(addressingKinds).find((kinds) => kinds.length > 1) ?? [],
  };
}

/** One rate, or two with the range between. */
function firstNumber(text: string | undefined): number | undefined {
  const value = Number(text?.trim().split(/\s+/)[0]);
  return Number.isFinite(value) ? value : undefined;
}
