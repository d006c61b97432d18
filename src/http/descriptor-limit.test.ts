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
  const all = { reserved: 0, share: 1 };
  expect(await affordableConnections(10, all)).toBe(10);
  expect(await affordableConnections(Number.MAX_SAFE_INTEGER, all)).toBeGreaterThan(0);
});

it('leaves other parts what is theirs, so that all listeners together stay below the limit', async () => {
  const many = Number.MAX_SAFE_INTEGER;
  const [all, third, twoThirds] = await Promise.all([
    affordableConnections(many, { reserved: 100, share: 1 }),
    affordableConnections(many, { reserved: 100, share: 1 / 3 }),
    affordableConnections(many, { reserved: 100, share: 2 / 3 }),
  ]);
  expect(third + twoThirds).toBeLessThanOrEqual(all);
  expect(third).toBeLessThan(twoThirds);
});
