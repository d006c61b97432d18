import { describe, expect, it } from 'vitest';
import { RELEASE_BATCH, Releaser } from './releaser.ts';

function createTurns(): { yieldTurn: (callback: () => void) => void; turn: () => boolean } {
  const queue: (() => void)[] = [];
  return {
    yieldTurn: (callback) => void queue.push(callback),
    turn() {
      const callback = queue.shift();
      callback?.();
      return callback !== undefined;
    },
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describe('Releaser', () => {
  it('handles at most one batch a turn, in order, over all jobs together', () => {
    const turns = createTurns();
    const releaser = new Releaser(turns.yieldTurn);
    const done: number[] = [];
    releaser.run(range(700), (item) => void done.push(item));
    releaser.run(range(700), (item) => void done.push(1000 + item));
    expect(done).toHaveLength(RELEASE_BATCH);

    const sizes: number[] = [];
    for (let before = done.length; turns.turn(); before = done.length) sizes.push(done.length - before);
    expect(Math.max(...sizes)).toBe(RELEASE_BATCH);
    expect(done).toEqual([...range(700), ...range(700).map((item) => 1000 + item)]);
  });

  it('handles few items at once, and asks for no turn when there is nothing to do', () => {
    const turns = createTurns();
    const releaser = new Releaser(turns.yieldTurn);
    const done: number[] = [];
    releaser.run([], () => void done.push(0));
    expect(turns.turn()).toBe(false);
    releaser.run([1, 2, 3], (item) => void done.push(item));
    expect(done).toEqual([1, 2, 3]);
    while (turns.turn());
    releaser.run([4], (item) => void done.push(item));
    expect(done).toEqual([1, 2, 3, 4]);
  });

  it('counts the items of small jobs in one turn together', () => {
    const turns = createTurns();
    const releaser = new Releaser(turns.yieldTurn);
    let done = 0;
    for (const job of range(20)) releaser.run(range(50 + (job % 2)), () => void (done += 1));
    expect(done).toBe(RELEASE_BATCH);
    while (turns.turn());
    expect(done).toBe(20 * 50 + 10);
  });

  it('leaves nothing undone when told to finish', () => {
    const turns = createTurns();
    const releaser = new Releaser(turns.yieldTurn);
    const done: number[] = [];
    releaser.run(range(1200), (item) => void done.push(item));
    turns.turn();
    releaser.finish();
    expect(done).toEqual(range(1200));
  });
});
