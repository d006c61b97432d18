import { describe, expect, it } from 'vitest';
import {
  decideRung,
  firstRung,
  onProbe,
  probeBegan,
  type Rung,
  type RungState,
  startRungs,
} from './rung-controller.ts';

const RUNGS: readonly Rung[] = [
  { id: 'video', bitrateBps: 2_800_000 },
  { id: '480p', bitrateBps: 1_000_000 },
  { id: '240p', bitrateBps: 350_000 },
];
const STEP_MS = 250;
/** A segment that is on its way is finished before the next comes from another rung. */
const SEGMENT_MS = 2000;
const MINUTE_MS = 60_000;

/** What a link carries at a time, bits a second. */
type Link = (nowMs: number) => number;

interface Change {
  readonly atMs: number;
  readonly rung: string | undefined;
}

/** A player with a long buffer on a link: media is late by what the link has not carried yet. */
function watch(link: Link, minutes: number, first = '240p', hiccup: Link = () => 0): readonly Change[] {
  let state = startRungs(first, 0);
  let fetched = first;
  let queueBits = 0;
  let probe: { readonly endsMs: number; readonly bps: number } | undefined;
  const changes: Change[] = [{ atMs: 0, rung: first }];
  const become = (next: RungState, nowMs: number): void => {
    if (next.rung !== state.rung) changes.push({ atMs: nowMs, rung: next.rung });
    state = next;
  };
  for (let nowMs = STEP_MS; nowMs < minutes * MINUTE_MS; nowMs += STEP_MS) {
    if (nowMs % SEGMENT_MS === 0) fetched = state.rung ?? fetched;
    const rungBps = RUNGS.find(({ id }) => id === fetched)?.bitrateBps ?? 0;
    queueBits = Math.max(0, queueBits + ((rungBps - link(nowMs)) * STEP_MS) / 1000);
    const lateMs = 30 + (queueBits / rungBps) * 1000 + hiccup(nowMs);
    if (probe && nowMs >= probe.endsMs) {
      become(onProbe(state, probe.bps, RUNGS, nowMs), nowMs);
      probe = undefined;
    }
    const decision = decideRung(state, { lateMs }, RUNGS, nowMs, STEP_MS);
    become(decision.state, nowMs);
    if (decision.urgent) {
      fetched = state.rung ?? fetched;
      queueBits = 0;
    }
    if (decision.probeBytes !== undefined) {
      state = probeBegan(state);
      const bps = Math.max(1, link(nowMs) - rungBps);
      probe = { endsMs: nowMs + Math.min(1500, (decision.probeBytes * 8000) / bps), bps };
    }
  }
  return changes;
}

const free: Link = () => 100_000_000;

describe('the first rung', () => {
  it('is the best of a megabit, or the lowest', () => {
    expect(firstRung(RUNGS)?.id).toBe('480p');
    expect(firstRung(RUNGS.slice(0, 1))?.id).toBe('video');
    expect(firstRung([])).toBeUndefined();
  });
});

describe('the rung controller', () => {
  it('goes to the best rung of a free link within seconds, and stays there', () => {
    const changes = watch(free, 10);
    expect(changes.map(({ rung }) => rung)).toEqual(['240p', 'video']);
    expect(changes[1]?.atMs).toBeLessThan(5000);
  });

  it('stays where it began on a free link when that is the best', () => {
    expect(watch(free, 10, 'video')).toHaveLength(1);
  });

  it('goes down when the link gets too thin, and up again when it is free', () => {
    const changes = watch((nowMs) => (nowMs > 60_000 && nowMs < 120_000 ? 1_600_000 : 100_000_000), 4);
    const [, , down] = changes;
    expect(down?.atMs).toBeGreaterThan(60_000);
    expect(down?.atMs).toBeLessThan(63_000);
    expect(down?.rung).toBe('480p');
    expect(changes.at(-1)?.rung).toBe('video');
    expect(changes.at(-1)?.atMs).toBeLessThan(150_000);
    expect(changes).toHaveLength(4);
  });

  it('goes past a rung that the link does not carry either', () => {
    const changes = watch((nowMs) => (nowMs > 60_000 ? 700_000 : 100_000_000), 2);
    expect(changes.map(({ rung }) => rung)).toEqual(['240p', 'video', '240p']);
  });

  it.each([500_000, 900_000, 1_300_000, 2_000_000, 3_000_000, 3_600_000])(
    'settles on a link of %d bit/s without going up and down',
    (linkBps) => {
      const changes = watch(() => linkBps, 20);
      const fits = RUNGS.find(({ bitrateBps }) => bitrateBps <= linkBps * 0.8);
      expect(changes.at(-1)?.rung).toBe(fits?.id);
      expect(changes.length).toBeLessThanOrEqual(3);
    },
  );

  it('is not put off by hiccups of a free link', () => {
    // Half a second of nothing every ten, and then all at once.
    const hiccup = (nowMs: number): number => (nowMs % 10_000 <= 500 ? nowMs % 10_000 : 0);
    expect(watch(free, 5, 'video', hiccup)).toHaveLength(1);
  });

  it('tries a rung that was a mistake ever more seldom', () => {
    // A link that a probe sees wide, and that is thin all the same.
    let state = startRungs('480p', 0);
    const ups: number[] = [];
    let lateMs = 30;
    for (let nowMs = STEP_MS; nowMs < 30 * MINUTE_MS; nowMs += STEP_MS) {
      lateMs = state.rung === 'video' ? lateMs + STEP_MS / 2 : 30;
      const decision = decideRung(state, { lateMs }, RUNGS, nowMs, STEP_MS);
      state = decision.state;
      if (decision.probeBytes === undefined) continue;
      state = onProbe(probeBegan(state), 50_000_000, RUNGS, nowMs);
      if (state.rung === 'video') ups.push(nowMs);
    }
    expect(ups.length).toBeGreaterThan(1);
    expect(ups.length).toBeLessThan(9);
  });

  it('asks for one probe at a time, and for a piece of the rung above', () => {
    let state = startRungs('480p', 0);
    let asked = 0;
    for (let nowMs = STEP_MS; nowMs < MINUTE_MS; nowMs += STEP_MS) {
      const decision = decideRung(state, { lateMs: 30 }, RUNGS, nowMs, STEP_MS);
      state = decision.state;
      if (decision.probeBytes === undefined) continue;
      expect(decision.probeBytes).toBe(140_000);
      asked++;
      state = probeBegan(state);
    }
    expect(asked).toBe(1);
  });

  it('waits longer after each probe that said no', () => {
    let state = startRungs('480p', 0);
    const asked: number[] = [];
    for (let nowMs = STEP_MS; nowMs < 5 * MINUTE_MS; nowMs += STEP_MS) {
      const decision = decideRung(state, { lateMs: 30 }, RUNGS, nowMs, STEP_MS);
      state = decision.state;
      if (decision.probeBytes === undefined) continue;
      asked.push(nowMs);
      state = onProbe(probeBegan(state), 200_000, RUNGS, nowMs);
    }
    expect(state.rung).toBe('480p');
    expect(asked.length).toBeLessThan(10);
    expect((asked.at(-1) ?? 0) - (asked.at(-2) ?? 0)).toBeGreaterThanOrEqual(60_000);
  });

  it('does nothing while the player does not know how late it is, or has one rendition', () => {
    const state = startRungs('video', 0);
    expect(decideRung(state, { lateMs: undefined }, RUNGS, 10_000, STEP_MS).state).toBe(state);
    const alone = decideRung(state, { lateMs: 5000 }, RUNGS.slice(0, 1), 60_000, STEP_MS);
    expect(alone.state.rung).toBe('video');
    expect(alone.probeBytes).toBeUndefined();
  });
});
