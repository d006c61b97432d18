import type { FileHandle } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isBlobKey, requireBlobKey, splitPrefix } from './blob-key.ts';
import { requireHoldable, spanOf } from './blob-range.ts';
import {
  type BlobInfo,
  type BlobPage,
  type BlobRange,
  type BlobStore,
  type CopyOptions,
  MAX_COPY_BYTES,
  type OpenBlob,
  type PutOptions,
} from './blob-store.ts';
import { conditionOf, type PutCondition } from './put-condition.ts';
import { S3Address, type S3Location } from './s3-address.ts';
import { rangeHeader, S3Body } from './s3-body.ts';
import { COPY_SOURCE, type S3Answer, S3Client, type S3RetryReason, refused } from './s3-client.ts';
import { conditionHeaders, type KeptConditions, probeConditions } from './s3-conditions.ts';
import type { S3CredentialSource } from './s3-credentials.ts';
import { MultipartUpload, planPartBytes } from './s3-multipart.ts';
import { RETRY_POLICY, type RetryPolicy } from './s3-retry.ts';
import { MAX_XML_BYTES, parseCompletion, parseCopy, parseList, plainEtag } from './s3-texts.ts';
import { parseTime } from './s3-times.ts';
import { S3Transport, type S3TimeOuts } from './s3-transport.ts';
import { Slots } from './slots.ts';
import { openSource, readSource } from './source-file.ts';

export interface S3BlobStoreOptions extends S3Location {
  readonly credentials: S3CredentialSource;
  readonly timeOuts?: S3TimeOuts | undefined;
  readonly retry?: RetryPolicy | undefined;
}

export interface S3BlobStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly onRetry?: ((reason: S3RetryReason) => void) | undefined;
}

const MIB = 1024 * 1024;
/** Larger files go up in parts. */
const SINGLE_PUT_BYTES = 16 * MIB;
/** Parts of all uploads together that are in memory and on their way. */
const PARALLEL_PARTS = 4;
const PAGE_KEYS = 1000;
const TIME_OUTS: S3TimeOuts = { connectMs: 5000, headersMs: 30_000, idleMs: 20_000 };
const MAX_CONNECTIONS = { calls: 64, bodies: 1024 };
/** Nobody waits a minute for a server to start. */
const PROBE_DEADLINE_MS = 5000;
/** By which a put whose answer was lost finds itself again. */
const PUT_ID = 'x-amz-meta-headwater-put';
const PUT_ID_BYTES = 12;

/**
 * Opens a store on a bucket of S3 or what speaks like it. The credentials must allow to get, put, delete and list
 * (without the right to list, S3 calls what is missing forbidden). Parts of an upload that a killed process leaves
 * behind take room until a rule of the bucket removes them (AbortIncompleteMultipartUpload).
 *
 * Whether the store keeps conditions is looked at once. One that ignores them is asked before each conditional put
 * whether the condition holds, which leaves a gap between the two: said in the log, and then only one process may
 * write. A store that cannot be reached is opened all the same, and looked at when it is first needed.
 * @throws AppError STORAGE_UNAVAILABLE when the store does not let us, SECRET_FILE_UNSAFE
 */
export async function openS3BlobStore(
  options: S3BlobStoreOptions,
  deps: S3BlobStoreDeps,
): Promise<BlobStore> {
  // Tells a file of credentials that is not there before anything else does.
  await options.credentials.load();
  const store = new S3BlobStore(options, deps);
  try {
    await store.probe();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

class S3BlobStore implements BlobStore {
  readonly #address: S3Address;
  readonly #transport: S3Transport;
  readonly #client: S3Client;
  readonly #deps: S3BlobStoreDeps;
  readonly #retry: RetryPolicy;
  readonly #parts = new Slots(PARALLEL_PARTS);
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #bodies = new Set<S3Body>();
  #kept: KeptConditions | undefined;
  #closed = false;

  constructor(options: S3BlobStoreOptions, deps: S3BlobStoreDeps) {
    const { region, credentials, timeOuts = TIME_OUTS, retry = RETRY_POLICY } = options;
    const { clock, random, onRetry = () => undefined } = deps;
    this.#address = new S3Address(options);
    this.#retry = retry;
    this.#transport = new S3Transport({ region, timeOuts, maxConnections: MAX_CONNECTIONS }, clock);
    this.#client = new S3Client({ clock, random, credentials, transport: this.#transport, retry, onRetry });
    this.#deps = { ...deps, log: deps.log.child({ bucket: options.bucket }) };
  }

  /** Looks whether the store lets us and what it keeps. */
  async probe(): Promise<void> {
    try {
      await this.#conditionsKept();
    } catch (error) {
      if (error instanceof Refusal) throw error;
      this.#deps.log.warn({ error }, 'the store cannot be reached; it is tried again when it is needed');
    }
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<BlobInfo> {
    return this.#run(async () => {
      requireBlobKey(key);
      const condition = conditionOf(options);
      const headers = await this.#headersFor(condition, key, 'put');
      return this.#putWhole(key, body, { ...blobHeaders(options), ...headers }, condition);
    });
  }

  async putFile(key: string, path: string, options?: PutOptions): Promise<BlobInfo> {
    return this.#run(async () => {
      requireBlobKey(key);
      const source = await openSource(path);
      try {
        const { size } = await source.stat();
        if (size > SINGLE_PUT_BYTES) return await this.#putParts(key, { source, size }, options);
        return await this.put(key, await readSource(source, { start: 0, end: size }), options);
      } finally {
        await source.close();
      }
    });
  }

  async get(key: string, range?: BlobRange): Promise<Uint8Array | undefined> {
    return this.#run(async () => {
      const found = await this.open(key, range);
      if (!found) return undefined;
      const span = spanOf(range, found.info.sizeBytes);
      try {
        requireHoldable(span);
        return await readBody(found.body, span.end - span.start);
      } finally {
        await found.body[Symbol.asyncIterator]().return?.();
      }
    });
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob | undefined> {
    return this.#run(async () => {
      requireBlobKey(key);
      const { start = 0, end = Number.MAX_SAFE_INTEGER } = range ?? {};
      if (end <= start) return this.#openNothing(key);
      const url = this.#address.objectUrl(key);
      const headers = range && { range: rangeHeaderOf(range) };
      const answer = await this.#client.stream({ method: 'GET', url, headers });
      if ('pieces' in answer) {
        const info = infoOf(key, answer.headers);
        return { info, body: this.#bodyOf(info, range, answer) };
      }
      if (isMissing(answer)) return undefined;
      // The range lies behind the end.
      if (answer.status === 416) return this.#openNothing(key);
      throw refused(answer);
    });
  }

  async stat(key: string): Promise<BlobInfo | undefined> {
    return this.#run(async () => {
      requireBlobKey(key);
      const headers = await this.#head(key);
      return headers && infoOf(key, headers);
    });
  }

  async list(prefix: string, from = ''): Promise<BlobPage> {
    return this.#run(async () => {
      splitPrefix(prefix);
      const base = this.#address.prefix;
      const url = this.#address.bucketUrl({
        'list-type': '2',
        'encoding-type': 'url',
        'max-keys': String(PAGE_KEYS),
        prefix: base + prefix,
        ...(from !== '' && { 'start-after': base + from }),
      });
      const answer = await this.#client.call({ method: 'GET', url }, { maxBytes: MAX_XML_BYTES });
      const page = answer.status === 200 ? parseList(answer.bytes.toString('utf8')) : undefined;
      if (!page) throw refused(answer);
      const blobs = page.objects
        .map(({ name, ...rest }) => ({ key: name.slice(base.length), ...rest }))
        // Objects of others, and our own probe, are beside the keys.
        .filter(({ key }) => isBlobKey(key));
      const next = page.truncated ? page.last?.slice(base.length) : undefined;
      if (next !== undefined && next <= from) {
        throw new AppError('STORAGE_UNAVAILABLE', 'the store lists the same page again and again');
      }
      return { blobs, next };
    });
  }

  async copy(from: string, to: string, options?: CopyOptions): Promise<BlobInfo> {
    return this.#run(async () => {
      requireBlobKey(from);
      requireBlobKey(to);
      const headers = await this.#head(from);
      if (!headers) throw new AppError('STORAGE_NOT_FOUND');
      const source = infoOf(from, headers);
      // A store copies nothing onto itself.
      if (from === to) return source;
      if (source.sizeBytes > MAX_COPY_BYTES) throw new AppError('STORAGE_TOO_LARGE');
      return this.#copyWhole(source, to, copyHeaders(headers, options));
    });
  }

  async delete(key: string): Promise<void> {
    await this.#run(async () => {
      requireBlobKey(key);
      const answer = await this.#client.call({ method: 'DELETE', url: this.#address.objectUrl(key) });
      if (answer.status !== 204 && answer.status !== 200 && !isMissing(answer)) throw refused(answer);
    });
  }

  /** Gives up what is under way; uploads are thrown away first, for a moment. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#client.stop();
    await Promise.all([...this.#bodies].map((body) => body.abandon()));
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    this.#transport.close();
  }

  async #run<T>(act: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new AppError('STORAGE_UNAVAILABLE', 'the store is closed');
    const running = act();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  async #conditionsKept(): Promise<KeptConditions> {
    if (this.#kept) return this.#kept;
    const outcome = await probeConditions(this.#client, this.#address, {
      retry: { ...this.#retry, deadlineMs: Math.min(this.#retry.deadlineMs, PROBE_DEADLINE_MS) },
    });
    if (outcome.kind === 'refused') throw new Refusal(outcome.answer);
    if (!outcome.kept.put || !outcome.kept.complete) {
      this.#deps.log.warn(
        { singlePuts: outcome.kept.put, uploadsInParts: outcome.kept.complete },
        'the store ignores conditions of some writes (If-None-Match, If-Match): only one process may write to it',
      );
    }
    this.#kept = outcome.kept;
    return outcome.kept;
  }

  async #putWhole(
    key: string,
    body: Uint8Array,
    headers: Readonly<Record<string, string>>,
    condition: PutCondition,
  ): Promise<BlobInfo> {
    const putId = this.#newPutId();
    const answer = await this.#client.call({
      method: 'PUT',
      url: this.#address.objectUrl(key),
      headers: { ...headers, [PUT_ID]: putId },
      body,
    });
    if (answer.status === 200) return this.#putInfo(key, body.length, answer);
    return this.#unlessOurs(key, putId, answer, condition);
  }

  async #copyWhole(
    source: BlobInfo,
    to: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<BlobInfo> {
    const answer = await this.#client.call({
      method: 'PUT',
      url: this.#address.objectUrl(to),
      headers: { ...headers, [COPY_SOURCE]: this.#address.copySource(source.key) },
    });
    if (isMissing(answer)) throw new AppError('STORAGE_NOT_FOUND');
    const copied = answer.status === 200 ? parseCopy(answer.bytes.toString('utf8')) : undefined;
    if (!copied) throw refused(answer);
    // The etag of a copy may be another, and the source may have become another meanwhile.
    if (copied.etag === source.etag && !Number.isNaN(copied.modifiedMs)) {
      return { ...copied, key: to, sizeBytes: source.sizeBytes };
    }
    const found = await this.#head(to);
    if (!found) throw new AppError('STORAGE_UNAVAILABLE', 'another writer has deleted the copy at once');
    return infoOf(to, found);
  }

  async #putParts(
    key: string,
    { source, size }: { readonly source: FileHandle; readonly size: number },
    options: PutOptions | undefined,
  ): Promise<BlobInfo> {
    const partBytes = planPartBytes(size);
    const condition = conditionOf(options);
    // Before too, so that no large file goes up in vain.
    await this.#check(key, condition);
    const putId = this.#newPutId();
    const headers = { ...blobHeaders(options), [PUT_ID]: putId };
    const upload = await MultipartUpload.begin(this.#client, this.#address, key, headers);
    try {
      const etags = await this.#sendParts(upload, source, { size, partBytes });
      const conditions = await this.#headersFor(condition, key, 'complete');
      const answer = await upload.complete(etags, conditions);
      const etag = answer.status === 200 ? parseCompletion(answer.bytes.toString('utf8')) : undefined;
      if (etag) return { ...this.#putInfo(key, size, answer), etag };
      if (etag === '') return await this.#ours(key, putId);
      return await this.#unlessOurs(key, putId, answer, condition);
    } catch (error) {
      await this.#abort(upload);
      throw error;
    }
  }

  /** The entity tags of the parts; the first failure ends the others, and all have ended when it is thrown. */
  async #sendParts(
    upload: MultipartUpload,
    source: FileHandle,
    { size, partBytes }: { readonly size: number; readonly partBytes: number },
  ): Promise<string[]> {
    const count = Math.ceil(size / partBytes);
    const etags = Array.from({ length: count }, () => '');
    const failed = new AbortController();
    const failures: unknown[] = [];
    let next = 0;
    const sendOn = async (): Promise<void> => {
      while (next < count && failures.length === 0) {
        const index = next++;
        const start = index * partBytes;
        const end = Math.min(start + partBytes, size);
        await this.#parts.run(async () => {
          const body = await readSource(source, { start, end });
          etags[index] = await upload.putPart(index + 1, body, failed.signal);
        });
      }
    };
    const lanes = Array.from({ length: Math.min(PARALLEL_PARTS, count) }, () =>
      sendOn().catch((error: unknown) => {
        failures.push(error);
        failed.abort();
      }),
    );
    await Promise.all(lanes);
    if (failures.length > 0) throw failures[0];
    return etags;
  }

  async #abort(upload: MultipartUpload): Promise<void> {
    try {
      await upload.abort();
    } catch (error) {
      this.#deps.log.warn(
        { error },
        'an upload could not be thrown away: its parts take room until a rule removes them',
      );
    }
  }

  /** The headers of a condition, where the store keeps it; else it must hold now, and nobody may come in between. */
  async #headersFor(
    condition: PutCondition,
    key: string,
    step: 'put' | 'complete',
  ): Promise<Record<string, string>> {
    if (condition.kind === 'none') return {};
    const kept = await this.#conditionsKept();
    if (kept[step]) return conditionHeaders(condition, kept.etagForm);
    await this.#check(key, condition);
    return {};
  }

  /** What we have just put, where the store has not said what became of it. */
  async #ours(key: string, putId: string): Promise<BlobInfo> {
    const headers = await this.#head(key);
    if (headers?.[PUT_ID] === putId) return infoOf(key, headers);
    throw new AppError('STORAGE_CONFLICT', 'another writer has replaced or deleted the blob at once');
  }

  /** A put that was carried out, and whose answer was lost, is refused when it is made again: it finds itself there. */
  async #unlessOurs(
    key: string,
    putId: string,
    answer: S3Answer,
    condition: PutCondition,
  ): Promise<BlobInfo> {
    const headers = answer.repeated ? await this.#head(key) : undefined;
    if (headers?.[PUT_ID] === putId) return infoOf(key, headers);
    const unmet = answer.status === 412 || (answer.status === 404 && answer.code === 'NoSuchKey');
    if (unmet && condition.kind === 'absent') throw new AppError('STORAGE_EXISTS');
    if (unmet && condition.kind === 'match') throw new AppError('STORAGE_CONFLICT');
    throw refused(answer);
  }

  async #check(key: string, condition: PutCondition): Promise<void> {
    if (condition.kind === 'none') return;
    const there = await this.#head(key);
    if (condition.kind === 'absent' && there) throw new AppError('STORAGE_EXISTS');
    if (condition.kind === 'match' && (!there || plainEtag(there.etag ?? '') !== condition.etag)) {
      throw new AppError('STORAGE_CONFLICT');
    }
  }

  async #head(key: string): Promise<IncomingHttpHeaders | undefined> {
    const answer = await this.#client.call({ method: 'HEAD', url: this.#address.objectUrl(key) });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refused(answer);
    return answer.headers;
  }

  async #openNothing(key: string): Promise<OpenBlob | undefined> {
    const headers = await this.#head(key);
    if (!headers) return undefined;
    const info = infoOf(key, headers);
    return { info, body: this.#bodyOf(info, { start: info.sizeBytes }, undefined) };
  }

  #bodyOf(
    info: BlobInfo,
    range: BlobRange | undefined,
    stream: ConstructorParameters<typeof S3Body>[2],
  ): S3Body {
    const body = new S3Body(
      {
        client: this.#client,
        url: this.#address.objectUrl(info.key),
        etag: info.etag,
        onClosed: (closed) => this.#bodies.delete(closed),
      },
      spanOf(range, info.sizeBytes),
      stream,
    );
    this.#bodies.add(body);
    return body;
  }

  /** A put's answer has no Last-Modified: its own time is at most a second beside it. */
  #putInfo(key: string, sizeBytes: number, { headers }: S3Answer): BlobInfo {
    const answeredMs = parseTime(headers.date);
    const modifiedMs = Number.isNaN(answeredMs) ? this.#deps.clock.wallMs() : answeredMs;
    return { key, sizeBytes, etag: plainEtag(headers.etag ?? ''), modifiedMs };
  }

  #newPutId(): string {
    return Buffer.from(this.#deps.randomBytes(PUT_ID_BYTES)).toString('hex');
  }
}

/** The store does not let us. */
class Refusal extends AppError {
  constructor(answer: S3Answer) {
    const { code, message } = refused(answer);
    super(code, message);
  }
}

function isMissing({ status, code }: S3Answer): boolean {
  return status === 404 && (code === 'NoSuchKey' || code === '');
}

function blobHeaders({ contentType, cacheControl }: PutOptions = {}): Record<string, string> {
  return {
    'content-type': contentType ?? 'application/octet-stream',
    ...(cacheControl !== undefined && { 'cache-control': cacheControl }),
  };
}

/** All of a copy's headers are its own, or all are those of the source. */
function copyHeaders(source: IncomingHttpHeaders, options: CopyOptions = {}): Record<string, string> {
  if (options.contentType === undefined && options.cacheControl === undefined) return {};
  const own = {
    contentType: options.contentType ?? source['content-type'],
    cacheControl: options.cacheControl ?? source['cache-control'],
  };
  return { 'x-amz-metadata-directive': 'REPLACE', ...blobHeaders(own) };
}

function rangeHeaderOf({ start, end }: BlobRange): string {
  return end === undefined ? `bytes=${start}-` : rangeHeader({ start, end });
}

/** What the headers say of an object, of which a range may be all that comes. */
function infoOf(key: string, headers: IncomingHttpHeaders): BlobInfo {
  const total = /^bytes \d+-\d+\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
  const sizeBytes = Number(total ?? headers['content-length'] ?? Number.NaN);
  const modifiedMs = parseTime(headers['last-modified']);
  if (!Number.isSafeInteger(sizeBytes) || Number.isNaN(modifiedMs)) {
    throw new AppError('STORAGE_UNAVAILABLE', 'the store does not say how long or how old a blob is');
  }
  return { key, sizeBytes, etag: plainEtag(headers.etag ?? ''), modifiedMs };
}

async function readBody(body: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let position = 0;
  for await (const piece of body) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}
