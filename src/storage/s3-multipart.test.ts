import { describe, expect, it } from 'vitest';
import { planPartBytes } from './s3-multipart.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

describe('the parts of an upload', () => {
  it('have 8 MiB, and more where there would be more than ten thousand of them', () => {
    expect(planPartBytes(17 * MIB)).toBe(8 * MIB);
    expect(planPartBytes(10_000 * 8 * MIB)).toBe(8 * MIB);
    expect(planPartBytes(10_000 * 8 * MIB + 1)).toBe(9 * MIB);
    for (const size of [90 * GIB, 400 * GIB, 625 * GIB]) {
      expect(Math.ceil(size / planPartBytes(size))).toBeLessThanOrEqual(10_000);
    }
  });

  it('are never more than may be in memory: what is larger is refused', () => {
    expect(() => planPartBytes(626 * GIB)).toThrow(expect.objectContaining({ code: 'STORAGE_TOO_LARGE' }));
  });
});
