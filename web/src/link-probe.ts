/** A probe that takes longer says no more than that the link is thin. */
const LONGEST_MS = 1500;
/** Of fewer bytes nothing can be told. */
const LEAST_BYTES = 24_000;
/** Shorter than timers tell. */
const LEAST_MS = 1;

/** Bytes that had come by a time. */
interface Progress {
  readonly atMs: number;
  readonly bytes: number;
}

/**
 * Fetches the first bytes of a finished piece of media as fast as they will come, past all caches of this browser.
 * @returns bits a second, or undefined when too little came to tell.
 */
export async function probeLink(
  url: string,
  bytes: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const progress: Progress[] = [];
  try {
    const answer = await fetch(url, {
      cache: 'no-store',
      headers: { Range: `bytes=0-${bytes - 1}` },
      signal: AbortSignal.any([signal, AbortSignal.timeout(LONGEST_MS)]),
    });
    if (!answer.ok || !answer.body) return undefined;
    progress.push({ atMs: performance.now(), bytes: 0 });
    await readBody(answer.body, bytes, progress);
  } catch {
    // Cut off by time or by the caller: what has come by then still tells something.
  }
  return rateOf(progress);
}

/**
 * The rate of the second half: a connection that has been idle takes some round trips to come up to speed.
 * Undefined when too little came to tell.
 */
export function rateOf(progress: readonly Progress[]): number | undefined {
  const last = progress.at(-1);
  if (!last || last.bytes < LEAST_BYTES) return undefined;
  const half = progress.findLast((one) => one.bytes <= last.bytes / 2) ?? { atMs: last.atMs, bytes: 0 };
  return ((last.bytes - half.bytes) * 8000) / Math.max(LEAST_MS, last.atMs - half.atMs);
}

async function readBody(body: ReadableStream<Uint8Array>, most: number, progress: Progress[]): Promise<void> {
  const reader = body.getReader();
  let bytes = 0;
  for (;;) {
    // One piece after the other, as they come.
    // oxlint-disable-next-line no-await-in-loop
    const { done, value } = await reader.read();
    if (done) return;
    bytes += value.byteLength;
    progress.push({ atMs: performance.now(), bytes });
    // A server that takes no ranges would go on to the end.
    if (bytes >= most) return reader.cancel();
  }
}
