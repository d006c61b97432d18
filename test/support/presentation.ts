import { setImmediate as nextTurn } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { Metrics } from '../../src/base/metrics.ts';
import type { ProtectionScheme, TrackProtection } from '../../src/media/protection.ts';
import { ORIGIN_DEFAULTS } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS, StreamPackager } from '../../src/packager/stream-packager.ts';
import type { Sample, TimelineReason } from '../../src/stream/track.ts';
import type { ChunkArrival, Fetcher, FetchOptions, FetchOutcome } from '../../src/validate/fetcher.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { FakeClock } from './fake-clock.ts';
import { exchange, type FakeResponse } from './fake-exchange.ts';
import type { ContentKey } from '../../src/drm/content-key.ts';
import { systemBox } from './encrypted-media.ts';
import { FakeKeys } from './fake-keys.ts';
import { CLEARKEY } from './protection.ts';
import { concat } from './media-bytes.ts';
import { createMemoryLog } from './memory-log.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  sampleSeconds,
  timeline,
  videoSamples,
  videoTrack,
} from './sample-source.ts';

export const FAKE_ORIGIN = 'http://origin.test';
/** How far the clock moves at a time. */
const STEP_MS = 20;
/** No validation of a fake presentation takes longer, in its own time. */
const LONGEST_MS = 120_000;

/** An answer on its way to the validator; a mutation may change all of it. */
export interface MutableAnswer {
  /** As requested, with its query. */
  readonly url: string;
  /** Below the presentation's folder, without the query: `video.m3u8`. */
  readonly path: string;
  readonly query: URLSearchParams;
  status: number;
  /** Lower-case names. */
  readonly headers: Map<string, string>;
  /** Unpacked. */
  body: Buffer;
  redirects: number;
  /** Its body came in over this long. */
  spreadMs: number;
}

/** Breaks one thing of a presentation. */
export interface Mutation {
  /** Another URL to ask the origin for instead, relative to the presentation's folder or absolute. */
  readonly request?: (path: string, query: URLSearchParams) => string | undefined;
  /** Changes an answer before it is delivered. */
  readonly answer?: (answer: MutableAnswer, nowMs: number) => void;
  /** The validator gets no answer before its time is out. */
  readonly swallow?: (path: string, query: URLSearchParams) => boolean;
}

/** What answers requests behind a {@link FakePresentation}. */
export interface Backend {
  readonly clock: FakeClock;
  /** Folder of the presentation, ending with `/`. */
  readonly folder: string;
  /** What an https server picks of HTTP/2 and HTTP/1.1. */
  readonly protocol?: string | undefined;
  request(
    url: string,
    headers: Readonly<Record<string, string>>,
  ): Pick<FakeResponse, 'finished' | 'status' | 'bytes' | 'abort'> & {
    readonly entries: () => readonly (readonly [name: string, value: string])[];
  };
  /** Does what is due after the clock has moved. */
  tick(): void;
}

interface Pending {
  readonly url: string;
  readonly options: FetchOptions;
  readonly response: ReturnType<Backend['request']>;
  readonly startedMs: number;
  readonly chunks: ChunkArrival[];
  readonly resolve: (outcome: FetchOutcome) => void;
}

/** A presentation on a clock of its own: nothing sleeps, and the same run gives the same findings. */
export class FakePresentation implements Fetcher {
  readonly #backend: Backend;
  readonly #mutation: Mutation;
  readonly #pending = new Set<Pending>();

  constructor(backend: Backend, mutation: Mutation = {}) {
    this.#backend = backend;
    this.#mutation = mutation;
  }

  /** URL of something in the presentation's folder. */
  url(path: string): string {
    return this.#backend.folder + path;
  }

  /** Requests still open: 0 after a validator that cleans up. */
  get openRequests(): number {
    return this.#pending.size;
  }

  get(url: string, options: FetchOptions): Promise<FetchOutcome> {
    const { path, query } = this.#split(url);
    const asked = this.#mutation.request?.(path, query);
    const target = asked === undefined ? url : new URL(asked, this.#backend.folder).href;
    return new Promise((resolve) => {
      const response = this.#backend.request(target, options.headers ?? {});
      const startedMs = this.#backend.clock.monotonicMs();
      this.#pending.add({ url, options, response, startedMs, chunks: [], resolve });
      this.#poll();
    });
  }

  negotiate(): Promise<string | undefined> {
    return Promise.resolve(this.#backend.protocol);
  }

  /** Validates `manifest` for `seconds` of the presentation's own time. */
  async validate(manifest: string, seconds = 8): Promise<ValidationReport> {
    const { clock } = this.#backend;
    const options = { url: this.url(manifest), seconds };
    const deps = { fetcher: this, clock, signal: new AbortController().signal };
    return this.#drive(validatePresentation(options, deps));
  }

  /** Moves the clock until `work` is done. */
  async #drive<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => {});
    for (let ms = 0; ms < LONGEST_MS; ms += STEP_MS) {
      await nextTurn();
      await nextTurn();
      if (done) return settled;
      this.#backend.clock.advance(STEP_MS);
      this.#backend.tick();
      this.#poll();
    }
    throw new Error(`not done after ${LONGEST_MS} ms`);
  }

  #split(url: string): { readonly path: string; readonly query: URLSearchParams } {
    const { href, search, searchParams } = new URL(url);
    const bare = search === '' ? href : href.slice(0, -search.length);
    const { folder } = this.#backend;
    return { path: bare.startsWith(folder) ? bare.slice(folder.length) : bare, query: searchParams };
  }

  #poll(): void {
    const { clock } = this.#backend;
    for (const pending of this.#pending) {
      const { options, response, startedMs, url } = pending;
      const { path, query } = this.#split(url);
      const ended = { kind: 'failed', url, startedMs, endedMs: clock.monotonicMs() } as const;
      if (options.signal.aborted) this.#give(pending, { ...ended, reason: 'aborted', detail: 'given up' });
      else if (clock.monotonicMs() - startedMs >= options.timeoutMs) {
        this.#give(pending, {
          ...ended,
          reason: 'timeout',
          detail: `no whole answer within ${options.timeoutMs} ms`,
        });
      } else if (this.#mutation.swallow?.(path, query)) continue;
      else {
        this.#noteChunks(pending);
        if (response.finished) this.#give(pending, this.#outcome(pending));
      }
    }
  }

  #noteChunks({ response, chunks }: Pending): void {
    if (!response.finished && !('begun' in response && response.begun)) return;
    const endOffset = response.bytes().length;
    if (endOffset <= (chunks.at(-1)?.endOffset ?? 0)) return;
    chunks.push({ atMs: this.#backend.clock.monotonicMs(), endOffset });
  }

  #give(pending: Pending, outcome: FetchOutcome): void {
    this.#pending.delete(pending);
    if (outcome.kind === 'failed') pending.response.abort();
    pending.resolve(outcome);
  }

  #outcome({ url, response, startedMs, chunks }: Pending): FetchOutcome {
    const { clock } = this.#backend;
    const headers = new Map(response.entries().map(([name, value]) => [name.toLowerCase(), value]));
    const packed = headers.get('content-encoding') === 'gzip';
    const body = packed ? gunzipSync(response.bytes()) : response.bytes();
    const { path, query } = this.#split(url);
    const answer: MutableAnswer = {
      url,
      path,
      query,
      status: response.status,
      headers,
      body,
      redirects: 0,
      spreadMs: 0,
    };
    this.#mutation.answer?.(answer, clock.wallMs());
    const endedMs = clock.monotonicMs();
    return {
      kind: 'response',
      status: answer.status,
      url,
      redirects: answer.redirects,
      headers,
      body: answer.body,
      startedMs,
      headersMs: Math.min(endedMs, chunks[0]?.atMs ?? endedMs) - answer.spreadMs,
      firstByteMs: Math.min(endedMs, chunks[0]?.atMs ?? endedMs) - answer.spreadMs,
      endedMs,
      endedWallMs: clock.wallMs(),
      chunks,
    };
  }
}

export interface LiveOptions {
  /** How long the broadcast has been on when validation begins. */
  readonly onAirSeconds?: number;
  /** How long it goes on after that; then the publisher leaves. */
  readonly restSeconds?: number;
  readonly windowSeconds?: number;
  readonly audio?: boolean;
  /** The publisher ends the stream, on its clock, this long after validation began. */
  readonly endAfterSeconds?: number;
  /** The publisher goes away, so many seconds after validation began, and comes back with a key frame. */
  readonly outage?: { readonly fromSeconds: number; readonly toSeconds: number };
  /** Encrypted, with other keys at each multiple of `rotationSeconds`. */
  readonly encryption?: {
    readonly scheme: ProtectionScheme;
    readonly rotationSeconds: number;
    readonly clearAudio?: boolean;
  };
  /** Served over TLS with this protocol. */
  readonly protocol?: string;
}

const COMMON_SYSTEM = '1077efecc0b24d02ace33c1e52e2fb4b';
const WIDEVINE_SYSTEM = 'edef8ba979d64acea3c827dcd51d21ed';

/** Keys that two systems are told of, in boxes that can be read. */
export class SignalledKeys extends FakeKeys {
  override protection(key: ContentKey): TrackProtection {
    const pssh = systemBox(COMMON_SYSTEM, [key.kid], new Uint8Array());
    // Field 2 of the Widevine header: a key id of 16 bytes.
    const widevine = systemBox(WIDEVINE_SYSTEM, undefined, concat([Uint8Array.of(0x12, 16), key.kid]));
    const none = { playReadyObject: undefined, licenseUrl: undefined };
    return {
      ...super.protection(key),
      systems: [
        { ...CLEARKEY, pssh },
        { ...none, system: 'widevine', pssh: widevine },
      ],
    };
  }
}

/** Our own packager and origin, on a fake clock: a broadcast of 30 fps pictures and sound, in two-second segments. */
export class LiveBackend implements Backend {
  readonly clock = new FakeClock(EPOCH_MS);
  readonly folder: string;
  readonly protocol: string | undefined;
  readonly packager: StreamPackager;
  readonly #origin: Origin;
  readonly #turns: (() => void)[] = [];
  readonly #samples: readonly Sample[];
  readonly #endMs: number;
  readonly #audio: boolean;
  /** Wall times between which nobody publishes. */
  readonly #outage: { readonly fromMs: number; readonly toMs: number } | undefined;
  #away = false;
  #next = 0;
  #ended = false;

  constructor(options: LiveOptions = {}) {
    const {
      onAirSeconds = 40,
      restSeconds = 40,
      windowSeconds = 24,
      audio = true,
      endAfterSeconds,
    } = options;
    const seconds = onAirSeconds + restSeconds;
    const startMs = EPOCH_MS + onAirSeconds * 1000;
    const { outage } = options;
    const encryption = options.encryption && {
      keys: new SignalledKeys(options.encryption.rotationSeconds * 1000, options.encryption.scheme),
      clearAudio: options.encryption.clearAudio ?? false,
    };
    this.#audio = audio;
    this.#outage = outage && {
      fromMs: startMs + outage.fromSeconds * 1000,
      toMs: startMs + outage.toSeconds * 1000,
    };
    this.protocol = options.protocol;
    this.folder = `${options.protocol === undefined ? FAKE_ORIGIN : FAKE_ORIGIN.replace('http', 'https')}/live/cam/`;
    this.#endMs =
      endAfterSeconds === undefined
        ? Number.POSITIVE_INFINITY
        : EPOCH_MS + (onAirSeconds + endAfterSeconds) * 1000;
    this.packager = new StreamPackager(
      'cam',
      { ...DEFAULT_PACKAGER_OPTIONS, windowSeconds },
      {
        clock: this.clock,
        log: createMemoryLog(),
        metrics: new PackagerMetrics(new Metrics()),
        journal: { load: () => undefined, save: () => undefined },
        encryptionOf: () => encryption,
      },
    );
    this.#samples = interleave(
      videoSamples({ seconds }).map(toAccessUnit),
      audio ? audioSamples({ seconds }) : [],
    );
    this.#begin('start', EPOCH_MS);
    this.#origin = new Origin(ORIGIN_DEFAULTS, {
      directory: { window: (stream) => (stream === 'cam' ? this.packager.window : undefined) },
      liveStreams: () => ['cam'],
      isKnown: (stream) => stream === 'cam',
      clock: this.clock,
      log: createMemoryLog(),
      metrics: new Metrics(),
      pages: new Map(),
      yieldTurn: (turn) => void this.#turns.push(turn),
    });
    for (let ms = 0; ms < onAirSeconds * 1000; ms += STEP_MS) {
      this.clock.advance(STEP_MS);
      this.tick();
    }
  }

  request(url: string, headers: Readonly<Record<string, string>>): ReturnType<Backend['request']> {
    const { pathname, search } = new URL(url);
    const response = exchange(this.#origin.handler, pathname + search, { headers });
    this.#settle();
    return withEntries(response);
  }

  /** Gives the packager every sample that has ended by now. */
  tick(): void {
    const nowMs = this.clock.wallMs();
    for (
      let sample = this.#samples[this.#next];
      sample && endMs(sample) <= nowMs;
      sample = this.#samples[this.#next]
    ) {
      this.#next += 1;
      this.#come(sample);
    }
    if (this.#outage && nowMs >= this.#outage.fromMs && nowMs < this.#outage.toMs && !this.#away) {
      this.#away = true;
      this.packager.away();
    }
    if (nowMs >= this.#endMs && !this.#ended) {
      this.#ended = true;
      this.packager.end();
    }
    this.#settle();
  }

  /** Samples of an outage never come. */
  #come(sample: Sample): void {
    if (this.#ended) return;
    const atMs = sampleSeconds(sample) * 1000;
    const { fromMs, toMs } = this.#outage ?? { fromMs: Number.POSITIVE_INFINITY, toMs: 0 };
    if (atMs >= fromMs && atMs < toMs) return;
    if (this.#away && atMs >= toMs) {
      this.#away = false;
      this.#begin('resume', toMs);
    }
    this.packager.sample(sample);
  }

  #begin(reason: TimelineReason, startMs: number): void {
    const tracks = { video: videoTrack(), ...(this.#audio && { audio: audioTrack() }) };
    this.packager.begin(timeline(tracks, { reason, startMs }));
  }

  #settle(): void {
    for (let turn = this.#turns.shift(); turn; turn = this.#turns.shift()) turn();
  }
}

/** One file of a {@link RecordedBackend}. */
export interface RecordedFile {
  readonly body: string | Uint8Array;
  readonly type: string;
}

/** Files that do not change, as a plain web server gives them. */
export class RecordedBackend implements Backend {
  readonly clock = new FakeClock(EPOCH_MS);
  readonly folder = `${FAKE_ORIGIN}/vod/`;
  readonly files: Map<string, RecordedFile>;

  constructor(files: Iterable<readonly [path: string, file: RecordedFile]>) {
    this.files = new Map(files);
  }

  request(url: string, headers: Readonly<Record<string, string>>): ReturnType<Backend['request']> {
    const file = this.files.get(url.split('?')[0]?.slice(this.folder.length) ?? '');
    const body = file ? Buffer.from(file.body) : Buffer.from('not found');
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '');
    const sent = range && file ? body.subarray(Number(range[1]), Number(range[2]) + 1) : body;
    return {
      finished: true,
      status: file ? (range ? 206 : 200) : 404,
      bytes: () => sent,
      abort: () => {},
      entries: () => [
        ['content-type', file?.type ?? 'text/plain'],
        ['access-control-allow-origin', '*'],
      ],
    };
  }

  tick(): void {}
}

/** Rules found, each once, in alphabetical order. */
export function rulesOf({ findings }: ValidationReport): string[] {
  return [...new Set(findings.map(({ rule }) => rule))].toSorted();
}

/** Findings for people, when a test fails. */
export function told({ findings }: Pick<ValidationReport, 'findings'>): string[] {
  return findings.map(({ rule, message, url, count }) => `${rule}: ${message} (${count}) ${url}`);
}

/** Changes the text of the media playlists (or of one file) of a presentation. */
export function rewriting(
  change: (text: string, answer: MutableAnswer) => string,
  path: RegExp = /^(video|audio)\.m3u8$/,
): Mutation {
  return {
    answer: (answer) => {
      if (!path.test(answer.path) || answer.status !== 200) return;
      answer.body = Buffer.from(change(answer.body.toString(), answer));
    },
  };
}

/** Moves every EXT-X-PROGRAM-DATE-TIME. */
export function shiftDates(text: string, ms: number): string {
  return text.replaceAll(/(#EXT-X-PROGRAM-DATE-TIME:)(.*)/g, (_whole, tag: string, date: string) => {
    return tag + new Date(Date.parse(date) + ms).toISOString();
  });
}

/** Headers that validators look at. */
const HEADERS = [
  'content-type',
  'content-encoding',
  'content-length',
  'content-range',
  'transfer-encoding',
  'cache-control',
  'expires',
  'vary',
  'etag',
  'age',
  'date',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'accept-ranges',
];

/** A fake answer with the headers that validators look at. */
export function withEntries(response: FakeResponse): ReturnType<Backend['request']> {
  const entries = () =>
    HEADERS.flatMap((name) => {
      const value = response.header(name);
      return value === undefined ? [] : [[name, value] as const];
    });
  return Object.assign(response, { entries });
}

function endMs(sample: Sample): number {
  const timescale = sample.kind === 'video' ? 90_000 : 48_000;
  return (sampleSeconds(sample) + sample.duration / timescale) * 1000;
}

/** A slice of its kind, length before it: what a reader of H.264 takes for a picture. */
export function toAccessUnit(sample: Sample, frame: number): Sample {
  const data = new Uint8Array(frame % 60 === 0 ? 6000 : 1500).fill(frame & 0xff);
  new DataView(data.buffer).setUint32(0, data.length - 4);
  // nal_ref_idc 3; IDR slice or another slice; first_mb_in_slice 0 and slice type as single-bit codes.
  data.set([sample.key ? 0x65 : 0x61, 0x88, 0x80], 4);
  return { ...sample, data };
}
