import { stat } from 'node:fs/promises';
import { type Clock, every, type Timer } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { RtmpMetrics } from './rtmp-metrics.ts';
import {
  certificateAge,
  type CertificateFiles,
  readTlsCertificate,
  type TlsCertificate,
} from './tls-certificate.ts';

export interface CertificateWatchDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RtmpMetrics;
  /** A new pair is to be used from now on. */
  readonly onChange: (certificate: TlsCertificate) => void;
}

/** How often the files are looked at. */
const LOOK_MS = 5_000;

/**
 * The certificate of a listener, read again when its files change. A pair that cannot be used does not replace the one
 * in use, and says so once: the half of a renewal that is written first is such a pair for a moment.
 */
export class CertificateWatch {
  readonly #files: CertificateFiles;
  readonly #deps: CertificateWatchDeps;
  #timer: Timer | undefined;
  /** Identity of the files that were read last. */
  #version = '';
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(files: CertificateFiles, deps: CertificateWatchDeps) {
    this.#files = files;
    this.#deps = deps;
  }

  /**
   * Reads the pair to begin with and starts to watch it. One that is out of date is used all the same, with an error in
   * the log: it is for the publishers to refuse it.
   * @throws AppError INGEST_CERTIFICATE_UNUSABLE
   */
  async open(): Promise<TlsCertificate> {
    this.#version = await this.#versionOfFiles();
    const reading = await readTlsCertificate(this.#files);
    this.#deps.metrics.certificateRead(reading.ok);
    if (!reading.ok) throw new AppError('INGEST_CERTIFICATE_UNUSABLE', reading.problem);
    const { certificate } = reading;
    const age = certificateAge(certificate, this.#deps.clock.wallMs());
    if (age !== 'valid')
      this.#deps.log.error({ age, ...described(certificate) }, 'RTMPS certificate is out of date');
    this.#deps.metrics.certificateInUse(certificate.validToMs);
    this.#timer = every(this.#deps.clock, LOOK_MS, () => this.#look());
    return certificate;
  }

  /** Idempotent; settles when no file is being read any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #look(): void {
    this.#looking ??= this.#reload().finally(() => {
      this.#looking = undefined;
    });
  }

  async #reload(): Promise<void> {
    const version = await this.#versionOfFiles();
    if (version === this.#version) return;
    this.#version = version;
    const reading = await readTlsCertificate(this.#files);
    if (this.#closed) return;
    const problem = reading.ok ? this.#outOfDate(reading.certificate) : reading.problem;
    this.#deps.metrics.certificateRead(problem === undefined);
    if (!reading.ok || problem !== undefined) {
      this.#deps.log.error({ problem }, 'RTMPS certificate not changed: the new one cannot be used');
      return;
    }
    this.#deps.onChange(reading.certificate);
    this.#deps.metrics.certificateInUse(reading.certificate.validToMs);
    this.#deps.log.info(described(reading.certificate), 'RTMPS certificate changed');
  }

  #outOfDate(certificate: TlsCertificate): string | undefined {
    const age = certificateAge(certificate, this.#deps.clock.wallMs());
    return age === 'valid' ? undefined : `${this.#files.certPath} is ${AGES[age]}`;
  }

  /** Both files together: either may be a link that is turned elsewhere. */
  async #versionOfFiles(): Promise<string> {
    const versions = [this.#files.certPath, this.#files.keyPath].map(async (path) => {
      try {
        const { ino, mtimeNs, size, mode } = await stat(path, { bigint: true });
        return `${ino}:${mtimeNs}:${size}:${mode}`;
      } catch {
        return 'none';
      }
    });
    return (await Promise.all(versions)).join(' ');
  }
}

const AGES = { expired: 'expired', not_yet_valid: 'not valid yet' } as const;

function described({ subject, validTo }: TlsCertificate): { subject: string; validTo: string } {
  return { subject, validTo };
}
