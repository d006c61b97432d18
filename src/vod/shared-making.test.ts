import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MadeTitles } from '../../test/support/made-titles.ts';
import { until } from '../../test/support/until.ts';
import { Metrics } from '../base/metrics.ts';
import { openEmbeddedLeaseStore } from '../state/embedded-lease-store.ts';
import type { LeaseStore } from '../state/lease-store.ts';
import { StateMetrics } from '../state/state-metrics.ts';
import type { TitleService } from './title-service.ts';

let folder: string;
let made: MadeTitles;
let leases: LeaseStore;
let servers: TitleService[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-shared-'));
  await writeFile(join(folder, 'film.mov'), 'a master');
  made = new MadeTitles(folder);
  const { clock, log } = made;
  const metrics = new StateMetrics(new Metrics());
  leases = await openEmbeddedLeaseStore(join(folder, 'leases.lmdb'), { clock, log, metrics });
  servers = ['a', 'b'].map((owner) => made.beside(leases, owner));
  for (const server of servers) await server.open();
});

afterEach(async () => {
  for (const server of servers) await server.close();
  await leases.close();
  await rm(folder, { recursive: true });
});

async function add(): Promise<string> {
  const [first] = servers;
  const job = await first?.add({
    id: 'film',
    name: undefined,
    master: { path: join(folder, 'film.mov') },
    sidecars: [],
    isProtected: undefined,
    ladder: undefined,
  });
  return job?.id ?? '';
}

/** Leases are asked for on a clock. */
function whenState(state: string): Promise<unknown> {
  return until(async () => {
    made.clock.advance(1000);
    return (await made.catalogue.find('film'))?.state === state;
  }, `the title is ${state}`);
}

const segments = (): string[] => made.store.puts.filter((key) => key.endsWith('.m4s'));

it('one of several servers puts a title together', async () => {
  const flow = await add();
  await made.doAll(flow);
  await whenState('complete');
  for (let i = 0; i < 20; i++) made.clock.advance(1000);
  expect(segments().length).toBe(new Set(segments()).size);
  expect(segments().length).toBeGreaterThan(10);
  expect(await servers[1]?.making(flow)).toMatchObject({ state: 'done', error: undefined });
});

it('another goes on when that one is gone', async () => {
  const flow = await add();
  await made.doPiece(flow, 0);
  await made.doSound(flow, 0);
  await whenState('growing');
  await servers[0]?.close();
  await made.doPiece(flow, 1);
  await made.doPiece(flow, 2);
  await made.doSound(flow, 1);
  await made.doSound(flow, 2, true);
  await made.doExtras(flow);
  await whenState('complete');
  expect(segments().length).toBe(new Set(segments()).size);
});
