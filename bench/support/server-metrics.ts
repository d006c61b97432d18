/** The samples of a server's metrics endpoint, by name with labels as written. */
export type Samples = ReadonlyMap<string, number>;

export async function readSamples(metricsUrl: string): Promise<Samples> {
  return parseSamples(await (await fetch(metricsUrl)).text());
}

/** Reads the Prometheus text format, as far as our server writes it. */
export function parseSamples(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ');
    if (line.startsWith('#') || space < 0) continue;
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/** How a server's event loop and its ingest did between two readings, milliseconds. */
export interface IngestHealth {
  /** Event-loop delay; the server begins it anew with each reading. */
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
  /** Mean of (time a part was published − end of the part in media time) over the video parts between. */
  readonly partLateMs: number;
  /** Parts published between. */
  readonly parts: number;
}

/** `after` must be the first reading after `before`. */
export function ingestHealth(before: Samples, after: Samples): IngestHealth {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  const late = 'headwater_packager_part_late_seconds';
  const parts = grown(`${late}_count{rendition="video"}`);
  const loop = (quantity: string): number =>
    (after.get(`headwater_nodejs_eventloop_lag_${quantity}_seconds`) ?? 0) * 1000;
  return {
    loopP99Ms: loop('p99'),
    loopMaxMs: loop('max'),
    partLateMs: (grown(`${late}_sum{rendition="video"}`) / parts) * 1000,
    parts,
  };
}
