import type { Gauge } from 'prom-client';
import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import {
  differingSecrets,
  type KnownNode,
  type NodeInfo,
  nodeJson,
  parseNodeInfo,
  SHARED_SECRETS,
  type SharedSecret,
} from './node-info.ts';
import type { ProcessTable } from './process-identity.ts';
import type { Registry } from './registry.ts';

export interface NodeWatchInit {
  /** Our own name, which no other server has. */
  readonly node: string;
  /** What we say of ourselves; asked each time, as files of secrets change. */
  readonly describe: () => Promise<NodeInfo>;
  /** How people find a secret: the name of its file, or of its setting. */
  readonly nameOf: (secret: SharedSecret) => string;
}

export interface NodeWatchDeps {
  readonly registry: Registry;
  readonly processes: ProcessTable;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Another server, and the secrets of it that are not ours. */
export interface SeenNode extends KnownNode {
  readonly differs: readonly SharedSecret[];
}

/** The servers as they were last seen. */
export interface SeenNodes {
  /** Ms since the Unix epoch; undefined: not yet. */
  readonly atMs: number | undefined;
  /** Ourselves among them, by name. */
  readonly nodes: readonly SeenNode[];
}

const HEARTBEAT_MS = 5_000;
/** A server that is silent for so long is gone. */
const TTL_MS = 15_000;
const FIRST_LOOKS = 3;

/**
 * Tells the other servers that we are there, and looks who they are. Servers that share viewers but not their secrets take a
 * user for another one on each, and refuse each other's tokens: one that starts beside such a one does not start; of two
 * that find out while they run, the one that started later says that it is not ready.
 */
export class NodeWatch {
  readonly #init: NodeWatchInit;
  readonly #deps: NodeWatchDeps;
  readonly #live: Gauge;
  readonly #differing: Gauge<'secret'>;
  #own: NodeInfo;
  #seen: SeenNodes = { atMs: undefined, nodes: [] };
  /** What was logged, so that it is logged once. */
  #told = new Set<string>();
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(init: NodeWatchInit, deps: NodeWatchDeps, own: NodeInfo) {
    this.#init = init;
    this.#deps = deps;
    this.#own = own;
    this.#live = deps.metrics.gauge('nodes_live_servers', 'Servers that share this state, this one counted.');
    this.#differing = deps.metrics.gauge(
      'nodes_differing_servers',
      'Servers that share this state and have another secret than this one, by secret: licenseKey, tokenKeys or contentKeks. Must be 0.',
      ['secret'],
    );
  }

  /**
   * Comes among the others; the caller closes it. While they cannot be looked at it goes on alone, and looks later.
   * @throws AppError STATE_SECRETS_DIFFER
   */
  static async open(init: NodeWatchInit, deps: NodeWatchDeps): Promise<NodeWatch> {
    const watch = new NodeWatch(init, deps, await init.describe());
    await watch.#lookFirst();
    const other = watch.#others().find(({ differs }) => differs.length > 0);
    if (other) throw new AppError('STATE_SECRETS_DIFFER', `${watch.#sentence(other)}: give both the same`);
    try {
      await watch.#announce();
      await watch.#look();
    } catch (error) {
      watch.#unseen(error);
    }
    watch.#timer = every(deps.clock, HEARTBEAT_MS, () => {
      watch.#turn = watch.#turn.then(() => watch.#tick());
    });
    return watch;
  }

  get seen(): SeenNodes {
    return this.#seen;
  }

  /** Why we are not ready: servers from before us have other secrets. For everybody's eyes: no paths and addresses. */
  problems(): string[] {
    return this.#others()
      .filter((other) => other.differs.length > 0 && this.#isBeforeUs(other))
      .map(({ node, differs }) => `${differs.join(' and ')}: not that of server ${node} (the log says more)`);
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    await this.#turn;
    // Who cannot be told finds out when our time is over.
    await this.#deps.registry.leave(this.#init.node).catch(() => undefined);
  }

  async #tick(): Promise<void> {
    const { log } = this.#deps;
    try {
      this.#own = await this.#init.describe();
    } catch (error) {
      // The last one counts, as it does for those who use it.
      log.warn({ code: errorCode(error) }, 'a secret that servers share cannot be read');
    }
    try {
      await this.#announce();
      await this.#look();
    } catch (error) {
      this.#unseen(error);
    }
  }

  /** A first call may be late because the connection is new: not to see a server is worse than to ask again. */
  async #lookFirst(): Promise<void> {
    for (let turn = 1; turn <= FIRST_LOOKS; turn++) {
      try {
        return await this.#look();
      } catch (error) {
        if (turn === FIRST_LOOKS) this.#unseen(error);
      }
    }
  }

  #announce(): Promise<void> {
    return this.#deps.registry.heartbeat(this.#init.node, nodeJson(this.#own), TTL_MS);
  }

  async #look(): Promise<void> {
    const { registry, clock, processes } = this.#deps;
    const found = await registry.nodes();
    const nodes = found.flatMap(({ node, info }): SeenNode[] => {
      const known = parseNodeInfo(info);
      if (!known) return [];
      // One that was killed: it may have been us, before somebody mended our secrets.
      if (node !== this.#init.node && processes.isAlive(known.process) === false) return [];
      return [{ ...known, node, differs: differingSecrets(this.#own.secrets, known.secrets) }];
    });
    this.#seen = { atMs: clock.wallMs(), nodes };
    this.#live.set(nodes.length);
    for (const secret of SHARED_SECRETS) {
      const count = nodes.filter(({ differs }) => differs.includes(secret)).length;
      this.#differing.set({ secret }, count);
    }
    this.#tell();
  }

  #tell(): void {
    const differing = this.#others().filter(({ differs }) => differs.length > 0);
    for (const other of differing) {
      if (this.#told.has(keyOf(other))) continue;
      const secrets = other.differs.map((secret) => this.#init.nameOf(secret));
      this.#deps.log.error({ node: other.node, control: other.control, secrets }, MESSAGE);
    }
    this.#told = new Set(differing.map(keyOf));
  }

  #unseen(error: unknown): void {
    this.#deps.log.warn({ code: errorCode(error) }, 'the other servers cannot be seen now');
  }

  #others(): readonly SeenNode[] {
    return this.#seen.nodes.filter(({ node }) => node !== this.#init.node);
  }

  #isBeforeUs({ startedMs, node }: SeenNode): boolean {
    if (startedMs !== this.#own.startedMs) return startedMs < this.#own.startedMs;
    return node < this.#init.node;
  }

  #sentence({ node, control, differs }: SeenNode): string {
    const names = differs.map((secret) => this.#init.nameOf(secret)).join(' and ');
    const verb = differs.length > 1 ? 'differ' : 'differs';
    return `${names} ${verb} from that of server ${node} (control ${control}), which shares its viewers with this one`;
  }
}

const MESSAGE =
  'a server that shares this state has other secrets: users and tokens are not the same on both';

function keyOf({ node, differs }: SeenNode): string {
  return `${node} ${differs.join()}`;
}
