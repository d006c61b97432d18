import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeKeyDirectory, ROTATION_MS, STUDIO } from '../../test/support/license-fixture.ts';
import { decideLicense, MAX_LICENSE_TTL_MS, type PolicyInput } from './license-policy.ts';
import { TIERS, tiersOf } from './tiers.ts';

/** 22 Nov 2026, 12:00:10 UTC. */
const NOW = 1_795_348_810_000;
const HOUR = 3_600_000;
const directory = new FakeKeyDirectory();
const CURRENT = Math.floor(NOW / ROTATION_MS);

type Changes = {
  readonly claims?: Partial<PolicyInput['claims']>;
  readonly request?: Partial<PolicyInput['request']>;
} & Partial<Omit<PolicyInput, 'claims' | 'request'>>;

function input({ claims, request, ...rest }: Changes = {}): PolicyInput {
  return {
    claims: {
      owner: STUDIO,
      tiers: TIERS,
      robustness: 'L1',
      entitledFromMs: Number.NEGATIVE_INFINITY,
      entitledUntilMs: NOW + 2 * HOUR,
      maxTtlMs: Number.POSITIVE_INFINITY,
      countries: undefined,
      ...claims,
    },
    standing: 'alive',
    request: {
      system: 'widevine',
      robustness: undefined,
      country: undefined,
      regionAllowed: true,
      ...request,
    },
    asked: [],
    obtainable: directory.obtainable(STUDIO, NOW),
    nowMs: NOW,
    limits: { maxTtlMs: 24 * HOUR, maxKeys: 64 },
    ...rest,
  };
}

describe('the licence policy', () => {
  it.each([
    ['ended', 'session_ended'],
    ['session_revoked', 'session_revoked'],
    ['viewer_revoked', 'viewer_revoked'],
    ['device_revoked', 'device_revoked'],
  ] as const)('refuses a session that is %s', (standing, refusal) => {
    expect(decideLicense(input({ standing }))).toEqual({ granted: false, refusal });
  });

  it.each([
    ['before the window', { entitledFromMs: NOW + 1 }],
    ['at its end', { entitledUntilMs: NOW }],
    ['after it', { entitledUntilMs: NOW - 1 }],
    ['with no time for a licence', { maxTtlMs: 0 }],
    ['with no tier', { tiers: [] }],
    ['for a title of the same name', { owner: { kind: 'vod', id: 'studio' } as const }],
    ['for another stream', { owner: { kind: 'live', id: 'other' } as const }],
  ])('refuses %s', (_name, claims) => {
    expect(decideLicense(input({ claims }))).toEqual({ granted: false, refusal: 'not_entitled' });
  });

  it('refuses from where it may not be played, or from nobody knows where', () => {
    const refused = { granted: false, refusal: 'region' };
    expect(decideLicense(input({ request: { regionAllowed: false } }))).toEqual(refused);
    const claims = { countries: ['DE'] };
    expect(decideLicense(input({ claims }))).toEqual(refused);
    expect(decideLicense(input({ claims, request: { country: 'FR' } }))).toEqual(refused);
    expect(decideLicense(input({ claims, request: { country: 'DE' } })).granted).toBe(true);
  });

  it('gives a licence no longer than anything allows', () => {
    const ttl = (changes: Changes): number | undefined => {
      const decision = decideLicense(input(changes));
      return decision.granted ? decision.ttlMs : undefined;
    };
    expect(ttl({})).toBe(2 * HOUR);
    expect(ttl({ claims: { maxTtlMs: HOUR } })).toBe(HOUR);
    expect(ttl({ limits: { maxTtlMs: 60_000, maxKeys: 64 } })).toBe(60_000);
    const forever = { entitledUntilMs: Number.POSITIVE_INFINITY };
    expect(ttl({ claims: forever, limits: { maxTtlMs: 1e12, maxKeys: 64 } })).toBe(MAX_LICENSE_TTL_MS);
  });

  it('says what output protection each tier needs', () => {
    const decision = decideLicense(input());
    const outputs = decision.granted ? decision.keys.map(({ tier, output }) => [tier, output]) : [];
    expect(outputs).toEqual([
      ['AUDIO', 'none'],
      ['SD', 'none'],
      ['HD', 'hdcp1'],
      ['UHD', 'hdcp2.2'],
    ]);
  });

  it('gives no key twice, however often it is asked for', () => {
    const asked = ['SD', 'SD', 'AUDIO'].map((tier) => ({
      ...directory.entry(STUDIO, tier as 'SD', CURRENT),
    }));
    const decision = decideLicense(input({ asked, claims: { robustness: 'L3' } }));
    expect(decision.granted && decision.keys.map(({ tier }) => tier)).toEqual(['SD', 'AUDIO']);
  });

  it('puts what was asked for first, and keeps to the number of keys', () => {
    const old = directory.entry(STUDIO, 'HD', CURRENT - 2);
    const decision = decideLicense(input({ asked: [old], limits: { maxTtlMs: HOUR, maxKeys: 2 } }));
    expect(decision.granted && decision.keys.map(({ entry }) => entry)).toEqual([
      old,
      directory.entry(STUDIO, 'AUDIO', CURRENT),
    ]);
  });

  const robustness = fc.constantFrom('L1', 'L2', 'L3');
  const anyInput = fc.record({
    claimed: robustness,
    found: fc.option(robustness, { nil: undefined }),
    system: fc.constantFrom('clearkey', 'widevine', 'playready', 'fairplay'),
    tiers: fc.subarray([...TIERS]),
    asked: fc.array(
      fc.oneof(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc
          .tuple(fc.constantFrom(...TIERS), fc.integer({ min: -4, max: 4 }))
          .map(([tier, offset]) => directory.entry(STUDIO, tier, CURRENT + offset).kid),
      ),
      { maxLength: 32 },
    ),
    offsetMs: fc.integer({ min: 0, max: ROTATION_MS }),
  });

  it('never gives a key above the device, the user or the time, whatever is asked for', () => {
    fc.assert(
      fc.property(anyInput, ({ claimed, found, system, tiers, asked, offsetMs }) => {
        const nowMs = NOW + offsetMs;
        const obtainable = directory.obtainable(STUDIO, nowMs);
        const decision = decideLicense(
          input({
            claims: { robustness: claimed, tiers },
            request: { system, robustness: found },
            asked: asked
              .flatMap((kid) => directory.find(kid) ?? [])
              .filter((entry) => directory.isObtainable(entry, nowMs)),
            obtainable,
            nowMs,
          }),
        );
        const level = system === 'clearkey' || [claimed, found].includes('L3') ? 'L3' : undefined;
        for (const key of decision.granted ? decision.keys : []) {
          expect(tiers).toContain(key.tier);
          expect(tiersOf(claimed)).toContain(key.tier);
          if (found) expect(tiersOf(found)).toContain(key.tier);
          if (level) expect(['AUDIO', 'SD']).toContain(key.tier);
          expect(obtainable).toContain(key.entry);
        }
      }),
      { numRuns: 2000 },
    );
  }, 30_000);
});
