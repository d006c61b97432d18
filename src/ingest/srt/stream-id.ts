import { REJECT, type RejectCode } from './reject.ts';

/** What a caller asks to publish; everything as the peer sent it, unchecked. */
export interface StreamIdRequest {
  readonly app: string;
  readonly key: string;
  readonly query: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
}

export type StreamIdReading =
  | { readonly kind: 'publish'; readonly request: StreamIdRequest }
  | { readonly kind: 'refused'; readonly code: RejectCode; readonly why: StreamIdFault };

/** Why a stream id is not taken: for logs. */
export type StreamIdFault =
  | 'streamid_malformed'
  | 'streamid_missing'
  | 'mode_not_publish'
  | 'type_not_stream';

/** SRT's own limit (libsrt: API-socket-options.md, SRTO_STREAMID). */
export const MAX_STREAM_ID_BYTES = 512;

const DEFAULT_APP = 'live';
const KEYED = '#!::';
const ENCODED_START = /^(%23!|%23%21|(publish|read|request)%3a)/i;
const ENCODED_PATH = /^[^?:]*%(2f|3f)/i;
const MODE = /^(publish|read|request|play):/i;
/** Keys of the keyed form that name what we understand; all others are handed on in the query. */
const OWN_KEYS: ReadonlySet<string> = new Set(['r', 'm', 'u', 't', 'h', 's', 'password', 'token']);

const MALFORMED = refuse(REJECT.badRequest, 'streamid_malformed');

/**
 * Reads a stream id of any of the three manners, percent-encoded as a whole or not: `live/key?token=…`,
 * `publish:key[:user:password[:query]]`, `#!::r=…,m=publish,u=…` (libsrt: access-control.md).
 */
export function parseStreamId(bytes: Buffer): StreamIdReading {
  if (bytes.length > MAX_STREAM_ID_BYTES) return MALFORMED;
  const sent = bytes.toString('utf8');
  if (sent === '') return refuse(REJECT.badRequest, 'streamid_missing');
  const text = ENCODED_START.test(sent) || ENCODED_PATH.test(sent) ? decode(sent) : sent;
  // oxlint-disable-next-line no-control-regex -- refusing control characters is the point
  if (text === undefined || /[\u0000-\u001f\u007f\ufffd]/.test(text)) return MALFORMED;
  if (text.startsWith(KEYED)) return parseKeyed(text.slice(KEYED.length));
  const mode = MODE.exec(text)?.[1]?.toLowerCase();
  if (mode === 'publish') return parseColons(text.slice(mode.length + 1));
  return mode === undefined ? publish(splitPath(text)) : refuse(REJECT.badMode, 'mode_not_publish');
}

/** `key[:user:password[:query]]`, as MediaMTX has it; the key may carry a query of its own. */
function parseColons(text: string): StreamIdReading {
  const queryAt = text.indexOf('?');
  const [head, ownQuery] = queryAt < 0 ? [text, ''] : [text.slice(0, queryAt), text.slice(queryAt + 1)];
  const [path = '', user = '', password = '', ...rest] = head.split(':');
  const query = [rest.join(':'), ownQuery].filter((part) => part !== '').join('&');
  return publish({
    ...splitPath(path),
    query,
    ...(user !== '' && { user }),
    ...(password !== '' && { password }),
  });
}

/** `r=live/key,m=publish,u=…`. Without `m` the mode is `request`: somebody who wants to watch. */
function parseKeyed(text: string): StreamIdReading {
  const values = new Map<string, string>();
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=');
    if (equals < 1) return MALFORMED;
    values.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  if ((values.get('t') ?? 'stream') !== 'stream') return refuse(REJECT.badRequest, 'type_not_stream');
  if (values.get('m') !== 'publish') return refuse(REJECT.badMode, 'mode_not_publish');
  const { app, key, query } = splitPath(values.get('r') ?? '');
  const [user, password, token] = [values.get('u'), values.get('password'), values.get('token')];
  const further = new URLSearchParams([...values].filter(([name]) => !OWN_KEYS.has(name))).toString();
  return publish({
    app,
    key,
    query: [query, further].filter((part) => part !== '').join('&'),
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
  });
}

/** `app/key?query`; the application is `live` when there is none. */
function splitPath(text: string): { app: string; key: string; query: string } {
  const queryAt = text.indexOf('?');
  const [path, query] = queryAt < 0 ? [text, ''] : [text.slice(0, queryAt), text.slice(queryAt + 1)];
  const trimmed = path.replace(/^\/+/, '');
  const slash = trimmed.lastIndexOf('/');
  return {
    app: slash < 0 ? DEFAULT_APP : trimmed.slice(0, slash),
    key: trimmed.slice(slash + 1),
    query,
  };
}

function publish(request: StreamIdRequest): StreamIdReading {
  return request.key === '' ? MALFORMED : { kind: 'publish', request };
}

function refuse(code: RejectCode, why: StreamIdFault): StreamIdReading {
  return { kind: 'refused', code, why };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
