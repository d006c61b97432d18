import type { Json } from './job-queue.ts';

/** A server that is there. */
export interface RegisteredNode {
  readonly node: string;
  /** What it says of itself. */
  readonly info: Json;
}

/**
 * Which servers there are. One that is not heard of for its own `ttlMs` is not there any more. Every driver passes the same
 * contract suite. Calls reject with AppError REGISTRY_UNAVAILABLE, within {@link REGISTRY_DEADLINE_MS} whatever the store
 * does: who needs the list goes on with the last one.
 */
export interface Registry {
  /** `info` takes the place of what was said before: at most {@link MAX_INFO_BYTES} as JSON. */
  heartbeat(node: string, info: Json, ttlMs: number): Promise<void>;
  /** Does not wait for its time to run out. */
  leave(node: string): Promise<void>;
  /** By name; at most {@link MAX_NODES}, one more is refused. */
  nodes(): Promise<readonly RegisteredNode[]>;
  /** Idempotent. */
  close(): Promise<void>;
}

export const REGISTRY_DEADLINE_MS = 300;
export const MAX_NODES = 1000;
export const MAX_INFO_BYTES = 8 * 1024;
const MAX_TTL_MS = 3_600_000;
const NODE = /^[A-Za-z0-9_.:-]{1,128}$/;

/** What is no node is a fault of the caller. Gives the info as text. */
export function assertHeartbeat(node: string, info: Json, ttlMs: number): string {
  assertNode(node);
  if (!Number.isInteger(ttlMs) || ttlMs < 1 || ttlMs > MAX_TTL_MS)
    throw new RangeError(`no time: ${ttlMs} ms`);
  const text = JSON.stringify(info);
  if (Buffer.byteLength(text) > MAX_INFO_BYTES)
    throw new RangeError('what a node says of itself is too long');
  return text;
}

export function assertNode(node: string): void {
  if (!NODE.test(node)) throw new RangeError(`no name of a node: ${node}`);
}
