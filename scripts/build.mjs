// Builds dist/ (the server) and dist/web (the pages). `--if-stale` does nothing when dist/ is of these very sources.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { fail, ROOT, run, say, setUp, tool } from './setup.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = '.build-stamp';
const INPUTS = [
  'src',
  'web',
  'tsconfig.json',
  'tsconfig.build.json',
  'vite.config.ts',
  'package.json',
  'package-lock.json',
  'scripts/build.mjs',
];

/** Builds unless dist/ was made from exactly what the sources are now. */
export function buildIfStale() {
  const stamp = join(DIST, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hashInputs()) return;
  build();
}

/** Builds beside dist/ and swaps at the end: a failed build leaves the old one, and no stale file survives. */
export function build() {
  say('building');
  const hash = hashInputs();
  const next = join(ROOT, `.build-${process.pid}`);
  try {
    step(tool('tsc'), ['-p', 'tsconfig.build.json', '--outDir', next]);
    step(tool('vite'), ['build', '--logLevel', 'warn', '--outDir', join(next, 'web'), '--emptyOutDir']);
    buildSdk(join(next, 'web', 'sdk'));
    chmodSync(join(next, 'main.js'), 0o755);
    writeFileSync(join(next, STAMP), hash);
    const old = `${next}-old`;
    if (existsSync(DIST)) renameSync(DIST, old);
    renameSync(next, DIST);
    rmSync(old, { recursive: true, force: true });
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

/** The client library as one module, and its types beside it. */
function buildSdk(folder) {
  step(tool('vite'), ['build', '--mode', 'sdk', '--logLevel', 'warn', '--outDir', folder, '--emptyOutDir']);
  step(tool('tsc'), ['-p', 'web/sdk/tsconfig.json', '--outDir', join(folder, 'types')]);
  writeFileSync(join(folder, 'headwater.d.ts'), "export * from './types/index.js';\n");
}

function step(command, args) {
  // Compilers speak on stdout; ours belongs to the program that is started after the build.
  if (run(command, args, { stdio: ['ignore', 2, 2] }) !== 0) {
    rmSync(join(ROOT, `.build-${process.pid}`), { recursive: true, force: true });
    fail(1, `the build failed at ${command.slice(command.lastIndexOf('/') + 1)}`);
  }
}

function hashInputs() {
  const hash = createHash('sha256').update(process.version);
  for (const input of INPUTS) addToHash(hash, input);
  return hash.digest('hex');
}

function addToHash(hash, path) {
  const full = join(ROOT, path);
  if (!existsSync(full)) return;
  let names;
  try {
    names = readdirSync(full).sort();
  } catch {
    hash.update(path).update('\0').update(readFileSync(full)).update('\0');
    return;
  }
  for (const name of names) {
    if (!name.endsWith('.test.ts')) addToHash(hash, `${path}/${name}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  setUp('build');
  if (process.argv.includes('--if-stale')) buildIfStale();
  else build();
}
