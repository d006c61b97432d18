import { describe, expect, it } from 'vitest';
import { type GridFrame, SegmentGrid } from './segment-grid.ts';

const HZ = 90_000;

interface Cut {
  readonly seconds: number;
  readonly independent: boolean;
  readonly reanchored: boolean;
}

interface Setup {
  readonly segmentSeconds?: number;
  readonly gopSeconds?: number;
  readonly keySeconds?: number;
}

function createGrid(setup: Setup = {}): SegmentGrid {
  const { segmentSeconds = 2, gopSeconds, keySeconds } = setup;
  return new SegmentGrid({
    segmentTicks: Math.round(segmentSeconds * HZ),
    startTicks: 0,
    maxSegmentTicks: Math.round(segmentSeconds * 1.245 * HZ),
    gopTicks: gopSeconds === undefined ? undefined : Math.round(gopSeconds * HZ),
    keyTicks: keySeconds === undefined ? undefined : Math.round(keySeconds * HZ),
  });
}

/** Frames at `fps` for `seconds`; key where `isKey` says. */
function frames(seconds: number, fps: number, isKey: (frame: number) => boolean): GridFrame[] {
  const at = (n: number): number => Math.round((n * HZ) / fps);
  return Array.from({ length: Math.round(seconds * fps) }, (_, n) => ({
    dts: at(n),
    duration: at(n + 1) - at(n),
    key: isKey(n),
  }));
}

function cuts(grid: SegmentGrid, input: readonly GridFrame[]): Cut[] {
  const found: Cut[] = [];
  input.forEach((frame, index) => {
    if (index === 0) {
      grid.first(frame);
      return;
    }
    const decision = grid.next(frame);
    if (decision.kind === 'hole') throw new Error('unexpected hole');
    if (decision.kind === 'cut') {
      found.push({
        seconds: frame.dts / HZ,
        independent: decision.independent,
        reanchored: decision.reanchored,
      });
    }
  });
  return found;
}

describe('SegmentGrid', () => {
  it.each([
    { name: 'GOP 2 s', fps: 30, gop: 60, segmentSeconds: 2 },
    { name: 'GOP 1 s', fps: 30, gop: 30, segmentSeconds: 2 },
    { name: 'GOP 4 s, segments of 4 s', fps: 25, gop: 100, segmentSeconds: 4 },
    { name: '29.97 fps', fps: 30_000 / 1001, gop: 60, segmentSeconds: 2.002 },
    { name: 'every frame a key frame', fps: 30, gop: 1, segmentSeconds: 2 },
    { name: 'a GOP of a tenth of a segment', fps: 30, gop: 6, segmentSeconds: 2 },
  ])('cuts a regular stream ($name) exactly on the grid, at key frames', ({ fps, gop, segmentSeconds }) => {
    for (const gopSeconds of [undefined, gop / fps]) {
      const found = cuts(
        createGrid({ segmentSeconds, ...(gopSeconds && { gopSeconds }) }),
        frames(61, fps, (n) => n % gop === 0),
      );
      expect(found.length).toBe(Math.floor(60.9 / segmentSeconds));
      found.forEach((cut, index) => {
        expect(cut.seconds).toBeCloseTo((index + 1) * segmentSeconds, 4);
        expect(cut).toMatchObject({ independent: true, reanchored: false });
      });
    }
  });

  it('says which frame is the last before a foretold cut, and no other', () => {
    const grid = createGrid({ gopSeconds: 1 });
    const input = frames(4.5, 30, (n) => n % 30 === 0);
    const last: number[] = [];
    input.forEach((frame, index) => {
      if (index === 0) grid.first(frame);
      else {
        const decision = grid.next(frame);
        if (decision.kind === 'continue' && decision.last) last.push(index);
      }
    });
    expect(last).toEqual([59, 119]);
  });

  it('cuts without a key frame, at the far end of the reach, when one that was foretold does not come', () => {
    const found = cuts(
      createGrid({ gopSeconds: 2 }),
      frames(6, 30, (n) => n === 0),
    );
    found.forEach((cut, index) => {
      expect(cut.independent).toBe(false);
      expect(cut.seconds - 2 * (index + 1)).toBeGreaterThan(0.1);
      expect(cut.seconds - 2 * (index + 1)).toBeLessThan(0.2001);
    });
    expect(found).toHaveLength(2);
  });

  it('cuts every so many frames behind the last key frame when the next is known to be far', () => {
    const found = cuts(
      createGrid(),
      frames(37, 30, (n) => n === 0 || n === 843),
    );
    const seconds = found.map((cut) => Number(cut.seconds.toFixed(3)));
    // Nobody knows yet that none will come.
    expect(seconds.slice(0, 5)).toEqual([2.2, 4.2, 6.2, 8.2, 10.2]);
    // The key frame at 28.1 s came too late for the cut; the next ones are whole segments behind it.
    expect(seconds.slice(5)).toEqual([12, 14, 16, 18, 20, 22, 24, 26, 28, 30.1, 32.1, 34.1, 36.1]);
  });

  describe('frames that know whether the next one is a key frame', () => {
    /** Frames of 20 to 46 ms; a key frame at `keyAt`, or none. */
    function uneven(keyAt: number | undefined): GridFrame[] {
      const durations = [20, 46, 33, 29, 41, 31];
      const starts = [0];
      while ((starts.at(-1) ?? 0) < 3 * HZ) {
        const ms = durations[starts.length % durations.length] ?? 33;
        starts.push((starts.at(-1) ?? 0) + ms * 90);
      }
      const isKey = (n: number): boolean => n === 0 || n === keyAt;
      return starts.slice(0, -1).map((dts, n) => ({
        dts,
        duration: (starts[n + 1] ?? dts) - dts,
        key: isKey(n),
        nextKey: isKey(n + 1),
      }));
    }

    it('foretell the end behind the very last frame, and only where the key frame is a cut', () => {
      for (const keyAt of [10, 57, 59, 61, 63]) {
        // A regular GOP that the frames do not keep: what it foretells is wrong.
        const grid = createGrid({ gopSeconds: 2 });
        const foretold: number[] = [];
        const cutAt: number[] = [];
        uneven(keyAt).forEach((frame, n) => {
          if (n === 0) return grid.first(frame);
          const decision = grid.next(frame);
          if (decision.kind === 'cut') cutAt.push(n);
          if (decision.kind !== 'continue') return;
          expect(grid.predictedEnd).toBe(decision.last ? frame.dts + frame.duration : undefined);
          if (decision.last) foretold.push(n);
        });
        const meets = keyAt > 50;
        expect(cutAt[0] === keyAt, `key at ${keyAt}`).toBe(meets);
        expect(foretold, `key at ${keyAt}`).toEqual(meets ? [keyAt - 1] : []);
      }
    });
  });

  it('meets every key frame it can of an irregular GOP of about 3.3 s', () => {
    const keys = new Set([0, 99, 195, 297, 390, 494, 593, 690, 795, 885]);
    const found = cuts(
      createGrid(),
      frames(30, 30, (n) => keys.has(n)),
    );
    expect(found.length).toBe(14);
    found.forEach((cut, index) => expect(Math.abs(cut.seconds - 2 * (index + 1))).toBeLessThan(0.2001));
    const met = [...keys].filter((n) => n > 0 && Math.abs(n / 30 - 2 * Math.round(n / 60)) <= 0.2001);
    expect(found.filter((cut) => cut.independent).map((cut) => Math.round(cut.seconds * 30))).toEqual(met);
  });

  it('takes no notice of a scene cut between boundaries when the GOP keeps its phase', () => {
    const found = cuts(
      createGrid({ gopSeconds: 2 }),
      frames(20, 30, (n) => n % 60 === 0 || n === 95 || n === 230),
    );
    expect(found.map((cut) => cut.seconds)).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18]);
  });

  it('finds a GOP that starts anew at a scene cut within two segments, and stays with it', () => {
    const found = cuts(
      createGrid({ gopSeconds: 2 }),
      frames(30, 30, (n) => (n < 95 ? n % 60 === 0 : (n - 95) % 60 === 0)),
    );
    expect(found.filter((cut) => !cut.independent)).toHaveLength(1);
    expect(found.filter((cut) => cut.reanchored)).toHaveLength(1);
    const moved = found.findIndex((cut) => cut.reanchored);
    expect(found[moved]?.seconds).toBeLessThan(8);
    expect(found.slice(moved).every((cut) => cut.independent)).toBe(true);
  });

  it('finds the other phase of a GOP of two segments too', () => {
    const found = cuts(
      createGrid({ gopSeconds: 4 }),
      frames(60, 30, (n) => (n < 130 ? n % 120 === 0 : (n - 130) % 120 === 0)),
    );
    const moved = found.findIndex((cut) => cut.reanchored);
    expect(moved).toBeGreaterThan(0);
    expect(found.filter((cut) => cut.reanchored)).toHaveLength(1);
    expect(
      found
        .slice(moved)
        .filter((_, n) => n % 2 === 0)
        .every((cut) => cut.independent),
    ).toBe(true);
  });

  it('does not move for one key frame that is off', () => {
    const found = cuts(
      createGrid({ gopSeconds: 2 }),
      frames(20, 30, (n) => (n % 60 === 0 && n !== 120 ? true : n === 125)),
    );
    expect(found.map((cut) => cut.reanchored)).not.toContain(true);
    expect(found[1]).toMatchObject({ independent: true });
  });

  it('does not move for a second key frame that is hardly off to the same side', () => {
    const found = cuts(
      createGrid({ gopSeconds: 2 }),
      frames(20, 30, (n) => [0, 61, 125, 181, 240, 300, 360].includes(n)),
    );
    expect(found.slice(0, 4).map((cut) => cut.seconds)).toEqual([61 / 30, 125 / 30, 181 / 30, 8]);
    expect(found.map((cut) => cut.reanchored)).not.toContain(true);
  });

  it('does not move for regular key frames that no grid of its segments can meet', () => {
    const found = cuts(
      createGrid({ gopSeconds: 3 }),
      frames(60, 30, (n) => n % 90 === 0),
    );
    expect(found.map((cut) => cut.reanchored)).not.toContain(true);
    expect(found.filter((cut) => cut.independent).map((cut) => cut.seconds)).toEqual([
      6, 12, 18, 24, 30, 36, 42, 48, 54,
    ]);
  });

  it('follows key frames that drift by 100 ppm for a day, all segments independent', () => {
    const found: Cut[] = [];
    const grid = createGrid({ gopSeconds: 2 });
    grid.first({ dts: 0, duration: 3000, key: true });
    let anchor = 0;
    let index = 0;
    const seconds = 24 * 3600;
    for (let gop = 1; gop * 2 < seconds; gop++) {
      const dts = Math.round(gop * 2 * HZ * 1.0001);
      for (let n = 1; n < 4; n++) grid.next({ dts: dts - (4 - n) * 45_000, duration: 45_000, key: false });
      const decision = grid.next({ dts, duration: 3000, key: true });
      if (decision.kind !== 'cut') throw new Error(`no cut at ${gop}`);
      index = decision.reanchored ? 0 : index + 1;
      if (decision.reanchored) anchor = dts;
      expect(Math.abs(dts - anchor - index * 2 * HZ)).toBeLessThanOrEqual(0.051 * 2 * HZ);
      found.push({ seconds: dts / HZ, independent: decision.independent, reanchored: decision.reanchored });
    }
    expect(found.every((cut) => cut.independent)).toBe(true);
    expect(found).toHaveLength(seconds / 2 - 1);
    // 100 ppm of a day are 8.64 s: one move for each tenth of a second.
    expect(found.filter((cut) => cut.reanchored).length).toBeGreaterThan(80);
    expect(found.filter((cut) => cut.reanchored).length).toBeLessThan(90);
  });

  it('reports a frame beyond the longest segment as standing behind a hole', () => {
    const grid = createGrid();
    grid.first({ dts: 0, duration: 3000, key: true });
    expect(grid.next({ dts: 3000, duration: 3000, key: false })).toMatchObject({ kind: 'continue' });
    expect(grid.next({ dts: 7 * HZ, duration: 3000, key: true })).toEqual({ kind: 'hole', endTicks: 2 * HZ });
  });

  it('cuts slow frames at the last one that is near the boundary', () => {
    expect(
      cuts(
        createGrid(),
        frames(12, 1, () => false),
      ).map((cut) => cut.seconds),
    ).toEqual([2, 4, 6, 8, 10]);
  });

  it('moves to the frame at which it is forced', () => {
    const grid = createGrid();
    grid.first({ dts: 0, duration: 3000, key: true });
    expect(grid.force({ dts: 60_000, duration: 3000, key: false })).toEqual({
      kind: 'cut',
      independent: false,
      reanchored: true,
    });
    expect(grid.boundary).toBe(60_000 + 2 * HZ);
  });

  it('foretells the end by regular key frames, else only its earliest place', () => {
    const regular = createGrid({ gopSeconds: 1 });
    regular.first({ dts: 0, duration: 3000, key: true });
    expect(regular.predictedEnd).toBe(2 * HZ);
    const irregular = createGrid();
    irregular.first({ dts: 0, duration: 3000, key: true });
    expect(irregular.predictedEnd).toBeUndefined();
    expect(irregular.earliestEnd).toBe(1.8 * HZ);
  });
});

describe('a grid whose first key frame was before its start', () => {
  /** Key frames every two seconds from `keySeconds` on; the one before the start stands at it. */
  function after(keySeconds: number): GridFrame[] {
    const keyFrame = Math.round((2 + keySeconds) * 30);
    return frames(9, 30, (n) => n === 0 || (n - keyFrame) % 60 === 0);
  }

  it.each([-1.5, -1, -0.5])('moves to the next key frame at once when that was at %d s', (keySeconds) => {
    const grid = createGrid({ gopSeconds: 2, keySeconds });
    const found = cuts(grid, after(keySeconds));
    expect(found[0]).toEqual({ seconds: 2 + keySeconds, independent: true, reanchored: true });
    expect(found.slice(1).every((cut) => cut.independent && !cut.reanchored)).toBe(true);
  });

  it.each([-1.9, -0.1])('stays where it is when key frames are near its boundaries (%d s)', (keySeconds) => {
    const grid = createGrid({ gopSeconds: 2, keySeconds });
    const [first] = cuts(grid, after(keySeconds));
    expect(first).toMatchObject({ independent: true, reanchored: false });
    expect(first?.seconds).toBeCloseTo(keySeconds < -1 ? 4 + keySeconds : 2 + keySeconds, 3);
  });

  it('foretells its end by where key frames really are', () => {
    const grid = createGrid({ gopSeconds: 2, keySeconds: -0.1 });
    grid.first({ dts: 0, duration: 1, key: true });
    expect(grid.predictedEnd).toBe(1.9 * HZ);
  });
});
