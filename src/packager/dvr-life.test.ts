import { describe, expect, it } from 'vitest';
import { DvrStream } from '../../test/support/dvr-stream.ts';
import { type ParsedPlaylist, type ParsedSegment, parsePlaylist } from '../../test/support/playlist.ts';
import { renderMediaPlaylist } from './hls/media-playlist.ts';

/**
 * Random lives of a stream: outages, ends, kills, and a store that fails, lags or is away. Whatever happens, what players
 * were told stays true, and what is listed as media is what was packaged.
 */

const TIMEOUT_MS = 120_000;
const EVENTS = 14;

/** A repeatable source of events. */
function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What players know of a segment that was ever listed; of an open one they do not know all. */
interface Known {
  readonly uri: string | undefined;
  readonly durationText: string | undefined;
  readonly dateMs: number;
  readonly map: string;
  readonly discontinuityNumber: number;
  gap: boolean;
}

class Watcher {
  readonly #stream: DvrStream;
  readonly #known = new Map<string, Map<number, Known>>();
  readonly #first = new Map<string, number>();
  readonly #last = new Map<string, number>();
  /** The process was killed: what was listed last may not have been stored. */
  killed = false;
  versions = 0;
  fetched = 0;

  constructor(stream: DvrStream) {
    this.#stream = stream;
  }

  /** Reads every playlist, and holds it against all that was read before. */
  look(): void {
    const { window } = this.#stream.packager;
    if (!window?.published) return;
    for (const rendition of window.renditions) {
      const playlist = parsePlaylist(renderMediaPlaylist(window, rendition));
      this.versions += 1;
      this.#compare(rendition.id, playlist);
    }
    this.killed = false;
  }

  #compare(id: string, { mediaSequence, segments, open }: ParsedPlaylist): void {
    const known = this.#known.get(id) ?? new Map<number, Known>();
    this.#known.set(id, known);
    const first = this.#first.get(id) ?? mediaSequence;
    if (mediaSequence < first) throw new Error(`${id}: MEDIA-SEQUENCE went back from ${first}`);
    this.#first.set(id, mediaSequence);
    const last = segments.at(-1)?.msn ?? mediaSequence;
    if (!this.killed && last < (this.#last.get(id) ?? 0)) throw new Error(`${id}: the list became shorter`);
    this.#last.set(id, last);
    segments.forEach((segment, i) => {
      if (segment.msn !== mediaSequence + i) throw new Error(`${id}: ${segment.msn} at ${i}`);
      this.#compareSegment(id, known, segment);
    });
    if (open) this.#compareSegment(id, known, open);
  }

  #compareSegment(id: string, known: Map<number, Known>, segment: ParsedSegment): void {
    const { msn, uri, durationText, dateMs, gap, map, discontinuity, discontinuityNumber } = segment;
    const before = known.get(msn);
    const now = { uri, durationText, dateMs, gap, map, discontinuityNumber };
    if (!before) {
      const highest = Math.max(-1, ...[...known].flatMap(([n, k]) => (n < msn ? k.discontinuityNumber : [])));
      if (discontinuity && !gap && discontinuityNumber <= highest)
        throw new Error(`${id} ${msn}: discontinuity ${discontinuityNumber} again`);
      return void known.set(msn, now);
    }
    if (before.gap && !gap) throw new Error(`${id} ${msn}: a gap became media`);
    // A gap may stand where a segment was lost; then its time is the outage's.
    if (gap) return void (before.gap = true);
    const completed = { uri: before.uri ?? uri, durationText: before.durationText ?? durationText };
    known.set(msn, { ...before, ...completed });
    expect({ id, msn, ...now }).toEqual({ id, msn, ...before, ...completed });
  }

  /** Fetches all that is listed as media, and its initialization segments. */
  async fetchAll(): Promise<void> {
    const { window } = this.#stream.packager;
    if (!window?.published) return;
    for (const rendition of window.renditions) {
      const { segments } = parsePlaylist(renderMediaPlaylist(window, rendition));
      for (const { uri = '', gap, map } of segments) {
        if (gap) continue;
        const answer = await this.#stream.get(uri);
        if (answer.status !== 200 || !this.#stream.packaged.get(uri)?.equals(answer.bytes()))
          throw new Error(`${uri}: ${answer.status}, ${answer.bytes().length} bytes`);
        if ((await this.#stream.get(map)).status !== 200) throw new Error(`${map} is not there`);
        this.fetched += 1;
      }
    }
  }
}

function contiguous(stream: DvrStream): void {
  for (const { id, segments } of stream.window.renditions) {
    segments.forEach(({ number }, i) => {
      if (number !== (segments[0]?.number ?? 0) + i) throw new Error(`${id}: ${number} at ${i}`);
    });
  }
}

/** One thing that happens, of those that may. */
function happen(stream: DvrStream, watcher: Watcher, random: () => number): void {
  const kind = random();
  const pauseSeconds = random() * 12;
  if (kind < 0.2) stream.away().run(pauseSeconds).publish('resume');
  else if (kind < 0.4) stream.end().run(pauseSeconds).anew();
  else if (kind < 0.6) {
    watcher.killed = true;
    // A supervisor starts the process at once, or it takes a while.
    stream
      .kill()
      .run(random() < 0.5 ? 0.1 : pauseSeconds)
      .publish();
  } else if (kind < 0.7) stream.archive.mode = 'fail';
  else if (kind < 0.85) stream.archive.mode = 'store';
  else if (kind < 0.9) stream.archive.shorten((stream.packager.window?.renditions[0]?.firstListed ?? 0) + 3);
  else if (kind < 0.95) stream.end().run(90).anew();
  else
    stream
      .away()
      .run(pauseSeconds)
      .publish('resume', random() < 0.5);
}

describe('over the life of a stream with DVR', () => {
  it.each([1, 2, 3, 4])(
    'numbers are contiguous, all that is listed as media is what was packaged, and playlists keep their word (%i)',
    { timeout: TIMEOUT_MS },
    async (seed) => {
      const random = randomSource(seed);
      const isTight = seed % 2 === 0;
      const stream = new DvrStream({ dvrSeconds: 50, ...(isTight && { maxWindowBytes: 1_500_000 }) });
      const watcher = new Watcher(stream);
      stream.publish();
      for (let i = 0; i < EVENTS; i++) {
        const isSlow = random() < 0.3;
        const seconds = 4 + random() * 16;
        for (let at = 0; at < seconds; at++) {
          stream.run(1, !isSlow);
          watcher.look();
        }
        if (stream.packager.window) contiguous(stream);
        await watcher.fetchAll();
        happen(stream, watcher, random);
      }
      stream.run(5);
      watcher.look();
      await watcher.fetchAll();
      expect(watcher.versions).toBeGreaterThan(100);
      expect(watcher.fetched).toBeGreaterThan(200);
      stream.close();
    },
  );
});
