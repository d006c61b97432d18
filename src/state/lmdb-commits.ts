import type { RootDatabase } from 'lmdb';

/**
 * Hears what lmdb says of the commit of this turn's writes beside the promises of the writes themselves: one for each turn of the
 * event loop, made at its end and dropped, and one inside the error of a failed commit. When the disk is full they are rejected, and
 * unheard they would end the process. To be called in the turn of every write.
 */
export function hearCommit(db: Pick<RootDatabase, 'committed'>): void {
  // With a function for both: lmdb calls the first without looking whether it is one.
  setImmediate(() => void db.committed.then(() => undefined, hearCause));
}

/** The same for the error that a write was rejected with. */
export function hearCause(reason: unknown): void {
  if (typeof reason !== 'object' || reason === null || !('commitError' in reason)) return;
  void Promise.resolve(reason.commitError).then(undefined, () => undefined);
}
