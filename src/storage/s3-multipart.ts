import { AppError } from '../base/errors.ts';
import { refused, type S3Answer, type S3Client } from './s3-client.ts';
import type { S3Address } from './s3-address.ts';
import { RETRY_POLICY, type RetryPolicy } from './s3-retry.ts';
import { parseUploadId, plainEtag, renderCompletion } from './s3-texts.ts';

const MIB = 1024 * 1024;
/** What a part has, unless the file would then have too many. */
const PART_BYTES = 8 * MIB;
const MAX_PARTS = 10_000;
/** Largest part: several are in memory at once. */
const MAX_PART_BYTES = 64 * MIB;

/** A store that is closed waits for it. */
const ABORT_POLICY: RetryPolicy = { ...RETRY_POLICY, deadlineMs: 5000 };

/** Size of the parts that a file of `sizeBytes` goes up in. @throws AppError STORAGE_TOO_LARGE past 625 GiB */
export function planPartBytes(sizeBytes: number): number {
  const partBytes = Math.max(PART_BYTES, Math.ceil(sizeBytes / MAX_PARTS / MIB) * MIB);
  if (partBytes <= MAX_PART_BYTES) return partBytes;
  throw new AppError('STORAGE_TOO_LARGE', `a file of ${sizeBytes} bytes is larger than can be stored`);
}

/** One multipart upload. Whoever begins one completes or aborts it: its parts take room until then. */
export class MultipartUpload {
  readonly #client: S3Client;
  readonly #address: S3Address;
  readonly #name: string;
  readonly #uploadId: string;

  private constructor(client: S3Client, address: S3Address, name: string, uploadId: string) {
    this.#client = client;
    this.#address = address;
    this.#name = name;
    this.#uploadId = uploadId;
  }

  /** `headers`: those of the blob to be. */
  static async begin(
    client: S3Client,
    address: S3Address,
    name: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<MultipartUpload> {
    const url = address.objectUrl(name, { uploads: '' });
    const answer = await client.call({ method: 'POST', url, headers });
    const uploadId = answer.status === 200 ? parseUploadId(answer.bytes.toString('utf8')) : undefined;
    if (uploadId === undefined) throw refused(answer);
    return new MultipartUpload(client, address, name, uploadId);
  }

  /** Puts part `number` (from 1) and gives its entity tag. */
  async putPart(number: number, body: Uint8Array, signal: AbortSignal): Promise<string> {
    const url = this.#url({ partNumber: String(number) });
    const answer = await this.#client.call({ method: 'PUT', url, body }, { signal });
    const etag = plainEtag(answer.headers.etag ?? '');
    if (answer.status !== 200 || etag === '') throw refused(answer);
    return etag;
  }

  /** Makes the parts one blob; what came of it is in the answer. */
  complete(etags: readonly string[], headers: Readonly<Record<string, string>>): Promise<S3Answer> {
    const body = Buffer.from(renderCompletion(etags));
    return this.#client.call({
      method: 'POST',
      url: this.#url({}),
      headers: { ...headers, 'content-type': 'application/xml' },
      body,
    });
  }

  /** Throws the parts away. */
  async abort(): Promise<void> {
    const request = { method: 'DELETE', url: this.#url({}) } as const;
    const answer = await this.#client.call(request, { isCleaning: true, retry: ABORT_POLICY });
    if (answer.status !== 204 && answer.status !== 200 && answer.status !== 404) throw refused(answer);
  }

  #url(query: Readonly<Record<string, string>>): string {
    return this.#address.objectUrl(this.#name, { ...query, uploadId: this.#uploadId });
  }
}
