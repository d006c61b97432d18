// `npm test`: set-up, checks, build, every suite; the last line is `N passed, N failed, N skipped`.
// Arguments after `--` go to vitest (a file name, `--project unit`).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { buildIfStale } from './build.mjs';
import { runChecks } from './check.mjs';
import { run, say, setUp, tool } from './setup.mjs';

setUp('test');
const checks = runChecks();
buildIfStale();

const folder = mkdtempSync(join(tmpdir(), 'headwater-test-'));
const reportFile = join(folder, 'report.json');
const code = run(tool('vitest'), [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${reportFile}`,
  ...process.argv.slice(2),
]);
const suites = count(readReport(reportFile), code);
rmSync(folder, { recursive: true, force: true });

for (const name of checks.failed) say(`failed: check ${name}`);
for (const name of suites.skipped) say(`skipped: ${name}`);
const passed = checks.passed + suites.passed;
const failed = checks.failed.length + suites.failed;
process.stdout.write(`${passed} passed, ${failed} failed, ${suites.skipped.length} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}

/** Counts tests; a file that could not be loaded, or an error outside any test, counts as one failed test. */
function count(report, exitCode) {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failedTests = tests.filter((test) => test.status === 'failed').length + brokenFiles.length;
  return {
    passed: tests.filter((test) => test.status === 'passed').length,
    failed: failedTests === 0 && exitCode !== 0 ? 1 : failedTests,
    skipped: tests.filter((test) => !['passed', 'failed'].includes(test.status)).map((test) => test.fullName),
  };
}
