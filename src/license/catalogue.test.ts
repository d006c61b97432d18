import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { bothEntitle, type Catalogue, parseCatalogue } from './catalogue.ts';
import { CatalogueFile } from './catalogue-file.ts';
import type { Entitlement, EntitlementQuestion, Entitlements } from './entitlement.ts';
import { TIERS } from './tiers.ts';

/** 2026-11-22T12:00:00Z */
const NOW_MS = 1_795_348_800_000;

function catalogue(...rules: readonly object[]): Catalogue {
  const parsed = parseCatalogue({ rules });
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed.catalogue;
}

function question(content: string, more: Partial<EntitlementQuestion> = {}): EntitlementQuestion {
  const [kind, id = ''] = content.split('/');
  return {
    ...{ issuer: 'i', subject: 's', claims: {}, country: undefined, nowMs: NOW_MS },
    owner: { kind: kind === 'live' ? 'live' : 'vod', id },
    ...more,
  };
}

describe('a catalogue', () => {
  it.each([
    ['vod/film', 'vod/film', true],
    ['vod/film', 'vod/film2', false],
    ['vod/film', 'live/film', false],
    ['vod/series-*', 'vod/series-1', true],
    ['vod/series-*', 'vod/film', false],
    ['vod/*-4k', 'vod/film-4k', true],
    ['live/*', 'live/studio', true],
    ['live/*', 'vod/studio', false],
    ['*', 'vod/film', true],
    [['vod/a', 'vod/b'], 'vod/b', true],
  ])('rule for %j is for %s: %s', (content, asked, isFor) => {
    expect(catalogue({ content }).entitle(question(asked)) !== undefined).toBe(isFor);
  });

  it('lets nobody play what no rule is for', () => {
    expect(catalogue().entitle(question('vod/film'))).toBeUndefined();
  });

  it.each([
    [{ from: '2026-11-22T12:00:00Z' }, true],
    [{ from: '2026-11-22T12:00:01Z' }, false],
    [{ until: '2026-11-22T12:00:00Z' }, false],
    [{ until: '2026-11-22T13:00:01+01:00' }, true],
  ])('keeps to the window %j', (window, isOpen) => {
    const found = catalogue({ content: '*', ...window }).entitle(question('vod/film'));
    expect(found !== undefined).toBe(isOpen);
  });

  it.each<[rule: object, claims: Record<string, unknown>, isLet: boolean]>([
    [{ plan: 'gold' }, { plan: 'gold' }, true],
    [{ plan: ['gold', 'silver'] }, { plan: 'silver' }, true],
    [{ plan: 'gold' }, { plan: ['free', 'gold'] }, true],
    [{ plan: 'gold' }, { plan: 'free' }, false],
    [{ plan: 'gold' }, {}, false],
    [{ adult: true }, { adult: 'true' }, false],
    [{ plan: 'gold', adult: true }, { plan: 'gold' }, false],
    [{ constructor: 'x' }, {}, false],
  ])('asks for the claims %j of %j: %s', (claims, given, isLet) => {
    const found = catalogue({ content: '*', claims }).entitle(question('vod/film', { claims: given }));
    expect(found !== undefined).toBe(isLet);
  });

  it('goes by the first rule that fits', () => {
    const rules = catalogue(
      { content: 'vod/new', claims: { plan: 'gold' }, tiers: ['AUDIO', 'SD', 'HD', 'UHD'], maxSessions: 4 },
      { content: 'vod/new', from: '2027-01-01T00:00:00Z' },
      { content: '*', tiers: ['AUDIO', 'SD'], maxSessions: 1 },
    );
    expect(rules.entitle(question('vod/new', { claims: { plan: 'gold' } }))?.maxSessions).toBe(4);
    expect(rules.entitle(question('vod/new'))?.tiers).toEqual(['AUDIO', 'SD']);
  });

  it('chooses the rule by the region, and names the regions where only they are in the way', () => {
    const rules = catalogue(
      { content: '*', regions: ['US'], tiers: ['AUDIO', 'SD'] },
      { content: '*', regions: ['DE', 'NO'], tiers: ['AUDIO'] },
    );
    expect(rules.entitle(question('vod/film', { country: 'NO' }))?.tiers).toEqual(['AUDIO']);
    expect(rules.entitle(question('vod/film', { country: 'FR' }))?.countries).toEqual(['US']);
  });

  it('knows where credits begin, whoever may play', () => {
    const rules = catalogue(
      { content: 'vod/film', claims: { plan: 'gold' } },
      { content: 'vod/film', until: '2020-01-01T00:00:00Z', creditsMs: 5_000_000 },
    );
    expect(rules.creditsMs({ kind: 'vod', id: 'film' })).toBe(5_000_000);
    expect(rules.creditsMs({ kind: 'vod', id: 'other' })).toBeUndefined();
  });

  it.each([
    null,
    [],
    {},
    { rules: {} },
    { rules: [], more: 1 },
    { rules: [null] },
    { rules: [{}] },
    { rules: [{ content: 'film' }] },
    { rules: [{ content: 'vod/../x' }] },
    { rules: [{ content: 'vod/a*b*c*d*e*f' }] },
    { rules: [{ content: '*', tier: ['SD'] }] },
    { rules: [{ content: '*', tiers: ['4K'] }] },
    { rules: [{ content: '*', tiers: [] }] },
    { rules: [{ content: '*', from: 'tomorrow' }] },
    { rules: [{ content: '*', from: '2026-12-24' }] },
    { rules: [{ content: '*', until: '2026-13-24T00:00:00Z' }] },
    { rules: [{ content: '*', regions: ['Germany'] }] },
    { rules: [{ content: '*', regions: [] }] },
    { rules: [{ content: '*', claims: { plan: {} } }] },
    { rules: [{ content: '*', maxSessions: 0 }] },
    { rules: [{ content: '*', creditsMs: -1 }] },
  ])('that is not understood is refused as a whole: %j', (value) => {
    expect(parseCatalogue(value)).toHaveProperty('problem');
  });

  it('is never a fault, whatever the file holds', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => void parseCatalogue({ rules: [value] })));
  });
});

describe('two sources', () => {
  const give = (entitlement: Entitlement | undefined): Entitlements => ({ entitle: async () => entitlement });
  const all: Entitlement = {
    ...{ tiers: TIERS, untilMs: Number.POSITIVE_INFINITY },
    ...{ countries: undefined, maxSessions: undefined },
  };

  it('give only what both give', async () => {
    const both = await bothEntitle(
      give({ ...all, tiers: ['AUDIO', 'SD'], untilMs: 5, countries: ['DE', 'AT'], maxSessions: 4 }),
      give({ ...all, tiers: ['SD', 'HD'], untilMs: 9, countries: ['AT', 'CH'], maxSessions: 2 }),
    ).entitle(question('vod/film'));
    expect(both).toEqual({ tiers: ['SD'], untilMs: 5, countries: ['AT'], maxSessions: 2 });
  });

  it('give nothing where one gives nothing, and do not ask the second in vain', async () => {
    let asked = 0;
    const second: Entitlements = {
      async entitle() {
        asked += 1;
        return undefined;
      },
    };
    expect(await bothEntitle(give(undefined), second).entitle(question('vod/film'))).toBeUndefined();
    expect(asked).toBe(0);
    expect(await bothEntitle(give(all), second).entitle(question('vod/film'))).toBeUndefined();
    expect(asked).toBe(1);
  });
});

describe('the file of a catalogue', () => {
  const folders: string[] = [];
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });

  async function file(text: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-catalogue-'));
    folders.push(folder);
    const path = join(folder, 'catalogue.json');
    await writeFile(path, text);
    return path;
  }

  const read = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };

  it('is read again when it changes, and stays in force when it cannot be read', async () => {
    const path = await file('{"rules":[{"content":"vod/film"}]}');
    const clock = new FakeClock();
    const log = createMemoryLog();
    const opened = await CatalogueFile.open(path, { read, clock, log });
    const isLet = async (content: string): Promise<boolean> =>
      (await opened.entitle(question(content))) !== undefined;
    expect([await isLet('vod/film'), await isLet('vod/clip')]).toEqual([true, false]);
    await writeFile(path, '{"rules":[{"content":"vod/film"},{"content":"vod/clip"}]}');
    clock.advance(2_000);
    await until(() => isLet('vod/clip'), 'the new rules');
    await writeFile(path, '{"rules":[{"content":"vod/film","tier":"SD"}]}');
    await opened.look();
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await opened.look();
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(await isLet('vod/clip')).toBe(true);
    opened.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['', '{', '{"rules":[{"content":"film"}]}'])(
    'that is wrong at the start stops the start: %j',
    async (text) => {
      const deps = { read, clock: new FakeClock(), log: createMemoryLog() };
      await expect(CatalogueFile.open(await file(text), deps)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      });
      await expect(CatalogueFile.open('/nowhere/at/all', deps)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      });
    },
  );
});
