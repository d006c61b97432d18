import { resolve } from 'node:path';
import { certificateAge, readTlsCertificate } from '../ingest/rtmp/tls-certificate.ts';
import type { DoctorInput, Finding } from './doctor-checks.ts';

const NAME = 'rtmps';
const DAY_MS = 86_400_000;
/** Renewals that work are done a month before the end. */
const SOON_MS = 14 * DAY_MS;

/** The certificate of RTMPS: whether it can be read, has the right key and the right time. */
export async function checkRtmpsCertificate({ config, cwd, wallMs }: DoctorInput): Promise<Finding[]> {
  const { certPath, keyPath } = config.rtmps;
  if (certPath === '') return [{ status: 'ok', name: NAME, detail: 'off: no rtmps.certPath' }];
  const reading = await readTlsCertificate({
    certPath: resolve(cwd, certPath),
    keyPath: resolve(cwd, keyPath),
  });
  if (!reading.ok) return [{ status: 'fail', name: NAME, detail: reading.problem }];
  const { certificate } = reading;
  const { validTo } = certificate;
  const age = certificateAge(certificate, wallMs);
  if (age === 'expired')
    return [{ status: 'fail', name: NAME, detail: `the certificate ended on ${validTo}` }];
  if (age === 'not_yet_valid')
    return [{ status: 'fail', name: NAME, detail: 'the certificate is not valid yet' }];
  const detail = `certificate for ${certificate.subject} until ${validTo}`;
  const soon = certificate.validToMs - wallMs < SOON_MS;
  return [{ status: soon ? 'warn' : 'ok', name: NAME, detail: soon ? `${detail}: renew it` : detail }];
}
