/**
 * Reads the wall-clock time that the demo stream draws into its picture: a row of 40 square blocks across the top,
 * white for one and black for nought, 32 bits of milliseconds modulo 2^32 (high bit first), then 8 bits of checksum.
 */

const TIME_BITS = 32;
const CHECK_BITS = 8;
/** Blocks in the row. */
export const CODE_BLOCKS = TIME_BITS + CHECK_BITS;

const MODULUS = 2 ** 32;
/** Luma at or below is black, at or above is white; between is no clock but a picture. */
const BLACK_BELOW = 90;
const WHITE_ABOVE = 165;

/** A time drawn longer ago than this, or this far ahead, is a checksum that fits by chance. */
const OLDEST_MS = 10 * 60_000;
const FUTURE_MS = 1000;

/**
 * The time in a row of RGBA pixels that shows the code from edge to edge, milliseconds modulo 2^32.
 * Undefined when the picture holds no such code. `widthPx` must be a multiple of the number of blocks.
 */
export function readPictureClock(rgba: ArrayLike<number>, widthPx: number): number | undefined {
  const blockPx = widthPx / CODE_BLOCKS;
  let time = 0;
  let check = 0;
  for (let block = 0; block < CODE_BLOCKS; block++) {
    const bit = readBit(rgba, Math.floor((block + 0.5) * blockPx));
    if (bit === undefined) return undefined;
    if (block < TIME_BITS) time = time * 2 + bit;
    else check = check * 2 + bit;
  }
  return check === checksumOf(time) ? time : undefined;
}

/** Checksum of a time: its bytes, lowest first, weighted 1, 3, 5, 7. */
export function checksumOf(time: number): number {
  const byte = (index: number): number => Math.floor(time / 256 ** index) % 256;
  return (byte(0) + 3 * byte(1) + 5 * byte(2) + 7 * byte(3) + 90) % 256;
}

/** Milliseconds from the drawn time to `wallMs` (Unix time); undefined when it cannot be an age. */
export function ageOfPictureMs(time: number, wallMs: number): number | undefined {
  const turn = (((wallMs % MODULUS) - time + MODULUS * 1.5) % MODULUS) - MODULUS / 2;
  return turn >= -FUTURE_MS && turn <= OLDEST_MS ? turn : undefined;
}

function readBit(rgba: ArrayLike<number>, pixel: number): 0 | 1 | undefined {
  const red = rgba[pixel * 4];
  const green = rgba[pixel * 4 + 1];
  const blue = rgba[pixel * 4 + 2];
  if (red === undefined || green === undefined || blue === undefined) return undefined;
  const luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  if (luma <= BLACK_BELOW) return 0;
  return luma >= WHITE_ABOVE ? 1 : undefined;
}
