import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { FakeResponse } from '../../test/support/fake-exchange.ts';
import { RELEASE_BATCH, Releaser } from './releaser.ts';
import { type HoldObserver, type Places, type Waiter, WaitRoom } from './wait-room.ts';

/** Counts what the room reports. */
class Tally implements HoldObserver {
  inside = 0;
  abandoned = 0;
  expirations = 0;
  seconds: number[] = [];
  held(): void {
    this.inside += 1;
  }
  left(seconds: number | undefined): void {
    this.inside -= 1;
    if (seconds === undefined) this.abandoned += 1;
    else this.seconds.push(seconds);
  }
  expired(): void {
    this.expirations += 1;
  }
}

class TestWaiter implements Waiter<number> {
  readonly response = new FakeResponse();
  outcomes: (number | string)[] = [];
  settle(outcome: number): void {
    this.outcomes.push(outcome);
  }
  expire(reason: string): void {
    this.outcomes.push(reason);
  }
}

const LIMIT_MS = 6_000;
let clock: FakeClock;
let tally: Tally;
let places: Places;
let room: WaitRoom<number>;
let turns: (() => void)[];
let edge: number;
let decisions: number;
let faults: unknown[];

/** Runs every turn that was asked for, those asked for meanwhile included. */
function runTurns(): void {
  for (let turn = turns.shift(); turn; turn = turns.shift()) turn();
}

function waitFor(number: number): TestWaiter {
  const waiter = new TestWaiter();
  const awaited = {
    key: `${number}`,
    decide() {
      decisions += 1;
      return edge >= number ? edge : undefined;
    },
  };
  if (!room.hold(awaited, waiter)) waiter.outcomes.push('refused');
  return waiter;
}

beforeEach(() => {
  clock = new FakeClock();
  tally = new Tally();
  places = { left: 2_000 };
  turns = [];
  edge = 0;
  decisions = 0;
  faults = [];
  const releaser = new Releaser((turn) => void turns.push(turn));
  room = new WaitRoom(LIMIT_MS, places, {
    clock,
    releaser,
    observer: tally,
    fail: (_response, error) => void faults.push(error),
  });
});

describe('WaitRoom', () => {
  it('lets go those whose wait is over, and only those', () => {
    const [first, second] = [waitFor(1), waitFor(2)];
    room.recheck();
    runTurns();
    expect([first.outcomes, second.outcomes]).toEqual([[], []]);

    edge = 1;
    clock.advance(150);
    room.recheck();
    runTurns();
    expect([first.outcomes, second.outcomes]).toEqual([[1], []]);
    expect(tally).toMatchObject({ inside: 1, seconds: [0.15], expirations: 0 });
    expect(places.left).toBe(1_999);
  });

  it('decides once for a thousand requests that wait for the same thing, and answers each once', () => {
    const waiters = Array.from({ length: 1000 }, () => waitFor(1));
    edge = 1;
    room.recheck();
    expect(decisions).toBe(1);
    runTurns();
    room.recheck();
    runTurns();
    expect(waiters.map((waiter) => waiter.outcomes)).toEqual(waiters.map(() => [1]));
    expect(places.left).toBe(2_000);
  });

  it('expires a request when it was held for the limit, not before, and each by its own arrival', () => {
    const early = waitFor(9);
    clock.advance(1_000);
    const late = waitFor(9);
    clock.advance(4_999);
    runTurns();
    expect(early.outcomes).toEqual([]);
    clock.advance(1);
    runTurns();
    expect([early.outcomes, late.outcomes]).toEqual([['limit'], []]);
    clock.advance(1_000);
    runTurns();
    expect(late.outcomes).toEqual(['limit']);
    expect(tally).toMatchObject({ inside: 0, expirations: 2 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not expire a request that is already being answered', () => {
    for (let others = 0; others < RELEASE_BATCH; others += 1) waitFor(1);
    const waiter = waitFor(1);
    edge = 1;
    room.recheck();
    clock.advance(LIMIT_MS);
    expect(waiter.outcomes).toEqual([]);
    runTurns();
    expect(waiter.outcomes).toEqual([1]);
    expect(tally.expirations).toBe(0);
  });

  it('forgets a request at once when its client goes away', () => {
    const [gone, stays] = [waitFor(1), waitFor(1)];
    gone.response.abort();
    expect(tally).toMatchObject({ inside: 1, abandoned: 1 });
    expect(places.left).toBe(1_999);
    edge = 1;
    room.recheck();
    runTurns();
    expect([gone.outcomes, stays.outcomes]).toEqual([[], [1]]);
    expect(tally.abandoned).toBe(1);
  });

  it('forgets a client that goes away between the decision and its turn', () => {
    for (let others = 0; others < RELEASE_BATCH; others += 1) waitFor(1);
    const waiter = waitFor(1);
    edge = 1;
    room.recheck();
    waiter.response.abort();
    runTurns();
    expect(waiter.outcomes).toEqual([]);
  });

  it('refuses when every place is taken, and takes again when one is free', () => {
    places.left = 1;
    const [first, second] = [waitFor(1), waitFor(1)];
    expect(second.outcomes).toEqual(['refused']);
    first.response.abort();
    expect(waitFor(1).outcomes).toEqual([]);
  });

  it('fails the requests it could not decide or answer, and goes on with the others', () => {
    const waiters = [waitFor(1), waitFor(1)];
    const unanswerable = new TestWaiter();
    unanswerable.settle = () => {
      throw new Error('no answer');
    };
    const undecidable = new TestWaiter();
    const decide = (): number => {
      throw new Error('no decision');
    };
    room.hold({ key: '1', decide }, unanswerable);
    room.hold({ key: 'bad', decide }, undecidable);
    edge = 1;
    room.recheck();
    expect(faults.map(String)).toEqual(['Error: no answer', 'Error: no decision']);
    expect(waiters.map((waiter) => waiter.outcomes)).toEqual([[1], [1]]);
    expect(places.left).toBe(2_000);
  });

  it('lets everybody go when closed, and leaves no timer', () => {
    const [first, second] = [waitFor(1), waitFor(2)];
    room.expireAll();
    expect([first.outcomes, second.outcomes]).toEqual([['closing'], ['closing']]);
    expect(tally).toMatchObject({ inside: 0, expirations: 0 });
    expect(clock.pendingTimers).toBe(0);
  });
});
