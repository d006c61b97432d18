import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FuzzInput } from './fuzz-target.ts';

/** An input that broke a target once, or is known to break others. Kept for good. */
export interface Crasher {
  readonly name: string;
  /** What it did, or does elsewhere. */
  readonly why: string;
  readonly input: FuzzInput;
}

interface CrasherFile {
  readonly why: string;
  readonly cuts: readonly number[];
  /** Base64. */
  readonly bytes: string;
  /** The bytes stand this many times behind one another. */
  readonly times?: number;
}

/** The saved inputs of a target, below `folder`. */
export function readCrashers(folder: string, target: string): Crasher[] {
  let names: string[];
  try {
    names = readdirSync(join(folder, target));
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const file = JSON.parse(readFileSync(join(folder, target, name), 'utf8')) as CrasherFile;
      const once = Buffer.from(file.bytes, 'base64');
      const bytes = new Uint8Array(Buffer.concat(Array.from({ length: file.times ?? 1 }, () => once)));
      return { name: name.slice(0, -5), why: file.why, input: { bytes, cuts: file.cuts } };
    });
}

/** Saves an input under a name that follows from it; gives the file's path. */
export function saveCrasher(folder: string, target: string, input: FuzzInput, why: string): string {
  const bytes = Buffer.from(input.bytes).toString('base64');
  const file: CrasherFile = { why, cuts: input.cuts, bytes };
  const name = createHash('sha256')
    .update(JSON.stringify([bytes, input.cuts]))
    .digest('hex')
    .slice(0, 12);
  const path = join(folder, target, `${name}.json`);
  mkdirSync(join(folder, target), { recursive: true });
  writeFileSync(path, `${JSON.stringify(file, undefined, 2)}\n`);
  return path;
}
