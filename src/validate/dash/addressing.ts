import type { AttributeReader } from './attribute-reader.ts';
import type { Addressing } from './mpd-model.ts';
import { childOf, childrenOf, type XmlElement } from './xml.ts';

const KINDS = [
  ['SegmentTemplate', 'template'],
  ['SegmentList', 'list'],
  ['SegmentBase', 'single'],
] as const;

/** What {@link readAddressing} is told of the Representation it reads for. */
export interface AddressingContext {
  readonly reader: AttributeReader;
  readonly place: string;
  /** availabilityTimeOffset of the BaseURLs in force, seconds, added up. */
  readonly baseOffset: number;
  readonly baseComplete: boolean | undefined;
  /** Seconds; undefined when the Period goes on. */
  readonly periodDuration: number | undefined;
  /** It has a BaseURL of its own, which alone makes it a single segment. */
  readonly hasBaseUrl: boolean;
}

/** Kinds of addressing that one element has side by side; none or one when all is well. */
export function addressingKinds(element: XmlElement): string[] {
  return KINDS.filter(([name]) => childOf(element, name)).map(([name]) => name);
}

/**
 * How to find the segments of a Representation. `levels`: Period, AdaptationSet, Representation. Attributes are
 * inherited from level to level among elements of one kind (ISO/IEC 23009-1 5.3.9.1); the lowest level decides the kind.
 */
export function readAddressing(
  levels: readonly XmlElement[],
  context: AddressingContext,
): Addressing | undefined {
  const chosen = chooseKind(levels);
  if (!chosen && !context.hasBaseUrl) return undefined;
  const [name, kind] = chosen ?? (['SegmentBase', 'single'] as const);
  const inherited = new Inherited(
    levels.flatMap((level) => childrenOf(level, name)),
    context,
  );
  const timescale = inherited.unsigned('timescale') ?? 1;
  const presentationTimeOffset = inherited.unsigned('presentationTimeOffset') ?? 0;
  const { periodDuration } = context;
  const endTicks =
    periodDuration === undefined ? undefined : presentationTimeOffset + periodDuration * timescale;
  const timeline = inherited.child('SegmentTimeline');
  const initialization = inherited.child('Initialization');
  return {
    kind,
    timescale,
    presentationTimeOffset,
    duration: inherited.unsigned('duration'),
    timeline: timeline && context.reader.timelines.read(timeline, endTicks),
    startNumber: inherited.unsigned('startNumber') ?? 1,
    endNumber: inherited.unsigned('endNumber'),
    availabilityTimeOffset: context.baseOffset + (inherited.decimal('availabilityTimeOffset') ?? 0),
    availabilityTimeComplete: inherited.boolean('availabilityTimeComplete') ?? context.baseComplete ?? true,
    initialization: initialization?.attributes.get('sourceURL') ?? inherited.text('initialization'),
    initializationRange: initialization?.attributes.get('range'),
    media: inherited.text('media'),
    urls: segmentUrls(inherited, context.reader),
    indexRange: inherited.text('indexRange'),
  };
}

function chooseKind(levels: readonly XmlElement[]): (typeof KINDS)[number] | undefined {
  for (const level of levels.toReversed()) {
    const kind = KINDS.find(([name]) => childOf(level, name));
    if (kind) return kind;
  }
  return undefined;
}

function segmentUrls(inherited: Inherited, { urlLists }: AttributeReader): Addressing['urls'] {
  const list = inherited.holderOf('SegmentURL');
  if (!list) return [];
  const known = urlLists.get(list);
  if (known) return known;
  const urls = childrenOf(list, 'SegmentURL').map(({ attributes }) => ({
    media: attributes.get('media'),
    range: attributes.get('mediaRange'),
  }));
  urlLists.set(list, urls);
  return urls;
}

/** Elements of one kind from Period to Representation: the lowest that says a thing counts. */
class Inherited {
  readonly #elements: readonly XmlElement[];
  readonly #context: AddressingContext;

  constructor(elements: readonly XmlElement[], context: AddressingContext) {
    this.#elements = elements;
    this.#context = context;
  }

  #lowest(has: (element: XmlElement) => boolean): XmlElement | undefined {
    return this.#elements.findLast(has);
  }

  #holder(attribute: string): XmlElement | undefined {
    return this.#lowest((element) => element.attributes.has(attribute));
  }

  text(attribute: string): string | undefined {
    return this.#holder(attribute)?.attributes.get(attribute);
  }

  unsigned(attribute: string): number | undefined {
    const { reader, place } = this.#context;
    const holder = this.#holder(attribute);
    return holder && reader.unsigned(holder, attribute, place);
  }

  decimal(attribute: string): number | undefined {
    const { reader, place } = this.#context;
    const holder = this.#holder(attribute);
    return holder && reader.decimal(holder, attribute, place);
  }

  boolean(attribute: string): boolean | undefined {
    const { reader, place } = this.#context;
    const holder = this.#holder(attribute);
    return holder && reader.boolean(holder, attribute, place);
  }

  child(name: string): XmlElement | undefined {
    const holder = this.holderOf(name);
    return holder && childOf(holder, name);
  }

  /** The lowest that has a child of that name. */
  holderOf(name: string): XmlElement | undefined {
    return this.#lowest((element) => childOf(element, name) !== undefined);
  }
}
