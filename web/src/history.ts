/** What is charted, in milliseconds; undefined where it was not known. */
export interface HistoryPoint {
  readonly glassMs: number | undefined;
  readonly latencyMs: number | undefined;
  readonly bufferMs: number | undefined;
}

/** Readings kept: a minute at two a second. */
export const HISTORY_POINTS = 120;
/** Seconds the history spans. */
export const HISTORY_SECONDS = 60;

/** Adds a reading and drops what is older than the chart. */
export function pushPoint(points: readonly HistoryPoint[], point: HistoryPoint): readonly HistoryPoint[] {
  return [...points.slice(-(HISTORY_POINTS - 1)), point];
}

/** Upper end of the chart in milliseconds: the first round value above all readings, at least half a second. */
export function chartTopMs(points: readonly HistoryPoint[]): number {
  const most = Math.max(
    0,
    ...points.flatMap((point) => [point.glassMs ?? 0, point.latencyMs ?? 0, point.bufferMs ?? 0]),
  );
  let top = 500;
  for (const factor of cycle([2, 2, 2.5])) {
    if (top >= most * 1.05) return top;
    top *= factor;
  }
  return top;
}

/** The chart in words, for those who do not see it. */
export function describeHistory(points: readonly HistoryPoint[]): string {
  const parts = [
    range('Glass to glass', points, (point) => point.glassMs),
    range('latency by the player', points, (point) => point.latencyMs),
    range('buffer', points, (point) => point.bufferMs),
  ].filter((part) => part !== undefined);
  if (parts.length === 0) return 'No readings yet.';
  const text = parts.join('; ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function range(
  name: string,
  points: readonly HistoryPoint[],
  read: (point: HistoryPoint) => number | undefined,
): string | undefined {
  const values = points.map(read).filter((value) => value !== undefined);
  if (values.length === 0) return undefined;
  const seconds = (ms: number): string => (ms / 1000).toFixed(2);
  return `${name} ${seconds(Math.min(...values))} to ${seconds(Math.max(...values))} s`;
}

/** 500 ms, 1 s, 2 s, 5 s, 10 s, 20 s, 50 s … up to an hour. */
function* cycle(factors: readonly number[]): Generator<number> {
  for (let i = 0; i < 13; i++) yield factors[i % factors.length] ?? 2;
}
