import { anySigned, type Choose, escaped, SyntaxWriter, trail, type WrittenSlice } from './slice-writer.ts';

/**
 * Writes parameter sets and slice headers of H.264 with everything in them that the standard allows
 * (ISO/IEC 14496-10 7.3.2.1, 7.3.2.2, 7.3.3), most of which no encoder here would.
 */

const TYPES = ['P', 'B', 'I', 'SP', 'SI'] as const;

interface Sets {
  readonly spsId: number;
  readonly ppsId: number;
  readonly separatePlanes: boolean;
  readonly chroma: boolean;
  readonly frameNumBits: number;
  readonly pocType: number;
  readonly pocBits: number;
  readonly deltasAlwaysZero: boolean;
  readonly framesOnly: boolean;
  readonly mapUnits: number;
  readonly cabac: boolean;
  readonly fieldOrder: boolean;
  readonly changeRate: number;
  readonly references: readonly [number, number];
  readonly weighted: boolean;
  readonly bipred: number;
  readonly deblocking: boolean;
  readonly redundant: boolean;
}

export function writeAvcSlice(choose: Choose): WrittenSlice {
  const sps = new SyntaxWriter();
  const fromSps = writeSps(sps, choose);
  const pps = new SyntaxWriter();
  const sets = { ...fromSps, ...writePps(pps, choose, fromSps.spsId) };
  const idr = choose(3) === 0;
  const refIdc = idr ? 1 + choose(3) : choose(4);
  const slice = new SyntaxWriter();
  writeHeader(slice, choose, sets, idr, refIdc > 0);
  const headerBytes = Math.ceil(slice.bitCount / 8);
  if (sets.cabac) while (slice.bitCount % 8 !== 0) slice.bits(1, 1);
  for (let byte = 0; byte < 20; byte++) slice.bits(8, choose(4));
  trail(slice);
  const { unit, end } = escaped([(refIdc << 5) | (idr ? 5 : 1)], slice.bytes, headerBytes);
  return {
    sps: escaped([0x67], sps.bytes).unit,
    pps: escaped([0x68], pps.bytes).unit,
    slice: unit,
    clearBytes: end,
  };
}

function writeSps(writer: SyntaxWriter, choose: Choose) {
  const profile = [66, 77, 100, 110, 122, 244][choose(6)] ?? 66;
  writer.bits(8, profile).bits(8, 0).bits(8, 31);
  const spsId = choose(32);
  writer.ue(spsId);
  let chromaFormat = 1;
  let separatePlanes = false;
  if (profile >= 100) {
    chromaFormat = choose(4);
    writer.ue(chromaFormat);
    if (chromaFormat === 3) separatePlanes = writer.flag(choose(2));
    writer.ue(choose(3)).ue(choose(3)).bits(1, 0);
    if (writer.flag(choose(2))) writeScalingLists(writer, choose, chromaFormat === 3 ? 12 : 8);
  }
  const frameNumBits = 4 + choose(13);
  writer.ue(frameNumBits - 4);
  const pocType = choose(3);
  writer.ue(pocType);
  const pocBits = 4 + choose(13);
  let deltasAlwaysZero = false;
  if (pocType === 0) writer.ue(pocBits - 4);
  if (pocType === 1) {
    deltasAlwaysZero = writer.flag(choose(2));
    anySigned(writer, choose);
    anySigned(writer, choose);
    const cycle = choose(5);
    writer.ue(cycle);
    for (let frame = 0; frame < cycle; frame++) anySigned(writer, choose);
  }
  writer.ue(choose(17)).bits(1, choose(2));
  const width = 1 + choose(240);
  const height = 1 + choose(135);
  writer.ue(width - 1).ue(height - 1);
  const framesOnly = writer.flag(choose(2));
  if (!framesOnly) writer.bits(1, choose(2));
  writer.bits(1, 1).bits(1, 0).bits(1, 0);
  trail(writer);
  const chroma = chromaFormat !== 0 && !separatePlanes;
  const mapUnits = width * height;
  return {
    spsId,
    separatePlanes,
    chroma,
    frameNumBits,
    pocType,
    pocBits,
    deltasAlwaysZero,
    framesOnly,
    mapUnits,
  };
}

function writeScalingLists(writer: SyntaxWriter, choose: Choose, lists: number): void {
  for (let list = 0; list < lists; list++) {
    if (!writer.flag(choose(2))) continue;
    // The default list is a first step down to 0; else all steps.
    if (choose(2) === 0) writer.se(-8);
    else for (let entry = 0; entry < (list < 6 ? 16 : 64); entry++) writer.se(entry === 0 ? 8 : choose(2));
  }
}

function writePps(writer: SyntaxWriter, choose: Choose, spsId: number) {
  const ppsId = choose(256);
  writer.ue(ppsId).ue(spsId);
  const cabac = writer.flag(choose(2));
  const fieldOrder = writer.flag(choose(2));
  const changeRate = writeSliceGroups(writer, choose);
  const references = [1 + choose(32), 1 + choose(32)] as const;
  writer.ue(references[0] - 1).ue(references[1] - 1);
  const weighted = writer.flag(choose(2));
  const bipred = choose(3);
  writer.bits(2, bipred);
  for (let field = 0; field < 3; field++) anySigned(writer, choose);
  const deblocking = writer.flag(choose(2));
  writer.bits(1, choose(2));
  const redundant = writer.flag(choose(2));
  trail(writer);
  return { ppsId, cabac, fieldOrder, changeRate, references, weighted, bipred, deblocking, redundant };
}

/** Gives the rate at which slice groups change, 0 when they do not. */
function writeSliceGroups(writer: SyntaxWriter, choose: Choose): number {
  const groups = choose(2) === 0 ? 1 : 2 + choose(7);
  writer.ue(groups - 1);
  if (groups === 1) return 0;
  const type = choose(7);
  writer.ue(type);
  if (type === 0) for (let group = 0; group < groups; group++) writer.ue(choose(50));
  if (type === 2) for (let group = 0; group < groups - 1; group++) writer.ue(choose(50)).ue(choose(50));
  if (type === 6) {
    const units = 1 + choose(60);
    writer.ue(units - 1);
    for (let unit = 0; unit < units; unit++) writer.bits(Math.ceil(Math.log2(groups)), choose(groups));
  }
  if (type < 3 || type > 5) return 0;
  const rate = 1 + choose(30);
  writer.bits(1, choose(2)).ue(rate - 1);
  return rate;
}

function writeHeader(
  writer: SyntaxWriter,
  choose: Choose,
  sets: Sets,
  idr: boolean,
  referred: boolean,
): void {
  const typeIndex = choose(10);
  const type = TYPES[typeIndex % 5] ?? 'I';
  const intra = type === 'I' || type === 'SI';
  writer.ue(choose(2000)).ue(typeIndex).ue(sets.ppsId);
  if (sets.separatePlanes) writer.bits(2, choose(3));
  writer.bits(sets.frameNumBits, choose(2 ** sets.frameNumBits));
  const field = !sets.framesOnly && writer.flag(choose(2));
  if (field) writer.bits(1, choose(2));
  if (idr) writer.ue(choose(65_536));
  if (sets.pocType === 0) {
    writer.bits(sets.pocBits, choose(2 ** sets.pocBits));
    if (sets.fieldOrder && !field) anySigned(writer, choose);
  }
  if (sets.pocType === 1 && !sets.deltasAlwaysZero) {
    anySigned(writer, choose);
    if (sets.fieldOrder && !field) anySigned(writer, choose);
  }
  if (sets.redundant) writer.ue(choose(128));
  if (type === 'B') writer.bits(1, choose(2));
  let [l0, l1] = sets.references;
  if (!intra && writer.flag(choose(2))) {
    l0 = 1 + choose(32);
    writer.ue(l0 - 1);
    if (type === 'B') {
      l1 = 1 + choose(32);
      writer.ue(l1 - 1);
    }
  }
  const lists = intra ? [] : type === 'B' ? [l0, l1] : [l0];
  for (const _ of lists) writeModifications(writer, choose);
  if ((sets.weighted && (type === 'P' || type === 'SP')) || (sets.bipred === 1 && type === 'B')) {
    writeWeights(writer, choose, sets.chroma, lists);
  }
  if (referred) writeMarking(writer, choose, idr);
  if (sets.cabac && !intra) writer.ue(choose(3));
  anySigned(writer, choose);
  if (type === 'SP') writer.bits(1, choose(2));
  if (type === 'SP' || type === 'SI') anySigned(writer, choose);
  if (sets.deblocking) {
    const disabled = choose(3);
    writer.ue(disabled);
    if (disabled !== 1) {
      writer.se(choose(13) - 6);
      writer.se(choose(13) - 6);
    }
  }
  if (sets.changeRate > 0) writer.bits(Math.ceil(Math.log2(sets.mapUnits / sets.changeRate + 1)), 0);
}

function writeModifications(writer: SyntaxWriter, choose: Choose): void {
  if (!writer.flag(choose(2))) return;
  for (let count = choose(6); count > 0; count--) writer.ue(choose(3)).ue(choose(500));
  writer.ue(3);
}

function writeWeights(writer: SyntaxWriter, choose: Choose, chroma: boolean, lists: readonly number[]): void {
  writer.ue(choose(8));
  if (chroma) writer.ue(choose(8));
  for (const count of lists) {
    for (let picture = 0; picture < count; picture++) {
      if (writer.flag(choose(2))) for (let field = 0; field < 2; field++) writer.se(choose(255) - 127);
      if (chroma && writer.flag(choose(2)))
        for (let field = 0; field < 4; field++) writer.se(choose(255) - 127);
    }
  }
}

function writeMarking(writer: SyntaxWriter, choose: Choose, idr: boolean): void {
  if (idr) {
    writer.bits(2, choose(4));
    return;
  }
  if (!writer.flag(choose(2))) return;
  for (let count = choose(8); count > 0; count--) {
    const operation = 1 + choose(6);
    writer.ue(operation);
    if (operation === 1 || operation === 3) writer.ue(choose(40));
    if (operation === 2) writer.ue(choose(40));
    if (operation === 3 || operation === 6) writer.ue(choose(16));
    if (operation === 4) writer.ue(choose(17));
  }
  writer.ue(0);
}
