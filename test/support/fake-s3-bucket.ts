import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** What the fake answers; a body goes out with its length. */
export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface ObjectRequest {
  readonly method: string;
  /** Not escaped. */
  readonly name: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface StoredObject {
  readonly body: Buffer;
  /** With its quotes. */
  readonly etag: string;
  readonly modifiedMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

interface Upload {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, { readonly body: Buffer; readonly etag: string }>;
}

export interface BucketOptions {
  /** Its name. */
  readonly bucket: string;
  /** Whether If-None-Match and If-Match count: at a PUT, and at the completion of an upload. */
  readonly conditions: { readonly put: boolean; readonly complete: boolean };
  /** Whether the If-Match of a PUT is compared with the entity tag without its quotes, as radosgw 16 does. */
  readonly bareIfMatch: boolean;
  /** Whether the answer to a completed upload says its entity tag. */
  readonly namesEtag: boolean;
  readonly ranges: boolean;
  /** Listed at most at once. */
  readonly pageKeys: number;
  readonly nowMs: () => number;
}

/** Least size of a part that is not the last. */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const KEPT_HEADERS = /^(content-type|cache-control|x-amz-meta-.*)$/;

/** One bucket in memory, with the rules of S3 that count for us. */
export class FakeBucket {
  readonly #options: BucketOptions;
  readonly #objects = new Map<string, StoredObject>();
  readonly #uploads = new Map<string, Upload>();
  #lastUpload = 0;
  /** Objects copied within the bucket. */
  copies = 0;

  constructor(options: BucketOptions) {
    this.#options = options;
  }

  get names(): string[] {
    return [...this.#objects.keys()].sort();
  }

  /** Uploads neither completed nor aborted. */
  get openUploads(): number {
    return this.#uploads.size;
  }

  headersOf(name: string): Readonly<Record<string, string>> | undefined {
    return this.#objects.get(name)?.headers;
  }

  /** As another program would put something into the bucket. */
  plant(name: string, body: Buffer): void {
    this.#store(name, body, {}, quotedMd5(body));
  }

  answer(request: ObjectRequest): FakeAnswer {
    const { method, name, query } = request;
    if (name === '') return method === 'GET' ? this.#list(query) : error(501, 'NotImplemented');
    switch (method) {
      case 'HEAD':
      case 'GET':
        return this.#get(request);
      case 'PUT':
        return query.has('uploadId') ? this.#putPart(request) : this.#put(request);
      case 'POST':
        return query.has('uploads') ? this.#begin(request) : this.#complete(request);
      case 'DELETE':
        return this.#delete(request);
      default:
        return error(405, 'MethodNotAllowed');
    }
  }

  #get({ method, name, headers }: ObjectRequest): FakeAnswer {
    const found = this.#objects.get(name);
    if (!found) return method === 'HEAD' ? { status: 404 } : error(404, 'NoSuchKey');
    const wanted = headers['if-match'];
    if (wanted !== undefined && wanted !== found.etag) return error(412, 'PreconditionFailed');
    const common = {
      etag: found.etag,
      'last-modified': new Date(found.modifiedMs).toUTCString(),
      'accept-ranges': 'bytes',
      ...found.headers,
    };
    const range = this.#options.ranges ? /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') : undefined;
    if (!range) return { status: 200, headers: common, body: found.body };
    const size = found.body.length;
    const start = Number(range[1]);
    const end = range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    if (start >= size) return error(416, 'InvalidRange');
    return {
      status: 206,
      headers: { ...common, 'content-range': `bytes ${start}-${end}/${size}` },
      body: found.body.subarray(start, end + 1),
    };
  }

  #put({ name, headers, body }: ObjectRequest): FakeAnswer {
    if (headers['x-amz-copy-source'] !== undefined) return this.#copy(name, headers);
    const refusal = this.#options.conditions.put ? this.#refusal(name, headers) : undefined;
    if (refusal) return refusal;
    const etag = this.#store(name, body, kept(headers), quotedMd5(body));
    return { status: 200, headers: { etag } };
  }

  #copy(name: string, headers: IncomingHttpHeaders): FakeAnswer {
    const source = decodeURIComponent(String(headers['x-amz-copy-source'])).replace(/^\//, '');
    const [bucket, ...rest] = source.split('/');
    if (bucket !== this.#options.bucket) return error(404, 'NoSuchBucket');
    const replaces = headers['x-amz-metadata-directive'] === 'REPLACE';
    if (rest.join('/') === name && !replaces) return error(400, 'InvalidRequest');
    const found = this.#objects.get(rest.join('/'));
    if (!found) return error(404, 'NoSuchKey');
    const etag = quotedMd5(found.body);
    this.#store(name, found.body, replaces ? kept(headers) : found.headers, etag);
    this.copies += 1;
    const modified = new Date(this.#options.nowMs()).toISOString();
    return xml(
      `<CopyObjectResult><LastModified>${modified}</LastModified><ETag>${etag.replaceAll('"', '&quot;')}</ETag></CopyObjectResult>`,
    );
  }

  #refusal(name: string, headers: IncomingHttpHeaders): FakeAnswer | undefined {
    const found = this.#objects.get(name);
    if (headers['if-none-match'] === '*' && found) return error(412, 'PreconditionFailed');
    const wanted = headers['if-match'];
    if (wanted === undefined) return undefined;
    if (!found) return error(404, 'NoSuchKey');
    const etag = this.#options.bareIfMatch ? found.etag.replaceAll('"', '') : found.etag;
    return wanted === etag ? undefined : error(412, 'PreconditionFailed');
  }

  #delete({ name, query }: ObjectRequest): FakeAnswer {
    const uploadId = query.get('uploadId');
    if (uploadId === null) this.#objects.delete(name);
    else if (!this.#uploads.delete(uploadId)) return error(404, 'NoSuchUpload');
    return { status: 204 };
  }

  #begin({ name, headers }: ObjectRequest): FakeAnswer {
    // Such ids have characters that must be escaped in a query.
    const id = `2~${(this.#lastUpload += 1)}+/=${name.length}`;
    this.#uploads.set(id, { name, headers: kept(headers), parts: new Map() });
    return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  }

  #putPart({ name, query, body }: ObjectRequest): FakeAnswer {
    const upload = this.#uploads.get(query.get('uploadId') ?? '');
    if (upload?.name !== name) return error(404, 'NoSuchUpload');
    const etag = quotedMd5(body);
    upload.parts.set(Number(query.get('partNumber')), { body, etag });
    return { status: 200, headers: { etag } };
  }

  #complete({ name, query, headers, body }: ObjectRequest): FakeAnswer {
    const id = query.get('uploadId') ?? '';
    const upload = this.#uploads.get(id);
    if (upload?.name !== name) return error(404, 'NoSuchUpload');
    const refusal = this.#options.conditions.complete ? this.#refusal(name, headers) : undefined;
    if (refusal) return refusal;
    const parts: Buffer[] = [];
    const listed = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag>/g)].map(
      (match) => ({ number: Number(match[1]), etag: match[2]?.replaceAll('&quot;', '"') }),
    );
    for (const [index, { number, etag }] of listed.entries()) {
      const part = upload.parts.get(number);
      if (!part || part.etag !== etag) return error(400, 'InvalidPart');
      if (index > 0 && number <= (listed[index - 1]?.number ?? 0)) return error(400, 'InvalidPartOrder');
      if (index < listed.length - 1 && part.body.length < MIN_PART_BYTES) return error(400, 'EntityTooSmall');
      parts.push(part.body);
    }
    if (parts.length === 0) return error(400, 'MalformedXML');
    const whole = Buffer.concat(parts);
    const md5s = parts.map((part) => createHash('md5').update(part).digest());
    const etag = `${quotedMd5(Buffer.concat(md5s)).slice(0, -1)}-${parts.length}"`;
    this.#store(name, whole, upload.headers, etag);
    this.#uploads.delete(id);
    return xml(
      `<CompleteMultipartUploadResult><ETag>${this.#options.namesEtag ? etag.replaceAll('"', '&quot;') : ''}</ETag></CompleteMultipartUploadResult>`,
    );
  }

  #list(query: URLSearchParams): FakeAnswer {
    if (query.get('list-type') !== '2') return error(501, 'NotImplemented');
    const url = query.get('encoding-type') === 'url';
    const show = (name: string): string => (url ? encodeURIComponent(name) : escapeXml(name));
    const prefix = query.get('prefix') ?? '';
    const after = query.get('start-after') ?? '';
    const found = this.names.filter((name) => name.startsWith(prefix) && name > after);
    const page = found.slice(0, Math.min(Number(query.get('max-keys') ?? 1000), this.#options.pageKeys));
    const contents = page.map((name) => {
      const { etag, body, modifiedMs } = this.#objects.get(name) as StoredObject;
      return `<Contents><Key>${show(name)}</Key><LastModified>${new Date(modifiedMs).toISOString()}</LastModified><ETag>${etag.replaceAll('"', '&quot;')}</ETag><Size>${body.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
    });
    return xml(
      `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>${page.length}</KeyCount>${
        url ? '<EncodingType>url</EncodingType>' : ''
      }<IsTruncated>${page.length < found.length}</IsTruncated>${contents.join('')}</ListBucketResult>`,
    );
  }

  #store(name: string, body: Buffer, headers: Readonly<Record<string, string>>, etag: string): string {
    this.#objects.set(name, { body, etag, headers, modifiedMs: this.#options.nowMs() });
    return etag;
  }
}

function kept(headers: IncomingHttpHeaders): Record<string, string> {
  const pairs = Object.entries(headers).filter(([name]) => KEPT_HEADERS.test(name));
  return Object.fromEntries(pairs.map(([name, value]) => [name, String(value)]));
}

function quotedMd5(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function xml(content: string, status = 200): FakeAnswer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${content}`);
  return { status, headers: { 'content-type': 'application/xml' }, body };
}

/** An answer as S3 gives errors. */
export function error(status: number, code: string): FakeAnswer {
  return xml(`<Error><Code>${code}</Code><Message>No.</Message><RequestId>1</RequestId></Error>`, status);
}
