import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEY_OPTIONS, KeysFolder } from '../../test/support/content-keys-fixture.ts';
import type { KeyTier } from '../media/protection.ts';
import type { ContentKey, KeyOwner } from './content-key.ts';
import type { ContentKeys } from './content-keys.ts';
import { ownerFolder, parseKeySet } from './key-set.ts';
import { rewrapKeys, rotateKek } from './rewrap.ts';

const LIVE: KeyOwner = { kind: 'live', id: 'studio' };
const SHOW: KeyOwner = { kind: 'vod', id: 'show' };
const OTHER: KeyOwner = { kind: 'vod', id: 'other' };
const ROTATION_MS = KEY_OPTIONS.rotationMs;
const HOUR_MS = 3_600_000;
const UNAVAILABLE = expect.objectContaining({ code: 'DRM_KEYS_UNAVAILABLE' });

let folder: KeysFolder;
let keys: ContentKeys;
let nowMs = 0;

beforeEach(async () => {
  folder = await KeysFolder.make();
  keys = await folder.open();
  nowMs = folder.clock.wallMs();
});
afterEach(() => folder.remove());

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

/** A key of the live stream, so many periods from now. */
function liveKey(tier: KeyTier, offset = 0, of = keys): ContentKey {
  const owner = of.owner(LIVE);
  return owner.key(owner.periodAt(nowMs + offset * ROTATION_MS), tier);
}

function kidsOf(owner: KeyOwner, atMs = nowMs, of = keys): string[] {
  return of.obtainable(owner, atMs).map(({ kid }) => hex(kid));
}

/** The key that somebody gets by an entry of an owner. */
async function got(owner: KeyOwner, kid: Uint8Array, of = keys): Promise<string | undefined> {
  const entry = of.find(kid, owner);
  return entry && entry.owner.id === owner.id ? hex((await of.unwrap(entry)).key) : undefined;
}

describe('keys that a title has from a live stream', () => {
  it('are exactly those that it was given, under their KIDs and tiers, as long as it is there', async () => {
    const wanted = [liveKey('SD'), liveKey('AUDIO'), liveKey('SD', 1)];
    liveKey('SD', 2);
    await keys.adopt(
      LIVE,
      'show',
      wanted.map(({ kid }) => kid),
    );
    const years = nowMs + 100_000 * HOUR_MS;
    expect(keys.obtainable(SHOW, years).map(({ tier, kid }) => [tier, hex(kid)])).toEqual(
      [wanted[1], wanted[0], wanted[2]].map((key) => [key?.tier, hex(key?.kid)]),
    );
    for (const key of wanted) expect(await got(SHOW, key.kid)).toBe(hex(key.key));
    expect(keys.obtainable(SHOW, years).every((entry) => keys.isObtainable(entry, years))).toBe(true);
    expect(kidsOf(LIVE, years)).toEqual([]);
    expect(keys.adopters()).toEqual(['show']);
  });

  it('are there after a restart, when the stream has them no more', async () => {
    const key = liveKey('HD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    folder.clock.stepWall(5 * HOUR_MS);
    const next = await folder.open();
    await next.upkeep();
    expect(next.find(key.kid, LIVE)?.owner).toEqual(SHOW);
    expect(await got(SHOW, key.kid, next)).toBe(hex(key.key));
    expect(next.find(key.kid)).toMatchObject({ owner: SHOW, tier: 'HD', scheme: 'cbcs' });
    expect(kidsOf(LIVE, folder.clock.wallMs(), next)).toEqual([]);
    await keys.upkeep();
    expect(await got(SHOW, key.kid)).toBe(hex(key.key));
  });

  it('are the live stream’s to whoever does not say which title', async () => {
    const key = liveKey('SD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    await keys.adopt(LIVE, 'other', [key.kid]);
    expect(keys.find(key.kid)?.owner).toEqual(LIVE);
    expect(keys.find(key.kid, SHOW)?.owner).toEqual(SHOW);
    expect(keys.find(key.kid, OTHER)?.owner).toEqual(OTHER);
    expect(keys.find(key.kid, { kind: 'vod', id: 'none' })?.owner).toEqual(LIVE);
    expect(keys.find(key.kid, { kind: 'vod', id: 'studio' })?.owner).toEqual(LIVE);
  });

  it('go when the title goes, and only from it', async () => {
    const kept = liveKey('SD');
    await keys.adopt(LIVE, 'show', [kept.kid]);
    await keys.adopt(LIVE, 'other', [kept.kid]);
    const entry = keys.find(kept.kid, SHOW);
    const own = keys.owner(SHOW).key(keys.owner(SHOW).periodAt(0), 'SD');
    await keys.release('show');
    expect(kidsOf(SHOW)).not.toContain(hex(kept.kid));
    expect(kidsOf(SHOW)).toContain(hex(own.kid));
    if (!entry) throw new Error('the title had it');
    await expect(keys.unwrap(entry)).rejects.toEqual(UNAVAILABLE);
    expect(await got(OTHER, kept.kid)).toBe(hex(kept.key));
    expect(await got(LIVE, kept.kid)).toBe(hex(kept.key));
    await keys.release('show');
    await keys.release('never');
    const next = await folder.open();
    expect(kidsOf(SHOW, nowMs, next)).toEqual(kidsOf(SHOW));
    expect(kidsOf(SHOW)).toHaveLength(4);
    expect(next.adopters()).toEqual(['other']);
  });

  it('are given twice, by two processes, and are there once', async () => {
    const key = liveKey('SD');
    const twin = await folder.open();
    await Promise.all([keys.adopt(LIVE, 'show', [key.kid]), twin.adopt(LIVE, 'show', [key.kid])]);
    await keys.adopt(LIVE, 'show', [key.kid]);
    expect((await folder.keyFiles()).filter((file) => file.startsWith(ownerFolder(SHOW)))).toHaveLength(1);
    for (const one of [keys, twin]) expect(await got(SHOW, key.kid, one)).toBe(hex(key.key));
  });

  it('may be keys that another process made', async () => {
    const twin = await folder.open();
    const key = liveKey('SD');
    await twin.adopt(LIVE, 'show', [key.kid]);
    expect(await got(SHOW, key.kid, twin)).toBe(hex(key.key));
  });

  it('are no keys of another stream, nor keys that nobody has', async () => {
    const key = liveKey('SD');
    await expect(keys.adopt({ kind: 'live', id: 'news' }, 'show', [key.kid])).rejects.toEqual(UNAVAILABLE);
    await expect(keys.adopt(LIVE, 'show', [randomBytes(16)])).rejects.toEqual(UNAVAILABLE);
    // Nor through a title that has it.
    await keys.adopt(LIVE, 'show', [key.kid]);
    await expect(keys.adopt({ kind: 'live', id: 'show' }, 'other', [key.kid])).rejects.toEqual(UNAVAILABLE);
    expect(kidsOf(OTHER)).toEqual([]);
  });

  it('are beside the keys that the title has of its own, also where none ever change', async () => {
    const steady = await folder.open({ rotationMs: 0 });
    const own = steady.owner(SHOW).key(steady.owner(SHOW).periodAt(0), 'SD');
    const live = steady.owner({ kind: 'live', id: 'news' });
    const key = live.key(live.periodAt(nowMs), 'SD');
    await steady.adopt({ kind: 'live', id: 'news' }, 'show', [key.kid]);
    expect(hex(steady.owner(SHOW).key(steady.owner(SHOW).periodAt(0), 'SD').key)).toBe(hex(own.key));
    expect(await got(SHOW, key.kid, steady)).toBe(hex(key.key));
    expect(hex(own.kid)).not.toBe(hex(key.kid));
  });

  it('are wrapped anew with all others, and gone through by a server that runs', async () => {
    const key = liveKey('SD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    const deps = { log: folder.log, randomBytes };
    for (let round = 0; round < 2; round++) {
      expect(await rotateKek(folder.dir, KEY_OPTIONS.kek, deps)).toMatchObject({ rewrapped: 2, failed: [] });
    }
    expect(await rewrapKeys(folder.dir, KEY_OPTIONS.kek, deps)).toMatchObject({ unchanged: 2, failed: [] });
    for (let turn = 0; turn < 6; turn++) await keys.upkeep();
    expect(await got(SHOW, key.kid)).toBe(hex(key.key));
    expect(await got(LIVE, key.kid)).toBe(hex(key.key));
  });

  it('are bound to it: a file that is moved or changed gives nothing', async () => {
    const key = liveKey('SD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    const [file = ''] = (await folder.keyFiles()).filter((name) => name.startsWith(ownerFolder(SHOW)));
    const text = await folder.read(file);
    expect(text).not.toContain(hex(key.key));
    const moved = file.replace(ownerFolder(SHOW), ownerFolder(OTHER));
    await mkdir(dirname(folder.path(moved)), { recursive: true });
    await copyFile(folder.path(file), folder.path(moved));
    expect(kidsOf(OTHER, nowMs, await folder.open())).toEqual([]);
    await writeFile(folder.path(moved), text.replaceAll('"id": "show"', '"id": "other"'));
    const next = await folder.open();
    await expect(got(OTHER, key.kid, next)).rejects.toEqual(UNAVAILABLE);
    expect(await got(SHOW, key.kid, next)).toBe(hex(key.key));
  });

  it('cannot be claimed by a file that does not say that they are adopted, or says it wrongly', async () => {
    const key = liveKey('SD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    const [file = ''] = (await folder.keyFiles()).filter((name) => name.startsWith(ownerFolder(SHOW)));
    const text = await folder.read(file);
    await writeFile(folder.path(file), text.replace('"adopted": true', '"adopted": false'));
    expect(kidsOf(SHOW, nowMs, await folder.open())).toEqual([]);
    await writeFile(folder.path(file), text.replace('"tier": "SD"', '"tier": "HD"'));
    expect(kidsOf(SHOW, nowMs, await folder.open())).toEqual([]);
    expect(parseKeySet(text.replace('"adopted": true', '"adopted": 1'))).toBeUndefined();
    expect(parseKeySet(text.replace('"vod"', '"live"'))).toBeUndefined();
    expect(parseKeySet(text)).toMatchObject({ adopted: true, foreign: true, owner: SHOW });
  });

  it('are not given to a packager elsewhere that asks for their KID', async () => {
    const key = liveKey('SD');
    await keys.adopt(LIVE, 'show', [key.kid]);
    const order = { kid: key.kid, tier: 'SD', scheme: 'cbcs', period: undefined } as const;
    await expect(keys.foreignKey({ ...order, owner: OTHER })).rejects.toEqual(UNAVAILABLE);
    await expect(keys.foreignKey({ ...order, owner: LIVE })).rejects.toEqual(UNAVAILABLE);
    await keys.release('show');
    await expect(keys.foreignKey({ ...order, owner: SHOW })).rejects.toEqual(UNAVAILABLE);
  });

  it('count as others do, and are refused at the limit', async () => {
    const full = await folder.open({ maxKeySets: 2 });
    const first = liveKey('SD', 0, full);
    const second = liveKey('AUDIO', 0, full);
    await full.adopt(LIVE, 'show', [first.kid]);
    await expect(full.adopt(LIVE, 'show', [first.kid, second.kid])).rejects.toEqual(UNAVAILABLE);
    expect(kidsOf(SHOW, nowMs, full)).toEqual([hex(first.kid)]);
    await full.release('show');
    await full.adopt(LIVE, 'show', [second.kid]);
    expect(kidsOf(SHOW, nowMs, full)).toEqual([hex(second.kid)]);
  });
});

describe('keys of a stream of which something is still to be recorded', () => {
  it('are kept past their time, given to no viewer, and go when it is', async () => {
    let isNeeded = true;
    const asked: [KeyOwner, number][] = [];
    const server = await folder.open(
      {},
      {
        isNeeded: (owner, { index }) => {
          asked.push([owner, index]);
          return isNeeded;
        },
      },
    );
    const key = liveKey('SD', 0, server);
    const { index } = server.owner(LIVE).periodAt(nowMs);
    folder.clock.stepWall(30 * HOUR_MS);
    await server.upkeep();
    expect(asked).toEqual([[LIVE, index]]);
    const entry = server.find(key.kid);
    expect(entry && server.isObtainable(entry, folder.clock.wallMs())).toBe(false);
    expect(kidsOf(LIVE, folder.clock.wallMs(), server)).toEqual([]);
    await server.adopt(LIVE, 'show', [key.kid]);
    isNeeded = false;
    for (let turn = 0; turn < 60; turn++) await server.upkeep();
    expect(server.find(key.kid)?.owner).toEqual(SHOW);
    expect(await got(SHOW, key.kid, server)).toBe(hex(key.key));
  });
});
