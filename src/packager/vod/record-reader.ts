import { fromBase64 } from './record-bytes.ts';

/** Fields of an object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

const EMPTY: Fields = Object.freeze(Object.create(null) as Fields);
/** In base64. */
const MAX_BYTES_TEXT = 1024 * 1024;

/**
 * Reads values of JSON that anybody may have written. What is not as it must be gives a value that fits and sets
 * {@link failed}: who reads looks at that once, at the end.
 */
export class RecordReader {
  failed = false;

  fail(): void {
    this.failed = true;
  }

  object(value: unknown): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    this.fail();
    return EMPTY;
  }

  /** Stops at the first item that cannot be read. */
  list<T>(value: unknown, most: number, read: (reader: this, item: unknown) => T): T[] {
    if (!Array.isArray(value) || value.length > most) {
      this.fail();
      return [];
    }
    const items: T[] = [];
    for (const item of value as unknown[]) {
      if (this.failed) break;
      items.push(read(this, item));
    }
    return items;
  }

  optional<T>(value: unknown, read: (reader: this, value: unknown) => T): T | undefined {
    return value === undefined ? undefined : read(this, value);
  }

  text(value: unknown, mostCharacters: number): string {
    if (typeof value === 'string' && value.length <= mostCharacters) return value;
    this.fail();
    return '';
  }

  optionalText(value: unknown, mostCharacters: number): string | undefined {
    return value === undefined ? undefined : this.text(value, mostCharacters);
  }

  match(value: unknown, pattern: RegExp): string {
    if (typeof value === 'string' && pattern.test(value)) return value;
    this.fail();
    return '';
  }

  oneOf<const T extends string>(value: unknown, values: readonly [T, ...T[]]): T {
    const found = values.find((each) => each === value);
    if (found === undefined) this.fail();
    return found ?? values[0];
  }

  flag(value: unknown): boolean {
    if (typeof value !== 'boolean') this.fail();
    return value === true;
  }

  /** A number that is not negative, nor beyond what a double counts exactly. */
  amount(value: unknown): number {
    if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
    this.fail();
    return 0;
  }

  positive(value: unknown): number {
    const amount = this.amount(value);
    if (amount > 0) return amount;
    this.fail();
    return 1;
  }

  whole(value: unknown): number {
    const amount = this.amount(value);
    if (Number.isInteger(amount)) return amount;
    this.fail();
    return 0;
  }

  bytes(value: unknown): Uint8Array {
    const bytes = fromBase64(this.text(value, MAX_BYTES_TEXT));
    if (!bytes) this.fail();
    return bytes ?? new Uint8Array(0);
  }
}
