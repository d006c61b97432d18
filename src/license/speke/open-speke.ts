import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { readSecretFile, readTextSecretFile } from '../../base/secret-file.ts';
import type { CpixRecipient } from '../../drm/cpix/key-wrapping.ts';
import type { SignallingOptions } from '../../drm/signalling.ts';
import type { HttpHandler } from '../../http/types.ts';
import { breakerLimits, vendorHttp, type VendorLimits } from '../proxy/open-proxies.ts';
import { VendorBackend } from '../proxy/vendor-backend.ts';
import type { VendorMetrics } from '../proxy/vendor-metrics.ts';
import { readSpekeApiKeys } from './speke-api-keys.ts';
import { isSpekeBroken, SpekeKeySource } from './speke-key-source.ts';
import { createSpekeServer, type SpekeServerDeps } from './speke-server.ts';

/** The key server that content keys come from, as it is in the configuration; '' where there is none. */
export interface SpekeSourceOptions {
  readonly url: string;
  /** Header that the key server takes its credential in. */
  readonly authHeader: string;
  /** File with the whole value of that header. */
  readonly authPath: string;
  readonly contentIdPrefix: string;
  /** PEM; both or none. */
  readonly certPath: string;
  readonly keyPath: string;
  readonly vendor: VendorLimits;
  readonly signalling: SignallingOptions;
}

export interface SpekeSourceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** One for all services of the process. */
  readonly metrics: VendorMetrics;
}

/** A key source with what it holds open. */
export interface OpenSpekeSource {
  readonly source: SpekeKeySource;
  /** Ends calls under way. Idempotent. */
  close(): void;
}

const MIN_CREDENTIAL_BYTES = 8;
const MIN_PRIVATE_KEY_BYTES = 64;
const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * Reads the secrets for the key server outside and opens it as a source of keys; the caller closes it.
 * @throws AppError SECRET_FILE_UNSAFE, TOKEN_KEY_UNUSABLE; CONFIG_INVALID for a header that cannot be one
 */
export async function openSpekeSource(
  options: SpekeSourceOptions,
  { clock, log, metrics }: SpekeSourceDeps,
): Promise<OpenSpekeSource> {
  const { url, contentIdPrefix, signalling, vendor } = options;
  const headers = await credential(options);
  const recipient = await readRecipient(options);
  const http = vendorHttp(vendor, MAX_ANSWER_BYTES, clock);
  const backend = new VendorBackend(
    { system: 'speke', breaker: breakerLimits(vendor), isBroken: isSpekeBroken },
    { http, clock, log, metrics },
  );
  const source = new SpekeKeySource({ url, headers, contentIdPrefix, recipient, signalling }, backend, log);
  return { source, close: () => http.close() };
}

async function credential({
  authHeader,
  authPath,
}: SpekeSourceOptions): Promise<Readonly<Record<string, string>>> {
  if (authPath === '') return {};
  if (!/^[A-Za-z0-9-]{1,64}$/.test(authHeader))
    throw new AppError('CONFIG_INVALID', 'drm.speke.authHeader must be letters, digits and hyphens');
  const value = (await readTextSecretFile(authPath, MIN_CREDENTIAL_BYTES)).toString('latin1');
  if (!/^[\x20-\x7e]+$/.test(value))
    throw new AppError('SECRET_FILE_UNSAFE', `${authPath} must hold one line of plain text`);
  return { [authHeader]: value };
}

async function readRecipient({ certPath, keyPath }: SpekeSourceOptions): Promise<CpixRecipient | undefined> {
  if (certPath === '') return undefined;
  const pem = await readSecretFile(keyPath, MIN_PRIVATE_KEY_BYTES);
  try {
    const certificate = new X509Certificate(await readFile(certPath));
    const privateKey = createPrivateKey(pem);
    if (certificate.checkPrivateKey(privateKey) && privateKey.asymmetricKeyType === 'rsa')
      return { certificate: certificate.raw, privateKey };
  } catch (cause) {
    throw unusable(certPath, keyPath, cause);
  }
  throw unusable(certPath, keyPath, undefined);
}

function unusable(certPath: string, keyPath: string, cause: unknown): AppError {
  const what = `${certPath} and ${keyPath} must be an RSA certificate and its private key (PEM), without a passphrase`;
  return new AppError('TOKEN_KEY_UNUSABLE', what, { cause });
}

/** The key server for packagers elsewhere, as it is in the configuration. */
export interface SpekeServeOptions {
  /** '' : the admin token alone opens it. */
  readonly apiKeysPath: string;
  readonly maxDocumentBytes: number;
  readonly requireEncryption: boolean;
  readonly signalling: Pick<SignallingOptions, 'licenseUrls' | 'widevineProvider'>;
}

/** The handler of `POST /speke/v2`. @throws AppError SECRET_FILE_UNSAFE */
export async function openSpekeServer(
  { apiKeysPath, ...options }: SpekeServeOptions,
  deps: SpekeServerDeps,
): Promise<HttpHandler> {
  const apiKeys = apiKeysPath === '' ? [] : await readSpekeApiKeys(apiKeysPath);
  return createSpekeServer({ ...options, apiKeys }, deps);
}
