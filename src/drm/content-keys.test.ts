import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEY_OPTIONS, KeysFolder } from '../../test/support/content-keys-fixture.ts';
import { Metrics } from '../base/metrics.ts';
import { KEY_TIERS } from '../media/protection.ts';
import type { KeyOwner } from './content-key.ts';
import { isObtainable, nextPeriod, periodAt } from './crypto-period.ts';
import { DISK } from './durable-files.ts';
import { parseKeySet } from './key-set.ts';
import type { KeySource } from './key-source.ts';
import { kidHex, kidText } from './kid.ts';
import { rewrapKeys, rotateKek } from './rewrap.ts';

const LIVE: KeyOwner = { kind: 'live', id: 'studio' };
const TITLE: KeyOwner = { kind: 'vod', id: 'film' };
const MINUTE_MS = 60_000;
const UNAVAILABLE = expect.objectContaining({ code: 'DRM_KEYS_UNAVAILABLE' });

let folder: KeysFolder;

beforeEach(async () => {
  folder = await KeysFolder.make();
});

afterEach(() => folder.remove());

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('crypto periods', () => {
  it('cover all time without gap or overlap, on a grid that a restart finds again', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4e12 }),
        fc.integer({ min: 10, max: 86_400 }),
        (mediaMs, seconds) => {
          const rotationMs = seconds * 1000;
          const period = periodAt(mediaMs, rotationMs);
          expect(period.startMs).toBeLessThanOrEqual(mediaMs);
          expect(period.endMs).toBeGreaterThan(mediaMs);
          expect(period.index).toBe(Math.floor(mediaMs / rotationMs));
          expect(periodAt(period.startMs, rotationMs)).toEqual(period);
          expect(periodAt(period.endMs - 1, rotationMs)).toEqual(period);
          expect(periodAt(period.endMs, rotationMs)).toEqual(nextPeriod(period));
        },
      ),
    );
  });

  it('are one without end when keys do not rotate', () => {
    const period = periodAt(1e12, 0);
    expect(period).toEqual({ index: 0, startMs: 0, endMs: Number.MAX_SAFE_INTEGER });
    expect(nextPeriod(period)).toBeUndefined();
  });

  it('have keys that may be had from the lead time on and until window and licence are over, and at no other time', () => {
    const period = periodAt(1_000_000_000, 300_000);
    const at = (ms: number): boolean => isObtainable(period, ms, KEY_OPTIONS);
    const fromMs = period.startMs - 30_000;
    const untilMs = period.endMs + 60_000 + 3_600_000;
    expect([at(fromMs - 1), at(fromMs), at(untilMs - 1), at(untilMs)]).toEqual([false, true, true, false]);
  });

  it('never lead by more than their own length', () => {
    const period = periodAt(1_000_000_000, 10_000);
    expect(isObtainable(period, period.startMs - 10_001, KEY_OPTIONS)).toBe(false);
    expect(isObtainable(period, period.startMs - 10_000, KEY_OPTIONS)).toBe(true);
  });
});

describe('the keys of a stream', () => {
  it('are other ones for each tier, period and owner, under random KIDs', async () => {
    const keys = await folder.open();
    const now = folder.clock.wallMs();
    const made = [LIVE, TITLE, { ...LIVE, id: 'other' }].flatMap((owner) =>
      [0, 1, 2].flatMap((n) => {
        const one = keys.owner(owner);
        return KEY_TIERS.map((tier) => one.key(one.periodAt(now + n * 300_000), tier));
      }),
    );
    // A title has one period.
    const distinct = new Set(made);
    expect(distinct.size).toBe((3 + 1 + 3) * 4);
    for (const of of ['kid', 'key', 'constantIv'] as const) {
      expect(new Set([...distinct].map((key) => hex(key[of]))).size, of).toBe(distinct.size);
    }
    for (const { kid, key, constantIv } of distinct) {
      expect([kid.length, key.length, constantIv.length]).toEqual([16, 16, 16]);
      expect(kidText(kid)).toMatch(/^.{14}4.{4}[89ab].{16}$/);
    }
  });

  it('are the same object while the period is in use, and the same key after a restart in it', async () => {
    const before = (await folder.open()).owner(LIVE);
    const period = before.periodAt(folder.clock.wallMs());
    const key = before.key(period, 'HD');
    expect(before.key(period, 'HD')).toBe(key);
    folder.clock.advance(1000);
    const after = (await folder.open()).owner(LIVE).key(period, 'HD');
    expect([hex(after.kid), hex(after.key), hex(after.constantIv)]).toEqual([
      hex(key.kid),
      hex(key.key),
      hex(key.constantIv),
    ]);
  });

  it('are on disk, wrapped and for their owner only, before they are given out', async () => {
    const owner = (await folder.open()).owner(LIVE);
    const key = owner.key(owner.periodAt(folder.clock.wallMs()), 'HD');
    const [file = ''] = await folder.keyFiles();
    const text = await folder.read(file);
    const stored = parseKeySet(text)?.keys.find(({ tier }) => tier === 'HD');
    expect(hex(stored?.kid ?? new Uint8Array())).toBe(hex(key.kid));
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      expect(text).not.toContain(Buffer.from(key.key).toString(form));
    }
    expect(((await stat(folder.path(file))).mode & 0o777).toString(8)).toBe('600');
    expect(((await stat(dirname(folder.path(file)))).mode & 0o777).toString(8)).toBe('700');
  });

  it('of the next period are made once it is near, so that the boundary waits for nothing', async () => {
    const metrics = new Metrics();
    const keys = await folder.open({}, { metrics });
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    owner.key(period, 'HD');
    const next = owner.periodAt(period.endMs);
    folder.clock.advance(next.startMs - 31_000 - folder.clock.wallMs());
    await keys.upkeep();
    expect(await folder.keyFiles()).toHaveLength(1);
    folder.clock.advance(1000);
    await keys.upkeep();
    expect(await folder.keyFiles()).toHaveLength(2);
    owner.key(next, 'HD');
    const text = await metrics.registry.metrics();
    expect(text).toContain('headwater_drm_key_sets_made_total{when="needed"} 1');
    expect(text).toContain('headwater_drm_key_sets_made_total{when="ahead"} 1');
    expect(text).toContain('headwater_drm_key_sets 2');
  });

  it('are not made ahead for a stream that is over', async () => {
    const keys = await folder.open();
    const owner = keys.owner(LIVE);
    owner.key(owner.periodAt(folder.clock.wallMs()), 'HD');
    folder.clock.advance(20 * MINUTE_MS);
    await keys.upkeep();
    expect(await folder.keyFiles()).toHaveLength(1);
  });

  it('never mix with those of another rotation or scheme', async () => {
    const now = folder.clock.wallMs();
    const variants = [{}, { rotationMs: 60_000 }, { rotationMs: 0 }, { scheme: 'cenc' }] as const;
    const kids = new Set<string>();
    for (const options of variants) {
      const owner = (await folder.open(options)).owner(LIVE);
      const key = owner.key(owner.periodAt(now), 'SD');
      expect(key.scheme).toBe('scheme' in options ? options.scheme : 'cbcs');
      kids.add(hex(key.kid));
    }
    expect(kids.size).toBe(variants.length);
    // All of them are still known, with the periods they were made for.
    const last = await folder.open();
    const ends = [...kids].map((kid) => last.find(Buffer.from(kid, 'hex'))?.period.endMs ?? 0);
    expect(new Set(ends).size).toBe(3);
  });

  it('are the same for all processes that want them at once', async () => {
    const processes = await Promise.all(Array.from({ length: 6 }, () => folder.open()));
    const now = folder.clock.wallMs();
    for (let n = 0; n < 10; n++) {
      const kids = await Promise.all(
        processes.map(async (keys, i) => {
          const owner = keys.owner(LIVE);
          const period = owner.periodAt(now + n * 300_000);
          if (i % 2 === 0) await owner.prepare(period);
          return hex(owner.key(period, 'AUDIO').kid);
        }),
      );
      expect(new Set(kids).size).toBe(1);
    }
    expect(await folder.keyFiles()).toHaveLength(10);
  });

  it('are those of who came first, even when that happens while they are being stored', async () => {
    const now = folder.clock.wallMs();
    const first = (await folder.open()).owner(LIVE);
    let kid = '';
    const disk = {
      ...DISK,
      sync: {
        ...DISK.sync,
        fsyncSync: (file: number) => {
          DISK.sync.fsyncSync(file);
          if (kid === '' && armed) kid = hex(first.key(first.periodAt(now), 'HD').kid);
        },
      },
    };
    let armed = false;
    const second = (await folder.open({}, { disk })).owner(LIVE);
    armed = true;
    expect(hex(second.key(second.periodAt(now), 'HD').kid)).toBe(kid);
    expect(kid).not.toBe('');
  });

  it('belong to owners of any name, each with a folder of its own', async () => {
    const keys = await folder.open();
    const ids = ['a', 'A', '../../etc/passwd', 'ü'.repeat(200), 'a/b', 'a_b', '.', 'x\0y', 'con'];
    for (const id of ids) {
      const owner = keys.owner({ kind: 'vod', id });
      owner.key(owner.periodAt(0), 'SD');
    }
    const files = await folder.keyFiles();
    expect(new Set(files.map((file) => dirname(file).toLowerCase())).size).toBe(ids.length);
    for (const file of files) expect(file).toMatch(/^vod-[A-Za-z0-9_-]+\/0-endless-cbcs\.json$/);
    for (const id of ['', 'x'.repeat(513)])
      expect(() => keys.owner({ kind: 'vod', id })).toThrow(UNAVAILABLE);
  });

  it('are refused at the limit, and counted', async () => {
    const metrics = new Metrics();
    const owner = (await folder.open({ maxKeySets: 2 }, { metrics })).owner(LIVE);
    const now = folder.clock.wallMs();
    for (const n of [0, 1]) owner.key(owner.periodAt(now + n * 300_000), 'HD');
    expect(() => owner.key(owner.periodAt(now + 600_000), 'HD')).toThrow(UNAVAILABLE);
    await expect(owner.prepare(owner.periodAt(now + 600_000))).rejects.toEqual(UNAVAILABLE);
    expect(await metrics.registry.metrics()).toContain('headwater_drm_key_sets_refused_total 2');
  });

  it('are told of to players with what each system needs, and no key', async () => {
    const owner = (await folder.open()).owner(LIVE);
    const key = owner.key(owner.periodAt(folder.clock.wallMs()), 'HD');
    const protection = owner.protection(key);
    expect(protection).toMatchObject({
      scheme: 'cbcs',
      tier: 'HD',
      kid: key.kid,
      constantIv: key.constantIv,
    });
    expect(protection.systems).toMatchObject([{ system: 'clearkey', licenseUrl: '/license/clearkey' }]);
    expect(owner.protection(key)).toBe(protection);
    const cenc = (await folder.open({ scheme: 'cenc' })).owner(LIVE);
    expect(cenc.protection(cenc.key(cenc.periodAt(0), 'SD')).constantIv).toBeUndefined();
  });
});

describe('the disk', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });

  it('when full, makes key() refuse rather than give a key that is not kept; then all is well again', async () => {
    let broken = true;
    const disk = {
      ...DISK,
      sync: {
        ...DISK.sync,
        fsyncSync: (file: number) => {
          if (broken) throw full;
          DISK.sync.fsyncSync(file);
        },
      },
    };
    const keys = await folder.open({}, { disk });
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    expect(() => owner.key(period, 'HD')).toThrow(UNAVAILABLE);
    expect(await folder.files()).toEqual([]);
    expect(keys.obtainable(LIVE, folder.clock.wallMs())).toEqual([]);
    broken = false;
    const key = owner.key(period, 'HD');
    expect(hex((await folder.open()).owner(LIVE).key(period, 'HD').kid)).toBe(hex(key.kid));
  });

  it('is tried less and less often while the next keys cannot be stored, and the log says so once a minute', async () => {
    let broken = false;
    let tries = 0;
    const disk = {
      ...DISK,
      promises: {
        ...DISK.promises,
        link: async (from: string, to: string) => {
          tries += 1;
          if (broken) throw full;
          await DISK.promises.link(from, to);
        },
      },
    } as typeof DISK;
    const keys = await folder.open({}, { disk });
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    owner.key(period, 'HD');
    folder.clock.advance(period.endMs - 30_000 - folder.clock.wallMs());
    await keys.upkeep();
    folder.log.lines.length = 0;
    tries = 0;
    broken = true;
    // Gone with all that is in it; then nothing can be stored for a while.
    await rm(dirname(folder.path((await folder.keyFiles())[0] ?? '')), { recursive: true });
    for (let i = 0; i < 10; i++) await keys.upkeep();
    for (let second = 0; second < 25; second++) {
      folder.clock.advance(1000);
      await keys.upkeep();
    }
    expect(tries).toBeGreaterThanOrEqual(3);
    expect(tries).toBeLessThanOrEqual(6);
    expect(folder.log.lines).toMatchObject([
      { level: 'error', fields: { what: 'prepare', code: 'DRM_KEYS_UNAVAILABLE' } },
    ]);
    broken = false;
    folder.clock.advance(16_000);
    await keys.upkeep();
    const next = owner.periodAt(period.endMs);
    expect(owner.key(next, 'HD').tier).toBe('HD');
  });

  it('is cleared of what a writer that died had left, but not of what one is writing', async () => {
    const first = await folder.open();
    const owner = first.owner(LIVE);
    owner.key(owner.periodAt(folder.clock.wallMs()), 'HD');
    const [file = ''] = await folder.keyFiles();
    const [old, recent] = ['aa', 'bb'].map((name) => folder.path(`${file}.${name}.draft`));
    const nowS = folder.clock.wallMs() / 1000;
    for (const [path = '', ageS] of [
      [old, 3700],
      [recent, 3500],
    ] as const) {
      await writeFile(path, 'half');
      await utimes(path, nowS - ageS, nowS - ageS);
    }
    await folder.open();
    expect((await folder.files()).filter((name) => name.endsWith('.draft'))).toEqual([`${file}.bb.draft`]);
  });

  it('with a truncated or changed key file, refuses its keys and leaves it as it is', async () => {
    const owner = (await folder.open()).owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    owner.key(period, 'HD');
    const [file = ''] = await folder.keyFiles();
    const good = await folder.read(file);
    const tampered = [
      ...Array.from({ length: 40 }, (_, i) => good.slice(0, Math.floor((good.length * i) / 40))),
      good.replace('"HD"', '"SD"').replace('"SD"', '"HD"'),
      good.replace('"tier": "HD"', '"tier": "UHD"'),
      good.replace('"startMs": 1', '"startMs": 2'),
      good.replace('"cbcs"', '"cenc"'),
      good.replace('studio', 'studix'),
      good.replaceAll(/"kek": "./g, '"kek": "x'),
      withOtherBytes(good),
      '{}',
      'null',
      '[]',
      '\0'.repeat(4096),
    ];
    for (const text of tampered) {
      await writeFile(folder.path(file), text);
      const again = await folder.open();
      expect(() => again.owner(LIVE).key(period, 'HD'), text.slice(0, 80)).toThrow(UNAVAILABLE);
      await expect(
        again
          .owner(LIVE)
          .prepare(period)
          .then(() => again.owner(LIVE).key(period, 'HD')),
      ).rejects.toEqual(UNAVAILABLE);
      expect(await folder.read(file)).toBe(text);
      expect(await folder.keyFiles()).toHaveLength(1);
    }
    await writeFile(folder.path(file), good);
    expect(hex((await folder.open()).owner(LIVE).key(period, 'HD').kid)).toBe(
      hex(owner.key(period, 'HD').kid),
    );
  });

  it('swaps of keys between tiers or periods come to nothing', async () => {
    const first = (await folder.open()).owner(LIVE);
    const now = folder.clock.wallMs();
    const periods = [first.periodAt(now), first.periodAt(now + 300_000)];
    for (const period of periods) first.key(period, 'HD');
    const [file = ''] = await folder.keyFiles();
    const set = JSON.parse(await folder.read(file)) as { keys: { tier: string; wrapped: string }[] };
    const [audio, sd] = set.keys;
    if (audio && sd) [audio.wrapped, sd.wrapped] = [sd.wrapped, audio.wrapped];
    await writeFile(folder.path(file), JSON.stringify(set));
    const owner = (await folder.open()).owner(LIVE);
    const [period = first.periodAt(now)] = periods;
    for (const tier of ['AUDIO', 'SD'] as const) expect(() => owner.key(period, tier)).toThrow(UNAVAILABLE);
    expect(owner.key(period, 'HD').tier).toBe('HD');
  });

  it('with a file copied to another stream, tells of it once and gives its keys to neither by mistake', async () => {
    const metrics = new Metrics();
    const keys = await folder.open({}, { metrics });
    const owner = keys.owner(LIVE);
    const key = owner.key(owner.periodAt(folder.clock.wallMs()), 'HD');
    const [file = ''] = await folder.keyFiles();
    const other = file.replace('live-studio', 'live-thief');
    await mkdir(dirname(folder.path(other)));
    await copyFile(folder.path(file), folder.path(other));
    folder.clock.advance(5000);
    for (let i = 0; i < 12; i++) await keys.upkeep();
    expect(keys.find(key.kid)?.owner).toEqual(LIVE);
    expect(keys.obtainable({ kind: 'live', id: 'thief' }, folder.clock.wallMs())).toEqual([]);
    expect(folder.log.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { fields: { file: other, problem: 'not in its place' } },
    ]);
    expect(await metrics.registry.metrics()).toContain('headwater_drm_key_sets_damaged 1');
  });

  it('with keys that another process made, shows them to the licence server, and when they go, not any more', async () => {
    const licences = await folder.open();
    const media = (await folder.open()).owner(LIVE);
    const key = media.key(media.periodAt(folder.clock.wallMs()), 'HD');
    expect(licences.find(key.kid)).toBeUndefined();
    for (let i = 0; i < 5; i++) await licences.upkeep();
    const entry = licences.find(key.kid);
    expect(entry).toMatchObject({ owner: LIVE, tier: 'HD', scheme: 'cbcs' });
    expect(entry && hex((await licences.unwrap(entry)).key)).toBe(hex(key.key));
    const [file = ''] = await folder.keyFiles();
    await rename(folder.path(file), `${folder.path(file)}.gone`);
    for (let i = 0; i < 10; i++) await licences.upkeep();
    expect(licences.find(key.kid)).toBeUndefined();
  });
});

describe('the licence server', () => {
  it('sees the keys that may be had now, the oldest first, and none before the lead time', async () => {
    const keys = await folder.open();
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    const next = owner.periodAt(period.endMs);
    owner.key(period, 'HD');
    await owner.prepare(next);
    const indexesAt = (ms: number): number[] => keys.obtainable(LIVE, ms).map((entry) => entry.period.index);
    const four = (index: number): number[] => [index, index, index, index];
    expect(indexesAt(next.startMs - 30_001)).toEqual(four(period.index));
    expect(indexesAt(next.startMs - 30_000)).toEqual([...four(period.index), ...four(next.index)]);
    expect(keys.obtainable(LIVE, next.startMs).map(({ tier }) => tier)).toEqual([...KEY_TIERS, ...KEY_TIERS]);
    const endMs = period.endMs + KEY_OPTIONS.windowMs + KEY_OPTIONS.licenseTtlMs;
    expect(indexesAt(endMs - 1)).toEqual([...four(period.index), ...four(next.index)]);
    expect(indexesAt(endMs)).toEqual(four(next.index));
    expect(keys.obtainable(TITLE, period.startMs)).toEqual([]);
    for (const entry of keys.obtainable(LIVE, next.startMs)) {
      expect(keys.isObtainable(entry, next.startMs)).toBe(true);
      expect(keys.isObtainable(entry, endMs + 300_000)).toBe(false);
    }
  });

  it('gets the key that encrypts, and none for a KID that is not ours', async () => {
    const keys = await folder.open();
    const owner = keys.owner(TITLE);
    const key = owner.key(owner.periodAt(0), 'UHD');
    const entry = keys.find(Uint8Array.from(key.kid));
    expect(entry).toMatchObject({ owner: TITLE, tier: 'UHD' });
    expect(entry && hex((await keys.unwrap(entry)).key)).toBe(hex(key.key));
    for (const kid of [randomBytes(16), new Uint8Array(0), key.kid.subarray(1)])
      expect(keys.find(kid)).toBeUndefined();
    await expect(
      keys.unwrap({
        owner: TITLE,
        tier: 'UHD',
        kid: randomBytes(16),
        period: owner.periodAt(0),
        scheme: 'cbcs',
      }),
    ).rejects.toEqual(UNAVAILABLE);
  });
});

describe('retirement', () => {
  it('deletes keys of live streams after window, licence and margin, and keeps those of titles', async () => {
    const metrics = new Metrics();
    const keys = await folder.open({ scheme: 'cenc' }, { metrics });
    const [live, title] = [keys.owner(LIVE), keys.owner(TITLE)];
    const period = live.periodAt(folder.clock.wallMs());
    const key = live.key(period, 'HD');
    live.ivLane(key);
    const kept = title.key(title.periodAt(0), 'HD');
    const retiredMs = period.endMs + KEY_OPTIONS.windowMs + KEY_OPTIONS.licenseTtlMs + 10 * MINUTE_MS;
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 61; i++) await keys.upkeep();
    };
    folder.clock.stepWall(retiredMs - 1 - folder.clock.wallMs());
    await turns();
    expect(keys.find(key.kid)).toBeDefined();
    folder.clock.stepWall(1);
    await turns();
    expect(keys.find(key.kid)).toBeUndefined();
    expect(keys.find(kept.kid)).toBeDefined();
    expect((await folder.files()).map((file) => file.slice(0, 3))).toEqual(['vod']);
    expect(await metrics.registry.metrics()).toContain('headwater_drm_key_sets_retired_total 1');
  });
});

describe('cenc IVs', () => {
  it('never begin twice for a key, over tracks, processes and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ tracks: fc.integer({ min: 1, max: 5 }), prepared: fc.boolean() }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (processes) => {
          const own = await KeysFolder.make();
          try {
            const lanes: string[] = [];
            for (const { tracks, prepared } of [...processes, ...processes]) {
              const owner = (await own.open({ scheme: 'cenc' })).owner(LIVE);
              const period = owner.periodAt(own.clock.wallMs());
              if (prepared) await owner.prepare(period);
              for (let i = 0; i < tracks; i++) {
                for (const tier of ['AUDIO', 'SD'] as const) {
                  const key = owner.key(period, tier);
                  const iv = owner.ivLane(key);
                  expect(iv).toHaveLength(8);
                  expect(hex(iv.subarray(4))).toBe('00000000');
                  lanes.push(`${hex(key.kid)} ${hex(iv)}`);
                }
              }
            }
            expect(new Set(lanes).size).toBe(lanes.length);
          } finally {
            await own.remove();
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  it('go on with another reservation when one is used up', async () => {
    const owner = (await folder.open({ scheme: 'cenc' })).owner(LIVE);
    const key = owner.key(owner.periodAt(folder.clock.wallMs()), 'SD');
    const lanes = new Set<string>();
    for (let i = 0; i < 2 ** 16 + 2; i++) lanes.add(hex(owner.ivLane(key)));
    expect(lanes.size).toBe(2 ** 16 + 2);
    expect((await folder.files()).filter((file) => file.includes('.claim.'))).toHaveLength(2);
  });
});

describe('keys for others', () => {
  const request = { owner: TITLE, tier: 'HD', scheme: 'cbcs', period: undefined } as const;

  it('have the KID that was asked for, and are the same ever after', async () => {
    const kid = randomBytes(16);
    const key = await (await folder.open()).foreignKey({ ...request, kid });
    expect(hex(key.kid)).toBe(hex(kid));
    const keys = await folder.open();
    expect(hex((await keys.foreignKey({ ...request, kid })).key)).toBe(hex(key.key));
    expect(keys.obtainable(TITLE, 0).map((entry) => hex(entry.kid))).toEqual([hex(kid)]);
    const racers = await Promise.all(
      [keys, await folder.open(), keys].map((each) =>
        each.foreignKey({ ...request, kid: Buffer.alloc(16, 7) }),
      ),
    );
    expect(new Set(racers.map((each) => hex(each.key))).size).toBe(1);
  });

  it('are refused to another owner, for another tier, and for KIDs of ours', async () => {
    const keys = await folder.open();
    const kid = randomBytes(16);
    await keys.foreignKey({ ...request, kid });
    await expect(keys.foreignKey({ ...request, kid, owner: LIVE })).rejects.toEqual(UNAVAILABLE);
    await expect(keys.foreignKey({ ...request, kid, tier: 'SD' })).rejects.toEqual(UNAVAILABLE);
    const own = keys.owner(LIVE).key(keys.owner(LIVE).periodAt(0), 'HD');
    await expect(keys.foreignKey({ ...request, kid: own.kid })).rejects.toEqual(UNAVAILABLE);
  });
});

describe('a key server elsewhere', () => {
  const systems = [
    { system: 'widevine', pssh: Buffer.from('box'), playReadyObject: undefined, licenseUrl: undefined },
  ] as const;
  const asked: string[][] = [];
  const source = (broken: () => boolean): KeySource => ({
    fetch: async ({ keys }) => {
      if (broken()) throw new Error('down');
      asked.push(keys.map(({ tier }) => tier));
      return keys.map(({ kid }) => ({
        kid,
        key: Buffer.alloc(16, 9),
        constantIv: Buffer.alloc(16, 8),
        systems,
      }));
    },
  });

  it('gives keys and what players are told, which outlive it; until then there are none', async () => {
    let broken = true;
    const keys = await folder.open({}, { source: source(() => broken) });
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    expect(() => owner.key(period, 'HD')).toThrow(UNAVAILABLE);
    await expect(owner.prepare(period)).rejects.toEqual(UNAVAILABLE);
    broken = false;
    await owner.prepare(period);
    const key = owner.key(period, 'HD');
    expect([hex(key.key), hex(key.constantIv)]).toEqual(['09'.repeat(16), '08'.repeat(16)]);
    expect(asked).toEqual([[...KEY_TIERS]]);
    const again = (await folder.open()).owner(LIVE);
    expect(again.protection(again.key(period, 'HD')).systems).toEqual(systems);
    // What players are told is as safe from changes as the key.
    const [file = ''] = await folder.keyFiles();
    await writeFile(folder.path(file), (await folder.read(file)).replaceAll('"Ym94"', '"eG94"'));
    const tampered = await folder.open();
    expect(() => tampered.owner(LIVE).key(period, 'HD')).toThrow(UNAVAILABLE);
  });

  it('that gives less than was asked for gives nothing', async () => {
    const short: KeySource = {
      fetch: async ({ keys }) =>
        keys
          .slice(1)
          .map(({ kid }) => ({ kid, key: randomBytes(16), constantIv: undefined, systems: undefined })),
    };
    const owner = (await folder.open({}, { source: short })).owner(LIVE);
    await expect(owner.prepare(owner.periodAt(0))).rejects.toEqual(UNAVAILABLE);
    expect(await folder.keyFiles()).toEqual([]);
  });
});

describe('another KEK', () => {
  const deps = () => ({ log: folder.log, randomBytes });
  const kek = KEY_OPTIONS.kek;

  it('wraps everything anew while a server runs, which goes on with the same keys', async () => {
    const keys = await folder.open();
    const owner = keys.owner(LIVE);
    const now = folder.clock.wallMs();
    const periods = [0, 1, 2, 3].map((n) => owner.periodAt(now + n * 300_000));
    const first = periods.slice(0, 2).map((period) => owner.key(period, 'HD'));
    const kekOf = async (): Promise<Set<string>> => {
      const texts = await Promise.all((await folder.keyFiles()).map((file) => folder.read(file)));
      return new Set(texts.flatMap((text) => [...text.matchAll(/"kek": "(\w+)"/g)].map(([, id = '']) => id)));
    };
    const [old = ''] = await kekOf();
    const report = await rotateKek(folder.dir, kek, deps());
    expect(report).toMatchObject({ rewrapped: 2, unchanged: 0, failed: [], dropped: 0 });
    expect(report.kekId).not.toBe(old);
    expect(await kekOf()).toEqual(new Set([report.kekId]));

    // The server's next keys come before it has looked: still under the old KEK, which is why that stays.
    const [, , third, fourth] = periods;
    const late = third && owner.key(third, 'HD');
    expect(await kekOf()).toEqual(new Set([report.kekId, old]));
    for (let i = 0; i < 5; i++) await keys.upkeep();
    const under = fourth && owner.key(fourth, 'HD');
    expect(await rewrapKeys(folder.dir, kek, deps())).toMatchObject({
      rewrapped: 1,
      unchanged: 3,
      failed: [],
    });

    // Twice more, so that the first KEK goes, and the server must read again what it still holds under it.
    const third2 = await rotateKek(folder.dir, kek, deps());
    expect(third2).toMatchObject({ rewrapped: 4, dropped: 1 });
    for (let i = 0; i < 5; i++) await keys.upkeep();
    for (const key of [...first, late, under]) {
      const entry = key && keys.find(key.kid);
      expect(entry && key && hex((await keys.unwrap(entry)).key)).toBe(key && hex(key.key));
    }
    const again = (await folder.open()).owner(LIVE);
    expect(periods.map((period) => hex(again.key(period, 'HD').key))).toEqual(
      [...first, late, under].map((key) => hex(key?.key ?? new Uint8Array())),
    );
  });

  it('is told of when it is missing, by its id', async () => {
    const owner = (await folder.open()).owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    owner.key(period, 'HD');
    const given = randomBytes(32).toString('hex');
    const other = (await folder.open({ kek: { path: '', given } })).owner(LIVE);
    expect(() => other.key(period, 'HD')).toThrow(/encrypted with the KEK [0-9a-f]{16}, which is not there/);
    const report = await rewrapKeys(folder.dir, { path: '', given }, deps());
    expect(report).toMatchObject({ rewrapped: 0, failed: await folder.keyFiles() });
    await expect(rotateKek(folder.dir, { path: '', given }, deps())).rejects.toMatchObject({
      code: 'SECRET_FILE_UNSAFE',
    });
  });

  it('is never made silently when the old one is lost', async () => {
    const owner = (await folder.open()).owner(LIVE);
    owner.key(owner.periodAt(0), 'HD');
    await rename(`${folder.dir}/secrets/content-kek.keys`, `${folder.dir}/elsewhere`);
    await expect(folder.open()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    await rename(`${folder.dir}/elsewhere`, `${folder.dir}/secrets/content-kek.keys`);
    await chmod(`${folder.dir}/secrets/content-kek.keys`, 0o644);
    await expect(folder.open()).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });
});

describe('secrets', () => {
  it('are in no log line, error, metric, file name, listing or printed object', async () => {
    const metrics = new Metrics();
    const secrets: Uint8Array[] = [];
    const canary = (size: number): Uint8Array => {
      const bytes = randomBytes(size);
      if (size === 16 || size === 32) secrets.push(bytes);
      return bytes;
    };
    const keys = await folder.open({ scheme: 'cenc' }, { metrics, randomBytes: canary });
    const seen: unknown[] = [];
    const caught = (call: () => unknown): void => {
      try {
        seen.push(call());
      } catch (error) {
        seen.push(error, inspect(error, { depth: 10, showHidden: true }));
      }
    };
    const owner = keys.owner(LIVE);
    const period = owner.periodAt(folder.clock.wallMs());
    const key = owner.key(period, 'HD');
    // KIDs are made of random bytes as well, and are no secret.
    const kids = new Set(keys.obtainable(LIVE, folder.clock.wallMs()).map(({ kid }) => kidHex(kid)));
    seen.push(keys.obtainable(LIVE, folder.clock.wallMs()), key, owner, keys, owner.protection(key));
    const [file = ''] = await folder.keyFiles();
    const good = await folder.read(file);
    await writeFile(folder.path(file), withOtherBytes(good));
    const damaged = await folder.open({ scheme: 'cenc' }, { metrics: new Metrics() });
    caught(() => damaged.owner(LIVE).key(period, 'HD'));
    await writeFile(folder.path(file), good.slice(0, 100));
    const truncated = await folder.open({ scheme: 'cenc' }, { metrics: new Metrics() });
    caught(() => truncated.owner(LIVE).key(period, 'HD'));
    await truncated
      .unwrap({ ...keys.obtainable(LIVE, folder.clock.wallMs())[0] } as never)
      .catch((error) => seen.push(error));

    const haystack = [
      JSON.stringify(folder.log.lines),
      inspect(folder.log.lines, { depth: 10 }),
      await metrics.registry.metrics(),
      (await folder.files()).join('\n'),
      ...seen.flatMap((each) => [
        JSON.stringify(each),
        inspect(each, { depth: 10, showHidden: true }),
        String(each),
      ]),
    ].join('\n');
    const hidden = secrets.filter(
      (secret) => !kids.has(hex(secret)) && ![...kids].some((kid) => similar(kid, hex(secret))),
    );
    expect(hidden.length).toBeGreaterThanOrEqual(9);
    for (const secret of hidden) {
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
        expect(haystack.includes(Buffer.from(secret).toString(form)), form).toBe(false);
      }
      expect(haystack).not.toContain(inspect(secret).slice(8, 40));
    }
  });
});

/** A KID is random bytes with the version and variant set. */
function similar(kid: string, random: string): boolean {
  return kid.slice(0, 12) === random.slice(0, 12);
}

/** A key file with the first character of each wrapped key another one. */
function withOtherBytes(file: string): string {
  return file.replaceAll(
    /"wrapped": "(.)/g,
    (_all, first: string) => `"wrapped": "${first === 'A' ? 'B' : 'A'}`,
  );
}
