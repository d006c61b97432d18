// `npm run bench [-- name… --option value…]`: builds, compiles bench/, and runs each bench/<name>.bench.ts in a process
// of its own, one after the other, from the checkout's root. Without names all of them run; options go to each.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { build } from './build.mjs';
import { fail, ROOT, run, say, setUp, tool } from './setup.mjs';

const SUFFIX = '.bench.ts';

setUp('test');
build();
if (run(tool('tsc'), ['-p', 'tsconfig.bench.json']) !== 0) fail(1, 'bench/ does not compile');

const all = readdirSync(join(ROOT, 'bench'))
  .filter((name) => name.endsWith(SUFFIX))
  .map((name) => name.slice(0, -SUFFIX.length))
  .sort();
const args = process.argv.slice(2);
const firstOption = args.findIndex((arg) => arg.startsWith('-'));
const wanted = firstOption < 0 ? args : args.slice(0, firstOption);
const options = args.slice(wanted.length);
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) fail(2, `no such bench: ${unknown.join(', ')} (there are: ${all.join(', ')})`);

const failed = (wanted.length > 0 ? wanted : all).filter((name) => {
  say(`bench: ${name}`);
  return (
    run(process.execPath, [
      '--expose-gc',
      join(ROOT, '.build-bench', 'bench', `${name}.bench.js`),
      ...options,
    ]) !== 0
  );
});
if (failed.length > 0) fail(1, `failed: ${failed.join(', ')}`);
