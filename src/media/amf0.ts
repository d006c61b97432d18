/**
 * AMF0 (Action Message Format, version 0): the values inside RTMP commands and metadata. The parser is total: hostile
 * bytes give an error value, never an exception, and never more work than {@link Amf0Limits} allows.
 */

/** A value of AMF0. Objects, ECMA arrays and typed objects are Maps, so that no name in them can touch a prototype. */
export type Amf0Value =
  | number
  | boolean
  | string
  | null
  | undefined
  | Amf0Date
  | Amf0Object
  | readonly Amf0Value[];

/** An object: property names in the order sent; of a name sent twice the last value counts. */
export type Amf0Object = ReadonlyMap<string, Amf0Value>;

/** A date: milliseconds since the Unix epoch, as sent (may be NaN). The time zone field is reserved and dropped. */
export interface Amf0Date {
  readonly type: 'date';
  readonly epochMs: number;
}

/** What one buffer of AMF0 may hold. */
export interface Amf0Limits {
  /** Objects and arrays inside each other. */
  readonly maxDepth: number;
  /** Properties and array elements, counted over the whole buffer. */
  readonly maxProperties: number;
  /** UTF-8 bytes of one string or property name. */
  readonly maxStringBytes: number;
  /** Values side by side at the top of the buffer. */
  readonly maxValues: number;
}

export const AMF0_LIMITS: Amf0Limits = {
  maxDepth: 16,
  maxProperties: 128,
  maxStringBytes: 4096,
  maxValues: 32,
};

/** `truncated`: a value runs past the end. `type`: a marker that is unknown or not allowed. `limit`: more than allowed. */
export type Amf0Fault = 'truncated' | 'type' | 'limit';

export type Amf0Result =
  | { readonly ok: true; readonly values: readonly Amf0Value[] }
  | { readonly ok: false; readonly fault: Amf0Fault };

/** Markers, AMF0 specification 2.1. */
const NUMBER = 0x00;
const BOOLEAN = 0x01;
const STRING = 0x02;
const OBJECT = 0x03;
const NULL = 0x05;
const UNDEFINED = 0x06;
const ECMA_ARRAY = 0x08;
const OBJECT_END = 0x09;
const STRICT_ARRAY = 0x0a;
const DATE = 0x0b;
const LONG_STRING = 0x0c;
const UNSUPPORTED = 0x0d;
const XML_DOCUMENT = 0x0f;
const TYPED_OBJECT = 0x10;

/** Reads every value of `bytes`, which must end where a value ends. */
export function parseAmf0(bytes: Uint8Array, limits: Amf0Limits = AMF0_LIMITS): Amf0Result {
  const reader = new Amf0Reader(bytes, limits);
  const values: Amf0Value[] = [];
  while (!reader.atEnd) {
    if (values.length === limits.maxValues) return { ok: false, fault: 'limit' };
    const value = reader.value(0);
    if (reader.fault !== undefined) return { ok: false, fault: reader.fault };
    values.push(value);
  }
  return { ok: true, values };
}

/** A cursor whose first fault sticks: every read after it gives an empty value and moves nothing. */
class Amf0Reader {
  fault: Amf0Fault | undefined;
  readonly #view: DataView;
  readonly #bytes: Buffer;
  readonly #limits: Amf0Limits;
  #offset = 0;
  #properties = 0;

  constructor(bytes: Uint8Array, limits: Amf0Limits) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** Recursion is bounded by `maxDepth`, whatever the input. */
  value(depth: number): Amf0Value {
    const marker = this.#byte();
    switch (marker) {
      case NUMBER:
        return this.#number();
      case BOOLEAN:
        return this.#byte() !== 0;
      case STRING:
        return this.#string(this.#uint16());
      case LONG_STRING:
      case XML_DOCUMENT:
        return this.#string(this.#uint32());
      case NULL:
        return null;
      case UNDEFINED:
      case UNSUPPORTED:
        return undefined;
      case DATE:
        return this.#date();
      case OBJECT:
        return this.#object(depth + 1);
      case ECMA_ARRAY:
        // The count is a hint only: the end marker ends the array (AMF0 2.10).
        this.#uint32();
        return this.#object(depth + 1);
      case TYPED_OBJECT:
        this.#string(this.#uint16());
        return this.#object(depth + 1);
      case STRICT_ARRAY:
        return this.#strictArray(depth + 1);
      default:
        return this.#fail('type');
    }
  }

  #object(depth: number): Amf0Object {
    const object = new Map<string, Amf0Value>();
    if (depth > this.#limits.maxDepth) this.#fail('limit');
    while (this.fault === undefined) {
      const name = this.#string(this.#uint16());
      if (name === '' && this.#peek() === OBJECT_END) {
        this.#offset += 1;
        break;
      }
      this.#countProperties(1);
      if (this.fault !== undefined) break;
      object.set(name, this.value(depth));
    }
    return object;
  }

  #strictArray(depth: number): readonly Amf0Value[] {
    const count = this.#uint32();
    if (depth > this.#limits.maxDepth) this.#fail('limit');
    this.#countProperties(count);
    const items: Amf0Value[] = [];
    while (this.fault === undefined && items.length < count) items.push(this.value(depth));
    return items;
  }

  #countProperties(count: number): void {
    this.#properties += count;
    if (this.#properties > this.#limits.maxProperties) this.#fail('limit');
  }

  #date(): Amf0Date {
    const epochMs = this.#number();
    this.#uint16();
    return { type: 'date', epochMs };
  }

  #string(sizeBytes: number): string {
    if (sizeBytes > this.#limits.maxStringBytes) this.#fail('limit');
    if (!this.#has(sizeBytes)) return '';
    const start = this.#offset;
    this.#offset += sizeBytes;
    return this.#bytes.toString('utf8', start, this.#offset);
  }

  #number(): number {
    if (!this.#has(8)) return 0;
    this.#offset += 8;
    return this.#view.getFloat64(this.#offset - 8);
  }

  #uint32(): number {
    if (!this.#has(4)) return 0;
    this.#offset += 4;
    return this.#view.getUint32(this.#offset - 4);
  }

  #uint16(): number {
    if (!this.#has(2)) return 0;
    this.#offset += 2;
    return this.#view.getUint16(this.#offset - 2);
  }

  #byte(): number {
    if (!this.#has(1)) return 0;
    this.#offset += 1;
    return this.#view.getUint8(this.#offset - 1);
  }

  #peek(): number | undefined {
    return this.fault === undefined ? this.#bytes[this.#offset] : undefined;
  }

  #has(sizeBytes: number): boolean {
    if (this.fault !== undefined) return false;
    if (this.#offset + sizeBytes <= this.#bytes.length) return true;
    this.#fail('truncated');
    return false;
  }

  #fail(fault: Amf0Fault): undefined {
    this.fault ??= fault;
  }
}

/** Serialises values side by side. Maps become objects, arrays strict arrays. */
export function writeAmf0(values: readonly Amf0Value[]): Buffer {
  let sizeBytes = 0;
  for (const value of values) sizeBytes += sizeOf(value);
  const bytes = Buffer.allocUnsafe(sizeBytes);
  let offset = 0;
  for (const value of values) offset = write(bytes, offset, value);
  return bytes;
}

/** A Map for {@link writeAmf0} from a literal of ours (never from a peer's names). */
export function amf0Object(properties: Readonly<Record<string, Amf0Value>>): Amf0Object {
  return new Map(Object.entries(properties));
}

/** Longest string that the 16-bit form carries; longer ones are written as long strings. */
const MAX_SHORT_STRING_BYTES = 0xffff;

function sizeOf(value: Amf0Value): number {
  if (value === null || value === undefined) return 1;
  if (typeof value === 'number') return 9;
  if (typeof value === 'boolean') return 2;
  if (typeof value === 'string') {
    const sizeBytes = Buffer.byteLength(value);
    return (sizeBytes > MAX_SHORT_STRING_BYTES ? 5 : 3) + sizeBytes;
  }
  if (isArray(value)) return value.reduce<number>((sum, item) => sum + sizeOf(item), 5);
  if (isDate(value)) return 11;
  let sizeBytes = 4;
  for (const [name, item] of value) sizeBytes += 2 + Buffer.byteLength(name) + sizeOf(item);
  return sizeBytes;
}

function write(bytes: Buffer, offset: number, value: Amf0Value): number {
  if (value === null) return bytes.writeUInt8(NULL, offset);
  if (value === undefined) return bytes.writeUInt8(UNDEFINED, offset);
  if (typeof value === 'number') return bytes.writeDoubleBE(value, bytes.writeUInt8(NUMBER, offset));
  if (typeof value === 'boolean') return bytes.writeUInt8(value ? 1 : 0, bytes.writeUInt8(BOOLEAN, offset));
  if (typeof value === 'string') return writeString(bytes, offset, value);
  if (isArray(value)) return writeStrictArray(bytes, offset, value);
  if (isDate(value))
    return bytes.writeInt16BE(0, bytes.writeDoubleBE(value.epochMs, bytes.writeUInt8(DATE, offset)));
  return writeObject(bytes, offset, value);
}

function writeString(bytes: Buffer, offset: number, text: string): number {
  const sizeBytes = Buffer.byteLength(text);
  const start =
    sizeBytes > MAX_SHORT_STRING_BYTES
      ? bytes.writeUInt32BE(sizeBytes, bytes.writeUInt8(LONG_STRING, offset))
      : bytes.writeUInt16BE(sizeBytes, bytes.writeUInt8(STRING, offset));
  return start + bytes.write(text, start);
}

function writeStrictArray(bytes: Buffer, offset: number, items: readonly Amf0Value[]): number {
  let end = bytes.writeUInt32BE(items.length, bytes.writeUInt8(STRICT_ARRAY, offset));
  for (const item of items) end = write(bytes, end, item);
  return end;
}

function writeObject(bytes: Buffer, offset: number, object: Amf0Object): number {
  let end = bytes.writeUInt8(OBJECT, offset);
  for (const [name, item] of object) {
    end = bytes.writeUInt16BE(Buffer.byteLength(name), end);
    end += bytes.write(name, end);
    end = write(bytes, end, item);
  }
  return bytes.writeUInt8(OBJECT_END, bytes.writeUInt16BE(0, end));
}

/** True for an AMF0 object (or ECMA array). */
export function isAmf0Object(value: Amf0Value): value is Amf0Object {
  return value instanceof Map;
}

function isArray(value: Amf0Value): value is readonly Amf0Value[] {
  return Array.isArray(value);
}

function isDate(value: Amf0Date | Amf0Object): value is Amf0Date {
  return 'type' in value;
}
