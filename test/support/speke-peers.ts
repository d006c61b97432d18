import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentKey, KeyEntry } from '../../src/drm/content-key.ts';
import { ENDLESS_MS } from '../../src/drm/crypto-period.ts';
import type { CpixRecipient } from '../../src/drm/cpix/key-wrapping.ts';
import type { HttpHandler } from '../../src/http/types.ts';
import type { SpekeKeys } from '../../src/license/speke/speke-server.ts';
import { run } from './ffmpeg.ts';
import { DrmService } from './drm-services.ts';
import { exchange } from './fake-exchange.ts';
import { until } from './until.ts';

type ForeignKeyRequest = Parameters<SpekeKeys['foreignKey']>[0];

/** Keys for packagers elsewhere, in memory. */
export class MemorySpekeKeys implements SpekeKeys {
  readonly made: ForeignKeyRequest[] = [];
  readonly #keys = new Map<string, { entry: KeyEntry; key: ContentKey }>();
  /** In the place of making one. */
  failure: Error | undefined;

  find(kid: Uint8Array): KeyEntry | undefined {
    return this.#keys.get(hex(kid))?.entry;
  }

  unwrap(entry: KeyEntry): Promise<ContentKey> {
    const found = this.#keys.get(hex(entry.kid));
    return found ? Promise.resolve(found.key) : Promise.reject(new Error('no such key'));
  }

  foreignKey(request: ForeignKeyRequest): Promise<ContentKey> {
    if (this.failure) return Promise.reject(this.failure);
    this.made.push(request);
    const { owner, kid, tier, scheme } = request;
    const period = request.period ?? { index: 0, startMs: 0, endMs: ENDLESS_MS };
    const key = { tier, kid, scheme, key: randomBytes(16), constantIv: randomBytes(16), systems: undefined };
    this.#keys.set(hex(kid), { entry: { owner, tier, kid, period, scheme }, key });
    return Promise.resolve(key);
  }

  /** All keys, as hexadecimal digits and as base64. */
  canaries(): readonly string[] {
    return [...this.#keys.values()].flatMap(({ key }) => [
      hex(key.key),
      Buffer.from(key.key).toString('base64'),
    ]);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A recipient of encrypted documents, with an RSA certificate of its own made by openssl. */
export async function makeRecipient(folder: string, name: string, bits = 2048): Promise<CpixRecipient> {
  const [keyPath, certPath] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
  const subject = ['-nodes', '-subj', `/CN=${name}`, '-days', '30'];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    `rsa:${bits}`,
    ...subject,
    '-keyout',
    keyPath,
    '-out',
    certPath,
  ]);
  return {
    certificate: new X509Certificate(await readFile(certPath)).raw,
    privateKey: createPrivateKey(await readFile(keyPath)),
  };
}

/** A handler behind real HTTP. The caller closes it. */
export function serviceOf(handler: HttpHandler): Promise<DrmService> {
  const service = new DrmService(async ({ method, headers, body }) => {
    const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    const response = exchange(handler, '/speke/v2', { method, headers: given, body });
    await until(() => response.finished, 'an answer');
    return {
      status: response.status,
      body: response.bytes(),
      contentType: response.header('content-type') ?? '',
    };
  });
  return service.listen();
}
