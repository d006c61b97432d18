import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

export interface CertificateFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

/** A certificate and its key that belong together, and that TLS takes. */
export interface TlsCertificate {
  /** PEM. */
  readonly cert: Buffer;
  /** PEM, secret. */
  readonly key: Buffer;
  /** For people: whom it names. */
  readonly subject: string;
  /** Milliseconds since the Unix epoch. */
  readonly validFromMs: number;
  readonly validToMs: number;
  /** The same for people. */
  readonly validTo: string;
}

export type CertificateReading =
  | { readonly ok: true; readonly certificate: TlsCertificate }
  /** `problem` is a sentence for people; it never holds anything of the key. */
  | { readonly ok: false; readonly problem: string };

/** Longest file that is read: a chain of a dozen certificates is a tenth of it. */
const MAX_FILE_BYTES = 256 * 1024;
/** Everybody's rights, and the group's to write. That a group may read a key is how servers share one. */
const EXPOSED = 0o027;

/** Reads and judges a pair. Never throws. */
export async function readTlsCertificate({
  certPath,
  keyPath,
}: CertificateFiles): Promise<CertificateReading> {
  const cert = await readLimited(certPath);
  if (!cert.ok) return { ok: false, problem: `${certPath} ${cert.problem}` };
  const key = await readLimited(keyPath);
  if (!key.ok) return { ok: false, problem: `${keyPath} ${key.problem}` };
  if ((key.mode & EXPOSED) !== 0)
    return { ok: false, problem: `${keyPath} may be read by other users: chmod 600 it` };
  const leaf = parse(() => new X509Certificate(cert.bytes));
  if (leaf === undefined) return { ok: false, problem: `${certPath} holds no certificate in PEM` };
  const privateKey = parse(() => createPrivateKey(key.bytes));
  if (privateKey === undefined)
    return { ok: false, problem: `${keyPath} holds no private key in PEM without a passphrase` };
  const problem = refusal(leaf, privateKey, cert.bytes, key.bytes);
  if (problem !== undefined) return { ok: false, problem: `${certPath} ${problem}` };
  return {
    ok: true,
    certificate: {
      cert: cert.bytes,
      key: key.bytes,
      subject: leaf.subjectAltName ?? leaf.subject.replaceAll('\n', ', '),
      validFromMs: parseTime(leaf.validFrom),
      validToMs: parseTime(leaf.validTo),
      validTo: leaf.validTo,
    },
  };
}

/** Why a certificate counts or does not at that time. */
export function certificateAge(
  { validFromMs, validToMs }: TlsCertificate,
  nowMs: number,
): 'valid' | 'expired' | 'not_yet_valid' {
  if (nowMs >= validToMs) return 'expired';
  return nowMs < validFromMs ? 'not_yet_valid' : 'valid';
}

function refusal(
  leaf: X509Certificate,
  privateKey: KeyObject,
  cert: Buffer,
  key: Buffer,
): string | undefined {
  if (!leaf.checkPrivateKey(privateKey)) return 'and the key do not belong together';
  // What the TLS library itself refuses: a key that is too short, a broken certificate further up.
  return parse(() => createSecureContext({ cert, key })) ? undefined : 'is refused by the TLS library';
}

/** Time as node:crypto writes it, `Nov 22 22:00:00 2026 GMT`; not the time of now, which comes from a clock. */
function parseTime(text: string): number {
  // oxlint-disable-next-line no-restricted-globals -- reads a text
  return Date.parse(text);
}

function parse<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

type FileReading =
  | { readonly ok: true; readonly bytes: Buffer; readonly mode: number }
  | { readonly ok: false; readonly problem: string };

async function readLimited(path: string): Promise<FileReading> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return { ok: false, problem: missing ? 'is missing' : 'cannot be read' };
  }
  try {
    const { mode, size } = await file.stat();
    if (size > MAX_FILE_BYTES) return { ok: false, problem: `is longer than ${MAX_FILE_BYTES} bytes` };
    return { ok: true, bytes: await file.readFile(), mode };
  } catch {
    return { ok: false, problem: 'cannot be read' };
  } finally {
    await file.close();
  }
}
