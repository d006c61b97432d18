import { setImmediate } from 'node:timers/promises';
import type { FoundRow, IndexKey, SegmentIndex } from '../state/lmdb-segment-index.ts';
import { type ArchiveRecord, type BroadcastFacts, readRecord } from './live-archive-records.ts';
import type { Shelf } from './live-archive-shelf.ts';

export interface Loaded {
  readonly broadcasts: readonly { readonly stream: string; readonly facts: BroadcastFacts }[];
  /** Rows that say nothing that can be used. */
  readonly damaged: number;
  /** Keys of those that can be removed. */
  readonly removable: readonly IndexKey[];
}

/** Rows read before others get a turn of the event loop. */
const ROWS_PER_TURN = 2000;

/** Puts what an index has on the shelves. Rows that cannot be used are left out. */
export async function loadShelves(index: SegmentIndex, shelfOf: (stream: string) => Shelf): Promise<Loaded> {
  const broadcasts: { stream: string; facts: BroadcastFacts }[] = [];
  const removable: IndexKey[] = [];
  let damaged = 0;
  let rows = 0;
  // Periods and renditions stand before the segments: keys are sorted.
  for (const row of index.rows()) {
    const record = readRecord(row);
    if (record?.kind === 'broadcast') broadcasts.push(record);
    else if (!record || !place(record, shelfOf(record.stream))) {
      damaged += 1;
      if (isIndexKey(row.key)) removable.push(row.key);
    }
    rows += 1;
    if (rows % ROWS_PER_TURN === 0) await setImmediate();
  }
  return { broadcasts, damaged, removable };
}

/** False: what it belongs to is not there. */
function place(record: ArchiveRecord, shelf: Shelf): boolean {
  if (record.kind === 'list') shelf.facts = record.facts;
  if (record.kind === 'period') shelf.addPeriod(record.period);
  if (record.kind === 'rendition') shelf.addRendition(record.facts);
  if (record.kind !== 'segment') return true;
  const rendition = shelf.rendition(record.rendition);
  if (!rendition || !shelf.periods.has(record.segment.periodId)) return false;
  shelf.add(rendition, record.segment);
  return true;
}

function isIndexKey(key: FoundRow['key']): key is IndexKey {
  const [kind] = key;
  return (
    typeof kind === 'string' && key.every((part) => typeof part === 'string' || typeof part === 'number')
  );
}
