import { type FileHandle, open } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import type { ByteSpan } from './blob-range.ts';

/** Opens a file that is to be stored. @throws AppError INTERNAL: it is the caller's own */
export async function openSource(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw new AppError('INTERNAL', 'the file that is to be stored cannot be opened', { cause });
  }
}

/** As many bytes as there are at `position`, at most as many as fit; 0: it ends there. @throws AppError INTERNAL */
export async function readSourceAt(source: FileHandle, into: Uint8Array, position: number): Promise<number> {
  try {
    return (await source.read(into, 0, into.length, position)).bytesRead;
  } catch (cause) {
    throw new AppError('INTERNAL', 'the file that is to be stored cannot be read', { cause });
  }
}

/** The bytes of a span. @throws AppError INTERNAL, also when the file ends before */
export async function readSource(source: FileHandle, { start, end }: ByteSpan): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  for (let done = 0; done < bytes.length; ) {
    const size = await readSourceAt(source, bytes.subarray(done), start + done);
    if (size === 0) throw new AppError('INTERNAL', 'the file that is to be stored became shorter meanwhile');
    done += size;
  }
  return bytes;
}
