const KID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const KID_BYTES = 16;

/** A new KID: a random UUID (version 4, RFC 9562 5.4). */
export function randomKid(randomBytes: (size: number) => Uint8Array): Uint8Array {
  const kid = Uint8Array.from(randomBytes(KID_BYTES));
  kid[6] = ((kid[6] ?? 0) & 0x0f) | 0x40;
  kid[8] = ((kid[8] ?? 0) & 0x3f) | 0x80;
  return kid;
}

/** 32 hex digits, lower case. */
export function kidHex(kid: Uint8Array): string {
  return Buffer.from(kid.buffer, kid.byteOffset, kid.byteLength).toString('hex');
}

/** As UUIDs are written, lower case. */
export function kidText(kid: Uint8Array): string {
  const hex = kidHex(kid);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Reads what {@link kidText} writes; undefined for anything else. */
export function kidOfText(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || !KID_TEXT.test(text)) return undefined;
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}
