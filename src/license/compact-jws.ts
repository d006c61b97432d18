/** A signed object in compact form (RFC 7515 7.1), taken apart and not verified. */
export interface CompactJws {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
  /** What the signature is over, as it was sent. */
  readonly signed: string;
  readonly signature: Buffer;
}

const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** Takes a compact JWS with JSON objects apart. Undefined for anything else; never throws. */
export function parseCompactJws(text: string, maxLength: number): CompactJws | undefined {
  if (text.length > maxLength) return undefined;
  const [, header, payload, signature] = FORM.exec(text) ?? [];
  if (header === undefined || payload === undefined || signature === undefined) return undefined;
  const headerObject = parseObject(header);
  const payloadObject = parseObject(payload);
  const signatureBytes = Buffer.from(signature, 'base64url');
  // The last character may have bits that say nothing: one signature, one spelling.
  if (signatureBytes.toString('base64url') !== signature) return undefined;
  if (!headerObject || !payloadObject) return undefined;
  return {
    header: headerObject,
    payload: payloadObject,
    signed: `${header}.${payload}`,
    signature: signatureBytes,
  };
}

function parseObject(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
