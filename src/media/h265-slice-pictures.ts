import type { BitReader } from './bit-reader.ts';

/** A picture of a short-term reference picture set: its distance in picture order, and whether this one refers to it. */
interface ShortTermPicture {
  readonly delta: number;
  readonly used: boolean;
}

/** Pictures before this one, nearest first, and then those behind it. */
export type ShortTermSet = readonly ShortTermPicture[];

/** A set holds no more pictures than the decoded picture buffer, 16 (7.4.8). */
const MAX_SET_PICTURES = 16;

/**
 * Reads st_ref_pic_set (ISO/IEC 23008-2 7.3.7). `sets` are those of the SPS so far; in a slice header all of them, and
 * the set may tell which one it is predicted from. Undefined when it cannot be.
 */
export function readShortTermSet(
  reader: BitReader,
  sets: readonly ShortTermSet[],
  inSlice: boolean,
): ShortTermSet | undefined {
  const predicted = sets.length > 0 && reader.flag();
  const set = predicted ? readPredictedSet(reader, sets, inSlice) : readExplicitSet(reader);
  return reader.overrun || !set || set.length > MAX_SET_PICTURES ? undefined : set;
}

function readExplicitSet(reader: BitReader): ShortTermSet | undefined {
  const before = reader.unsignedExpGolomb();
  const behind = reader.unsignedExpGolomb();
  if (before + behind > MAX_SET_PICTURES) return undefined;
  return [...readDistances(reader, before, -1), ...readDistances(reader, behind, 1)];
}

function readDistances(reader: BitReader, count: number, sign: 1 | -1): ShortTermPicture[] {
  let delta = 0;
  return Array.from({ length: count }, () => {
    delta += sign * (reader.unsignedExpGolomb() + 1);
    return { delta, used: reader.flag() };
  });
}

/** Equations 7-61 and 7-62: the pictures of another set and its own, moved, as far as kept; none at a distance of 0. */
function readPredictedSet(
  reader: BitReader,
  sets: readonly ShortTermSet[],
  inSlice: boolean,
): ShortTermSet | undefined {
  const back = inSlice ? reader.unsignedExpGolomb() + 1 : 1;
  const negative = reader.flag();
  const distance = (reader.unsignedExpGolomb() + 1) * (negative ? -1 : 1);
  const reference = sets[sets.length - back];
  if (!reference) return undefined;
  const kept: ShortTermPicture[] = [];
  for (let index = 0; index <= reference.length; index++) {
    const used = reader.flag();
    const keep = used || reader.flag();
    const delta = (reference[index]?.delta ?? 0) + distance;
    if (keep) kept.push({ delta, used });
  }
  const before = kept.filter(({ delta }) => delta < 0).sort((a, b) => b.delta - a.delta);
  const behind = kept.filter(({ delta }) => delta > 0).sort((a, b) => a.delta - b.delta);
  return [...before, ...behind];
}

/** How many pictures of the set this one refers to. */
export function usedPictures(set: ShortTermSet): number {
  let count = 0;
  for (const picture of set) if (picture.used) count++;
  return count;
}
