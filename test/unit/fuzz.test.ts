import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_TARGETS } from '../fuzz/all-targets.ts';
import { readCrashers } from '../fuzz/crashers.ts';
import { checkTimed, inputsOf } from '../fuzz/fuzz-target.ts';

const CRASHERS = join(import.meta.dirname, '..', 'fuzz', 'crashers');

// The short run; `npm run fuzz` is the long one.
describe.each(ALL_TARGETS)('$name', (target) => {
  it('is total, reads the same however the bytes are cut, and holds no more than it may', () => {
    fc.assert(
      fc.property(inputsOf(target), (input) => checkTimed(target, input)),
      // The limit also ends the search for the smallest input that fails.
      { numRuns: target.runs, interruptAfterTimeLimit: 15_000, markInterruptAsFailure: false },
    );
  }, 60_000);

  const crashers = readCrashers(CRASHERS, target.name);
  if (crashers.length > 0) {
    it.each(crashers)('bears $name: $why', ({ input }) => {
      checkTimed(target, input);
    });
  }
});

it('every folder of crashers belongs to a target', () => {
  const names = ALL_TARGETS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(readdirSync(CRASHERS).filter((folder) => !names.includes(folder))).toEqual([]);
});
