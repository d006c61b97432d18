import { describe, expect, it } from 'vitest';
import { chartTopMs, describeHistory, HISTORY_POINTS, type HistoryPoint, pushPoint } from './history.ts';

const point = (glassMs?: number, latencyMs?: number, bufferMs?: number): HistoryPoint => ({
  glassMs,
  latencyMs,
  bufferMs,
});

describe('the history', () => {
  it('keeps a minute of readings', () => {
    let points: readonly HistoryPoint[] = [];
    for (let i = 0; i < HISTORY_POINTS + 30; i++) points = pushPoint(points, point(i));
    expect(points).toHaveLength(HISTORY_POINTS);
    expect(points[0]?.glassMs).toBe(30);
    expect(points.at(-1)?.glassMs).toBe(HISTORY_POINTS + 29);
  });

  it.each([
    [0, 500],
    [470, 500],
    [490, 1000],
    [1200, 2000],
    [2500, 5000],
    [7000, 10_000],
  ])('of at most %d ms is charted up to %d ms', (most, top) => {
    expect(chartTopMs([point(100, most, undefined)])).toBe(top);
  });

  it('is told in words', () => {
    const points = [point(412, 300, 180), point(undefined, 350, 220), point(530, undefined, 200)];
    expect(describeHistory(points)).toBe(
      'Glass to glass 0.41 to 0.53 s; latency by the player 0.30 to 0.35 s; buffer 0.18 to 0.22 s.',
    );
  });

  it('leaves out what was never known', () => {
    expect(describeHistory([point(undefined, 350, undefined)])).toBe('Latency by the player 0.35 to 0.35 s.');
    expect(describeHistory([point()])).toBe('No readings yet.');
  });
});
