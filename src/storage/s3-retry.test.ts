import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRetry, RETRY_POLICY, retryReasonOf } from './s3-retry.ts';

const first = { tries: 1, elapsedMs: 0, retryAfterMs: undefined, stale: false, random: 1 };

describe('the wait before a further try', () => {
  it('doubles up to a limit, and is anywhere below it', () => {
    const waits = Array.from({ length: 9 }, (_, n) => planRetry(RETRY_POLICY, { ...first, tries: n + 1 }));
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    expect(planRetry(RETRY_POLICY, { ...first, tries: 3, random: 0.25 })).toBe(100);
  });

  it('is as long as the store asks for, within reason, and nothing when a kept connection was closed', () => {
    expect(planRetry(RETRY_POLICY, { ...first, retryAfterMs: 2000 })).toBe(2000);
    expect(planRetry(RETRY_POLICY, { ...first, retryAfterMs: 3_600_000 })).toBe(5000);
    expect(planRetry(RETRY_POLICY, { ...first, stale: true })).toBe(0);
    expect(planRetry(RETRY_POLICY, { ...first, tries: 2, stale: true })).toBe(200);
  });

  it('ends after so many tries, or when it would end behind the deadline', () => {
    expect(planRetry(RETRY_POLICY, { ...first, tries: 10 })).toBeUndefined();
    expect(planRetry(RETRY_POLICY, { ...first, elapsedMs: 59_901 })).toBeUndefined();
    expect(planRetry(RETRY_POLICY, { ...first, elapsedMs: 59_900 })).toBe(100);
  });

  it('never is negative or above the limit', () => {
    const failed = fc.record({
      tries: fc.integer({ min: 1, max: 9 }),
      elapsedMs: fc.nat(50_000),
      retryAfterMs: fc.option(fc.nat(), { nil: undefined }),
      stale: fc.boolean(),
      random: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(failed, (each) => {
        const waitMs = planRetry(RETRY_POLICY, each);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(RETRY_POLICY.maxMs);
      }),
    );
  });
});

describe('an answer', () => {
  it.each([
    [500, 'InternalError', 'server_error'],
    [502, '', 'server_error'],
    [503, 'SlowDown', 'throttled'],
    [429, '', 'throttled'],
    [409, 'ConditionalRequestConflict', 'clashed'],
    [400, 'RequestTimeout', 'server_error'],
    [409, 'BucketNotEmpty', undefined],
    [501, 'NotImplemented', undefined],
    [507, 'XMinioStorageFull', undefined],
    [412, 'PreconditionFailed', undefined],
    [403, 'AccessDenied', undefined],
    [404, 'NoSuchKey', undefined],
    [200, '', undefined],
  ])('%d %s is worth another try because of: %s', (status, code, reason) => {
    expect(retryReasonOf(status, code)).toBe(reason);
  });
});
