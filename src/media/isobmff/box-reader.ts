/** One box found in a buffer. Positions are offsets into that buffer. */
export interface Box {
  readonly type: string;
  readonly start: number;
  /** First byte after the header: of a FullBox, its version. */
  readonly bodyStart: number;
  readonly end: number;
  /** The boxes inside, for the box types that hold boxes; else empty. */
  readonly children: readonly Box[];
}

export type BoxFault = 'truncated' | 'bad-size' | 'too-deep' | 'too-many';

export interface BoxTree {
  /** Everything that could be read before the fault, if there was one. */
  readonly boxes: readonly Box[];
  readonly fault: BoxFault | undefined;
}

/** Deeper than any file of ours or of an encoder; bounds the recursion on hostile input. */
const MAX_DEPTH = 12;

/** Bounds the work on hostile input: the smallest box has 8 bytes. */
const MAX_BOXES = 100_000;

/** Boxes that hold boxes, and how many bytes stand before the first of them. */
const CONTAINERS: ReadonlyMap<string, number> = new Map([
  ['moov', 0],
  ['trak', 0],
  ['edts', 0],
  ['mdia', 0],
  ['minf', 0],
  ['dinf', 0],
  ['stbl', 0],
  ['mvex', 0],
  ['moof', 0],
  ['traf', 0],
  ['udta', 0],
  ['sinf', 0],
  ['schi', 0],
  ['dref', 8],
  ['stsd', 8],
  ['avc1', 78],
  ['hvc1', 78],
  ['hev1', 78],
  ['av01', 78],
  ['vp09', 78],
  ['encv', 78],
  ['mp4a', 28],
  ['ac-3', 28],
  ['ec-3', 28],
  ['Opus', 28],
  ['fLaC', 28],
  ['enca', 28],
]);

interface Budget {
  boxes: number;
  fault: BoxFault | undefined;
}

/** Reads the box structure of `bytes`. Never throws: what is wrong stands in `fault`. */
export function readBoxes(bytes: Uint8Array): BoxTree {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const budget: Budget = { boxes: MAX_BOXES, fault: undefined };
  return { boxes: readLevel(view, 0, bytes.length, 0, budget), fault: budget.fault };
}

/** The first box on `path` below `boxes`, e.g. `['moov', 'trak', 'mdia']`. */
export function findBox(boxes: readonly Box[], path: readonly string[]): Box | undefined {
  let level = boxes;
  let found: Box | undefined;
  for (const type of path) {
    found = level.find((box) => box.type === type);
    if (!found) return undefined;
    level = found.children;
  }
  return found;
}

/** Calls `visit` for every box of the tree, parents first. */
export function walkBoxes(boxes: readonly Box[], visit: (box: Box, depth: number) => void, depth = 0): void {
  for (const box of boxes) {
    visit(box, depth);
    walkBoxes(box.children, visit, depth + 1);
  }
}

function readLevel(view: DataView, start: number, end: number, depth: number, budget: Budget): Box[] {
  const boxes: Box[] = [];
  if (depth > MAX_DEPTH) {
    budget.fault ??= 'too-deep';
    return boxes;
  }
  for (let offset = start; offset < end && budget.fault === undefined; ) {
    const box = readBox(view, offset, end, depth, budget);
    if (!box) break;
    boxes.push(box);
    offset = box.end;
  }
  return boxes;
}

function readBox(
  view: DataView,
  start: number,
  limit: number,
  depth: number,
  budget: Budget,
): Box | undefined {
  const header = readHeader(view, start, limit);
  if (typeof header === 'string') {
    budget.fault ??= header;
    return undefined;
  }
  if (--budget.boxes < 0) {
    budget.fault ??= 'too-many';
    return undefined;
  }
  const { type, bodyStart, end } = header;
  const skip = CONTAINERS.get(type);
  const childrenStart = bodyStart + (skip ?? 0);
  const children =
    skip === undefined || childrenStart > end ? [] : readLevel(view, childrenStart, end, depth + 1, budget);
  return { type, start, bodyStart, end, children };
}

interface Header {
  readonly type: string;
  readonly bodyStart: number;
  readonly end: number;
}

function readHeader(view: DataView, start: number, limit: number): Header | BoxFault {
  if (start + 8 > limit) return 'truncated';
  const size32 = view.getUint32(start);
  const type = String.fromCharCode(
    view.getUint8(start + 4),
    view.getUint8(start + 5),
    view.getUint8(start + 6),
    view.getUint8(start + 7),
  );
  if (size32 === 0) return { type, bodyStart: start + 8, end: limit };
  if (size32 !== 1) return checkedHeader(type, start, 8, size32, limit);
  if (start + 16 > limit) return 'truncated';
  return checkedHeader(
    type,
    start,
    16,
    view.getUint32(start + 8) * 2 ** 32 + view.getUint32(start + 12),
    limit,
  );
}

function checkedHeader(
  type: string,
  start: number,
  headerBytes: number,
  size: number,
  limit: number,
): Header | BoxFault {
  if (size < headerBytes) return 'bad-size';
  if (start + size > limit) return 'truncated';
  return { type, bodyStart: start + headerBytes, end: start + size };
}

/** Reads big-endian fields inside one box; past its end every read gives 0 and sets `overrun`. */
export class BoxCursor {
  readonly #view: DataView;
  readonly #end: number;
  #offset: number;
  overrun = false;

  constructor(bytes: Uint8Array, box: Box) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = box.bodyStart;
    this.#end = box.end;
  }

  get remaining(): number {
    return this.#end - this.#offset;
  }

  get offset(): number {
    return this.#offset;
  }

  #take(count: number): number | undefined {
    if (this.#offset + count > this.#end) {
      this.overrun = true;
      return undefined;
    }
    const at = this.#offset;
    this.#offset += count;
    return at;
  }

  skip(count: number): void {
    this.#take(count);
  }

  u8(): number {
    const at = this.#take(1);
    return at === undefined ? 0 : this.#view.getUint8(at);
  }

  u16(): number {
    const at = this.#take(2);
    return at === undefined ? 0 : this.#view.getUint16(at);
  }

  u32(): number {
    const at = this.#take(4);
    return at === undefined ? 0 : this.#view.getUint32(at);
  }

  i32(): number {
    const at = this.#take(4);
    return at === undefined ? 0 : this.#view.getInt32(at);
  }

  /** A 64-bit value; exact below 2^53. */
  u64(): number {
    const high = this.u32();
    return high * 2 ** 32 + this.u32();
  }

  fourCc(): string {
    return String.fromCharCode(this.u8(), this.u8(), this.u8(), this.u8());
  }
}
