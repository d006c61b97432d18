/** What must survive a restart so that numbers never go back (RFC 8216bis 6.2.2). */
export interface StreamRecord {
  /** The highest media sequence number ever opened; of a process that was killed, the highest it had reserved. */
  readonly lastNumber: number;
  /** Discontinuities over the stream's life, those still listed included. */
  readonly discontinuitySequence: number;
  /** The period id given last; ids grow. */
  readonly lastPeriodId: string;
}

/** Remembers a {@link StreamRecord} for each stream. */
export interface StreamJournal {
  /** What was saved last for the stream, also by an earlier process; undefined for a new stream. */
  load(stream: string): StreamRecord | undefined;
  /** Never blocks and never throws; saves of one stream may be merged, the newest wins. */
  save(stream: string, record: StreamRecord): void;
}

/** Numbers that are written down ahead of their use, half a minute of 2 s segments: a write of the record for every half of them. */
const RESERVED_NUMBERS = 16;

/**
 * How records are written down ahead, so that not every segment is a write. Who is killed leaves the last number that was
 * reserved, and the next start goes on behind it: up to {@link RESERVED_NUMBERS} numbers are skipped, none comes twice.
 */
export const NUMBER_RESERVATION = {
  ahead: (record: StreamRecord): StreamRecord => ({
    ...record,
    lastNumber: record.lastNumber + RESERVED_NUMBERS,
  }),
  /** Renewed with half of them left, so that a number is on disk long before it is used. */
  covers: (onDisk: StreamRecord, record: StreamRecord): boolean =>
    onDisk.lastNumber - record.lastNumber >= RESERVED_NUMBERS / 2 &&
    onDisk.discontinuitySequence === record.discontinuitySequence &&
    onDisk.lastPeriodId === record.lastPeriodId,
} as const;

/** A record out of untrusted JSON; undefined when it is not one. */
export function parseStreamRecord(value: unknown): StreamRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { lastNumber, discontinuitySequence, lastPeriodId } = value as Record<keyof StreamRecord, unknown>;
  if (!isCount(lastNumber) || !isCount(discontinuitySequence)) return undefined;
  if (typeof lastPeriodId !== 'string' || !/^p[0-9a-z]{1,12}$/.test(lastPeriodId)) return undefined;
  return { lastNumber, discontinuitySequence, lastPeriodId };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
