import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { VerifiedTokens } from './verified-tokens.ts';

describe('tokens that were checked', () => {
  it('are kept in a number that is limited: the one kept first goes', () => {
    const clock = new FakeClock();
    const tokens = new VerifiedTokens({ leewayMs: 0 }, clock);
    const token = { expiresMs: clock.wallMs() + 60_000 };
    for (let i = 0; i <= 20_000; i++) tokens.keep(`token-${i}`, token);
    expect([tokens.find('token-0'), tokens.find('token-1'), tokens.find('token-20000')]).toEqual([
      ...[undefined, token, token],
    ]);
  });

  it('are not kept when they are very long', () => {
    const clock = new FakeClock();
    const tokens = new VerifiedTokens({ leewayMs: 0 }, clock);
    tokens.keep('x'.repeat(2049), { expiresMs: clock.wallMs() + 60_000 });
    expect(tokens.find('x'.repeat(2049))).toBeUndefined();
  });
});
