import { parseQuery } from '../../http/query.ts';
import type { Challenge } from './proxy.ts';

/** An SPC has at least version, reserved word, IV, wrapped key, certificate hash and length. */
const MIN_SPC_BYTES = 176;
/** A CKC has at least version, reserved word, IV, length and a block. */
const MIN_CKC_BYTES = 44;
const BASE64 = /^[0-9A-Za-z+/]+={0,2}$/;

/**
 * An SPC: the bytes themselves, or base64 in the form field or JSON member `spc`, as players and vendors differ.
 * Undefined when it is none.
 */
export function readSpc(body: Uint8Array, contentType: string): Challenge | undefined {
  const text = textForm(body, contentType);
  if (text === undefined) return isSpc(body) ? { bytes: body, form: 'binary' } : undefined;
  const bytes = decode(text);
  return bytes && isSpc(bytes) ? { bytes, form: 'text' } : undefined;
}

/** The text of `spc`; undefined when the body is binary. */
function textForm(body: Uint8Array, contentType: string): string | undefined {
  const type = contentType.split(';')[0]?.trim().toLowerCase();
  const head = Buffer.from(body.subarray(0, 4)).toString('latin1');
  if (type === 'application/json' || head.startsWith('{')) return jsonMember(body, 'spc') ?? '';
  if (type === 'application/x-www-form-urlencoded' || head === 'spc=')
    // Apple's sample leaves plus signs as they are.
    return parseQuery(Buffer.from(body).toString('latin1').replaceAll('+', '%2B')).get('spc') ?? '';
  return undefined;
}

function isSpc(bytes: Uint8Array): boolean {
  return bytes.length >= MIN_SPC_BYTES;
}

/** A CKC as a key server answers it: bytes, base64 alone or in `<ckc>`, or the JSON member `ckc`. Undefined: none. */
export function readCkc(body: Uint8Array): Uint8Array | undefined {
  if (!isText(body)) return body.length >= MIN_CKC_BYTES ? body : undefined;
  const text = Buffer.from(body).toString('latin1').trim();
  const inner = text.startsWith('{')
    ? jsonMember(body, 'ckc')
    : /^(?:<ckc>)?([^<>]*)(?:<\/ckc>)?$/.exec(text)?.[1];
  const bytes = decode(inner?.trim());
  return bytes && bytes.length >= MIN_CKC_BYTES ? bytes : undefined;
}

/** A CKC begins with a version number: bytes that no text has. */
function isText(body: Uint8Array): boolean {
  return body.every((byte) => (byte >= 0x20 ? byte < 0x7f : byte === 0x0a || byte === 0x0d || byte === 0x09));
}

function decode(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const joined = text.replaceAll(/\s+/g, '');
  return BASE64.test(joined) ? Buffer.from(joined, 'base64') : undefined;
}

function jsonMember(body: Uint8Array, name: string): string | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    const value = typeof json === 'object' && json !== null ? Reflect.get(json, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
