/** Colour of a picture (ISO/IEC 23091-2): what `colr` of type nclx says. */
export interface Colour {
  readonly primaries: number;
  readonly transfer: number;
  readonly matrix: number;
  readonly fullRange: boolean;
}

/** High dynamic range by its transfer: that of SMPTE ST 2084, or hybrid log-gamma. */
export type HdrRange = 'pq' | 'hlg';

/** transfer_characteristics (ISO/IEC 23091-2) of high dynamic range. */
const HDR_TRANSFERS: ReadonlyMap<number, HdrRange> = new Map([
  [16, 'pq'],
  [18, 'hlg'],
]);

/** Code point of each property that says nothing. */
export const UNSPECIFIED_COLOUR = 2;

/** True when there is something to say. */
export function isColourKnown(colour: Colour): boolean {
  const { primaries, transfer, matrix } = colour;
  return [primaries, transfer, matrix].some((value) => value !== UNSPECIFIED_COLOUR);
}

/** Undefined: SDR. */
export function hdrRange({ transfer }: Colour): HdrRange | undefined {
  return HDR_TRANSFERS.get(transfer);
}

/** The fields of a codec string, `01.01.01`: what is not specified is BT.709 there, by default. */
export function colourFields(colour: Colour): string[] {
  const { primaries, transfer, matrix } = colour;
  return [primaries, transfer, matrix].map((value) => twoDigits(value === UNSPECIFIED_COLOUR ? 1 : value));
}

/** A number as codec strings write it: decimal, two digits at least. */
export function twoDigits(value: number): string {
  return value.toString().padStart(2, '0');
}
