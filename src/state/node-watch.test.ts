import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import { EmbeddedRegistry } from './embedded-registry.ts';
import type { Json } from './job-queue.ts';
import { differingSecrets, type Fingerprints, parseNodeInfo } from './node-info.ts';
import { NodeWatch } from './node-watch.ts';
import type { ProcessTable } from './process-identity.ts';
import type { RegisteredNode, Registry } from './registry.ts';
import { StateMetrics } from './state-metrics.ts';

const SAME: Fingerprints = { licenseKey: ['a'], tokenKeys: ['t1'] };
const OTHER: Fingerprints = { licenseKey: ['b'], tokenKeys: ['t1'] };
const BEAT_MS = 5_000;
const TTL_MS = 15_000;
const NAMES = { licenseKey: 'secrets/license.key', tokenKeys: 'secrets/tokens', contentKeks: 'drm.kek' };

/** The registry of a test, which can be made to fail. */
class TestRegistry implements Registry {
  failing = false;
  /** Answers so far. */
  looks = 0;
  readonly #inner: Registry;

  constructor(inner: Registry) {
    this.#inner = inner;
  }

  heartbeat(node: string, info: Json, ttlMs: number): Promise<void> {
    return this.#failOr(() => this.#inner.heartbeat(node, info, ttlMs));
  }

  leave(node: string): Promise<void> {
    return this.#failOr(() => this.#inner.leave(node));
  }

  async nodes(): Promise<readonly RegisteredNode[]> {
    try {
      return await this.#failOr(() => this.#inner.nodes());
    } finally {
      this.looks += 1;
    }
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #failOr<T>(call: () => Promise<T>): Promise<T> {
    if (this.failing) throw new AppError('REGISTRY_UNAVAILABLE');
    return call();
  }
}

describe('servers that share their state', () => {
  let clock: FakeClock;
  let registry: TestRegistry;
  const opened: NodeWatch[] = [];
  const dead = new Set<number>();
  const log = createMemoryLog();

  beforeEach(() => {
    clock = new FakeClock();
    registry = new TestRegistry(new EmbeddedRegistry({ clock, metrics: new StateMetrics(new Metrics()) }));
    log.lines.length = 0;
    dead.clear();
  });
  afterEach(async () => {
    for (const watch of opened.splice(0)) await watch.close();
    await registry.close();
  });

  /** A server whose secrets a test can change. */
  async function server(node: string, secrets: Fingerprints = SAME, pid = 1) {
    const metrics = new Metrics();
    const has = { secrets };
    const processes: ProcessTable = {
      own: { pid, realm: 'here', started: '1' },
      isAlive: (process) => (dead.has(process.pid) ? false : undefined),
    };
    const startedMs = clock.wallMs();
    const watch = await NodeWatch.open(
      {
        node,
        describe: async () => ({
          ...{ version: '1.0.0', startedMs, media: `${node}:8080`, control: `${node}:8081` },
          ...{ process: processes.own, secrets: has.secrets },
        }),
        nameOf: (secret) => NAMES[secret],
      },
      { registry, processes, clock, log, metrics },
    );
    opened.push(watch);
    const differing = async (): Promise<number> =>
      (await metrics.registry.getSingleMetric('headwater_nodes_differing_servers')?.get())?.values.reduce(
        (sum, { value }) => sum + value,
        0,
      ) ?? Number.NaN;
    return { watch, has, differing };
  }

  /** Until each of `count` servers has looked again. */
  async function beat(count: number): Promise<void> {
    const looks = registry.looks + count;
    clock.advance(BEAT_MS);
    await until(() => registry.looks >= looks, 'every server looks');
    // What they saw is taken in by then.
    await new Promise((resolve) => setImmediate(resolve));
  }

  it('know of each other, until one leaves', async () => {
    const one = await server('one');
    const two = await server('two');
    await beat(2);
    const names = (watch: NodeWatch): string[] => watch.seen.nodes.map(({ node }) => node);
    expect([names(one.watch), names(two.watch)]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
    expect(one.watch.seen.nodes[1]).toMatchObject({ version: '1.0.0', control: 'two:8081', differs: [] });
    await two.watch.close();
    await beat(1);
    expect(names(one.watch)).toEqual(['one']);
    expect([one.watch.problems(), log.lines]).toEqual([[], []]);
  });

  it('do not start beside one with another secret, and say which file and which server', async () => {
    await server('one');
    await expect(server('two', OTHER)).rejects.toMatchObject({
      code: 'STATE_SECRETS_DIFFER',
      message:
        'secrets/license.key differs from that of server one (control one:8081), which shares its viewers with this one: give both the same',
    });
    expect((await registry.nodes()).map(({ node }) => node)).toEqual(['one']);
  });

  it('start when the one with the other secret is gone', async () => {
    const one = await server('one');
    await one.watch.close();
    await server('two', OTHER);
  });

  it('start beside what a killed process of this machine has left', async () => {
    await registry.heartbeat(
      'ghost',
      {
        ...{ version: '1.0.0', startedMs: 0, media: '', control: '' },
        ...{ process: { pid: 7, realm: 'here', started: '1' }, secrets: { licenseKey: ['b'] } },
      },
      TTL_MS,
    );
    dead.add(7);
    await server('one');
    dead.clear();
    await expect(server('two')).rejects.toMatchObject({ code: 'STATE_SECRETS_DIFFER' });
  });

  it('say so when it turns out while they run: the later one is not ready, until it is mended', async () => {
    const one = await server('one');
    clock.advance(1);
    const two = await server('two');
    two.has.secrets = OTHER;
    await beat(2);
    await beat(2);
    expect(one.watch.problems()).toEqual([]);
    expect(two.watch.problems()).toEqual(['licenseKey: not that of server one (the log says more)']);
    expect([await one.differing(), await two.differing()]).toEqual([1, 1]);
    expect(new Set(log.lines.map(({ fields }) => fields['node']))).toEqual(new Set(['one', 'two']));
    expect(log.lines).toHaveLength(2);
    two.has.secrets = SAME;
    await beat(2);
    await beat(2);
    expect([...two.watch.problems(), await one.differing(), await two.differing()]).toEqual([0, 0]);
  });

  it('start while nobody can be seen, and go on with what they last saw', async () => {
    const one = await server('one');
    clock.advance(1);
    registry.failing = true;
    const two = await server('two', OTHER);
    expect(two.watch.seen).toEqual({ atMs: undefined, nodes: [] });
    registry.failing = false;
    await beat(2);
    await beat(2);
    expect(two.watch.problems()).toHaveLength(1);
    registry.failing = true;
    log.lines.length = 0;
    clock.advance(BEAT_MS);
    await until(() => log.lines.length === 2, 'neither can look');
    expect(two.watch.problems()).toHaveLength(1);
    expect(one.watch.seen.nodes).toHaveLength(2);
  });
});

describe('the secrets of two servers', () => {
  it.each<[string, Fingerprints, Fingerprints, string[]]>([
    ['are the same', SAME, SAME, []],
    ['differ', SAME, OTHER, ['licenseKey']],
    ['differ in more than one', SAME, { licenseKey: ['b'], tokenKeys: ['x'] }, ['licenseKey', 'tokenKeys']],
    ['are not compared where one makes no use of them', SAME, { licenseKey: ['a'] }, []],
    ['may have other old token keys', { tokenKeys: ['n', 'o'] }, { tokenKeys: ['n'] }, []],
    ['must know the token key of the other', { tokenKeys: ['n', 'o'] }, { tokenKeys: ['o'] }, ['tokenKeys']],
    [
      'may have a newer content KEK beside one of both',
      { contentKeks: ['n', 'o'] },
      { contentKeks: ['o'] },
      [],
    ],
    ['must have a content KEK of both', { contentKeks: ['n'] }, { contentKeks: ['o'] }, ['contentKeks']],
    ['differ where one has no key', { tokenKeys: [] }, { tokenKeys: ['o'] }, ['tokenKeys']],
  ])('%s', (_, a, b, expected) => {
    expect([differingSecrets(a, b), differingSecrets(b, a)]).toEqual([expected, expected]);
  });

  it.each<Json>([null, 7, 'x', [], {}, { version: '1', startedMs: 'x', media: '', control: '' }])(
    'are not looked for in what is no server: %j',
    (value) => expect(parseNodeInfo(value)).toBeUndefined(),
  );

  it('are only those that have the right form', () => {
    const info = { version: '1', startedMs: 1, media: '', control: '' };
    const secrets = { licenseKey: [1], tokenKeys: 'x', contentKeks: ['k'], others: ['y'] };
    expect(parseNodeInfo({ ...info, process: 3, secrets })?.secrets).toEqual({ contentKeks: ['k'] });
  });
});
