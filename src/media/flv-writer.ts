/**
 * Writes FLV (Adobe Flash Video File Format 10.1, annex E) for a program that reads a pipe: one H.264 track, or one
 * audio track of any codec.
 */

const TAG_HEADER_BYTES = 11;
const SIZE_BYTES = 4;

const AUDIO_TAG = 8;
const VIDEO_TAG = 9;
const SCRIPT_TAG = 18;
const KEY_AVC = 0x17;
const INTER_AVC = 0x27;

/** Signature, version 1, "has video", length of the header, and the size of the tag before the first. */
const FILE_HEADER = Uint8Array.of(0x46, 0x4c, 0x56, 1, 1, 0, 0, 0, 9, 0, 0, 0, 0);

/** The same with "has audio". */
const AUDIO_FILE_HEADER = Uint8Array.of(0x46, 0x4c, 0x56, 1, 4, 0, 0, 0, 9, 0, 0, 0, 0);

export interface FlvStart {
  /** AVCDecoderConfigurationRecord. */
  readonly config: Uint8Array;
  /** Frames a second, when they are evenly spaced: readers that do not want to probe take it from the metadata. */
  readonly frameRate: number | undefined;
}

/** What stands before the first frame: header, metadata where there is any, codec configuration. */
export function writeFlvStart(start: FlvStart): Uint8Array {
  const metadata = start.frameRate === undefined ? undefined : frameRateMetadata(start.frameRate);
  const parts = [
    FILE_HEADER,
    ...(metadata ? [writeTag(SCRIPT_TAG, 0, metadata, undefined)] : []),
    writeTag(VIDEO_TAG, 0, Uint8Array.of(KEY_AVC, 0, 0, 0, 0), start.config),
  ];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export interface FlvFrame {
  /** Milliseconds, 0 to 2^31 - 1. */
  readonly dtsMs: number;
  /** Not before `dtsMs`, and at most 2^23 - 1 ms behind it. */
  readonly ptsMs: number;
  readonly key: boolean;
  /** NAL units, length-prefixed as the configuration says. */
  readonly data: Uint8Array;
}

/** One access unit as a tag, ready to be written behind the last. */
export function writeFlvFrame(frame: FlvFrame): Uint8Array {
  const offset = frame.ptsMs - frame.dtsMs;
  const head = Uint8Array.of(
    frame.key ? KEY_AVC : INTER_AVC,
    1,
    (offset >> 16) & 0xff,
    (offset >> 8) & 0xff,
    offset & 0xff,
  );
  return writeTag(VIDEO_TAG, frame.dtsMs, head, frame.data);
}

/** What stands before the first tag of a file that has audio only. */
export function writeFlvAudioStart(): Uint8Array {
  return AUDIO_FILE_HEADER.slice();
}

/**
 * An audio tag with its body as it is, ready to be written behind the last.
 *
 * @param timestampMs 0 to 2^31 - 1
 */
export function writeFlvAudio(timestampMs: number, body: Uint8Array): Uint8Array {
  return writeTag(AUDIO_TAG, timestampMs, body, undefined);
}

function writeTag(
  type: number,
  timestampMs: number,
  head: Uint8Array,
  data: Uint8Array | undefined,
): Uint8Array {
  const bodyBytes = head.length + (data?.length ?? 0);
  const out = new Uint8Array(TAG_HEADER_BYTES + bodyBytes + SIZE_BYTES);
  const view = new DataView(out.buffer);
  view.setUint32(0, type * 0x1000000 + bodyBytes);
  view.setUint32(4, ((timestampMs & 0xffffff) << 8) | ((timestampMs >>> 24) & 0xff));
  out.set(head, TAG_HEADER_BYTES);
  if (data) out.set(data, TAG_HEADER_BYTES + head.length);
  view.setUint32(TAG_HEADER_BYTES + bodyBytes, TAG_HEADER_BYTES + bodyBytes);
  return out;
}

const METADATA_NAMES = ['onMetaData', 'framerate'] as const;

/** `onMetaData` with one property, in AMF0 (E.4.4). */
function frameRateMetadata(frameRate: number): Uint8Array {
  const [event, property] = METADATA_NAMES;
  const out = new Uint8Array(3 + event.length + 5 + 2 + property.length + 9 + 3);
  const view = new DataView(out.buffer);
  let at = 0;
  const ascii = (text: string): void => {
    view.setUint16(at, text.length);
    at += 2;
    for (let i = 0; i < text.length; i++) view.setUint8(at++, text.charCodeAt(i));
  };
  view.setUint8(at++, 0x02);
  ascii(event);
  view.setUint8(at++, 0x08);
  view.setUint32(at, 1);
  at += 4;
  ascii(property);
  view.setUint8(at++, 0x00);
  view.setFloat64(at, frameRate);
  at += 8;
  view.setUint8(at + 2, 0x09);
  return out;
}
