import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY_OPTIONS, KeysFolder } from '../../test/support/content-keys-fixture.ts';
import { LicenseFixture, ORIGIN } from '../../test/support/license-fixture.ts';
import type { KeyOwner } from '../drm/content-key.ts';
import type { ContentKeys } from '../drm/content-keys.ts';
import type { KeyTier } from '../media/protection.ts';
import { TIERS, tiersOf, type Robustness } from './tiers.ts';

const ROTATION_MS = KEY_OPTIONS.rotationMs;
/** Live keys of the first ones may be had no more; of the last ones they still may. */
const PERIODS = 24;
const MAX_KEYS = 5;
const RUNS = 150;
const STREAMS = ['studio', 'news'];
const OWNERS: readonly KeyOwner[] = [
  ...STREAMS.map((id) => ({ kind: 'live', id }) as const),
  { kind: 'vod', id: 'show' },
  { kind: 'vod', id: 'late' },
  { kind: 'vod', id: 'film' },
  // Titles called as the streams are.
  { kind: 'vod', id: 'studio' },
  { kind: 'live', id: 'show' },
];

interface Truth {
  readonly kid: Uint8Array;
  readonly key: string;
  readonly tier: KeyTier;
  /** Who may have it now. */
  readonly holders: Set<string>;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const nameOf = ({ kind, id }: KeyOwner): string => `${kind}/${id}`;

/** Live streams, recordings of them, and a title with keys of its own. */
describe('licences where titles were recorded of live streams', () => {
  let folder: KeysFolder;
  let keys: ContentKeys;
  let fixture: LicenseFixture;
  const truths: Truth[] = [];

  beforeAll(async () => {
    folder = await KeysFolder.make();
    keys = await folder.open({ licenseTtlMs: 600_000 });
    fixture = await LicenseFixture.open({ maxKeysPerLicense: MAX_KEYS, maxSessions: 1000 }, { keys });
    const startMs = fixture.clock.wallMs() - PERIODS * ROTATION_MS;
    const refusedBeforeMs = fixture.clock.wallMs() - KEY_OPTIONS.windowMs - 600_000;
    const at = (stream: string, period: number): Truth[] => {
      const owner = keys.owner({ kind: 'live', id: stream });
      const of = owner.periodAt(startMs + period * ROTATION_MS);
      return TIERS.map((tier) => {
        const { kid, key } = owner.key(of, tier);
        const known = truths.find((one) => hex(one.kid) === hex(kid));
        if (known) return known;
        const holders = new Set(of.endMs > refusedBeforeMs ? [`live/${stream}`] : []);
        const truth = { kid, key: hex(key), tier, holders };
        truths.push(truth);
        return truth;
      });
    };
    for (const stream of STREAMS) for (let period = 0; period <= PERIODS; period++) at(stream, period);
    const record = async (
      title: string,
      periods: readonly number[],
      tiers: readonly KeyTier[],
    ): Promise<void> => {
      const own = periods
        .flatMap((period) => at('studio', period))
        .filter(({ tier }) => tiers.includes(tier));
      await keys.adopt(
        { kind: 'live', id: 'studio' },
        title,
        own.map(({ kid }) => kid),
      );
      for (const { holders } of own) holders.add(`vod/${title}`);
    };
    await record('show', [3, 4, 5], ['AUDIO', 'SD', 'HD']);
    await record('late', [5, 23, 24], ['AUDIO', 'SD', 'UHD']);
    await record('studio', [0], ['SD']);
    const film = keys.owner({ kind: 'vod', id: 'film' });
    for (const tier of TIERS) {
      const { kid, key } = film.key(film.periodAt(0), tier);
      truths.push({ kid, key: hex(key), tier, holders: new Set(['vod/film']) });
    }
    await record('gone', [3, 24], TIERS);
    await keys.release('gone');
    for (const { holders } of truths) holders.delete('vod/gone');
  });
  afterAll(async () => {
    await fixture.close();
    await folder.remove();
  });

  const session = fc.record({
    owner: fc.oneof(
      fc.constantFrom<KeyOwner>(...OWNERS, { kind: 'vod', id: 'gone' }),
      fc.constantFrom<KeyOwner>({ kind: 'vod', id: 'show' }, { kind: 'vod', id: 'late' }),
    ),
    tiers: fc.option(fc.subarray([...TIERS], { minLength: 1 }), { nil: undefined }),
    robustness: fc.constantFrom<Robustness>('L1', 'L2', 'L3'),
    asked: fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 1000 })), { minLength: 0, maxLength: 12 }),
  });

  it('grant exactly keys of what the session is for, at its tiers', async () => {
    let granted = 0;
    let recorded = 0;
    await fc.assert(
      fc.asyncProperty(session, async ({ owner, tiers, robustness, asked }) => {
        const user = `viewer${String(granted)}`;
        const { token } = await fixture.begin(
          { content: owner, robustness, drm: 'widevine' },
          fixture.login({ user, tiers }),
        );
        const own = truths.filter(({ holders }) => holders.has(nameOf(owner)));
        const kids = asked.flatMap(([isOwn, index]) => {
          const from = isOwn && own.length > 0 ? own : truths;
          return from[index % from.length]?.kid ?? [];
        });
        const verdict = await fixture.gate.authorise(
          {
            ...{ method: 'POST', url: `${ORIGIN}/license/widevine`, authorization: `Bearer ${token}` },
            ...{ proof: '', address: '192.0.2.1', country: undefined },
          },
          { system: 'widevine', kids, robustness, renewal: false },
        );
        const mayHave = truths.filter(
          ({ holders, tier }) =>
            holders.has(nameOf(owner)) &&
            (tiers ?? TIERS).includes(tier) &&
            tiersOf(robustness).includes(tier),
        );
        const answered = verdict.granted ? verdict.keys : [];
        expect(verdict.granted).toBe(mayHave.length > 0);
        const names = answered.map(({ entry }) => hex(entry.kid));
        expect(new Set(names).size).toBe(names.length);
        for (const { entry } of answered) {
          const truth = mayHave.find(({ kid }) => hex(kid) === hex(entry.kid));
          expect(truth, `${nameOf(owner)} ${entry.tier}`).toBeDefined();
          expect(entry.tier).toBe(truth?.tier);
          expect(hex((await keys.unwrap(entry)).key)).toBe(truth?.key);
        }
        // What was asked for and may be had comes first.
        const due = [...new Set(kids.map(hex))].filter((kid) => mayHave.some((one) => hex(one.kid) === kid));
        for (const kid of due.slice(0, MAX_KEYS)) expect(names).toContain(kid);
        granted += 1;
        if (verdict.granted && owner.kind === 'vod') recorded += 1;
      }),
      { numRuns: RUNS },
    );
    expect(granted).toBe(RUNS);
    expect(recorded).toBeGreaterThan(RUNS / 8);
  }, 60_000);
});
