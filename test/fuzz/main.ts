import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { ALL_TARGETS } from './all-targets.ts';
import { saveCrasher } from './crashers.ts';
import { checkTimed, type FuzzTarget, inputsOf } from './fuzz-target.ts';

/**
 * The long run: every target in turn, with new seeds, until the time is out. A seed that is printed gives the same
 * inputs again (`--seed`). What breaks a target is shrunk, saved beside the other crashers, and makes the run fail.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    target: { type: 'string', multiple: true },
    seed: { type: 'string' },
    crashers: { type: 'string', default: join(process.cwd(), 'test', 'fuzz', 'crashers') },
  },
});

/** How long one target has its turn. */
const TURN_MS = 5000;
const RUNS_A_TURN = 1_000_000;

const wanted = values.target ?? ALL_TARGETS.map(({ name }) => name);
const unknown = wanted.filter((name) => !ALL_TARGETS.some((target) => target.name === name));
const seconds = Number(values.seconds);
if (unknown.length > 0 || !(seconds > 0)) {
  const names = ALL_TARGETS.map(({ name }) => name).join(', ');
  console.error(`usage: npm run fuzz -- [--seconds N] [--target T]... [--seed S]; targets: ${names}`);
  process.exit(2);
}

const targets = ALL_TARGETS.filter(({ name }) => wanted.includes(name));
const deadlineMs = performance.now() + seconds * 1000;
const broken = new Set<string>();
let seed = values.seed === undefined ? Math.trunc(Math.random() * 0x7fffffff) : Number(values.seed);

while (performance.now() < deadlineMs && broken.size < targets.length) {
  for (const target of targets) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0 || broken.has(target.name)) continue;
    turn(target, Math.min(TURN_MS, leftMs));
    seed = (seed + 1) % 0x7fffffff;
  }
}
process.exitCode = broken.size === 0 ? 0 : 1;

function turn(target: FuzzTarget, forMs: number): void {
  const startMs = performance.now();
  const property = fc.property(inputsOf(target), (input) => checkTimed(target, input));
  const details = fc.check(property, {
    seed,
    numRuns: RUNS_A_TURN,
    interruptAfterTimeLimit: forMs,
    markInterruptAsFailure: false,
  });
  const perSecond = Math.round((details.numRuns * 1000) / (performance.now() - startMs));
  console.log(`${target.name}: seed ${seed}, ${details.numRuns} runs, ${perSecond} a second`);
  const [input] = details.counterexample ?? [];
  if (!details.failed || input === undefined) return;
  const { errorInstance } = details;
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  broken.add(target.name);
  console.log(`${target.name}: BROKEN: ${why}`);
  console.log(`${target.name}: saved as ${saveCrasher(values.crashers, target.name, input, why)}`);
}
