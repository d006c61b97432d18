import { beforeEach, describe, expect, it } from 'vitest';
import { JoinedBodies, JoinedBody } from './joined-bodies.ts';

const LIMIT = 100;

let heldBytes: number;
let bodies: JoinedBodies;

beforeEach(() => {
  heldBytes = 0;
  bodies = new JoinedBodies(LIMIT, {
    set(...args: readonly unknown[]) {
      heldBytes = Number(args[0]);
    },
  });
});

/** Media of two chunks that counts how often it was joined. */
class Media {
  readonly joined = new JoinedBody();
  joins = 0;
  readonly #chunks: readonly Buffer[];

  constructor(name: string, sizeBytes: number) {
    this.#chunks = [Buffer.from(name), Buffer.alloc(sizeBytes - name.length, name)];
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  get(): Uint8Array {
    return bodies.get(this.joined, () => {
      this.joins += 1;
      return this.#chunks;
    });
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

describe('JoinedBodies', () => {
  it('joins a body once for all who ask', () => {
    const media = new Media('a', 40);
    const first = media.get();
    expect(media.get()).toBe(first);
    expect(textOf(first)).toBe(media.text);
    expect([media.joins, heldBytes]).toEqual([1, 40]);
  });

  it('never holds more than its limit, and makes right bytes again after it let some go', () => {
    const all = Array.from({ length: 30 }, (_, i) => new Media(`m${i}`, 30 + i));
    for (const media of [...all, ...all]) {
      expect(textOf(media.get())).toBe(media.text);
      expect(heldBytes).toBeLessThanOrEqual(LIMIT);
    }
    expect(heldBytes).toBeGreaterThan(LIMIT / 2);
    expect(all.reduce((sum, { joined }) => sum + (joined.bytes?.length ?? 0), 0)).toBe(heldBytes);
  });

  it('lets go of what was not asked for again', () => {
    const [wanted, once, next] = [new Media('wanted', 40), new Media('once', 40), new Media('next', 40)];
    wanted.get();
    once.get();
    wanted.get();
    next.get();
    expect([wanted, once, next].map(({ joined }) => joined.bytes !== undefined)).toEqual([true, false, true]);
  });

  it('makes no second copy while a reader still has the first', () => {
    const media = new Media('slow', 60);
    const inFlight = media.get();
    new Media('other', 60).get();
    expect(media.joined.bytes).toBeUndefined();
    expect(media.get()).toBe(inFlight);
    expect([media.joins, heldBytes]).toEqual([1, 60]);
  });

  it('serves a body above the limit without keeping it', () => {
    const [small, large] = [new Media('small', 40), new Media('large', LIMIT + 1)];
    small.get();
    expect(textOf(large.get())).toBe(large.text);
    expect(heldBytes).toBe(40);
    expect(small.joined.bytes).toBeDefined();
  });

  it('takes a body of one chunk as it is', () => {
    const chunk = Buffer.alloc(50);
    expect(bodies.get(new JoinedBody(), () => [chunk])).toBe(chunk);
    expect(heldBytes).toBe(0);
  });

  it('joins a body of no chunks to nothing', () => {
    expect(bodies.get(new JoinedBody(), () => [])).toHaveLength(0);
  });
});
