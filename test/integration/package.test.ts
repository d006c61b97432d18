import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../support/build.ts';

it('the npm package holds the built program and no test, source or secret', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  expect(paths).toContain('dist/main.js');
  expect(paths).toContain('headwater.example.yaml');
  expect(paths.filter((path) => /\.test\.|(^|\/)(test|src|bench|headwater-data)\//.test(path))).toEqual([]);
  const secret = /-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhw_[A-Za-z0-9_-]{32}\b/;
  const leaking = paths.filter(
    (path) => /\.(pem|key|p12|token)$/.test(path) || secret.test(readFileSync(join(ROOT, path), 'latin1')),
  );
  expect(leaking).toEqual([]);
});
