import { Field, type FieldValue } from './field.ts';

/** A group of keys; groups nest. */
export interface Section {
  readonly [key: string]: Field | Field<string> | Field<number> | Field<boolean> | Section;
}

/** The plain object a table describes. */
export type ConfigOf<S extends Section> = {
  readonly [K in keyof S]: S[K] extends Field<infer T> ? T : S[K] extends Section ? ConfigOf<S[K]> : never;
};

/** One key of a table with its names in the file and in the environment. */
export interface Key {
  /** `live.segmentMs` */
  readonly path: string;
  /** `HEADWATER_LIVE__SEGMENT_MS` */
  readonly env: string;
  readonly field: Field;
}

/** Every key of a table, in its order. */
export function listKeys(section: Section, prefix = ''): Key[] {
  return Object.entries(section).flatMap(([name, entry]) => {
    const path = `${prefix}${name}`;
    return entry instanceof Field
      ? [{ path, env: environmentName(path), field: entry }]
      : listKeys(entry, `${path}.`);
  });
}

/** `live.segmentMs` → `HEADWATER_LIVE__SEGMENT_MS`. */
export function environmentName(path: string): string {
  const levels = path
    .split('.')
    .map((level) => level.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return `HEADWATER_${levels.join('__')}`;
}

/** Builds the plain object of a table from values by path; what is not there takes its default. */
export function buildConfig<S extends Section>(
  section: S,
  values: ReadonlyMap<string, FieldValue>,
): ConfigOf<S> {
  return build(section, values, '') as ConfigOf<S>;
}

function build(section: Section, values: ReadonlyMap<string, FieldValue>, prefix: string): object {
  const entries = Object.entries(section).map(([name, entry]) => {
    const path = `${prefix}${name}`;
    const value =
      entry instanceof Field ? (values.get(path) ?? entry.default) : build(entry, values, `${path}.`);
    return [name, value] as const;
  });
  return Object.freeze(Object.fromEntries(entries));
}

/** The name among `names` that `wrong` was most likely meant to be, if any is near. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wrong.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(wrong.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance; names are short. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
