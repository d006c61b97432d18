import { readFileSync } from 'node:fs';
import {
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml';
import { Field, type FieldValue } from './field.ts';
import { listKeys, nearest, type Key, type Section } from './schema.ts';

/** What is wrong with one value, and where it was given. Prints as `where path: what`. */
export interface ConfigIssue {
  /** `headwater.yaml:3:5`, `HEADWATER_HTTP__PORT`, `--set`, or `default`. */
  readonly where: string;
  /** The key, or '' when the trouble is not with one key. */
  readonly path: string;
  readonly what: string;
}

/** Values by path, with the place each came from. Later sources are laid over earlier ones. */
export class ConfigDraft {
  readonly values = new Map<string, FieldValue>();
  readonly origins = new Map<string, string>();
  readonly issues: ConfigIssue[] = [];

  /** Takes a value that was read well, or notes why it was not. */
  take(key: Pick<Key, 'path'>, where: string, reading: ReturnType<Field['read']>): void {
    if ('problem' in reading) return this.refuse(where, key.path, reading.problem);
    this.values.set(key.path, reading.value);
    this.origins.set(key.path, where);
  }

  refuse(where: string, path: string, what: string): void {
    this.issues.push({ where, path, what });
  }

  /** Where the value of `path` came from. */
  origin(path: string): string {
    return this.origins.get(path) ?? 'default';
  }
}

/** Reads YAML text into the draft. `file` is only the name for messages. */
export function readYaml(schema: Section, source: string, file: string, draft: ConfigDraft): void {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  for (const error of document.errors) draft.refuse(at(error.pos[0]), '', error.message);
  if (document.errors.length > 0 || document.contents === null) return;
  const root = document.contents;
  if (isMap(root)) readMap({ schema, document, at, draft }, root, schema, '');
  else if (!(isScalar(root) && root.value === null)) {
    draft.refuse(at(root.range?.[0] ?? 0), '', 'expected keys and values (`key: value`)');
  }
}

interface YamlWalk {
  readonly schema: Section;
  readonly document: Document;
  readonly at: (offset: number) => string;
  readonly draft: ConfigDraft;
}

function readMap(walk: YamlWalk, map: YAMLMap, section: Section, prefix: string): void {
  for (const pair of map.items) {
    const keyNode = pair.key as Node;
    const keyAt = walk.at(keyNode.range?.[0] ?? 0);
    const name = isScalar(keyNode) ? String(keyNode.value) : '?';
    const path = `${prefix}${name}`;
    const entry = Object.hasOwn(section, name) ? section[name] : undefined;
    if (entry === undefined) {
      walk.draft.refuse(keyAt, path, unknownKey(walk.schema, section, path));
      continue;
    }
    const value = resolve(walk.document, pair.value as Node | null);
    const valueAt = walk.at(value?.range?.[0] ?? keyNode.range?.[0] ?? 0);
    if (entry instanceof Field) {
      walk.draft.take({ path }, valueAt, entry.read(plainValue(value)));
    } else if (isMap(value)) {
      readMap(walk, value, entry, `${path}.`);
    } else if (!(value === null || (isScalar(value) && value.value === null))) {
      walk.draft.refuse(valueAt, path, `expected keys below it: ${Object.keys(entry).join(', ')}`);
    }
  }
}

/** A scalar's value; of anything else only what it is, which is all that a refusal says of it. */
function plainValue(node: Node | null): unknown {
  if (node === null) return null;
  if (isScalar(node)) return node.value;
  return isMap(node) ? {} : [];
}

function resolve(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node;
}

function unknownKey(schema: Section, section: Section, path: string): string {
  const prefix = path.slice(0, path.lastIndexOf('.') + 1);
  const siblings = Object.keys(section).map((name) => `${prefix}${name}`);
  const all = listKeys(schema).map((key) => key.path);
  return `unknown key${didYouMean(nearest(path, siblings) ?? sameLastName(path, all) ?? nearest(path, all))}`;
}

/** A key put on the wrong level is more likely meant than one that only looks alike. */
function sameLastName(path: string, all: readonly string[]): string | undefined {
  const last = path.slice(path.lastIndexOf('.') + 1);
  return all.find((each) => each.endsWith(`.${last}`));
}

function didYouMean(name: string | undefined): string {
  return name === undefined ? '' : `; did you mean ${name}?`;
}

/** Reads every HEADWATER_ variable into the draft; `…_FILE` names a file that holds the value. */
export function readEnvironment(
  schema: Section,
  env: Readonly<Record<string, string | undefined>>,
  draft: ConfigDraft,
): void {
  const keys = new Map(listKeys(schema).map((key) => [key.env, key]));
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('HEADWATER_') || value === undefined) continue;
    const plain = keys.get(name);
    const fromFile = name.endsWith('_FILE') ? keys.get(name.slice(0, -'_FILE'.length)) : undefined;
    if (plain) draft.take(plain, name, plain.field.readText(value));
    else if (!fromFile) draft.refuse(name, '', `unknown variable${didYouMean(nearest(name, keys.keys()))}`);
    else if (env[fromFile.env] !== undefined)
      draft.refuse(name, fromFile.path, `${fromFile.env} is set as well`);
    else draft.take(fromFile, name, readValueFile(fromFile.field, value));
  }
}

/** Longest value a `…_FILE` file may hold. */
const MAX_VALUE_FILE_BYTES = 65_536;

function readValueFile(field: Field, file: string): ReturnType<Field['read']> {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    return { problem: `cannot read ${file} (${(error as NodeJS.ErrnoException).code ?? 'error'})` };
  }
  if (content.length > MAX_VALUE_FILE_BYTES)
    return { problem: `${file} is longer than ${MAX_VALUE_FILE_BYTES} bytes` };
  return field.readText(content.replace(/\r?\n$/, ''));
}

/** Reads `path=value` flags into the draft. */
export function readFlags(schema: Section, flags: readonly string[], draft: ConfigDraft): void {
  const keys = new Map(listKeys(schema).map((key) => [key.path, key]));
  for (const flag of flags) {
    const equals = flag.indexOf('=');
    const path = equals < 0 ? flag : flag.slice(0, equals);
    const key = keys.get(path);
    if (!key) draft.refuse('--set', path, `unknown key${didYouMean(nearest(path, keys.keys()))}`);
    else if (equals < 0) draft.refuse('--set', path, 'expected path=value');
    else draft.take(key, '--set', key.field.readText(flag.slice(equals + 1)));
  }
}
