import { Field } from './field.ts';

/** A stream that is fetched from an SRT listener elsewhere. */
export interface ConfiguredPull {
  /** What it is published as. */
  readonly stream: string;
  readonly host: string;
  readonly port: number;
  /** Empty for none. */
  readonly streamId: string;
  /** File with the passphrase; undefined when the stream is not encrypted. */
  readonly passphraseFile: string | undefined;
  readonly keyBytes: 16 | 24 | 32;
  /** Undefined: as the server has it. */
  readonly latencyMs: number | undefined;
}

const STREAM_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const MAX_STREAM_ID_BYTES = 512;
const KEY_BYTES = new Map<string, 16 | 24 | 32>([
  ['16', 16],
  ['24', 24],
  ['32', 32],
]);
const PARAMETERS: ReadonlySet<string> = new Set([
  'streamid',
  'passphraseFile',
  'pbkeylen',
  'latency',
  'mode',
]);
const MAX_SOURCES = 100;
const MAX_LATENCY_MS = 30_000;

/**
 * Reads `stream=srt://host:port?streamid=…&passphraseFile=…&pbkeylen=16|24|32&latency=ms`, several with spaces between,
 * or `none`; a sentence says what is wrong, without the address: a stream id may be a secret.
 */
export function parseSrtPulls(
  given: string,
): { readonly sources: readonly ConfiguredPull[] } | { readonly problem: string } {
  const text = given.trim();
  if (text === 'none') return { sources: [] };
  const sources: ConfiguredPull[] = [];
  for (const item of text.split(/\s+/)) {
    const equals = item.indexOf('=');
    const stream = item.slice(0, Math.max(0, equals));
    if (!STREAM_NAME.test(stream))
      return { problem: 'expected none, or items such as studio=srt://host:9000' };
    if (sources.some((source) => source.stream === stream)) return { problem: `${stream} is there twice` };
    const source = parseSource(stream, item.slice(equals + 1));
    if (typeof source === 'string') return { problem: `${stream}: ${source}` };
    sources.push(source);
  }
  return sources.length > MAX_SOURCES ? { problem: `expected at most ${MAX_SOURCES} items` } : { sources };
}

/**
 * The sources of a configuration that was read.
 * @throws RangeError on text that {@link parseSrtPulls} finds wrong: no configuration holds such
 */
export function configuredSrtPulls(text: string): readonly ConfiguredPull[] {
  const parsed = parseSrtPulls(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed.sources;
}

function parseSource(stream: string, address: string): ConfiguredPull | string {
  const url = URL.parse(address);
  if (url?.protocol !== 'srt:' || url.hostname === '' || url.port === '') return 'expected srt://host:port';
  if (url.username !== '' || url.password !== '' || url.hash !== '' || url.pathname.length > 1) {
    return 'expected nothing but a query behind srt://host:port (a # is written %23)';
  }
  const query = url.searchParams;
  for (const name of query.keys()) if (!PARAMETERS.has(name)) return `unknown parameter ${name}`;
  if ((query.get('mode') ?? 'caller') !== 'caller') return 'only mode=caller can be pulled';
  const streamId = query.get('streamid') ?? '';
  if (Buffer.byteLength(streamId) > MAX_STREAM_ID_BYTES)
    return `streamid is over ${MAX_STREAM_ID_BYTES} bytes`;
  const keyBytes = KEY_BYTES.get(query.get('pbkeylen') ?? '16');
  if (keyBytes === undefined) return 'pbkeylen must be 16, 24 or 32';
  const latency = query.get('latency');
  const latencyMs = latency === null ? undefined : Number(latency);
  if (
    latencyMs !== undefined &&
    !(Number.isInteger(latencyMs) && latencyMs >= 0 && latencyMs <= MAX_LATENCY_MS)
  ) {
    return `latency must be 0 to ${MAX_LATENCY_MS} (milliseconds)`;
  }
  return {
    stream,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port),
    streamId,
    passphraseFile: query.get('passphraseFile') ?? undefined,
    keyBytes,
    latencyMs,
  };
}

/** Streams to pull, as text; see {@link parseSrtPulls}. */
export function srtPulls(defaultValue: string, doc: string): Field<string> {
  return new Field<string>({
    type: 'text',
    allowed: 'none, or a list with spaces between',
    default: defaultValue,
    doc,
    secret: true,
    read(raw) {
      if (typeof raw !== 'string')
        return { problem: 'expected none, or items such as studio=srt://host:9000' };
      const parsed = parseSrtPulls(raw);
      return 'problem' in parsed ? parsed : { value: raw.trim() };
    },
  });
}
