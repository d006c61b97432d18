/** An XML element as plain data: it can be written, compared and patched. */
export interface XmlElement {
  readonly name: string;
  /** In the order they are written. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Text content; an element has text or children, not both. */
  readonly text: string;
}

/** Attribute values by name; undefined ones are left out. */
export type XmlAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Builds an element from attributes and children; undefined children are left out. */
export function element(
  name: string,
  attributes: XmlAttributes = {},
  content: string | readonly (XmlElement | undefined)[] = [],
): XmlElement {
  const values = new Map<string, string>();
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) values.set(key, String(value));
  }
  const text = typeof content === 'string' ? content : '';
  const children = typeof content === 'string' ? [] : content.filter((child) => child !== undefined);
  return { name, attributes: values, children, text };
}

/** The whole document, one element a line. */
export function writeDocument(root: XmlElement): string {
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>'];
  pushElement(lines, root, '');
  lines.push('');
  return lines.join('\n');
}

function pushElement(lines: string[], node: XmlElement, indent: string): void {
  const opening = `${indent}<${node.name}${attributesText(node)}`;
  if (node.children.length === 0) {
    lines.push(node.text === '' ? `${opening}/>` : `${opening}>${escapeXml(node.text)}</${node.name}>`);
    return;
  }
  lines.push(`${opening}>`);
  for (const child of node.children) pushElement(lines, child, `${indent} `);
  lines.push(`${indent}</${node.name}>`);
}

function attributesText(node: XmlElement): string {
  let text = '';
  for (const [key, value] of node.attributes) text += ` ${key}="${escapeXml(value)}"`;
  return text;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};

/** Escapes for text and for an attribute in double quotes alike; characters that XML 1.0 lacks are dropped. */
export function escapeXml(value: string): string {
  return value
    .replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '')
    .replaceAll(/[&<>"\t\n\r]/g, (character: string) => ENTITIES[character] ?? '');
}

/** Same name, attributes (in any order), text and children (in order). */
export function sameElement(a: XmlElement, b: XmlElement): boolean {
  if (a === b) return true;
  if (a.name !== b.name || a.text !== b.text) return false;
  if (a.attributes.size !== b.attributes.size || a.children.length !== b.children.length) return false;
  for (const [key, value] of a.attributes) if (b.attributes.get(key) !== value) return false;
  return a.children.every((child, i) => {
    const other = b.children[i];
    return other !== undefined && sameElement(child, other);
  });
}
