import { describe, expect, it } from 'vitest';
import { Turns } from './turns.ts';

describe('turns', () => {
  it('let so many work at once, and all in the end, also behind one that fails', async () => {
    const turns = new Turns(3);
    let underWay = 0;
    let most = 0;
    const work = async (fails: boolean): Promise<void> => {
      underWay += 1;
      most = Math.max(most, underWay);
      for (let i = 0; i < 5; i++) await Promise.resolve();
      underWay -= 1;
      if (fails) throw new Error('failed');
    };
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => turns.run(() => work(i % 4 === 0))),
    );
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(5);
    expect([most, underWay]).toEqual([3, 0]);
    await turns.run(async () => expect(underWay).toBe(0));
  });
});
