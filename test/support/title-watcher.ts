import { createHash } from 'node:crypto';
import { STREAM_READER_LIMITS, StreamReader } from '../../src/media/isobmff/stream-reader.ts';

/** What one rendition has listed: a hash of each segment's samples, by its URI. */
export type RenditionSums = ReadonlyMap<string, string>;

/** A segment that a playlist lists. */
interface Listed {
  readonly map: string;
  readonly uri: string;
  readonly seconds: number;
}

/** How far EXTINF may be from what the samples say. */
const ROUNDING_SECONDS = 0.0001;
/** Of 90 kHz and of sample rates a segment of sound may begin and end up to a frame beside the grid, which EXTINF says. */
const PAUSE_MS = 25;

/**
 * Plays a title as somebody would who trusts its playlists: reads all of them over and over, fetches whatever they list as
 * soon as it is listed, and sees that it is whole. A server that cannot be reached is no fault of the title.
 */
export class TitleWatcher {
  /** What was listed and was not there, not whole, or changed; or went away again. */
  readonly faults: string[] = [];
  /** What was looked at while the title grew. */
  seenGrowing = 0;
  readonly #base: () => string;
  readonly #sums = new Map<string, Map<string, string>>();
  readonly #inits = new Map<string, Uint8Array>();
  #hasPlayed = false;
  #watching: Promise<void> | undefined;
  #isOver = false;

  /** @param base URL of the title's folder now, ending with `/` */
  constructor(base: () => string) {
    this.#base = base;
  }

  start(): void {
    this.#watching ??= this.#watch();
  }

  /** Looks once more, at the title that is whole now. */
  async finish(): Promise<ReadonlyMap<string, RenditionSums>> {
    this.#isOver = true;
    await this.#watching;
    if (!(await this.look())) throw new Error('the title that is whole cannot be had');
    return this.#sums;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      await this.look();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** False: the server could not be reached, or has no such title yet. */
  async look(): Promise<boolean> {
    const main = await this.#text('index.m3u8');
    if (main === undefined) return false;
    const names = new Set(
      [...main.matchAll(/^([\w-]+)\.m3u8$|URI="([\w-]+)\.m3u8"/gm)].map((m) => m[1] ?? m[2]),
    );
    for (const name of names) {
      if (name === undefined || name === 'thumbnails' || name.startsWith('text-')) continue;
      if (!(await this.#lookAt(name))) return false;
    }
    return true;
  }

  async #lookAt(rendition: string): Promise<boolean> {
    const playlist = await this.#text(`${rendition}.m3u8`);
    if (playlist === undefined) return false;
    const listed = parseListed(playlist);
    const sums = this.#sums.get(rendition) ?? new Map<string, string>();
    this.#sums.set(rendition, sums);
    const uris = new Set(listed.map(({ uri }) => uri));
    for (const uri of sums.keys()) if (!uris.has(uri)) this.faults.push(`${uri} is not listed any more`);
    const isWhole = playlist.includes('#EXT-X-ENDLIST');
    for (const segment of listed) {
      // What was fetched once is fetched again at the end: it may not have changed.
      const known = sums.get(segment.uri);
      if (known !== undefined && !isWhole) continue;
      const sum = await this.#sumOf(segment);
      if (sum === undefined) return false;
      if (known !== undefined && known !== sum) this.faults.push(`${segment.uri} is not what it was`);
      sums.set(segment.uri, sum);
      if (!isWhole) this.seenGrowing += 1;
    }
    return true;
  }

  async #sumOf({ map, uri, seconds }: Listed): Promise<string | undefined> {
    const init = this.#inits.get(map) ?? (await this.#bytes(map));
    if (!init) return undefined;
    this.#inits.set(map, init);
    const bytes = await this.#bytes(uri);
    if (!bytes) return undefined;
    const hash = createHash('sha256');
    let timescale = 1;
    let ticks = 0;
    const reader = new StreamReader(
      {
        init(tracks) {
          timescale = tracks[0]?.timescale ?? 1;
          return tracks.length === 1;
        },
        fragment: () => undefined,
        sample({ baseTicks, offsetTicks, durationTicks, compositionOffset, key, data }) {
          ticks += durationTicks;
          hash.update(`${baseTicks} ${offsetTicks} ${durationTicks} ${compositionOffset} ${key} `);
          hash.update(data);
        },
        event: () => undefined,
        last: () => undefined,
      },
      STREAM_READER_LIMITS,
    );
    const fault = reader.push(init) ?? reader.push(bytes) ?? reader.end();
    const isLong = Math.abs(ticks / timescale - seconds) < ROUNDING_SECONDS;
    if (fault !== undefined) this.faults.push(`${uri}: ${fault}`);
    else if (!isLong) this.faults.push(`${uri} lasts ${ticks / timescale} s of ${seconds} s`);
    return hash.digest('hex');
  }

  async #text(path: string): Promise<string | undefined> {
    const bytes = await this.#bytes(path);
    if (bytes) this.#hasPlayed = true;
    return bytes && Buffer.from(bytes).toString();
  }

  /** Undefined: the server is gone, or there is no such title yet. */
  async #bytes(path: string): Promise<Uint8Array | undefined> {
    try {
      const answer = await fetch(this.#base() + path);
      if (answer.status === 200) return new Uint8Array(await answer.arrayBuffer());
      await answer.body?.cancel();
      if (this.#hasPlayed || answer.status !== 404) this.faults.push(`${path}: ${answer.status}`);
    } catch {
      // Killed in the middle of an answer.
    }
    return undefined;
  }
}

function parseListed(playlist: string): Listed[] {
  const listed: Listed[] = [];
  let map = '';
  let seconds = 0;
  for (const line of playlist.split('\n')) {
    map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1] ?? map;
    seconds = Number(/^#EXTINF:([\d.]+)/.exec(line)?.[1] ?? seconds);
    if (line !== '' && !line.startsWith('#')) listed.push({ map, uri: line, seconds });
  }
  return listed;
}

/** The same without the generation in the URIs, which is another each time a title is made. */
export function comparable(sums: ReadonlyMap<string, RenditionSums>): Record<string, string[]> {
  return Object.fromEntries(
    [...sums].map(([rendition, all]) => [
      rendition,
      [...all].map(([uri, sum]) => `${uri.slice(uri.lastIndexOf('/') + 1)} ${sum}`),
    ]),
  );
}
