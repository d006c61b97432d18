import { expect, it } from 'vitest';
import { rescaleTicks } from './ticks.ts';

it('rescales ticks since 1970 exactly where whole numbers meet', () => {
  const seconds = 1_763_812_800;
  expect(rescaleTicks(seconds * 90_000 + 4500, 90_000, 48_000)).toBe(seconds * 48_000 + 2400);
  expect(rescaleTicks(seconds * 48_000 + 1024, 48_000, 90_000)).toBe(seconds * 90_000 + 1920);
  expect(rescaleTicks(-45_000, 90_000, 48_000)).toBe(-24_000);
});
