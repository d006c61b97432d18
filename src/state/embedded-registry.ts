import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { CallGate } from './call-gate.ts';
import type { Json } from './job-queue.ts';
import {
  assertHeartbeat,
  assertNode,
  MAX_NODES,
  REGISTRY_DEADLINE_MS,
  type RegisteredNode,
  type Registry,
} from './registry.ts';
import type { StateMetrics } from './state-metrics.ts';

export interface EmbeddedRegistryDeps {
  readonly clock: Clock;
  readonly metrics: StateMetrics;
}

/** The nodes of a server that is alone: in the process. */
export class EmbeddedRegistry implements Registry {
  readonly #clock: Clock;
  readonly #gate: CallGate;
  readonly #nodes = new Map<string, { readonly text: string; readonly untilMs: number }>();

  constructor(deps: EmbeddedRegistryDeps) {
    this.#clock = deps.clock;
    const options = {
      part: 'registry',
      code: 'REGISTRY_UNAVAILABLE',
      deadlineMs: REGISTRY_DEADLINE_MS,
    } as const;
    this.#gate = new CallGate(options, deps);
  }

  heartbeat(node: string, info: Json, ttlMs: number): Promise<void> {
    return this.#gate.run(() => {
      const text = assertHeartbeat(node, info, ttlMs);
      this.#forget();
      if (!this.#nodes.has(node) && this.#nodes.size >= MAX_NODES) {
        throw new AppError('REGISTRY_UNAVAILABLE', 'there are as many servers as may be');
      }
      this.#nodes.set(node, { text, untilMs: this.#clock.monotonicMs() + ttlMs });
    });
  }

  leave(node: string): Promise<void> {
    return this.#gate.run(() => {
      assertNode(node);
      this.#nodes.delete(node);
    });
  }

  nodes(): Promise<readonly RegisteredNode[]> {
    return this.#gate.run(() => {
      this.#forget();
      return [...this.#nodes]
        .map(([node, { text }]) => ({ node, info: JSON.parse(text) as Json }))
        .toSorted((a, b) => (a.node < b.node ? -1 : 1));
    });
  }

  close(): Promise<void> {
    return this.#gate.close();
  }

  #forget(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [node, { untilMs }] of this.#nodes) if (untilMs <= nowMs) this.#nodes.delete(node);
  }
}
