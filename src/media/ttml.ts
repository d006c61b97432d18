import { childrenOf, parseXml, type XmlElement } from '../base/xml.ts';
import { type CueStyle, type CueToken, writeCueText } from './cue-text.ts';
import {
  AT_THE_TOP,
  CueCollector,
  type CueLimits,
  type CueOutcome,
  DEFAULT_CUE_LIMITS,
  tooLong,
} from './webvtt.ts';

const MAX_ELEMENTS = 500_000;
const MAX_DEPTH = 32;
/** References of styles to styles that are followed. */
const MAX_STYLE_DEPTH = 4;
const MAX_STYLES = 1000;

/** What the document says of time (TTML2 6.2, 12.3). */
interface Timing {
  readonly framesPerSecond: number;
  readonly ticksPerSecond: number;
}

type Styled = Readonly<Record<CueStyle, boolean>>;
const PLAIN: Styled = { i: false, b: false, u: false };

/** Everything that content refers to. */
interface Context {
  readonly timing: Timing;
  readonly styles: ReadonlyMap<string, XmlElement>;
  /** Regions whose text stands above. */
  readonly upper: ReadonlySet<string>;
  readonly collector: CueCollector;
}

/** What an element has from those around it. */
interface Inherited {
  readonly startMs: number;
  /** Undefined: open. */
  readonly endMs: number | undefined;
  readonly styled: Styled;
  readonly isUpper: boolean;
  readonly keepsSpace: boolean;
}

/**
 * Parses TTML (TTML1, TTML2, IMSC text, DFXP): paragraphs and timed spans with italics, bold and underline, and whether they
 * stand above. All containers are taken as parallel. Never throws.
 */
export function parseTtml(text: string, limits: CueLimits = DEFAULT_CUE_LIMITS): CueOutcome {
  if (text.length > limits.maxCharacters) return tooLong(limits);
  const outcome = parseXml(text, {
    maxCharacters: limits.maxCharacters,
    maxElements: MAX_ELEMENTS,
    maxDepth: MAX_DEPTH,
  });
  if (outcome.kind === 'unreadable') return outcome;
  const { root } = outcome;
  if (root.name !== 'tt') return { kind: 'unreadable', reason: 'it is XML, but not TTML' };
  const collector = new CueCollector(limits);
  const context: Context = { timing: timingOf(root), styles: stylesOf(root), upper: new Set(), collector };
  const upper = upperRegions(root, context);
  const start: Inherited = {
    startMs: 0,
    endMs: undefined,
    styled: PLAIN,
    isUpper: false,
    keepsSpace: attribute(root, 'space') === 'preserve',
  };
  for (const body of childrenOf(root, 'body')) readContainer(body, start, { ...context, upper });
  return { kind: 'cues', ...collector.file };
}

/** By its name without the prefix, which any document may choose. */
function attribute(element: XmlElement, name: string): string | undefined {
  const plain = element.attributes.get(name);
  if (plain !== undefined) return plain;
  for (const [key, value] of element.attributes) if (key.endsWith(`:${name}`)) return value;
  return undefined;
}

function timingOf(root: XmlElement): Timing {
  const rate = positive(attribute(root, 'frameRate')) ?? 30;
  const [numerator, denominator] = (attribute(root, 'frameRateMultiplier') ?? '')
    .split(/[\s:]+/)
    .map(positive);
  const multiplier = numerator && denominator ? numerator / denominator : 1;
  const ticks = positive(attribute(root, 'tickRate'));
  const framesPerSecond = rate * multiplier;
  return { framesPerSecond, ticksPerSecond: ticks ?? (attribute(root, 'frameRate') ? framesPerSecond : 1) };
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && text !== '' && value > 0 && value < 1e9 ? value : undefined;
}

const CLOCK = /^(\d{2,4}):(\d{2}):(\d{2})(?:\.(\d{1,9})|:(\d{2,3})(?:\.\d{1,3})?)?$/;
const OFFSET = /^(\d{1,12}(?:\.\d{1,9})?)(h|m|s|ms|f|t)$/;

/** A time expression (TTML2 12.3.1), ms; undefined: it is none. */
function readTime(text: string | undefined, { framesPerSecond, ticksPerSecond }: Timing): number | undefined {
  const given = text?.trim() ?? '';
  const clock = CLOCK.exec(given);
  if (clock) {
    const [, hours = '', minutes = '', seconds = '', fraction = '0', frames = '0'] = clock;
    const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    return (whole + Number(`0.${fraction}`) + Number(frames) / framesPerSecond) * 1000;
  }
  const [, value, unit] = OFFSET.exec(given) ?? [];
  if (value === undefined || unit === undefined) return undefined;
  const units: Readonly<Record<string, number>> = {
    ...{ h: 3_600_000, m: 60_000, s: 1000, ms: 1 },
    ...{ f: 1000 / framesPerSecond, t: 1000 / ticksPerSecond },
  };
  return Number(value) * (units[unit] ?? 0);
}

function descend(root: XmlElement, ...names: readonly string[]): XmlElement[] {
  return names.reduce<XmlElement[]>((found, name) => found.flatMap((each) => childrenOf(each, name)), [root]);
}

function stylesOf(root: XmlElement): ReadonlyMap<string, XmlElement> {
  const styles = descend(root, 'head', 'styling', 'style').slice(0, MAX_STYLES);
  return new Map(styles.flatMap((style) => idOf(style).map((id) => [id, style] as const)));
}

function idOf(element: XmlElement): string[] {
  const id = attribute(element, 'id');
  return id === undefined ? [] : [id];
}

/** Those aligned to their upper edge, or in the upper third without being aligned to the lower one. */
function upperRegions(root: XmlElement, context: Context): ReadonlySet<string> {
  const regions = descend(root, 'head', 'layout', 'region').filter((region) => {
    const said = (name: string): string | undefined =>
      attribute(region, name) ??
      childrenOf(region, 'style')
        .map((style) => attribute(style, name))
        .find((value) => value !== undefined) ??
      referenced(region, name, context.styles, 0);
    const [, top] = /^[\d.]+%\s+([\d.]+)%$/.exec((said('origin') ?? '').trim()) ?? [];
    const align = said('displayAlign');
    const isHigh = top !== undefined && Number(top) < 34;
    return align === 'after' ? false : isHigh || (align === 'before' && top === undefined);
  });
  return new Set(regions.flatMap(idOf));
}

/** What the styles that an element refers to say, the last first. */
function referenced(
  element: XmlElement,
  name: string,
  styles: ReadonlyMap<string, XmlElement>,
  depth: number,
): string | undefined {
  if (depth === MAX_STYLE_DEPTH) return undefined;
  const ids = (element.attributes.get('style') ?? '').split(/\s+/, 8).toReversed();
  for (const id of ids) {
    const style = styles.get(id);
    const value = style && (attribute(style, name) ?? referenced(style, name, styles, depth + 1));
    if (value !== undefined) return value;
  }
  return undefined;
}

/** A body, a division, or whatever else stands around paragraphs. */
function readContainer(element: XmlElement, around: Inherited, context: Context): void {
  const here = inherit(element, around, context);
  for (const child of element.children) {
    if (child.name === 'p') readParagraph(child, here, context);
    else if (child.name === 'div' || child.name === 'body') readContainer(child, here, context);
  }
}

function inherit(element: XmlElement, around: Inherited, { timing, styles, upper }: Context): Inherited {
  const begin = readTime(element.attributes.get('begin'), timing);
  const end = readTime(element.attributes.get('end'), timing);
  const duration = readTime(element.attributes.get('dur'), timing);
  const startMs = around.startMs + (begin ?? 0);
  const ends = [
    ...(around.endMs === undefined ? [] : [around.endMs]),
    ...(end === undefined ? [] : [around.startMs + end]),
    ...(duration === undefined ? [] : [startMs + duration]),
  ];
  const region = element.attributes.get('region');
  const space = attribute(element, 'space');
  return {
    startMs,
    endMs: ends.length === 0 ? undefined : Math.min(...ends),
    styled: styleOf(element, around.styled, styles),
    isUpper: region === undefined ? around.isUpper : upper.has(region),
    keepsSpace: space === undefined ? around.keepsSpace : space === 'preserve',
  };
}

function styleOf(element: XmlElement, around: Styled, styles: ReadonlyMap<string, XmlElement>): Styled {
  const said = (name: string): string | undefined =>
    attribute(element, name) ?? referenced(element, name, styles, 0);
  const fontStyle = said('fontStyle');
  const fontWeight = said('fontWeight');
  const decoration = said('textDecoration');
  return {
    i: fontStyle === undefined ? around.i : fontStyle === 'italic' || fontStyle === 'oblique',
    b: fontWeight === undefined ? around.b : fontWeight === 'bold',
    u: decoration === undefined ? around.u : decoration.split(/\s+/).includes('underline'),
  };
}

/** One cue, or one for each of its spans that have times of their own. */
function readParagraph(paragraph: XmlElement, around: Inherited, context: Context): void {
  const here = inherit(paragraph, around, context);
  const timed = paragraph.children.filter(
    (child) => child.name === 'span' && (child.attributes.has('begin') || child.attributes.has('end')),
  );
  if (timed.length === 0) {
    addCue(paragraph, here, context);
    return;
  }
  for (const span of timed) addCue(span, inherit(span, here, context), context);
}

function addCue(element: XmlElement, here: Inherited, context: Context): void {
  const tokens = readContent(element, here, PLAIN, context);
  context.collector.add({
    startMs: Math.round(here.startMs),
    // Without an end nobody knows how long it is to be read.
    endMs: here.endMs === undefined ? -1 : Math.round(here.endMs),
    text: writeCueText(tokens),
    settings: here.isUpper ? AT_THE_TOP : '',
  });
}

/** `shown`: the styles that are open already. */
function readContent(element: XmlElement, here: Inherited, shown: Styled, context: Context): CueToken[] {
  const changes = (['i', 'b', 'u'] as const).filter((style) => here.styled[style] !== shown[style]);
  const turned = (kind: 'on' | 'off'): CueToken[] =>
    changes.map((style) => ({ kind: here.styled[style] === (kind === 'on') ? 'open' : 'close', style }));
  const inner = element.content.flatMap((part): CueToken[] => {
    if (typeof part === 'string') {
      return [{ kind: 'text', text: here.keepsSpace ? part : part.replace(/\s+/g, ' ') }];
    }
    if (part.name === 'br') return [{ kind: 'text', text: '\n' }];
    return part.name === 'span' ? readContent(part, inherit(part, here, context), here.styled, context) : [];
  });
  return [...turned('on'), ...inner, ...turned('off')];
}
