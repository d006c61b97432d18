import { AppError } from '../../base/errors.ts';
import { readSecretFile } from '../../base/secret-file.ts';

const MIN_KEY_LENGTH = 32;
const MAX_KEYS = 64;
const KEY = /^[\x21-\x7e]{1,512}$/;

/**
 * The API keys of packagers: one a line, empty lines and those with `#` in front left out.
 * @throws AppError SECRET_FILE_UNSAFE, which never has a key
 */
export async function readSpekeApiKeys(path: string): Promise<readonly string[]> {
  const text = (await readSecretFile(path, MIN_KEY_LENGTH)).toString('utf8');
  const keys = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (
    keys.length === 0 ||
    keys.length > MAX_KEYS ||
    !keys.every((key) => key.length >= MIN_KEY_LENGTH && KEY.test(key))
  )
    throw new AppError(
      'SECRET_FILE_UNSAFE',
      `${path} must hold 1 to ${MAX_KEYS} API keys of ${MIN_KEY_LENGTH} characters or more, one a line`,
    );
  return keys;
}
