import { expect, it } from 'vitest';
import { affordableConnections, openFileLimit } from './descriptor-limit.ts';

it.each([
  [
    'Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 4096   files \n',
    1024,
  ],
  ['Max open files            unlimited            unlimited            files', undefined],
  ['', undefined],
])('reads the soft limit of open files from %j', (text, limit) => {
  expect(openFileLimit(text)).toBe(limit);
});

it('never affords more than was asked for', async () => {
  expect(await affordableConnections(10)).toBe(10);
  expect(await affordableConnections(Number.MAX_SAFE_INTEGER)).toBeGreaterThan(0);
});
