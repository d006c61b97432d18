/** What a media file is, by its first bytes. */
export type MediaContainer = 'isobmff' | 'mpeg-ts' | 'packed-audio' | 'webvtt' | 'unknown';

const TS_PACKET = 188;
const TS_SYNC = 0x47;

/** First boxes of initialization and media segments; anything else is not taken for ISO BMFF. */
const FIRST_BOXES = new Set([
  'ftyp',
  'styp',
  'moov',
  'moof',
  'sidx',
  'ssix',
  'prft',
  'emsg',
  'free',
  'skip',
  'uuid',
]);

/** Tells the container formats of HLS and DASH apart (RFC 8216bis 3.1, ISO/IEC 23009-1 6). */
export function sniffMedia(bytes: Uint8Array): MediaContainer {
  if (FIRST_BOXES.has(ascii(bytes, 4, 4))) return 'isobmff';
  if (isTransportStream(bytes)) return 'mpeg-ts';
  if (ascii(bytes, 0, 3) === 'ID3' || isFrameSync(bytes)) return 'packed-audio';
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return ascii(bytes, start, 6) === 'WEBVTT' ? 'webvtt' : 'unknown';
}

/** A sync byte at the start and where the next packets must start. */
function isTransportStream(bytes: Uint8Array): boolean {
  if (bytes.length < TS_PACKET || bytes[0] !== TS_SYNC) return false;
  return [1, 2].every(
    (packet) => packet * TS_PACKET >= bytes.length || bytes[packet * TS_PACKET] === TS_SYNC,
  );
}

/** ADTS and MPEG audio start with twelve or eleven ones, AC-3 with 0x0B77. */
function isFrameSync(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  return (first === 0xff && (second & 0xe0) === 0xe0) || (first === 0x0b && second === 0x77);
}

function ascii(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}
