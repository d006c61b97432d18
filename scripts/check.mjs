// `npm run check`: types, lint, format, generated docs, import table. Runs all of them and names what failed.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { ROOT, run, say, setUp, tool } from './setup.mjs';

const LINTED = ['src', 'test', 'bench', 'web', 'scripts', 'vite.config.ts', 'vitest.config.ts'];

/** Each check is one program; it passes when that exits 0. */
const CHECKS = {
  types: () => run(tool('tsc'), ['-p', 'tsconfig.check.json']),
  lint: () => run(tool('oxlint'), ['--type-aware', ...LINTED.filter((path) => existsSync(join(ROOT, path)))]),
  format: () => run(tool('biome'), ['format', '.']),
  docs: () => run(process.execPath, [join(ROOT, 'scripts', 'docs.mjs'), '--check']),
};

/** Runs every check, in order, whatever the others say. */
export function runChecks() {
  const failed = Object.entries(CHECKS).flatMap(([name, check]) => {
    say(`check: ${name}`);
    return check() === 0 ? [] : [name];
  });
  return { passed: Object.keys(CHECKS).length - failed.length, failed };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  setUp('build');
  const { failed } = runChecks();
  if (run(tool('vitest'), ['run', '--project', 'unit', 'test/unit/imports.test.ts']) !== 0)
    failed.push('imports');
  say(failed.length === 0 ? 'all checks passed' : `failed: ${failed.join(', ')}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
