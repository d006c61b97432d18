import { isIP } from 'node:net';

/** What one configuration key can hold. */
export type FieldValue = string | number | boolean;

/** A value that was read well, or the sentence that says why not. */
export type Reading<T> = { readonly value: T } | { readonly problem: string };

interface FieldSpec<T extends FieldValue> {
  readonly type: string;
  readonly allowed: string;
  readonly default: T;
  readonly doc: string;
  readonly secret?: boolean;
  /** Judges a value of the right YAML type. */
  readonly read: (raw: unknown) => Reading<T>;
  /** Turns the text of an environment variable or flag into what YAML would have given. */
  readonly fromText?: (given: string) => unknown;
}

/** One key of the configuration table: type, range, default and the sentence for docs/config.md. */
export class Field<T extends FieldValue = FieldValue> {
  readonly type: string;
  /** What may be given, for people: `0 to 65535`, `auto, uws, node`. */
  readonly allowed: string;
  readonly default: T;
  readonly doc: string;
  /** Never printed, not even in an error. */
  readonly secret: boolean;
  readonly #spec: FieldSpec<T>;

  constructor(spec: FieldSpec<T>) {
    this.type = spec.type;
    this.allowed = spec.allowed;
    this.default = spec.default;
    this.doc = spec.doc;
    this.secret = spec.secret ?? false;
    this.#spec = spec;
  }

  /** Reads a value as YAML gives it. */
  read(raw: unknown): Reading<T> {
    const reading = this.#spec.read(raw);
    if ('value' in reading || this.secret) return reading;
    return { problem: `${reading.problem}, not ${show(raw)}` };
  }

  /** Reads a value as an environment variable or a flag gives it. */
  readText(given: string): Reading<T> {
    return this.read(this.#spec.fromText ? this.#spec.fromText(given) : given);
  }
}

function show(raw: unknown): string {
  if (raw === null || raw === undefined) return 'nothing';
  if (typeof raw === 'object') return Array.isArray(raw) ? 'a list' : 'a mapping';
  return JSON.stringify(raw) ?? typeof raw;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A whole number within `range`. Units belong in the key's name. */
export function integer(defaultValue: number, range: Range, doc: string): Field<number> {
  const allowed = `${range.min} to ${range.max}`;
  return new Field<number>({
    type: 'whole number',
    allowed,
    default: defaultValue,
    doc,
    fromText: (given) => (/^-?\d{1,15}$/.test(given) ? Number(given) : given),
    read(raw) {
      const fits = typeof raw === 'number' && Number.isInteger(raw) && raw >= range.min && raw <= range.max;
      return fits ? { value: raw } : { problem: `expected a whole number from ${allowed}` };
    },
  });
}

/** A TCP or UDP port; 0 picks a free one. */
export function port(defaultValue: number, doc: string): Field<number> {
  return integer(defaultValue, { min: 0, max: 65_535 }, doc);
}

/** Yes or no. */
export function flag(defaultValue: boolean, doc: string): Field<boolean> {
  return new Field<boolean>({
    type: 'true or false',
    allowed: 'true, false',
    default: defaultValue,
    doc,
    fromText: (given) => (given === 'true' ? true : given === 'false' ? false : given),
    read(raw) {
      return typeof raw === 'boolean' ? { value: raw } : { problem: 'expected true or false' };
    },
  });
}

/** One of a closed set of words. */
export function choice<const C extends string>(
  choices: readonly C[],
  defaultValue: NoInfer<C>,
  doc: string,
): Field<C> {
  const allowed = choices.join(', ');
  return new Field<C>({
    type: 'word',
    allowed,
    default: defaultValue,
    doc,
    read(raw) {
      const value = choices.find((each) => each === raw);
      return value === undefined ? { problem: `expected one of ${allowed}` } : { value };
    },
  });
}

/** Text without control characters, and not empty unless it is `optional`. */
export function text(
  defaultValue: string,
  doc: string,
  options: { readonly secret?: boolean; readonly optional?: boolean } = {},
): Field<string> {
  const { optional = false } = options;
  return new Field<string>({
    type: 'text',
    allowed: optional ? 'any text, or none' : 'any text',
    default: defaultValue,
    doc,
    secret: options.secret ?? false,
    read(raw) {
      // oxlint-disable-next-line no-control-regex -- refusing control characters is the point
      const clean = typeof raw === 'string' && (optional || raw !== '') && !/[\u0000-\u001f\u007f]/.test(raw);
      return clean
        ? { value: raw }
        : { problem: 'expected text (in quotes when it looks like something else)' };
    },
  });
}

const HOST_NAME = /^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\.?$/;

/** An address or host name to listen on. */
export function host(defaultValue: string, doc: string): Field<string> {
  return new Field<string>({
    type: 'address',
    allowed: 'an IP address or host name',
    default: defaultValue,
    doc,
    read(raw) {
      const fits =
        typeof raw === 'string' && (isIP(raw) !== 0 || (HOST_NAME.test(raw) && !/^[\d.]+$/.test(raw)));
      return fits ? { value: raw } : { problem: 'expected an IP address or host name' };
    },
  });
}

/** An http or https URL without user and password, or nothing. */
export function optionalUrl(doc: string): Field<string> {
  return new Field<string>({
    type: 'URL',
    allowed: 'an http or https URL, or none',
    default: '',
    doc,
    read(raw) {
      if (typeof raw === 'string' && (raw === '' || isPlainHttpUrl(raw))) return { value: raw };
      return {
        problem: 'expected a URL that begins with http:// or https:// and has no user or password in it',
      };
    },
  });
}

function isPlainHttpUrl(given: string): boolean {
  if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) return false;
  const { username, password } = new URL(given);
  return username === '' && password === '';
}

/** Words of a closed set with commas between them, each once. */
export function words(choices: readonly string[], defaultValue: string, doc: string): Field<string> {
  const allowed = `a list of ${choices.join(', ')}`;
  return new Field<string>({
    type: 'list',
    allowed,
    default: defaultValue,
    doc,
    read(raw) {
      const given = typeof raw === 'string' ? raw.split(',').map((word) => word.trim()) : [];
      const fits = given.length > 0 && given.every((word) => choices.includes(word));
      return fits && new Set(given).size === given.length
        ? { value: given.join(',') }
        : { problem: `expected ${allowed} with commas between them` };
    },
  });
}
