import { isStreamName } from '../stream/stream-name.ts';

/** A stream that has a publish key. Times are milliseconds since the Unix epoch. */
export interface PublishKeyInfo {
  readonly stream: string;
  readonly createdMs: number;
  /** When the present key was made. */
  readonly rotatedMs: number;
}

export interface KeyRecord extends PublishKeyInfo {
  /** HMAC-SHA-256 of the key: the key itself is stored nowhere. */
  readonly hmac: Buffer;
}

/** By stream. */
export type KeyRecords = ReadonlyMap<string, KeyRecord>;

/** What became of a stream's key: it has another one, or none any more. */
export type KeyChange = 'rotated' | 'revoked';

const FILE_VERSION = 1;
const HMAC_BYTES = 32;

/** Streams whose key of `before` is not their key in `after`. A new stream is no change. */
export function changedKeys(before: KeyRecords, after: KeyRecords): Map<string, KeyChange> {
  const changes = new Map<string, KeyChange>();
  for (const [stream, { hmac }] of before) {
    const now = after.get(stream);
    if (now === undefined) changes.set(stream, 'revoked');
    else if (!now.hmac.equals(hmac)) changes.set(stream, 'rotated');
  }
  return changes;
}

/** The text of publish-keys.json. */
export function renderRecords(records: KeyRecords): string {
  const streams = [...records.values()].map(({ stream, hmac, createdMs, rotatedMs }) => ({
    stream,
    hmac: hmac.toString('base64url'),
    createdMs,
    rotatedMs,
  }));
  return `${JSON.stringify({ version: FILE_VERSION, streams }, null, 2)}\n`;
}

/** Undefined when anything in it is not as we write it. */
export function parseRecords(json: unknown): KeyRecords | undefined {
  if (!isObject(json) || json['version'] !== FILE_VERSION || !Array.isArray(json['streams']))
    return undefined;
  const records = new Map<string, KeyRecord>();
  for (const item of json['streams']) {
    const record = parseRecord(item);
    if (record === undefined || records.has(record.stream)) return undefined;
    records.set(record.stream, record);
  }
  return records;
}

function parseRecord(json: unknown): KeyRecord | undefined {
  if (!isObject(json)) return undefined;
  const { stream, hmac, createdMs, rotatedMs } = json;
  if (typeof stream !== 'string' || !isStreamName(stream) || typeof hmac !== 'string') return undefined;
  if (typeof createdMs !== 'number' || typeof rotatedMs !== 'number') return undefined;
  const bytes = Buffer.from(hmac, 'base64url');
  return bytes.length === HMAC_BYTES ? { stream, hmac: bytes, createdMs, rotatedMs } : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
