import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { FakeRedisNode, settle } from '../../test/support/fake-redis-node.ts';
import { WriteConfirmer } from './redis-write-confirmer.ts';

let clock: FakeClock;
let node: FakeRedisNode;
let said: (boolean | string | undefined)[];
let confirmer: WriteConfirmer;

beforeEach(() => {
  clock = new FakeClock();
  node = new FakeRedisNode();
  said = [];
  const onDurability = (isDurable: boolean, reason?: string): void => void said.push(reason ?? isDurable);
  confirmer = new WriteConfirmer(node.client, { clock, onDurability });
});

/** What became of a confirmation; `waits` at first. */
function confirming(losses = confirmer.losses): { readonly now: () => string } {
  let state = 'waits';
  confirmer.confirm(losses).then(
    () => (state = 'safe'),
    (error: unknown) => (state = error instanceof Error ? error.message : 'odd'),
  );
  return { now: () => state };
}

describe('whether Redis has written what it acknowledged', () => {
  it('is known at once when nothing waits to be written', async () => {
    const write = confirming();
    await node.answer(1000, 0);
    expect([write.now(), node.asked, said]).toEqual(['safe', 1, [true]]);
  });

  it('is not known before the file has grown by what waited, whoever else writes', async () => {
    const write = confirming();
    await node.answer(1000, 50);
    await node.answer(1049, 80);
    expect(write.now()).toBe('waits');
    clock.advance(1);
    await settle();
    await node.answer(1050, 80);
    expect(write.now()).toBe('safe');
  });

  it('is asked once for all who wait, and once more for who came after the question', async () => {
    const early = [confirming(), confirming()];
    const late = Array.from({ length: 50 }, () => confirming());
    // The first question was on its way when the others came.
    await node.answer(1000, 0);
    expect([early[0]?.now(), early[1]?.now(), late[0]?.now()]).toEqual(['safe', 'waits', 'waits']);
    await node.answer(2000, 0);
    expect([...early, ...late].every((write) => write.now() === 'safe')).toBe(true);
    expect(node.asked).toBe(2);
  });

  it('is not said by the answer to a question that was asked before', async () => {
    confirming();
    const late = confirming();
    await node.answer(1000, 0);
    expect(late.now()).toBe('waits');
  });

  it('is never known once the connection was lost: another process may answer on the next', async () => {
    const { losses } = confirmer;
    const waiting = confirming();
    node.emit('close');
    const later = confirming(losses);
    await settle();
    expect([waiting.now(), later.now()]).toEqual([
      'the connection was lost before Redis had written',
      'the connection was lost',
    ]);
    // The answer to the question of before is of no use to who waits now.
    const next = confirming();
    await node.answer(1000, 0);
    expect(next.now()).toBe('waits');
    await node.answer(1000, 0);
    expect(next.now()).toBe('safe');
  });

  it('is given up on in the time that a call may take', async () => {
    const write = confirming();
    for (let i = 0; i < 60 && write.now() === 'waits'; i++) {
      await node.answer(1000, 50);
      clock.advance(8);
      await settle();
    }
    expect(write.now()).toBe('Redis has not written it in time');
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(296);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is not known when Redis does not answer the question', async () => {
    const write = confirming();
    await node.fail('Command timed out');
    expect([write.now(), said]).toEqual(['Command timed out', []]);
  });

  it('does not matter where there is no file, which is said once and looked at again every second', async () => {
    const writes = [confirming()];
    await node.say('aof_enabled:0\r\n');
    for (let i = 0; i < 20; i++) writes.push(confirming());
    await settle();
    expect(writes.every((write) => write.now() === 'safe')).toBe(true);
    expect([node.asked, said]).toEqual([1, ['it keeps no append-only file']]);
    clock.advance(1000);
    const later = confirming();
    expect(later.now()).toBe('waits');
    await node.answer(1000, 0);
    expect([later.now(), said.at(-1)]).toEqual(['safe', true]);
  });

  it('does not matter where we may not ask', async () => {
    const write = confirming();
    await node.fail("NOPERM this user has no permissions to run the 'info' command");
    expect([write.now(), said]).toEqual(['safe', ['its user may not ask (INFO)']]);
  });

  it('refuses who waits when it is closed, and leaves nothing behind', async () => {
    const write = confirming();
    confirmer.close();
    confirmer.close();
    await settle();
    expect(write.now()).not.toBe('waits');
    expect(node.listenerCount('close')).toBe(0);
  });
});
