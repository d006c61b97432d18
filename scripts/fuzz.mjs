// `npm run fuzz [-- --seconds N --target T --seed S]`: compiles test/fuzz and runs its targets for so long, a minute by
// default. Exit code 1 and a file below test/fuzz/crashers/ when something broke.
import { join } from 'node:path';
import process from 'node:process';
import { fail, ROOT, run, setUp, tool } from './setup.mjs';

setUp('build');
if (run(tool('tsc'), ['-p', 'tsconfig.fuzz.json']) !== 0) fail(1, 'test/fuzz does not compile');
process.exitCode = run(process.execPath, [
  '--expose-gc',
  join(ROOT, '.build-fuzz', 'test', 'fuzz', 'main.js'),
  ...process.argv.slice(2),
]);
