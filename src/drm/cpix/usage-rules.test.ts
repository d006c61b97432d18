import { describe, expect, it } from 'vitest';
import type { CpixDocument, CpixUsageRule } from './cpix-document.ts';
import { type KeyContext, keyFor, tierOfRules } from './usage-rules.ts';

const NO_RANGE = { min: undefined, max: undefined };
const VIDEO = { pixels: NO_RANGE, framesPerSecond: NO_RANGE, hdr: undefined, wcg: undefined };

function rule(number: number, more: Partial<CpixUsageRule>): CpixUsageRule {
  const base = { intendedTrackType: undefined, periodIds: [], labels: [], video: [], audio: [], bitrate: [] };
  return { kid: Buffer.alloc(16, number), unknownFilters: [], ...base, ...more };
}

function documentOf(rules: readonly CpixUsageRule[], periods: CpixDocument['periods'] = []): CpixDocument {
  const lists = { deliveries: [], contentKeys: [], drmSystems: [] };
  return { contentId: 'a', version: '2.3', ...lists, periods, usageRules: rules };
}

/** The number of the key that is found, undefined, or the refusal. */
function found(
  context: KeyContext,
  rules: readonly CpixUsageRule[],
  periods: CpixDocument['periods'] = [],
): unknown {
  const key = keyFor(context, documentOf(rules, periods));
  return key === undefined || 'refused' in key ? key : key[0];
}

const picture = (pixels: number, more: object = {}): KeyContext => ({
  track: { kind: 'video', pixels, ...more },
});
const pixels = (min: number | undefined, max: number | undefined): typeof VIDEO =>
  ({ ...VIDEO, pixels: { min, max } }) as never;

describe('the key for a track by usage rules', () => {
  const ladder = [
    rule(1, { video: [pixels(undefined, 409_920)] }),
    rule(2, { video: [pixels(409_921, 2_073_600)] }),
    rule(3, { audio: [{ min: undefined, max: 2 }] }),
  ];

  it.each([
    [picture(0), 1],
    [picture(409_920), 1],
    [picture(409_921), 2],
    [picture(2_073_600), 2],
    [picture(2_073_601), undefined],
    [{ track: { kind: 'audio', channels: 2 } }, 3],
    [{ track: { kind: 'audio', channels: 3 } }, undefined],
  ] as const)('is found by both ends of the interval of pixels or channels: %j', (context, key) => {
    expect(found(context, ladder)).toBe(key);
  });

  it.each([
    [25, undefined],
    [25.1, 1],
    [50, 1],
    [50.1, undefined],
  ])('takes rates above the lower bound and up to the upper one: %d', (framesPerSecond, key) => {
    const rules = [rule(1, { video: [{ ...VIDEO, framesPerSecond: { min: 25, max: 50 } }] })];
    expect(found(picture(1, { framesPerSecond }), rules)).toBe(key);
  });

  it('takes any filter of a type, and one of each type', () => {
    const rules = [rule(1, { video: [pixels(1, 1), pixels(5, 5)], labels: ['a', 'b'] })];
    expect(found({ ...picture(5), labels: ['b'] }, rules)).toBe(1);
    expect(found({ ...picture(5), labels: ['c'] }, rules)).toBeUndefined();
    expect(found({ ...picture(3), labels: ['a'] }, rules)).toBeUndefined();
  });

  it('goes by the period, by number or by time', () => {
    const rules = [
      rule(1, { periodIds: ['n'], video: [VIDEO] }),
      rule(2, { periodIds: ['t'], video: [VIDEO] }),
    ];
    const periods = [
      { id: 'n', index: 4, startMs: undefined, endMs: undefined },
      { id: 't', index: undefined, startMs: 5000, endMs: 6000 },
    ];
    expect(found({ ...picture(1), period: { index: 4, startMs: 4000 } }, rules, periods)).toBe(1);
    expect(found({ ...picture(1), period: { index: 5, startMs: 5000 } }, rules, periods)).toBe(2);
    expect(found({ ...picture(1), period: { index: 6, startMs: 6000 } }, rules, periods)).toBeUndefined();
  });

  it('is none at all when two keys fit, though one key may fit twice', () => {
    const refused = { refused: 'the usage rules give one track several keys' };
    expect(found(picture(1), [rule(1, { video: [VIDEO] }), rule(2, { labels: [] })])).toEqual(refused);
    expect(found(picture(1), [rule(1, { video: [VIDEO] }), rule(1, {})])).toBe(1);
  });

  it.each([
    ['an unknown filter', rule(1, { unknownFilters: ['MoonFilter'] })],
    ['a filter by something that we do not know of the track', rule(1, { video: [{ ...VIDEO, hdr: true }] })],
    ['a bit rate that we do not know', rule(1, { bitrate: [{ min: 1, max: 2 }] })],
  ])('is none at all when any rule has %s', (_what, odd) => {
    expect(found(picture(1), [rule(2, { video: [VIDEO] }), odd])).toEqual({
      refused: 'a usage rule has a filter that cannot be judged',
    });
  });
});

describe('the tier of the key of a peer', () => {
  const one = (intendedTrackType: string, max: number | undefined, min?: number): string | undefined =>
    tierOfRules([rule(1, { intendedTrackType, video: [pixels(min, max)] })]);

  it.each([
    ['SD', 409_920, 'SD'],
    ['VIDEO', 409_920, 'SD'],
    ['SD', 589_824, 'SD'],
    ['SD', 589_825, 'HD'],
    ['VIDEO', 589_824, 'HD'],
    ['SD+HD1', 921_600, 'HD'],
    ['HD', 2_073_600, 'HD'],
    ['HD', undefined, 'HD'],
    ['HD2', undefined, 'HD'],
    ['SD', undefined, 'UHD'],
    ['VIDEO', undefined, 'UHD'],
    ['UHD1', 8_847_360, 'UHD'],
    ['HD', 2_073_601, 'HD'],
  ])('named %s up to %s pixels is %s', (name, max, tier) => {
    expect(one(name, max)).toBe(tier);
  });

  it('is the sound where it is for sound, and none where it is for both', () => {
    const sound = rule(1, { intendedTrackType: 'AUDIO', audio: [NO_RANGE] });
    const film = rule(1, { intendedTrackType: 'SD', video: [pixels(undefined, 1)] });
    expect(tierOfRules([sound])).toBe('AUDIO');
    expect(tierOfRules([sound, film])).toBeUndefined();
    expect(tierOfRules([rule(1, { audio: [NO_RANGE], video: [VIDEO] })])).toBeUndefined();
    expect(tierOfRules([])).toBeUndefined();
  });
});
