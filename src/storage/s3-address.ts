/** Where a bucket is. */
export interface S3Location {
  /** Scheme and host, and port if it is another: `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** The bucket stands first in the path, or in the host name. */
  readonly addressing: 'path' | 'virtual-host';
  /** What stands before every key in the bucket: '' or `folder/` (the slash may be left out). */
  readonly prefix: string;
}

/** The URLs of a bucket. */
export class S3Address {
  /** '' or with a slash at its end. */
  readonly prefix: string;
  readonly #base: string;
  readonly #bucket: string;

  constructor({ endpoint, bucket, addressing, prefix }: S3Location) {
    const { protocol, host } = new URL(endpoint);
    this.#base = addressing === 'path' ? `${protocol}//${host}/${bucket}` : `${protocol}//${bucket}.${host}`;
    this.#bucket = bucket;
    this.prefix = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  }

  bucketUrl(query: Readonly<Record<string, string>>): string {
    return `${this.#base}${this.#base.lastIndexOf('/') > 8 ? '' : '/'}${renderQuery(query)}`;
  }

  /** An object as the source of a copy. */
  copySource(name: string): string {
    return `/${this.#bucket}/${this.prefix}${name}`;
  }

  /** `name`: a key, or what else we keep beside keys; its characters need no escaping. */
  objectUrl(name: string, query: Readonly<Record<string, string>> = {}): string {
    return `${this.#base}/${this.prefix}${name}${renderQuery(query)}`;
  }
}

/** In RFC 3986 escapes, which is how a signature counts them. */
function renderQuery(query: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${escapeQuery(name)}=${escapeQuery(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

function escapeQuery(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
