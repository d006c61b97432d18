import { anySigned, type Choose, escaped, SyntaxWriter, trail, type WrittenSlice } from './slice-writer.ts';

/**
 * Writes parameter sets and slice segment headers of HEVC with everything in them that version 2 of the standard allows
 * (ISO/IEC 23008-2 7.3.2.2, 7.3.2.3, 7.3.6, 7.3.7), most of which no encoder here would.
 */

/** Pictures that a set keeps, by their distance; and whether they are used. */
type PictureSet = ReadonlyMap<number, boolean>;

interface Sps {
  readonly id: number;
  readonly separatePlanes: boolean;
  readonly chroma: boolean;
  readonly pocBits: number;
  readonly ctbs: number;
  readonly sao: boolean;
  readonly sets: readonly PictureSet[];
  /** Of each candidate, whether it is used; undefined: no long-term pictures. */
  readonly longTerm: readonly boolean[] | undefined;
  readonly temporalMvp: boolean;
}

interface Pps {
  readonly id: number;
  readonly dependent: boolean;
  readonly output: boolean;
  readonly extraBits: number;
  readonly cabacInit: boolean;
  readonly references: readonly [number, number];
  readonly chromaOffsets: boolean;
  readonly offsetList: boolean;
  readonly weighted: boolean;
  readonly bipred: boolean;
  readonly tiles: boolean;
  readonly sync: boolean;
  readonly acrossSlices: boolean;
  readonly override: boolean;
  readonly deblockingOff: boolean;
  readonly modification: boolean;
  readonly extension: boolean;
}

const NAL_TYPES = [0, 1, 4, 5, 8, 9, 16, 19, 20, 21] as const;

export function writeHevcSlice(choose: Choose): WrittenSlice {
  const spsWriter = new SyntaxWriter();
  const sps = writeSps(spsWriter, choose);
  const ppsWriter = new SyntaxWriter();
  const pps = writePps(ppsWriter, choose, sps.id);
  const type = NAL_TYPES[choose(NAL_TYPES.length)] ?? 1;
  const slice = new SyntaxWriter();
  writeHeader(slice, choose, sps, pps, type);
  trail(slice);
  const headerBytes = slice.bitCount / 8;
  for (let byte = 0; byte < 20; byte++) slice.bits(8, choose(4));
  trail(slice);
  const { unit, end } = escaped([type << 1, 1], slice.bytes, headerBytes);
  return {
    sps: escaped([0x42, 1], spsWriter.bytes).unit,
    pps: escaped([0x44, 1], ppsWriter.bytes).unit,
    slice: unit,
    clearBytes: end,
  };
}

function bitsFor(count: number): number {
  return Math.ceil(Math.log2(count));
}

function writeSps(writer: SyntaxWriter, choose: Choose): Sps {
  const subLayers = choose(7);
  writer.bits(4, 0).bits(3, subLayers).bits(1, 1);
  writeProfile(writer, choose, subLayers);
  const id = choose(16);
  writer.ue(id);
  const chromaFormat = choose(4);
  writer.ue(chromaFormat);
  const separatePlanes = chromaFormat === 3 && writer.flag(choose(2));
  const width = 8 * (1 + choose(500));
  const height = 8 * (1 + choose(300));
  writer.ue(width).ue(height);
  if (writer.flag(choose(2))) for (let side = 0; side < 4; side++) writer.ue(choose(3));
  writer.ue(choose(3)).ue(choose(3));
  const pocBits = 4 + choose(13);
  writer.ue(pocBits - 4);
  const all = writer.flag(choose(2));
  for (let layer = all ? 0 : subLayers; layer <= subLayers; layer++) {
    writer.ue(choose(16)).ue(choose(4)).ue(choose(4));
  }
  const logMin = choose(2);
  const logDifference = 1 + choose(2);
  const ctbSide = 2 ** (3 + logMin + logDifference);
  writer.ue(logMin).ue(logDifference).ue(0).ue(choose(3)).ue(choose(3)).ue(choose(3));
  if (writer.flag(choose(2)) && writer.flag(choose(2))) writeScalingLists(writer, choose);
  writer.flag(choose(2));
  const sao = writer.flag(choose(2));
  if (writer.flag(choose(2))) writer.bits(8, choose(256)).ue(choose(3)).ue(choose(3)).bits(1, choose(2));
  const sets: PictureSet[] = [];
  const count = choose(2) === 0 ? choose(4) : choose(65);
  writer.ue(count);
  for (let index = 0; index < count; index++) sets.push(writeSet(writer, choose, sets, false));
  let longTerm: boolean[] | undefined;
  if (writer.flag(choose(2))) {
    const candidates = choose(33);
    writer.ue(candidates);
    longTerm = Array.from({ length: candidates }, () => {
      writer.bits(pocBits, choose(2 ** pocBits));
      return writer.flag(choose(2));
    });
  }
  const temporalMvp = writer.flag(choose(2));
  writer.bits(1, choose(2)).bits(1, 0).bits(1, 0);
  trail(writer);
  const ctbs = Math.ceil(width / ctbSide) * Math.ceil(height / ctbSide);
  const chroma = chromaFormat !== 0 && !separatePlanes;
  return { id, separatePlanes, chroma, pocBits, ctbs, sao, sets, longTerm, temporalMvp };
}

function writeProfile(writer: SyntaxWriter, choose: Choose, subLayers: number): void {
  for (let byte = 0; byte < 11; byte++) writer.bits(8, choose(256));
  writer.bits(8, 93);
  const present: (readonly [boolean, boolean])[] = [];
  for (let layer = 0; layer < subLayers; layer++) {
    present.push([writer.flag(choose(2)), writer.flag(choose(2))]);
  }
  if (subLayers > 0) writer.bits(2 * (8 - subLayers), 0);
  for (const [profile, level] of present) {
    if (profile) for (let byte = 0; byte < 11; byte++) writer.bits(8, choose(256));
    if (level) writer.bits(8, 90);
  }
}

function writeScalingLists(writer: SyntaxWriter, choose: Choose): void {
  for (let size = 0; size < 4; size++) {
    for (let matrix = 0; matrix < 6; matrix += size === 3 ? 3 : 1) {
      if (!writer.flag(choose(2))) {
        writer.ue(choose(2));
        continue;
      }
      if (size > 1) anySigned(writer, choose);
      const entries = size === 0 ? 16 : 64;
      for (let entry = 0; entry < entries; entry++) anySigned(writer, choose);
    }
  }
}

/** st_ref_pic_set. A decoder keeps those whose flags say so, but never a distance of 0. */
function writeSet(
  writer: SyntaxWriter,
  choose: Choose,
  sets: readonly PictureSet[],
  inSlice: boolean,
): PictureSet {
  const predicted = sets.length > 0 && writer.flag(choose(2));
  if (!predicted) return writeExplicitSet(writer, choose);
  const back = inSlice ? 1 + choose(sets.length) : 1;
  if (inSlice) writer.ue(back - 1);
  const distance = (1 + choose(4)) * (choose(2) === 0 ? 1 : -1);
  writer.bits(1, distance < 0 ? 1 : 0).ue(Math.abs(distance) - 1);
  const reference = sets[sets.length - back] ?? new Map<number, boolean>();
  const set = new Map<number, boolean>();
  for (const delta of [...inOrder(reference), 0]) {
    const used = writer.flag(choose(2));
    // A full set takes no more.
    const keep = used || writer.flag(set.size < 12 ? choose(2) : 0);
    if (keep && delta + distance !== 0) set.set(delta + distance, used);
  }
  return set;
}

/** Distances as the standard numbers them: the past, nearest first, then the future. */
function inOrder(set: PictureSet): number[] {
  const past = [...set.keys()].filter((delta) => delta < 0).toSorted((a, b) => b - a);
  return [...past, ...[...set.keys()].filter((delta) => delta > 0).toSorted((a, b) => a - b)];
}

function writeExplicitSet(writer: SyntaxWriter, choose: Choose): PictureSet {
  const set = new Map<number, boolean>();
  const before = choose(4);
  const behind = choose(4);
  writer.ue(before).ue(behind);
  for (const [count, sign] of [
    [before, -1],
    [behind, 1],
  ] as const) {
    let delta = 0;
    for (let picture = 0; picture < count; picture++) {
      const step = 1 + choose(3);
      delta += sign * step;
      writer.ue(step - 1);
      set.set(delta, writer.flag(choose(2)));
    }
  }
  return set;
}

function writePps(writer: SyntaxWriter, choose: Choose, spsId: number): Pps {
  const id = choose(64);
  writer.ue(id).ue(spsId);
  const dependent = writer.flag(choose(2));
  const output = writer.flag(choose(2));
  const extraBits = choose(8);
  writer.bits(3, extraBits).bits(1, choose(2));
  const cabacInit = writer.flag(choose(2));
  const references = [1 + choose(15), 1 + choose(15)] as const;
  writer.ue(references[0] - 1).ue(references[1] - 1);
  anySigned(writer, choose);
  writer.bits(1, choose(2));
  const transformSkip = writer.flag(choose(2));
  if (writer.flag(choose(2))) writer.ue(choose(3));
  anySigned(writer, choose);
  anySigned(writer, choose);
  const chromaOffsets = writer.flag(choose(2));
  const weighted = writer.flag(choose(2));
  const bipred = writer.flag(choose(2));
  writer.bits(1, choose(2));
  const tiles = writer.flag(choose(2));
  const sync = writer.flag(choose(2));
  if (tiles) {
    const columns = choose(6);
    const rows = choose(6);
    writer.ue(columns).ue(rows);
    if (!writer.flag(choose(2))) for (let line = 0; line < columns + rows; line++) writer.ue(choose(9));
    writer.bits(1, choose(2));
  }
  const acrossSlices = writer.flag(choose(2));
  let override = false;
  let deblockingOff = false;
  if (writer.flag(choose(2))) {
    override = writer.flag(choose(2));
    deblockingOff = writer.flag(choose(2));
    if (!deblockingOff) {
      anySigned(writer, choose);
      anySigned(writer, choose);
    }
  }
  if (writer.flag(choose(2))) writeScalingLists(writer, choose);
  const modification = writer.flag(choose(2));
  writer.ue(choose(3));
  const extension = writer.flag(choose(2));
  let offsetList = false;
  if (writer.flag(choose(2))) {
    const range = writer.flag(choose(2));
    writer.bits(7, 0);
    if (range) {
      if (transformSkip) writer.ue(choose(4));
      writer.bits(1, choose(2));
      offsetList = writer.flag(choose(2));
      if (offsetList) {
        writer.ue(choose(3)).ue(0);
        anySigned(writer, choose);
        anySigned(writer, choose);
      }
      writer.ue(0).ue(0);
    }
  }
  trail(writer);
  return {
    ...{
      id,
      dependent,
      output,
      extraBits,
      cabacInit,
      references,
      chromaOffsets,
      offsetList,
      weighted,
      bipred,
    },
    ...{ tiles, sync, acrossSlices, override, deblockingOff, modification, extension },
  };
}

function writeHeader(writer: SyntaxWriter, choose: Choose, sps: Sps, pps: Pps, nalType: number): void {
  const first = writer.flag(choose(2));
  if (nalType >= 16) writer.bits(1, choose(2));
  writer.ue(pps.id);
  let dependent = false;
  if (!first) {
    if (pps.dependent) dependent = writer.flag(choose(2));
    writer.bits(bitsFor(sps.ctbs), choose(sps.ctbs));
  }
  if (!dependent) writeSlice(writer, choose, sps, pps, nalType);
  if (pps.tiles || pps.sync) {
    const points = choose(4) === 3 ? choose(200) : choose(6);
    writer.ue(points);
    if (points > 0) {
      const bits = 1 + choose(32);
      writer.ue(bits - 1);
      for (let point = 0; point < points; point++) writer.bits(bits, choose(2));
    }
  }
  if (pps.extension) {
    const bytes = choose(256);
    writer.ue(bytes);
    for (let byte = 0; byte < bytes; byte++) writer.bits(8, choose(3));
  }
}

function writeSlice(writer: SyntaxWriter, choose: Choose, sps: Sps, pps: Pps, nalType: number): void {
  writer.bits(pps.extraBits, 0);
  const type = (['B', 'P', 'I'] as const)[choose(3)] ?? 'I';
  writer.ue({ B: 0, P: 1, I: 2 }[type]);
  if (pps.output) writer.bits(1, choose(2));
  if (sps.separatePlanes) writer.bits(2, choose(3));
  let used = 0;
  let temporalMvp = false;
  if (nalType !== 19 && nalType !== 20) {
    writer.bits(sps.pocBits, choose(2 ** sps.pocBits));
    used = writeShortTerm(writer, choose, sps) + writeLongTerm(writer, choose, sps);
    if (sps.temporalMvp) temporalMvp = writer.flag(choose(2));
  }
  const saoLuma = sps.sao && writer.flag(choose(2));
  const saoChroma = sps.sao && sps.chroma && writer.flag(choose(2));
  if (type !== 'I') writePrediction(writer, choose, sps, pps, type, used, temporalMvp);
  anySigned(writer, choose);
  if (pps.chromaOffsets) {
    anySigned(writer, choose);
    anySigned(writer, choose);
  }
  if (pps.offsetList) writer.bits(1, choose(2));
  let off = pps.deblockingOff;
  if (pps.override && writer.flag(choose(2))) {
    off = writer.flag(choose(2));
    if (!off) {
      anySigned(writer, choose);
      anySigned(writer, choose);
    }
  }
  if (pps.acrossSlices && (saoLuma || saoChroma || !off)) writer.bits(1, choose(2));
}

function usedIn(set: PictureSet | undefined): number {
  return [...(set ?? [])].filter(([, used]) => used).length;
}

function writeShortTerm(writer: SyntaxWriter, choose: Choose, { sets }: Sps): number {
  const fromSps = sets.length > 0 && choose(2) === 1;
  writer.flag(fromSps);
  if (!fromSps) return usedIn(writeSet(writer, choose, sets, true));
  const index = choose(sets.length);
  if (sets.length > 1) writer.bits(bitsFor(sets.length), index);
  return usedIn(sets[index]);
}

function writeLongTerm(writer: SyntaxWriter, choose: Choose, { longTerm, pocBits }: Sps): number {
  if (!longTerm) return 0;
  const fromSps = longTerm.length > 0 ? choose(4) : 0;
  if (longTerm.length > 0) writer.ue(fromSps);
  const own = choose(4);
  writer.ue(own);
  let used = 0;
  for (let picture = 0; picture < fromSps + own; picture++) {
    if (picture < fromSps) {
      const index = choose(longTerm.length);
      if (longTerm.length > 1) writer.bits(bitsFor(longTerm.length), index);
      used += longTerm[index] ? 1 : 0;
    } else {
      writer.bits(pocBits, choose(2 ** pocBits));
      used += writer.flag(choose(2)) ? 1 : 0;
    }
    if (writer.flag(choose(2))) writer.ue(choose(20));
  }
  return used;
}

function writePrediction(
  writer: SyntaxWriter,
  choose: Choose,
  sps: Sps,
  pps: Pps,
  type: 'P' | 'B',
  used: number,
  temporalMvp: boolean,
): void {
  let [l0, l1] = pps.references;
  if (writer.flag(choose(2))) {
    l0 = 1 + choose(15);
    writer.ue(l0 - 1);
    if (type === 'B') {
      l1 = 1 + choose(15);
      writer.ue(l1 - 1);
    }
  }
  const lists = type === 'B' ? [l0, l1] : [l0];
  if (pps.modification && used > 1) {
    for (const count of lists) {
      if (!writer.flag(choose(2))) continue;
      for (let entry = 0; entry < count; entry++) writer.bits(bitsFor(used), choose(used));
    }
  }
  if (type === 'B') writer.bits(1, choose(2));
  if (pps.cabacInit) writer.bits(1, choose(2));
  if (temporalMvp) {
    const fromL0 = type === 'P' || writer.flag(choose(2));
    if (fromL0 ? l0 > 1 : l1 > 1) writer.ue(choose(5));
  }
  if (type === 'P' ? pps.weighted : pps.bipred) writeWeights(writer, choose, sps.chroma, lists);
  writer.ue(choose(5));
}

function writeWeights(writer: SyntaxWriter, choose: Choose, chroma: boolean, lists: readonly number[]): void {
  writer.ue(choose(8));
  if (chroma) anySigned(writer, choose);
  for (const count of lists) {
    const luma = Array.from({ length: count }, () => writer.flag(choose(2)));
    const chromas = Array.from({ length: chroma ? count : 0 }, () => writer.flag(choose(2)));
    for (let picture = 0; picture < count; picture++) {
      const fields = (luma[picture] ? 2 : 0) + (chromas[picture] ? 4 : 0);
      for (let field = 0; field < fields; field++) writer.se(choose(255) - 127);
    }
  }
}
