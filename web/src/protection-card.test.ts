import { expect, it } from 'vitest';
import { timeSpan } from './protection-card.ts';

it.each([
  [-5000, '0 s'],
  [8400, '8 s'],
  [59_400, '59 s'],
  [60_000, '1 min'],
  [3_599_000, '59 min'],
  [11_100_000, '3 h 5 min'],
])('says how long %d ms are', (ms, words) => {
  expect(timeSpan(ms)).toBe(words);
});
