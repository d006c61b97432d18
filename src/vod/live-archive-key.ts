/** Where the media of live streams is. */
export const LIVE_PREFIX = 'live/';

const KEY = /^live\/([A-Za-z0-9_-]{1,64})\/([A-Za-z0-9_-]{1,64})\/([A-Za-z0-9_-]{1,64})\/(\d{1,16})\.m4s$/;

/** Of which segment a blob is. */
export interface LiveKeyParts {
  readonly stream: string;
  readonly rendition: string;
  readonly periodId: string;
  readonly number: number;
}

/** Where the media of a segment is in the blob store. */
export function liveSegmentKey({ stream, rendition, periodId, number }: LiveKeyParts): string {
  return `${livePeriodPrefix(stream, rendition, periodId)}${number}.m4s`;
}

export function livePeriodPrefix(stream: string, rendition: string, periodId: string): string {
  return `${LIVE_PREFIX}${stream}/${rendition}/${periodId}/`;
}

/** Undefined for a key that no segment has. */
export function parseLiveKey(key: string): LiveKeyParts | undefined {
  const [, stream, rendition, periodId, number] = KEY.exec(key) ?? [];
  if (stream === undefined || rendition === undefined || periodId === undefined) return undefined;
  return { stream, rendition, periodId, number: Number(number) };
}
