import { AppError } from '../../base/errors.ts';
import { readSecretFile } from '../../base/secret-file.ts';

/**
 * Reads a key that a vendor gave out: `sizeBytes` raw bytes, or the same as hexadecimal digits or base64.
 * @throws AppError SECRET_FILE_UNSAFE, which never has the value
 */
export async function readVendorKey(path: string, sizeBytes: number): Promise<Buffer> {
  const content = await readSecretFile(path, sizeBytes);
  const key = decodeKey(content, sizeBytes);
  if (key) return key;
  throw new AppError(
    'SECRET_FILE_UNSAFE',
    `${path} must hold a key of ${sizeBytes} bytes: raw, as ${sizeBytes * 2} hexadecimal digits, or as base64`,
  );
}

function decodeKey(content: Buffer, sizeBytes: number): Buffer | undefined {
  if (content.length === sizeBytes) return content;
  const text = content.toString('latin1').trim();
  if (text.length === sizeBytes * 2 && /^[0-9a-f]+$/i.test(text)) return Buffer.from(text, 'hex');
  if (!/^[0-9A-Za-z+/]+={0,2}$/.test(text)) return undefined;
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === sizeBytes ? decoded : undefined;
}
