import { AwsV4Signer } from 'aws4fetch';
import type { Clock } from '../base/clock.ts';

export interface DynamoOptions {
  /** `https://dynamodb.eu-central-1.amazonaws.com`, or that of a store which speaks like it. */
  readonly endpoint: string;
  readonly region: string;
  /** Must be there, with the keys `pk` (hash) and `sk` (range), both text. */
  readonly table: string;
  readonly credentials: DynamoCredentials;
}

/** Never to be logged. */
export interface DynamoCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** What the store said instead of an answer. Has no data of users. */
export class DynamoRefusal extends Error {
  override readonly name = 'DynamoRefusal';
  /** `TransactionCanceledException`, … */
  readonly type: string;
  /** Why each part of a transaction failed: `ConditionalCheckFailed`, `TransactionConflict`, `None`, … */
  readonly reasons: readonly string[];

  constructor(type: string, reasons: readonly string[]) {
    super(type);
    this.type = type;
    this.reasons = reasons;
  }
}

interface ErrorBody {
  readonly __type?: string;
  readonly CancellationReasons?: readonly { readonly Code?: string }[];
}

const MAX_ANSWER_BYTES = 16 * 1024 ** 2;

/** Signs and sends the calls of the DynamoDB API (version 2012-08-10). Tries nothing twice. */
export class DynamoClient {
  readonly table: string;
  readonly #options: DynamoOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** The day's signing keys. */
  readonly #signingKeys = new Map<string, ArrayBuffer>();

  constructor(options: DynamoOptions, clock: Clock, timeoutMs: number) {
    this.table = options.table;
    this.#options = options;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @throws DynamoRefusal when the store refuses the call
   * @throws Error when there is no answer in time
   */
  async call(operation: string, body: object): Promise<unknown> {
    const abort = new AbortController();
    const timer = this.#clock.after(this.#timeoutMs, () => abort.abort());
    try {
      const request = await this.#signed(operation, JSON.stringify(body));
      const response = await fetch(request.url, { ...request, redirect: 'error', signal: abort.signal });
      const answer = parse(await readText(response));
      if (response.ok) return answer;
      const { __type = `status ${response.status}`, CancellationReasons = [] } = answer as ErrorBody;
      throw new DynamoRefusal(
        __type.replace(/^.*#/, ''),
        CancellationReasons.map(({ Code = '' }) => Code),
      );
    } finally {
      timer.cancel();
    }
  }

  async #signed(operation: string, body: string) {
    const { endpoint, region, credentials } = this.#options;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const signer = new AwsV4Signer({
      method: 'POST',
      url: new URL('/', endpoint).href,
      headers: {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `DynamoDB_20120810.${operation}`,
      },
      body,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service: 'dynamodb',
      region,
      // oxlint-disable-next-line no-restricted-globals -- writes a time that was given
      datetime: new Date(this.#clock.wallMs()).toISOString().replace(/[-:]|\.\d{3}/g, ''),
      cache: this.#signingKeys,
    });
    const { method, url, headers } = await signer.sign();
    return { method, url: url.href, headers: Object.fromEntries(headers), body };
  }
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

async function readText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body ?? []) {
    sizeBytes += piece.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw new Error('the answer of the store is too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
