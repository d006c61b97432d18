import type { HeaderBlock } from './types.ts';

type Entry = readonly [name: string, value: string];

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const CLEAN_VALUE = /^[\x20-\x7e]*$/;

/** Headers that belong to the driver: it knows the framing of the answer, the handler does not. */
const DRIVER_HEADERS = new Set(['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding']);

/**
 * Checks header entries before they reach a socket: neither driver may be trusted to stop a CR or LF.
 * @throws TypeError when a name is no token, a value is not clean ASCII, or the header is the driver's own.
 */
export function checkHeaderEntries(entries: readonly Entry[]): void {
  for (const [name, value] of entries) {
    if (!TOKEN.test(name)) throw new TypeError('a header name must be an HTTP token');
    if (!CLEAN_VALUE.test(value)) throw new TypeError(`the value of header ${name} must be clean ASCII`);
    if (DRIVER_HEADERS.has(name.toLowerCase())) throw new TypeError(`header ${name} is set by the driver`);
  }
}

/** A {@link HeaderBlock} with what each driver needs, rendered once. */
export class RenderedHeaders implements HeaderBlock {
  readonly entries: readonly Entry[];
  /** name, value, name, value, … as node:http's writeHead takes them. */
  readonly pairs: readonly string[];
  /** Name of the first header; empty when there is none. */
  readonly firstName: Uint8Array;
  /** Value of the first header and, after it, the whole rest of the block: one native call writes everything. */
  readonly firstValueAndRest: Uint8Array;
  readonly sizeBytes: number;

  constructor(entries: readonly Entry[]) {
    checkHeaderEntries(entries);
    this.entries = entries.map(([name, value]) => [name, value] as const);
    this.pairs = this.entries.flat();
    const block = this.entries.map(([name, value]) => `${name}: ${value}`).join('\r\n');
    const nameLength = entries[0]?.[0].length ?? 0;
    this.firstName = Buffer.from(block.slice(0, nameLength), 'latin1');
    this.firstValueAndRest = Buffer.from(block.slice(nameLength + 2), 'latin1');
    this.sizeBytes = block.length + 2;
  }
}

/**
 * Renders headers that many answers share.
 * @throws TypeError on an unclean name or value, or on a header that only the driver may set.
 */
export function headerBlock(entries: readonly Entry[]): HeaderBlock {
  return new RenderedHeaders(entries);
}

/** The rendered form of a block; one that was not made by {@link headerBlock} is checked and rendered now. */
export function renderedHeaders(block: HeaderBlock): RenderedHeaders {
  return block instanceof RenderedHeaders ? block : new RenderedHeaders(block.entries);
}
