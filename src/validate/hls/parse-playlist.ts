import { excerpt, parseAttributeList, type Attributes } from './attribute-list.ts';
import { parseMedia } from './parse-media.ts';
import type {
  MediaPlaylist,
  MediaRendition,
  MultivariantPlaylist,
  PlaylistKind,
  PlaylistText,
  Tag,
  TextProblem,
  Variant,
} from './playlist.ts';
import { attribute, toNumber } from './playlist.ts';
import type { Entry, Reading } from './reading.ts';
import { TAGS, type TagRule, type ValueForm } from './tag-table.ts';

/** Lines looked at in one playlist: a day of two-second segments with parts and dates is a third of it. */
const MAX_LINES = 500_000;
/** Problems kept of one playlist. */
const MAX_PROBLEMS = 200;

/** Longest URI that is followed, and the most that variables may add to one. */
const MAX_URI = 16 * 1024;

const NO_ATTRIBUTES: Attributes = new Map();
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;

const FORMS: Readonly<Record<Exclude<ValueForm, readonly string[]>, RegExp>> = {
  integer: /^\d{1,20}$/,
  decimal: /^\d+(\.\d+)?$/,
  signed: /^-?\d+(\.\d+)?$/,
  hex: /^0[xX][0-9A-Fa-f]+$/,
  quoted: /^/,
  resolution: /^\d+x\d+$/,
  date: DATE,
};
/** Forms written between quotes. */
const QUOTED_FORMS: ReadonlySet<ValueForm> = new Set(['quoted', 'date']);

/** Reads any playlist. Total: whatever is wrong with the bytes is among the problems. */
export function parsePlaylist(bytes: Uint8Array, url: string): MediaPlaylist | MultivariantPlaylist {
  const problems: TextProblem[] = [];
  const fault: Reading['fault'] = (kind, line, section, message) => {
    if (problems.length < MAX_PROBLEMS) problems.push({ kind, line, section, message });
  };
  const text = decode(bytes, fault);
  const entries = readLines(text, fault);
  const tags = entries.flatMap((entry) => (entry.kind === 'tag' ? [entry.tag] : []));
  const variables = readVariables(tags, url);
  const resolve = (uri: string, line: number): string => {
    const full = uri.length > MAX_URI ? '' : substitute(uri, variables);
    if (full === '' && uri !== '') {
      fault('uri', line, '4.1', `a URI of ${uri.length} characters is not followed`);
      return '';
    }
    if (URL.canParse(full, url)) return new URL(full, url).href;
    fault('uri', line, '4.1', `${excerpt(full)} is not a URI`);
    return '';
  };
  const reading: Reading = { url, entries, fault, resolve };
  const kind = kindOf(tags);
  const version = toNumber(tags.find((tag) => tag.name === 'EXT-X-VERSION')?.value);
  const base: PlaylistText = { url, kind, tags, problems, version };
  return kind === 'multivariant' ? parseMultivariant(reading, base) : parseMedia(reading, base);
}

export function isMultivariant(
  playlist: MediaPlaylist | MultivariantPlaylist,
): playlist is MultivariantPlaylist {
  return playlist.kind === 'multivariant';
}

function decode(bytes: Uint8Array, fault: Reading['fault']): string {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    fault('byte-order-mark', 1, '4', 'begins with a byte order mark');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    fault('not-utf8', 1, '4', 'is not UTF-8');
    return new TextDecoder('utf-8').decode(bytes);
  }
}

function readLines(text: string, fault: Reading['fault']): Entry[] {
  const lines = text.split(/\r?\n/, MAX_LINES + 1);
  if (lines.length > MAX_LINES) fault('too-long', MAX_LINES, '4.1', `has more than ${MAX_LINES} lines`);
  if (lines[0] !== '#EXTM3U') {
    fault('no-header', 1, '4.4.1.1', `the first line is ${excerpt(lines[0] ?? '')}, not #EXTM3U`);
  }
  const entries: Entry[] = [];
  for (const [index, line] of lines.entries()) {
    if (line === '' || (line.startsWith('#') && !line.startsWith('#EXT'))) continue;
    if (line.startsWith('#')) entries.push({ kind: 'tag', tag: readTag(line, index + 1, fault) });
    else entries.push({ kind: 'uri', uri: line, line: index + 1 });
  }
  return entries;
}

function readTag(text: string, line: number, fault: Reading['fault']): Tag {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text.slice(1) : text.slice(1, colon);
  const value = colon < 0 ? '' : text.slice(colon + 1);
  const rule = Object.hasOwn(TAGS, name) ? TAGS[name] : undefined;
  const attributes =
    rule?.value === 'attributes' ? readAttributes(name, value, rule, line, fault) : NO_ATTRIBUTES;
  if (rule) checkValue(name, value, rule, line, fault);
  return { name, value, line, attributes };
}

function checkValue(name: string, value: string, rule: TagRule, line: number, fault: Reading['fault']): void {
  if (rule.value === 'none' && value !== '') {
    fault('malformed', line, rule.section, `${name} has a value, ${excerpt(value)}`);
  }
  if (rule.value !== 'integer' && rule.value !== 'decimal' && rule.value !== 'date') return;
  if (!FORMS[rule.value].test(value)) {
    fault('malformed', line, rule.section, `${name} is ${excerpt(value)}, not a ${WORDS[rule.value]}`);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  integer: 'decimal integer',
  decimal: 'decimal number',
  signed: 'signed decimal number',
  hex: 'hexadecimal sequence',
  resolution: 'resolution (WIDTHxHEIGHT)',
  date: 'date and time (ISO 8601)',
};

function readAttributes(
  name: string,
  value: string,
  rule: TagRule,
  line: number,
  fault: Reading['fault'],
): Attributes {
  const { attributes, problem, repeated } = parseAttributeList(value);
  if (problem !== undefined) fault('malformed', line, '4.2', `attribute list of ${name} ${problem}`);
  if (repeated !== undefined) fault('attribute-twice', line, '4.2', `${name} has ${repeated} twice`);
  for (const needed of rule.required ?? []) {
    if (!attributes.has(needed)) fault('attribute-missing', line, rule.section, `${name} has no ${needed}`);
  }
  for (const [key, { text, quoted }] of attributes) {
    const form = rule.forms && Object.hasOwn(rule.forms, key) ? rule.forms[key] : undefined;
    const complaint = form && complaintOf(form, text, quoted);
    if (complaint)
      fault('attribute-form', line, rule.section, `${name} ${key}=${excerpt(text)} ${complaint}`);
  }
  return attributes;
}

function complaintOf(form: ValueForm, text: string, quoted: boolean): string | undefined {
  const inQuotes = QUOTED_FORMS.has(form);
  if (quoted !== inQuotes) return inQuotes ? 'must be in quotes' : 'must not be in quotes';
  if (typeof form !== 'string') return form.includes(text) ? undefined : `is none of ${form.join(', ')}`;
  return FORMS[form].test(text) ? undefined : `is not a ${WORDS[form] ?? form}`;
}

/** EXT-X-DEFINE (4.4.2.3). A variable that is imported keeps its name: its value stands in another playlist. */
function readVariables(tags: readonly Tag[], url: string): Map<string, string> {
  const variables = new Map<string, string>();
  const query = URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams();
  for (const tag of tags) {
    if (tag.name !== 'EXT-X-DEFINE') continue;
    const name = attribute(tag, 'NAME');
    const parameter = attribute(tag, 'QUERYPARAM');
    if (name !== undefined) variables.set(name, attribute(tag, 'VALUE') ?? '');
    else if (parameter !== undefined) variables.set(parameter, query.get(parameter) ?? '');
  }
  return variables;
}

function substitute(text: string, variables: ReadonlyMap<string, string>): string {
  if (!text.includes('{$')) return text;
  let room = MAX_URI;
  return text.replace(/\{\$([A-Za-z0-9_-]+)\}/g, (whole, name: string) => {
    const value = variables.get(name) ?? whole;
    room -= value.length;
    return room < 0 ? '' : value;
  });
}

function kindOf(tags: readonly Tag[]): PlaylistKind {
  const scopes = new Set(tags.map(({ name }) => (Object.hasOwn(TAGS, name) ? TAGS[name]?.scope : undefined)));
  if (tags.some(({ name }) => name === 'EXT-X-STREAM-INF')) return 'multivariant';
  if (scopes.has('media') || scopes.has('segment')) return 'media';
  return scopes.has('multivariant') ? 'multivariant' : 'neither';
}

function parseMultivariant(reading: Reading, base: PlaylistText): MultivariantPlaylist {
  const variants: Variant[] = [];
  let pending: Tag | undefined;
  for (const entry of reading.entries) {
    if (entry.kind === 'uri') {
      if (pending) {
        const { uri, line } = entry;
        variants.push({ tag: pending, uri, url: reading.resolve(uri, line), iFrames: false });
      } else reading.fault('malformed', entry.line, '4.4.6.2', 'a URI without EXT-X-STREAM-INF before it');
      pending = undefined;
      continue;
    }
    const { tag } = entry;
    if (pending) {
      reading.fault('malformed', pending.line, '4.4.6.2', 'EXT-X-STREAM-INF is not followed by a URI line');
      variants.push({ tag: pending, uri: undefined, url: '', iFrames: false });
      pending = undefined;
    }
    if (tag.name === 'EXT-X-STREAM-INF') pending = tag;
    if (tag.name === 'EXT-X-I-FRAME-STREAM-INF') {
      const uri = attribute(tag, 'URI');
      variants.push({
        tag,
        uri,
        url: uri === undefined ? '' : reading.resolve(uri, tag.line),
        iFrames: true,
      });
    }
  }
  if (pending)
    reading.fault('malformed', pending.line, '4.4.6.2', 'EXT-X-STREAM-INF is not followed by a URI line');
  return {
    ...base,
    variants,
    renditions: base.tags
      .filter(({ name }) => name === 'EXT-X-MEDIA')
      .map((tag) => renditionOf(tag, reading)),
    independentSegments: base.tags.some(({ name }) => name === 'EXT-X-INDEPENDENT-SEGMENTS'),
  };
}

function renditionOf(tag: Tag, reading: Reading): MediaRendition {
  const uri = attribute(tag, 'URI');
  return {
    tag,
    type: attribute(tag, 'TYPE') ?? '',
    groupId: attribute(tag, 'GROUP-ID') ?? '',
    name: attribute(tag, 'NAME') ?? '',
    url: uri === undefined ? undefined : reading.resolve(uri, tag.line),
  };
}
