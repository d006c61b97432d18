import { setTimeout as delay } from 'node:timers/promises';
import type { ProfileKey, ResumeReport, ResumeStore } from '../../src/state/resume-store.ts';
import { History, type HistoryEvent, type ResumeAnswer, type ResumeCall } from './resume-history.ts';
import { until } from './until.ts';

export interface DevicesOptions {
  /** Whatever is odd in a run is so again with the same seed, but for the store's own timing. */
  readonly seed: number;
  readonly devices: number;
  /** Profiles that the devices share. */
  readonly profiles: number;
  /** Calls of each device. */
  readonly calls: number;
  /** The stores of several servers; each call goes to one of them. */
  readonly stores: () => readonly ResumeStore[];
  /** Crashes and starts something again. Called `crashes` times while the devices are at work. */
  readonly crash?: () => Promise<void>;
  readonly crashes?: number;
}

const TITLES = ['film', 'series-1', 'series-2'];
const FIRST_EVENT_MS = Date.UTC(2026, 10, 23);
/** A device gives an answer up after it, and goes on. */
const PATIENCE_MS = 10;

/**
 * Lets devices play against a store over a bad network: requests and answers get lost, come twice, late and in another
 * order; devices wake up with what they last knew; stores crash. Gives what the devices saw, and at last what is stored.
 */
export async function runDevices(options: DevicesOptions): Promise<readonly HistoryEvent[]> {
  const history = new History();
  const network = new Network(options.stores, history, randomOf(options.seed));
  const devices = Array.from({ length: options.devices }, (_, i) => {
    const key = { viewer: `viewer-${i % options.profiles}`, profile: 'main' };
    return new Device(`device-${i}`, key, network, randomOf(options.seed * 1000 + i));
  });
  const working = Promise.all(devices.map((device) => device.play(options.calls)));
  await Promise.all([working, crashNowAndThen(options, () => history.events.length)]);
  await network.quiet();
  for (const key of new Map(devices.map((device) => [device.key.viewer, device.key])).values()) {
    await network.lookAtLast(key);
  }
  return history.events;
}

async function crashNowAndThen(options: DevicesOptions, doneCalls: () => number): Promise<void> {
  const { crash, crashes = 0, devices, calls } = options;
  if (!crash) return;
  for (let i = 1; i <= crashes; i++) {
    const due = (i * devices * calls) / (crashes + 1);
    await until(() => doneCalls() >= due, 'the devices get on', 60_000);
    await crash();
  }
}

/** mulberry32: small, and good enough to make trouble. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Network {
  readonly #stores: () => readonly ResumeStore[];
  readonly #history: History;
  readonly #random: () => number;
  readonly #onTheWay = new Set<Promise<unknown>>();

  constructor(stores: () => readonly ResumeStore[], history: History, random: () => number) {
    this.#stores = stores;
    this.#history = history;
    this.#random = random;
  }

  /** Makes a call as well as the network does. */
  async call(device: string, key: ProfileKey, call: ResumeCall): Promise<ResumeAnswer> {
    const begun = this.#history.begin();
    const answer = await this.#carry(key, call);
    this.#history.end({ device, key, call, answer, begun });
    return answer;
  }

  /** Nothing is on its way any more. */
  async quiet(): Promise<void> {
    await Promise.allSettled(this.#onTheWay);
  }

  /** What each store shows at the end, when all is well. */
  async lookAtLast(key: ProfileKey): Promise<void> {
    const calls: ResumeCall[] = [
      { kind: 'list', after: 0 },
      ...TITLES.map((title) => ({ kind: 'find', title }) as const),
    ];
    for (const [i, store] of this.#stores().entries()) {
      for (const call of calls) {
        const begun = this.#history.begin();
        const answer = await until(
          async () => ask(store, key, call).catch(() => undefined),
          'the store can be used again',
        );
        this.#history.end({ device: `judge-${i}`, key, call, answer, begun });
      }
    }
  }

  async #carry(key: ProfileKey, call: ResumeCall): Promise<ResumeAnswer> {
    const fate = this.#random();
    if (fate < 0.04) return { kind: 'unknown' };
    if (fate < 0.08) {
      // The answer gets lost.
      await this.#deliver(key, call, 0);
      return { kind: 'unknown' };
    }
    if (fate < 0.16) {
      const [first, second] = await Promise.all([this.#deliver(key, call, 0), this.#deliver(key, call, 3)]);
      return this.#random() < 0.5 ? first : second;
    }
    // Some are later than the device waits, and overtaken by what it sends next.
    const latencyMs = fate < 0.3 ? Math.ceil(this.#random() * 3 * PATIENCE_MS) : 0;
    const delivered = this.#deliver(key, call, latencyMs);
    if (latencyMs <= PATIENCE_MS) return delivered;
    await delay(PATIENCE_MS);
    return { kind: 'unknown' };
  }

  #deliver(key: ProfileKey, call: ResumeCall, latencyMs: number): Promise<ResumeAnswer> {
    const stores = this.#stores();
    const index = Math.floor(this.#random() * stores.length);
    const delivering = (latencyMs === 0 ? Promise.resolve() : delay(latencyMs))
      .then(() => ask(this.#stores()[index] ?? stores[0], key, call))
      .catch((error: unknown): ResumeAnswer => {
        if (error instanceof RangeError) throw error;
        return { kind: 'unknown' };
      });
    this.#onTheWay.add(delivering);
    return delivering.finally(() => this.#onTheWay.delete(delivering));
  }
}

async function ask(store: ResumeStore | undefined, key: ProfileKey, call: ResumeCall): Promise<ResumeAnswer> {
  if (!store) return { kind: 'unknown' };
  switch (call.kind) {
    case 'claim':
      return { kind: 'claimed', ...(await store.claim(key, call.title)) };
    case 'put':
      return { kind: 'put', outcome: await store.put(key, call.report, { offline: call.offline }) };
    case 'find':
      return { kind: 'found', record: await store.find(key, call.title) };
    case 'list':
      return { kind: 'listed', list: await store.list(key, call.after) };
    default:
      return { kind: 'removed', mark: await store.remove(key, call.title) };
  }
}

/** What a device knows of a title. */
interface Play {
  readonly epochs: number[];
  seq: number;
  last: ResumeReport | undefined;
}

class Device {
  readonly name: string;
  readonly key: ProfileKey;
  readonly #network: Network;
  readonly #random: () => number;
  readonly #plays = new Map<string, Play>();
  #seen = 0;
  #eventMs = FIRST_EVENT_MS;

  constructor(name: string, key: ProfileKey, network: Network, random: () => number) {
    this.name = name;
    this.key = key;
    this.#network = network;
    this.#random = random;
  }

  async play(calls: number): Promise<void> {
    for (let i = 0; i < calls; i++) {
      const title = TITLES[Math.floor(this.#random() ** 2 * TITLES.length)] ?? 'film';
      const answer = await this.#network.call(this.name, this.key, this.#next(title));
      this.#learn(title, answer);
      // A store that is down must not have used up all calls before it is back.
      if (answer.kind === 'unknown') await delay(this.#random() * 60);
      else if (this.#random() < 0.1) await delay(this.#random() * 5);
    }
  }

  #next(title: string): ResumeCall {
    const play = this.#plays.get(title);
    const choice = this.#random();
    if (!play || choice < 0.12) return { kind: 'claim', title };
    if (choice < 0.15) return { kind: 'remove', title };
    if (choice < 0.25) return { kind: 'find', title };
    if (choice < 0.35) return { kind: 'list', after: this.#seen };
    if (choice < 0.42 && play.last) return { kind: 'put', report: play.last, offline: false };
    // It wakes up in a gesture of before.
    const epoch = choice < 0.5 ? play.epochs[0] : play.epochs.at(-1);
    return {
      kind: 'put',
      report: this.#report(title, play, epoch ?? 1),
      offline: choice < 0.58 && choice >= 0.5,
    };
  }

  #report(title: string, play: Play, epoch: number): ResumeReport {
    play.seq += 1;
    this.#eventMs += Math.ceil(this.#random() * 1000);
    const report = {
      title,
      positionMs: Math.floor(this.#random() * 5_400_000),
      durationMs: 5_400_000,
      state: 'playing' as const,
      device: this.name,
      epoch,
      seq: play.seq,
      eventMs: this.#eventMs,
    };
    play.last = report;
    return report;
  }

  #learn(title: string, answer: ResumeAnswer): void {
    if (answer.kind === 'listed') this.#seen = Math.max(this.#seen, answer.list.version);
    if (answer.kind !== 'claimed') return;
    const play = this.#plays.get(title) ?? { epochs: [], seq: 0, last: undefined };
    play.epochs.push(answer.epoch);
    this.#plays.set(title, play);
  }
}
