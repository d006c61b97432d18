/** Fields of a Widevine header that are not key ids are skipped by their wire type (Protocol Buffers encoding). */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const KEY_ID_FIELD = 2;
const KID_BYTES = 16;

/** key_id of a WidevinePsshData message; undefined when it has none or cannot be read: then a content id tells the key. */
export function widevineKids(data: Uint8Array): readonly string[] | undefined {
  const kids: string[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < data.length && scale < 2 ** 49; scale *= 128) {
      const byte = data[at] ?? 0;
      at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return Number.POSITIVE_INFINITY;
  };
  while (at < data.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === WIRE.varint) varint();
    else if (wire === WIRE.fixed64) at += 8;
    else if (wire === WIRE.fixed32) at += 4;
    else if (wire === WIRE.bytes) {
      const length = varint();
      if (at + length > data.length) return undefined;
      if (Math.floor(tag / 8) === KEY_ID_FIELD && length === KID_BYTES) {
        kids.push(Buffer.from(data.subarray(at, at + length)).toString('hex'));
      }
      at += length;
    } else return undefined;
  }
  return kids.length > 0 ? kids : undefined;
}

/** A PlayReady Object has at most 15 kB. */
const MAX_OBJECT_BYTES = 64 * 1024;
/** `<KID … VALUE="…">` since version 4.1, `<KID>…</KID>` before. */
const PLAYREADY_KID = /<KID(?:\s[^<>]*?\bVALUE="([^"]*)"[^<>]*|\s*)>([^<]*)/g;

/** Key ids of a PlayReady Object: GUIDs in little-endian order, base64, in XML of UTF-16. Undefined when it has none. */
export function playReadyKids(data: Uint8Array): readonly string[] | undefined {
  // Each record's own header and the object's are read over: no character of the XML stands in them.
  const text = Buffer.from(data.subarray(0, MAX_OBJECT_BYTES)).toString('utf16le');
  const kids = [...text.matchAll(PLAYREADY_KID)].flatMap(([, value, content]) => {
    const guid = Buffer.from(value ?? content ?? '', 'base64');
    return guid.length === KID_BYTES ? [uuidOfGuid(guid)] : [];
  });
  return kids.length > 0 ? kids : undefined;
}

/** Where the bytes of a UUID stand in a GUID: its first three numbers have their least byte first. */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

function uuidOfGuid(guid: Uint8Array): string {
  return Buffer.from(GUID_ORDER.map((from) => guid[from] ?? 0)).toString('hex');
}
