import * as fc from 'fast-check';

/** Bytes as a peer sent them, and where the network cut them. */
export interface FuzzInput {
  readonly bytes: Uint8Array;
  readonly cuts: readonly number[];
}

/** Something that reads bytes of strangers. */
export interface FuzzTarget {
  /** Names the folder of its crashers. */
  readonly name: string;
  /** Bytes that get past the first look. */
  readonly bytes: fc.Arbitrary<Uint8Array>;
  /** Runs in the short run; fewer where each of them does much. */
  readonly runs: number;
  /** @throws when it throws, reads the same bytes otherwise when they are cut, or holds more than it may. */
  check(input: FuzzInput): void;
}

/** One input may take so much CPU; those made here take a thousandth of it. */
const CPU_LIMIT_MS = 1000;

export function inputsOf(target: FuzzTarget): fc.Arbitrary<FuzzInput> {
  return fc.record({ bytes: target.bytes, cuts: fc.array(fc.nat(0xffff), { maxLength: 12 }) });
}

/** @throws what the target throws, or that it took too long. CPU time, so that a busy machine is no fault. */
export function checkTimed(target: FuzzTarget, input: FuzzInput): void {
  const before = process.cpuUsage();
  target.check(input);
  const { user, system } = process.cpuUsage(before);
  if (user + system > CPU_LIMIT_MS * 1000) throw new Error(`took ${(user + system) / 1000} ms of CPU`);
}

/** The bytes in pieces; cuts are taken modulo their number. Each piece is memory of its own. */
export function split({ bytes, cuts }: FuzzInput): Uint8Array[] {
  if (bytes.length === 0) return [];
  const places = [...new Set(cuts.map((cut) => cut % bytes.length))].toSorted((a, b) => a - b);
  const starts = [0, ...places.filter((place) => place > 0)];
  return starts.map((start, index) => bytes.slice(start, starts[index + 1] ?? bytes.length));
}

type Edit = (bytes: Uint8Array) => Uint8Array;

/** Values at which lengths, counts and signs change. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0xffffff, 0x7fffffff, 0x80000000, 0xffffffff];

const place = fc.nat(0xffff);
const at = (bytes: Uint8Array, where: number): number => (bytes.length === 0 ? 0 : where % bytes.length);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(place, fc.nat(7)).map(
    ([where, bit]): Edit =>
      (bytes) =>
        spliced(bytes, at(bytes, where), 1, [(bytes[at(bytes, where)] ?? 0) ^ (1 << bit)]),
  ),
  fc.tuple(place, fc.nat(255)).map(
    ([where, value]): Edit =>
      (bytes) =>
        spliced(bytes, at(bytes, where), 1, [value]),
  ),
  fc.tuple(place, fc.constantFrom(...EDGES), fc.integer({ min: 1, max: 4 })).map(
    ([where, value, size]): Edit =>
      (bytes) => {
        const field = Array.from({ length: size }, (_, byte) => (value >>> (8 * (size - 1 - byte))) & 0xff);
        return spliced(bytes, at(bytes, where), size, field);
      },
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 12 })).map(
    ([where, inserted]): Edit =>
      (bytes) =>
        spliced(bytes, at(bytes, where), 0, inserted),
  ),
  fc.tuple(place, fc.nat(64)).map(
    ([where, count]): Edit =>
      (bytes) =>
        spliced(bytes, at(bytes, where), count, []),
  ),
  fc.tuple(place, place, fc.nat(200)).map(
    ([from, to, count]): Edit =>
      (bytes) => {
        const copied = bytes.slice(at(bytes, from), at(bytes, from) + count);
        return spliced(bytes, at(bytes, to), 0, copied);
      },
  ),
  place.map(
    (where): Edit =>
      (bytes) =>
        bytes.slice(0, at(bytes, where)),
  ),
);

function spliced(bytes: Uint8Array, start: number, count: number, inserted: ArrayLike<number>): Uint8Array {
  const end = Math.min(bytes.length, start + count);
  const out = new Uint8Array(bytes.length - (end - start) + inserted.length);
  out.set(bytes.subarray(0, start));
  out.set(inserted, start);
  out.set(bytes.subarray(end), start + inserted.length);
  return out;
}

/** Good bytes with a few things wrong, several of them behind one another, and now and then nothing but noise. */
export function mutated(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const one = fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 6 }))
    .map(([seed, edits]) => edits.reduce((bytes, change) => change(bytes), seed));
  return fc.oneof(
    { weight: 6, arbitrary: one },
    { weight: 2, arbitrary: fc.array(one, { minLength: 2, maxLength: 4 }).map(joined) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}
