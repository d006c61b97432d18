import { DOMParser, type Element, type Node } from '@xmldom/xmldom';
import { deepestNesting } from './xml-nesting.ts';

/** An element without the DOM around it. */
export interface XmlElement {
  /** Without prefix. */
  readonly name: string;
  readonly namespace: string;
  /** By name as written, prefix included (`xlink:href`). */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Character data of this element itself, trimmed. */
  readonly text: string;
  /** Character data as it is and elements, in their order: for text with markup in it. */
  readonly content: readonly (string | XmlElement)[];
}

export type XmlOutcome =
  | { readonly kind: 'document'; readonly root: XmlElement }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** How much XML is taken from a stranger; past any of them the text is unreadable. */
export interface XmlLimits {
  readonly maxCharacters: number;
  readonly maxElements: number;
  /** Elements within each other; bounds the recursion. */
  readonly maxDepth: number;
}

const ELEMENT_NODE = 1;
const TEXT_NODE = 3;
const CDATA_NODE = 4;

/**
 * Parses XML from strangers. A DOCTYPE is refused unread: nothing that is read here needs one, and entities are what
 * XML bombs and stolen files are made of. Sizes are bounded. Never throws.
 */
export function parseXml(text: string, limits: XmlLimits): XmlOutcome {
  const { maxCharacters, maxElements, maxDepth } = limits;
  if (text.length > maxCharacters) return unreadable(`longer than ${maxCharacters} characters`);
  if (/<!DOCTYPE|<!ENTITY/i.test(text)) return unreadable('has a DOCTYPE, which is refused');
  // xmldom's own work grows with the depth of open elements; a cheap look at the text comes first.
  if (deepestNesting(text) > maxDepth) return unreadable(`nested deeper than ${maxDepth} elements`);
  try {
    const parser = new DOMParser({ onError: refuse });
    const root = parser.parseFromString(text.replace(/^\uFEFF/, ''), 'text/xml').documentElement;
    if (!root) return unreadable('has no root element');
    return { kind: 'document', root: convert(root, { left: maxElements, of: maxElements }) };
  } catch (error) {
    return unreadable(firstLine(error));
  }
}

function unreadable(reason: string): XmlOutcome {
  return { kind: 'unreadable', reason };
}

/** Everything but a warning ends the parsing. */
function refuse(level: 'warning' | 'error' | 'fatalError', message: string): void {
  if (level !== 'warning') throw new Error(message);
}

const MAX_REASON = 200;

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return (message.split('\n')[0] ?? '').slice(0, MAX_REASON);
}

function convert(element: Element, budget: { left: number; readonly of: number }): XmlElement {
  budget.left -= 1;
  if (budget.left < 0) throw new Error(`more than ${budget.of} elements`);
  const attributes = new Map<string, string>();
  for (const attribute of element.attributes) attributes.set(attribute.name, attribute.value);
  const content: (string | XmlElement)[] = [];
  for (let node: Node | null = element.firstChild; node; node = node.nextSibling) {
    if (node.nodeType === ELEMENT_NODE) content.push(convert(node as Element, budget));
    else if (node.nodeType === TEXT_NODE || node.nodeType === CDATA_NODE) content.push(node.nodeValue ?? '');
  }
  return {
    name: element.localName ?? element.nodeName,
    namespace: element.namespaceURI ?? '',
    attributes,
    children: content.filter((part) => typeof part !== 'string'),
    text: content
      .filter((part) => typeof part === 'string')
      .join('')
      .trim(),
    content,
  };
}

/** The children of that name. */
export function childrenOf(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

/** The first child of that name. */
export function childOf(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find((child) => child.name === name);
}

/** Text in which two documents that say the same are equal: attributes in order, no white space between elements. */
export function canonicalText(element: XmlElement): string {
  const attributes = [...element.attributes].sort(([a], [b]) => (a < b ? -1 : 1));
  const written = attributes.map(([name, value]) => ` ${name}=${JSON.stringify(value)}`).join('');
  return `<${element.name}${written}>${element.text}${element.children.map(canonicalText).join('')}</>`;
}
