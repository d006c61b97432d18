import { chmod, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './ffmpeg.ts';

export interface CertificatePaths {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface CertificateOptions {
  /** The name it is for. */
  readonly name?: string;
  /** From now on; negative: it has ended. */
  readonly days?: number;
}

/**
 * Makes a self-signed certificate for 127.0.0.1 and its key in `folder`, with openssl. What was there under the same
 * file name is replaced as a renewal does it: written aside, then renamed.
 */
export async function makeCertificate(
  folder: string,
  file: string,
  { name = 'localhost', days = 30 }: CertificateOptions = {},
): Promise<CertificatePaths> {
  const draft = join(folder, 'draft');
  await openssl([
    ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-new'],
    ...['-keyout', `${draft}.key`, '-out', `${draft}.csr`, '-subj', `/CN=${name}`],
  ]);
  await writeFile(`${draft}.ext`, `subjectAltName=DNS:${name},IP:127.0.0.1\n`);
  await openssl([
    ...['x509', '-req', '-in', `${draft}.csr`, '-signkey', `${draft}.key`, '-out', `${draft}.crt`],
    ...['-days', `${days}`, '-extfile', `${draft}.ext`],
  ]);
  await chmod(`${draft}.key`, 0o600);
  const paths = { certPath: join(folder, `${file}.crt`), keyPath: join(folder, `${file}.key`) };
  await rename(`${draft}.key`, paths.keyPath);
  await rename(`${draft}.crt`, paths.certPath);
  return paths;
}

/** What openssl sees on a port: the name the certificate is for, and the version spoken; undefined when it fails. */
export async function seenByOpenssl(
  port: number,
  args: readonly string[] = [],
): Promise<{ readonly name: string; readonly version: string } | undefined> {
  const { code, stdout } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args]);
  const text = stdout.toString();
  const name = /subject=CN ?= ?(\S+)/.exec(text)?.[1];
  const version = /^New, (TLSv[\d.]+), Cipher is (?!\(NONE\))/m.exec(text)?.[1];
  return code === 0 && name !== undefined && version !== undefined ? { name, version } : undefined;
}

async function openssl(args: readonly string[]): Promise<void> {
  const { code, stderr } = await run('openssl', args);
  if (code !== 0) throw new Error(`openssl ended with ${code}: ${stderr}`);
}
