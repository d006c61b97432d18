import { isoTime } from '../packager/iso-time.ts';
import { RecordReader } from '../packager/vod/record-reader.ts';
import type { Title } from '../stream/title.ts';
import type { Broadcast, StretchOf } from './broadcast.ts';

/** One title that is to be recorded. */
export interface RecordingOrder extends StretchOf {
  readonly id: string;
  readonly name: string;
  /** The broadcast that it is made of, or a part of which; undefined: somebody asked for it. */
  readonly broadcast?: Broadcast | undefined;
}

/** One title is no longer; a broadcast that is becomes several. Records of titles have their limits. */
export const MAX_RECORDING_MS = 24 * 3_600_000;

const MAX_ID = 64;
const MAX_NAME = 200;

/** The titles that a broadcast becomes: one, or one for each day that it lasted. */
export function ordersOf(broadcast: Broadcast): RecordingOrder[] {
  const { stream, startMs, endMs } = broadcast;
  const orders: RecordingOrder[] = [];
  for (let fromMs = startMs; fromMs < endMs; fromMs += MAX_RECORDING_MS) {
    const toMs = Math.min(endMs, fromMs + MAX_RECORDING_MS);
    orders.push({
      stream,
      fromMs,
      toMs,
      id: recordingId(stream, fromMs),
      name: recordingName(stream, fromMs),
      broadcast,
    });
  }
  return orders;
}

/** `cam-20261123T071500Z`. A name that is too long for it loses its end, not the time. */
export function recordingId(stream: string, startMs: number): string {
  const time = `-${isoTime(startMs).replaceAll(/[-:]|\.\d+/g, '')}`;
  return stream.slice(0, MAX_ID - time.length) + time;
}

/** The same with a number, where that name is another's. */
export function numberedId(id: string, number: number): string {
  if (number === 1) return id;
  const ending = `-${number}`;
  return id.slice(0, MAX_ID - ending.length) + ending;
}

/** `cam, 2026-11-23 07:15 UTC`. */
export function recordingName(stream: string, startMs: number): string {
  const time = isoTime(startMs);
  return `${stream}, ${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;
}

/** What people may call it. */
export function givenName(name: string | undefined): string | undefined {
  const text = name?.trim().slice(0, MAX_NAME) ?? '';
  return text === '' ? undefined : text;
}

/** Whether a title is what the order would make: the broadcast, or that part of it, is recorded already. */
export function isMadeOf({ recording }: Title, { stream, broadcast }: RecordingOrder): boolean {
  if (!recording || recording.stream !== stream) return false;
  if (!broadcast) return false;
  return (
    recording.isAutomatic &&
    recording.firstNumber <= broadcast.lastNumber &&
    recording.lastNumber >= broadcast.firstNumber
  );
}

/** Orders that somebody gave are noted here while they are carried out. */
export const ORDERS_PREFIX = 'recordings/orders/';

export function orderKey(id: string): string {
  return `${ORDERS_PREFIX}${id}.json`;
}

/**
 * Titles that were made by themselves are noted here besides, by when: to find those that are over time takes a list of
 * these keys, and no look into the records of all titles.
 */
export const MADE_PREFIX = 'recordings/made/';

const TIME_DIGITS = 15;
const MADE = /^(\d{15})-([A-Za-z0-9_-]{1,64})$/;

/** Keys are in the order of time. */
export function madeKey({ id, createdMs }: Pick<Title, 'id' | 'createdMs'>): string {
  return `${MADE_PREFIX}${String(Math.floor(createdMs)).padStart(TIME_DIGITS, '0')}-${id}`;
}

/** Undefined: it is none of {@link madeKey}. */
export function parseMadeKey(key: string): { readonly id: string; readonly createdMs: number } | undefined {
  const [, time, id] = MADE.exec(key.slice(MADE_PREFIX.length)) ?? [];
  return time === undefined || id === undefined ? undefined : { id, createdMs: Number(time) };
}

const VERSION = 1;
const ID = /^[A-Za-z0-9_-]{1,64}$/;

export function writeOrder({ id, name, stream, fromMs, toMs }: RecordingOrder): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, id, name, stream, fromMs, toMs }));
}

/** Undefined when it is none. Never throws. */
export function readOrder(bytes: Uint8Array): RecordingOrder | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
  const reader = new RecordReader();
  const fields = reader.object(json);
  if (fields['version'] !== VERSION) reader.fail();
  const order = {
    id: reader.match(fields['id'], ID),
    name: reader.text(fields['name'], MAX_NAME),
    stream: reader.match(fields['stream'], ID),
    fromMs: reader.amount(fields['fromMs']),
    toMs: reader.amount(fields['toMs']),
  };
  return reader.failed ? undefined : order;
}
