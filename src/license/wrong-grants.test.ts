import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LicenseFixture, STUDIO, tiersIn } from '../../test/support/license-fixture.ts';
import { TIERS } from './tiers.ts';

/** A session of an L3 device whose user is entitled to everything: only its level stands between it and HD. */
describe('a session of level L3', () => {
  let fixture: LicenseFixture;
  let token = '';
  beforeAll(async () => {
    fixture = await LicenseFixture.open();
    token = (await fixture.begin({ robustness: 'L1' })).token;
  });
  afterAll(() => fixture.close());

  const secretKeys = (): string[] =>
    ['HD', 'UHD'].flatMap((tier) =>
      [-2, -1, 0, 1, 2].flatMap((offset) => {
        const key = fixture.keys.keyOf(STUDIO, tier as 'HD', fixture.periodIndex + offset);
        return [
          key.toString('base64url'),
          key.toString('base64'),
          key.toString('hex'),
          key.toString('latin1'),
        ];
      }),
    );

  const realKid = fc
    .tuple(fc.constantFrom(...TIERS), fc.integer({ min: -3, max: 2 }), fc.constantFrom('', '=='))
    .map(([tier, offset, end]) => fixture.kid(tier, fixture.periodIndex + offset) + end);
  const anyKid = fc.oneof({ weight: 9, arbitrary: realKid }, fc.string(), fc.integer(), fc.constant(null));
  const names = [
    'tiers',
    'robustness',
    'rb',
    'level',
    'drm',
    'system',
    'session',
    '__proto__',
    'constructor',
  ];
  const extras = fc.dictionary(
    fc.constantFrom(...names),
    fc.constantFrom('L1', 'HD', ['HD'], { tiers: TIERS }, 'widevine'),
  );
  const request = fc.record({ kids: fc.array(realKid, { minLength: 1, maxLength: 32 }) });
  const body = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(request, extras).map(([asked, more]) => ({ ...more, ...asked })) },
    {
      weight: 2,
      arbitrary: fc.record({
        kids: fc.array(anyKid, { maxLength: 40 }),
        type: fc.constantFrom('temporary', 'persistent-license', 7),
      }),
    },
    fc.jsonValue(),
  );

  it('is given no HD key whatever JSON it sends', async () => {
    const secrets = secretKeys();
    let granted = 0;
    await fc.assert(
      fc.asyncProperty(body, async (json) => {
        const response = await fixture.as(token, '/license/clearkey', { body: json });
        const text = response.bytes().toString('latin1');
        for (const secret of secrets) expect(text.includes(secret)).toBe(false);
        if (response.status !== 200) return;
        granted += 1;
        for (const tier of tiersIn(fixture, text)) expect(['AUDIO', 'SD']).toContain(tier);
      }),
      { numRuns: 1500 },
    );
    expect(granted).toBeGreaterThan(500);
    const unwrapped = new Set(fixture.keys.unwrapped);
    for (const secret of secrets) expect(unwrapped.has(secret)).toBe(false);
  }, 60_000);

  it('is given no HD key by name', async () => {
    for (const tier of TIERS) {
      const response = await fixture.as(token, `/license/key/${fixture.kid(tier)}`, { method: 'GET' });
      expect([tier, response.status]).toEqual([tier, tier === 'AUDIO' || tier === 'SD' ? 200 : 403]);
    }
  });
});
