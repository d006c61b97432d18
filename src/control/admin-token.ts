import { createHash, timingSafeEqual } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/errors.ts';

const TOKEN_BYTES = 32;
/** 32 random bytes are 43 characters of base64url; less was not made by us and is easier to guess. */
const MIN_TOKEN_LENGTH = 43;
const MAX_TOKEN_LENGTH = 1024;

/** The secret that opens the admin calls. Only its digest is kept in memory. */
export class AdminToken {
  /** The file that holds it, for start-up messages. */
  readonly file: string;
  readonly #digest: Buffer;

  constructor(token: string, file: string) {
    this.file = file;
    this.#digest = digest(token);
  }

  /** Takes the same time whatever is given. */
  matches(given: string): boolean {
    return timingSafeEqual(digest(given.slice(0, MAX_TOKEN_LENGTH + 1)), this.#digest);
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Reads `<dataDir>/secrets/admin.token`, or makes it (0600, in a folder 0700) when it is not there.
 * @throws AppError CONTROL_TOKEN_UNSAFE when others may read the file or it is too short; the message never has the value.
 */
export async function openAdminToken(
  dataDir: string,
  randomBytes: (size: number) => Buffer,
): Promise<AdminToken> {
  const folder = join(dataDir, 'secrets');
  const file = join(folder, 'admin.token');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const token = (await readToken(file)) ?? (await makeToken(file, randomBytes));
  return new AdminToken(token, file);
}

async function readToken(file: string): Promise<string | undefined> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0)
    throw new AppError('CONTROL_TOKEN_UNSAFE', `others may read ${file}: chmod 600 ${file}`);
  const token = content.trim();
  if (token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH) {
    throw new AppError(
      'CONTROL_TOKEN_UNSAFE',
      `${file} must hold ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} characters`,
    );
  }
  return token;
}

/** Writes a whole file beside the real name first: a crash never leaves half a token. */
async function makeToken(file: string, randomBytes: (size: number) => Buffer): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(`${token}\n`);
    await handle.sync();
    await link(draft, file);
    return token;
  } catch (error) {
    // Another process was first: its token counts.
    const theirs = (error as NodeJS.ErrnoException).code === 'EEXIST' ? await readToken(file) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
}
