/** One value of an attribute list. */
export interface AttributeValue {
  /** Without the quotes. */
  readonly text: string;
  readonly quoted: boolean;
}

export type Attributes = ReadonlyMap<string, AttributeValue>;

export interface AttributeList {
  /** Those read before the first fault; of a name given twice, the first. */
  readonly attributes: Attributes;
  /** What is wrong with the text; undefined when it is well formed (RFC 8216bis 4.2). */
  readonly problem: string | undefined;
  /** A name given more than once. */
  readonly repeated: string | undefined;
}

const ENTRY = /([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*|)(,|$)/y;

/** Reads an attribute list. Total: a fault is a value. */
export function parseAttributeList(text: string): AttributeList {
  const attributes = new Map<string, AttributeValue>();
  let repeated: string | undefined;
  let at = 0;
  while (at < text.length) {
    ENTRY.lastIndex = at;
    const match = ENTRY.exec(text);
    if (!match) return { attributes, problem: `cannot be read at ${excerpt(text.slice(at))}`, repeated };
    const [whole, name = '', value = '', comma] = match;
    if (value === '') return { attributes, problem: `${name} has no value`, repeated };
    if (attributes.has(name)) repeated ??= name;
    else attributes.set(name, unquote(value));
    at += whole.length;
    if (comma === ',' && at === text.length) return { attributes, problem: 'ends with a comma', repeated };
  }
  return { attributes, problem: attributes.size === 0 ? 'is empty' : undefined, repeated };
}

function unquote(value: string): AttributeValue {
  return value.startsWith('"') ? { text: value.slice(1, -1), quoted: true } : { text: value, quoted: false };
}

const EXCERPT_LENGTH = 40;

/** The beginning of a text, as JSON, for messages. */
export function excerpt(text: string): string {
  return JSON.stringify(text.length > EXCERPT_LENGTH ? `${text.slice(0, EXCERPT_LENGTH)}…` : text);
}
