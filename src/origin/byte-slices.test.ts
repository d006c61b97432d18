import { describe, expect, it } from 'vitest';
import { sliceBuffers } from './byte-slices.ts';

describe('sliceBuffers', () => {
  const buffers = ['abc', '', 'd', 'efghi'].map((text) => Buffer.from(text));
  const whole = Buffer.concat(buffers).toString();

  it('gives the same bytes as a slice of the whole, for every range', () => {
    for (let start = 0; start < whole.length; start += 1) {
      for (let end = start; end < whole.length; end += 1) {
        const slices = sliceBuffers(buffers, start, end);
        expect(Buffer.concat(slices).toString()).toBe(whole.slice(start, end + 1));
      }
    }
  });

  it('copies nothing', () => {
    const [first, last] = [sliceBuffers(buffers, 1, 2)[0], sliceBuffers(buffers, 5, 7)[0]];
    expect(first?.buffer).toBe(buffers[0]?.buffer);
    expect(last?.buffer).toBe(buffers[3]?.buffer);
  });
});
