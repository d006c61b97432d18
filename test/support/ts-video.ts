import { BitWriter } from './bit-writer.ts';

/** A small H.264 SPS (Main, 320x176). `fields`: pictures may be fields. */
export function avcSps(
  options: { readonly fields?: boolean; readonly width?: number; readonly id?: number } = {},
) {
  const { fields = false, width = 320, id = 0 } = options;
  const writer = new BitWriter().bits(8, 0x67).bits(8, 77).bits(8, 0).bits(8, 30).ue(id);
  writer.ue(0).ue(0).ue(4).ue(1).bits(1, 0);
  writer
    .ue(width / 16 - 1)
    .ue(fields ? 4 : 10)
    .bits(1, fields ? 0 : 1);
  if (fields) writer.bits(1, 0);
  return writer.bits(1, 1).bits(1, 0).bits(1, 0).bits(1, 1).bytes;
}

export function avcPps(id = 0, mark = 0): Uint8Array {
  return new BitWriter()
    .bits(8, 0x68)
    .ue(id)
    .ue(0)
    .bits(8, 0x80 | mark)
    .bits(8, 0x81).bytes;
}

export interface AvcSliceOptions {
  readonly idr?: boolean;
  readonly intra?: boolean;
  /** Macroblock it begins at: 0 begins a picture. */
  readonly first?: number;
  readonly frameNum?: number;
  /** With an SPS that allows fields. */
  readonly field?: 'frame' | 'top' | 'bottom';
  /** Makes slices differ, and gives them a size. */
  readonly fill?: number;
  readonly sizeBytes?: number;
}

/** A slice whose header is right and whose macroblocks are not. */
export function avcSlice(options: AvcSliceOptions = {}): Uint8Array {
  const { idr = false, intra = idr, first = 0, frameNum = 0, field, fill = 0x55, sizeBytes = 40 } = options;
  const writer = new BitWriter()
    .bits(8, idr ? 0x65 : 0x41)
    .ue(first)
    .ue(intra ? 7 : 5)
    .ue(0)
    .bits(4, frameNum);
  if (field !== undefined) writer.bits(1, field === 'frame' ? 0 : 1);
  if (field !== undefined && field !== 'frame') writer.bits(1, field === 'bottom' ? 1 : 0);
  const head = writer.bits(3, 5).bytes;
  const slice = new Uint8Array(head.length + sizeBytes).fill(fill | 1);
  slice.set(head);
  return slice;
}

/** An SEI with a recovery point so many frames later. */
export function recoveryPoint(frames: number): Uint8Array {
  const message = new BitWriter().ue(frames).bits(5, 0x11).bytes;
  return Uint8Array.of(0x06, 6, message.length, ...message, 0x80);
}

export const AUD = Uint8Array.of(0x09, 0xf0);

/** NAL units as a byte stream; the first has a four-byte start code. */
export function annexB(...units: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(units.flatMap((unit, index) => [Buffer.of(...(index === 0 ? [0] : []), 0, 0, 1), unit])),
  );
}

/** The same with lengths, as a sample has them. */
export function lengthPrefixed(...units: readonly Uint8Array[]): Uint8Array {
  const parts = units.flatMap((unit) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(unit.length);
    return [length, unit];
  });
  return new Uint8Array(Buffer.concat(parts));
}
