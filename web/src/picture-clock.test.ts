import { describe, expect, it } from 'vitest';
import { ageOfPictureMs, CODE_BLOCKS, checksumOf, readPictureClock } from './picture-clock.ts';

const BLOCK_PX = 4;
const WIDTH_PX = CODE_BLOCKS * BLOCK_PX;
const WHITE = 235;
const BLACK = 18;

/** A row of pixels as the demo stream draws it. */
function draw(time: number, check = checksumOf(time)): Uint8ClampedArray {
  const bits = time.toString(2).padStart(32, '0') + check.toString(2).padStart(8, '0');
  const row = new Uint8ClampedArray(WIDTH_PX * 4);
  for (let x = 0; x < WIDTH_PX; x++) {
    const level = bits[Math.floor(x / BLOCK_PX)] === '1' ? WHITE : BLACK;
    row.set([level, level, level, 255], x * 4);
  }
  return row;
}

describe('the clock in the picture', () => {
  it.each([0, 1, 0x80000000, 0xffffffff, 0xdeadbeef, 1_795_363_735_123 % 2 ** 32])(
    'gives %d back',
    (time) => {
      expect(readPictureClock(draw(time), WIDTH_PX)).toBe(time);
    },
  );

  it('has the checksum the demo draws: 1, 3, 5, 7 times the bytes and 90', () => {
    expect(checksumOf(0)).toBe(90);
    expect(checksumOf(0x01020304)).toBe(4 + 9 + 10 + 7 + 90);
    expect(checksumOf(0xffffffff)).toBe((16 * 255 + 90) % 256);
  });

  it('is not seen when one bit of the time is wrong', () => {
    const check = checksumOf(0x12345678);
    for (let bit = 0; bit < 32; bit++) {
      const wrong = (0x12345678 ^ (1 << bit)) >>> 0;
      expect(readPictureClock(draw(wrong, check), WIDTH_PX)).toBeUndefined();
    }
  });

  it.each([0, 255])('is not seen in a picture of one colour (%d)', (level) => {
    expect(readPictureClock(new Uint8ClampedArray(WIDTH_PX * 4).fill(level), WIDTH_PX)).toBeUndefined();
  });

  it('is not seen when a block is grey', () => {
    const row = draw(0x12345678);
    row.fill(128, 7 * BLOCK_PX * 4, 8 * BLOCK_PX * 4);
    expect(readPictureClock(row, WIDTH_PX)).toBeUndefined();
  });

  it('is not seen when there are fewer pixels than blocks', () => {
    expect(readPictureClock(draw(5).subarray(0, 100), WIDTH_PX)).toBeUndefined();
  });
});

describe('the age of a picture', () => {
  const now = 1_795_363_735_123.5;

  it('is the time since it was drawn, to fractions of a millisecond', () => {
    expect(ageOfPictureMs(Math.floor(now - 250) % 2 ** 32, now)).toBeCloseTo(250.5, 3);
  });

  it('goes on where 32 bits of milliseconds roll over', () => {
    const rollover = 2 ** 32 * 418;
    expect(ageOfPictureMs(2 ** 32 - 100, rollover + 50)).toBe(150);
    expect(ageOfPictureMs(10, rollover - 20)).toBe(-30);
  });

  it('is unknown for a time that was never drawn', () => {
    expect(ageOfPictureMs((now + 60_000) % 2 ** 32, now)).toBeUndefined();
    expect(ageOfPictureMs((now - 3_600_000) % 2 ** 32, now)).toBeUndefined();
  });
});
