import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/doctor-checks.ts';
import { checkRtmpsCertificate } from '../../src/cli/doctor-rtmps.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type CertificatePaths, makeCertificate } from '../support/certificates.ts';

/** What `headwater doctor` says of the certificate of RTMPS. */

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-doctor-'));
});

afterEach(() => rm(folder, { recursive: true }));

async function findings({ certPath, keyPath }: CertificatePaths): Promise<readonly Finding[]> {
  const flags = [`rtmps.certPath=${certPath}`, `rtmps.keyPath=${keyPath}`];
  const loaded = loadConfig({ cwd: folder, env: {}, flags: certPath === '' ? [] : flags });
  if (!('config' in loaded)) throw new Error('the configuration is wrong');
  const { config } = loaded;
  return checkRtmpsCertificate({ config, cwd: folder, wallMs: Date.now(), nodeVersion: process.version });
}

it('says that RTMPS is off without one', async () => {
  expect(await findings({ certPath: '', keyPath: '' })).toMatchObject([{ status: 'ok', name: 'rtmps' }]);
});

it('names whom it is for and when it ends, with paths relative to the working directory', async () => {
  await makeCertificate(folder, 'server', { name: 'live.test', days: 90 });
  const [finding] = await findings({ certPath: 'server.crt', keyPath: 'server.key' });
  expect(finding?.status).toBe('ok');
  expect(finding?.detail).toMatch(
    /^certificate for DNS:live\.test, IP Address:127\.0\.0\.1 until \w{3} +\d+ [\d:]+ \d{4} GMT$/,
  );
});

it.each<[string, Finding['status'], number]>([
  ['renew it', 'warn', 5],
  ['the certificate ended on', 'fail', -1],
])('says %j in time', async (text, status, days) => {
  const [finding] = await findings(await makeCertificate(folder, 'server', { days }));
  expect([finding?.status, finding?.detail]).toEqual([status, expect.stringContaining(text)]);
});

it("fails on a key that belongs to another, is missing, or is everybody's", async () => {
  const one = await makeCertificate(folder, 'one');
  const other = await makeCertificate(folder, 'other');
  const detailOf = async (paths: CertificatePaths) => {
    const [finding] = await findings(paths);
    expect(finding?.status).toBe('fail');
    return finding?.detail;
  };
  expect(await detailOf({ ...one, keyPath: other.keyPath })).toContain('do not belong together');
  expect(await detailOf({ ...one, keyPath: join(folder, 'none') })).toContain('is missing');
  await chmod(one.keyPath, 0o644);
  expect(await detailOf(one)).toContain('may be read by other users');
});
