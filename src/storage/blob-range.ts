import { AppError } from '../base/errors.ts';
import { type BlobRange, MAX_GET_BYTES } from './blob-store.ts';

/** Bytes `[start, end)` that lie within a blob. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/** What of a blob of `sizeBytes` a range means; empty where it lies behind the end. */
export function spanOf(range: BlobRange | undefined, sizeBytes: number): ByteSpan {
  const start = Math.min(range?.start ?? 0, sizeBytes);
  return { start, end: Math.max(start, Math.min(range?.end ?? sizeBytes, sizeBytes)) };
}

/** @throws AppError STORAGE_TOO_LARGE for more than is held in memory at once */
export function requireHoldable({ start, end }: ByteSpan): void {
  if (end - start <= MAX_GET_BYTES) return;
  throw new AppError('STORAGE_TOO_LARGE', `more than the ${MAX_GET_BYTES} bytes that are read at once`);
}
