import { type Clock, every, type Timer } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { createRouter, type PathParams, type Route, type RouteHandler } from '../http/router.ts';
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/types.ts';
import { isoTime } from '../packager/iso-time.ts';
import {
  MPD_NAME,
  MPD_PATCH_NAME,
  MULTIVARIANT_NAME,
  parseMediaPath,
  parsePlaylistPath,
} from '../packager/media-path.ts';
import type { ArchiveReader } from '../stream/archive.ts';
import type { WindowDirectory } from '../stream/directory.ts';
import type { LiveWindow } from '../stream/live-window.ts';
import { isStreamName } from '../stream/stream-name.ts';
import { Answers } from './answers.ts';
import { type Asked, readAsked } from './asked.ts';
import { ManifestRoutes } from './manifest-routes.ts';
import { MediaRoutes } from './media-routes.ts';
import { OriginMetrics } from './origin-metrics.ts';
import type { OriginOptions } from './origin-options.ts';
import { type ReadPathToken, withPathTokens } from './path-scope.ts';
import type { PageFiles } from './page-files.ts';
import { INDEX_PAGE, PageRoutes, WATCH_PAGE } from './page-routes.ts';
import { Releaser, type YieldTurn } from './releaser.ts';
import type { ReaderCount } from './segment-streamer.ts';
import { StreamEndpoint } from './stream-endpoint.ts';
import { TitleRoutes, type TitleSource } from './title-routes.ts';
import { WholeSender } from './whole-sender.ts';

/** What the origin works with. */
export interface OriginDeps {
  readonly directory: WindowDirectory;
  /** Where segments are that have left the memory; undefined: none are kept. */
  readonly archive?: ArchiveReader | undefined;
  /** Names of the streams that are being published now. */
  readonly liveStreams: () => Iterable<string>;
  /** Whether a stream that has no window exists all the same (has a publish key, say). */
  readonly isKnown?: (stream: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly pages: PageFiles;
  /** Undefined: there is no VOD. */
  readonly titles?: TitleSource | undefined;
  /** Reads the tokens of playback sessions; undefined: there are none. */
  readonly pathTokens?: ReadPathToken | undefined;
  /** Runs a callback in a later turn of the event loop; setImmediate unless a test says otherwise. */
  readonly yieldTurn?: YieldTurn;
}

/** How often endpoints of streams that are gone are let go, milliseconds. */
const SWEEP_MS = 10_000;
/** Least time between two log lines about held requests that failed. */
const FAULT_LOG_MS = 1_000;

/** A request for something of one stream: the path is relative to `/live/<stream>/`. */
type StreamHandler = (endpoint: StreamEndpoint, asked: Asked, response: HttpResponse, path: string) => void;

/**
 * The HTTP side of live streams: playlists with blocking reload, the MPD and its patches, parts, segments whole and
 * growing, the clock, the watch page. Reads the live windows, never changes them.
 */
export class Origin {
  /** Every route of the origin, to be put on one listener or several. */
  readonly routes: readonly Route[];
  /** The routes as one handler; may serve any number of listeners. */
  readonly handler: HttpHandler;
  readonly #options: OriginOptions;
  readonly #deps: OriginDeps;
  readonly #metrics: OriginMetrics;
  readonly #answers: Answers;
  readonly #manifests: ManifestRoutes;
  readonly #media: MediaRoutes;
  readonly #pages: PageRoutes;
  readonly #titles: TitleRoutes | undefined;
  readonly #yieldTurn: YieldTurn;
  readonly #releaser: Releaser;
  readonly #count: ReaderCount;
  readonly #endpoints = new Map<string, StreamEndpoint>();
  readonly #sweep: Timer;
  #faultLoggedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: OriginOptions, deps: OriginDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new OriginMetrics(deps.metrics);
    this.#answers = new Answers(this.#metrics);
    this.#manifests = new ManifestRoutes(this.#answers, this.#metrics);
    const sender = new WholeSender(this.#answers, this.#metrics);
    this.#media = new MediaRoutes({
      answers: this.#answers,
      sender,
      metrics: this.#metrics,
      archive: deps.archive,
    });
    this.#pages = new PageRoutes(this.#answers, deps.pages);
    this.#titles =
      deps.titles &&
      new TitleRoutes(deps.titles, {
        answers: this.#answers,
        sender,
        metrics: this.#metrics,
        pages: this.#pages,
        clockUrl: options.mpd.clockUrl,
        publicIndex: options.publicIndex,
      });
    this.#yieldTurn = deps.yieldTurn ?? ((callback) => void setImmediate(callback));
    this.#releaser = new Releaser(this.#yieldTurn);
    this.#count = countReaders(this.#metrics);
    this.#sweep = every(deps.clock, SWEEP_MS, () => this.#dropGone());
    this.routes = this.#createRoutes();
    this.handler = withPathTokens(deps.pathTokens, createRouter(this.routes));
  }

  /** Lets every held request go with 503 and stops. Growing bodies are left to the listener to cut. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sweep.cancel();
    for (const endpoint of this.#endpoints.values()) endpoint.close();
    this.#endpoints.clear();
    this.#releaser.finish();
  }

  #createRoutes(): Route[] {
    const get = (path: string, handler: RouteHandler): Route => ({ method: 'GET', path, handler });
    return [
      get('/', (request, response) => this.#index(request, response)),
      get('/time', (_request, response) => this.#time(response)),
      get('/live/streams.json', (request, response) => this.#streamList(request, response)),
      get('/live/:stream', (request, response, params) => this.#toWatchPage(request, response, params)),
      get('/live/:stream/', (request, response, params) => this.#watchPage(request, response, params)),
      get(
        `/live/:stream/${MULTIVARIANT_NAME}`,
        this.#ofStream((endpoint, asked, response) =>
          this.#manifests.multivariant(endpoint, asked, response),
        ),
      ),
      get(
        `/live/:stream/${MPD_NAME}`,
        this.#ofStream((endpoint, asked, response) => this.#manifests.mpd(endpoint, asked, response)),
      ),
      get(
        `/live/:stream/${MPD_PATCH_NAME}`,
        this.#ofStream((endpoint, asked, response) => this.#manifests.patch(endpoint, asked, response)),
      ),
      get(
        '/live/:stream/*path',
        this.#ofStream((...all) => this.#below(...all)),
      ),
      ...(this.#titles?.routes() ?? []),
      get('/assets/*path', (request, response, params) =>
        this.#pages.serve(`assets/${params['path'] ?? ''}`, readAsked(request), response),
      ),
      get('/sdk/*path', (request, response, params) =>
        this.#pages.serve(`sdk/${params['path'] ?? ''}`, readAsked(request), response),
      ),
      get('/:file', (request, response, params) => this.#rootFile(request, response, params)),
    ];
  }

  /** Media playlists, initialization segments, segments and parts. */
  #below(endpoint: StreamEndpoint, asked: Asked, response: HttpResponse, path: string): void {
    const playlist = parsePlaylistPath(path);
    if (playlist !== undefined) return this.#manifests.media(endpoint, asked, response, playlist);
    const media = parseMediaPath(path);
    if (media) return this.#media.serve(endpoint, media, asked, response);
    this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
  }

  /** Finds the stream first; one that cannot be played gets its error here. */
  #ofStream(handler: StreamHandler): RouteHandler {
    return (request, response, params) => {
      const stream = params['stream'] ?? '';
      const endpoint = this.#endpoint(stream);
      if (endpoint) handler(endpoint, readAsked(request), response, params['path'] ?? '');
      else this.#notPlayable(stream, response);
    };
  }

  #notPlayable(stream: string, response: HttpResponse): void {
    if (this.#closed) return this.#answers.fail(response, 'overload', new AppError('ORIGIN_CLOSING'));
    const code = this.#knows(stream) ? 'STREAM_OFFLINE' : 'STREAM_NOT_FOUND';
    this.#answers.fail(response, 'offline', new AppError(code));
  }

  #knows(stream: string): boolean {
    return this.#window(stream) !== undefined || this.#deps.isKnown?.(stream) === true;
  }

  #window(stream: string): LiveWindow | undefined {
    return isStreamName(stream) ? this.#deps.directory.window(stream) : undefined;
  }

  /** What serves a stream's window; undefined while there is nothing to play. */
  #endpoint(stream: string): StreamEndpoint | undefined {
    const window = this.#window(stream);
    const known = this.#endpoints.get(stream);
    if (known && known.window !== window) this.#drop(stream, known);
    // A stream that begins anew is not published again before its first segment is complete.
    if (!window?.published || this.#closed) return undefined;
    if (known?.window === window) return known;
    const endpoint = new StreamEndpoint(window, this.#options, {
      clock: this.#deps.clock,
      releaser: this.#releaser,
      yieldTurn: this.#yieldTurn,
      metrics: this.#metrics,
      count: this.#count,
      fail: (response, error) => this.#fail(stream, response, error),
    });
    this.#endpoints.set(stream, endpoint);
    return endpoint;
  }

  /** A held request that we could not answer: counted, and logged at most once a second however many they are. */
  #fail(stream: string, response: HttpResponse, error: unknown): void {
    this.#answers.fail(response, 'refused', new AppError('INTERNAL', undefined, { cause: error }));
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#faultLoggedMs < FAULT_LOG_MS) return;
    this.#faultLoggedMs = now;
    this.#deps.log.error(
      { stream, code: errorCode(error), err: error },
      'a held request could not be answered',
    );
  }

  /** Windows that left the directory must not be kept in memory by us. */
  #dropGone(): void {
    for (const [stream, endpoint] of this.#endpoints) {
      if (this.#window(stream) !== endpoint.window) this.#drop(stream, endpoint);
    }
  }

  #drop(stream: string, endpoint: StreamEndpoint): void {
    this.#endpoints.delete(stream);
    endpoint.close();
  }

  /** Server time for players whose own clock is off (DASH UTCTiming http-iso). */
  #time(response: HttpResponse): void {
    const headers = this.#answers.headers('time', 'text/plain; charset=utf-8');
    const body = Buffer.from(isoTime(this.#deps.clock.wallMs()));
    this.#answers.send(response, 'time', { status: 200, headers, body });
  }

  /** An icon or the like; pages have addresses of their own. */
  #rootFile(request: HttpRequest, response: HttpResponse, params: PathParams): void {
    const name = params['file'] ?? '';
    if (!name.endsWith('.html')) return this.#pages.serve(name, readAsked(request), response);
    this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
  }

  #index(request: HttpRequest, response: HttpResponse): void {
    if (this.#options.publicIndex) return this.#pages.serve(INDEX_PAGE, readAsked(request), response);
    this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
  }

  #streamList(_request: HttpRequest, response: HttpResponse): void {
    if (!this.#options.publicIndex) {
      return this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
    }
    const playable = [...this.#deps.liveStreams()].filter(
      (stream) => this.#window(stream)?.published === true,
    );
    const streams = playable.toSorted().map((name) => ({
      name,
      watch: `/live/${name}/`,
      hls: `/live/${name}/${MULTIVARIANT_NAME}`,
      dash: `/live/${name}/${MPD_NAME}`,
    }));
    const headers = this.#answers.headers('stream-list', 'application/json');
    const body = Buffer.from(JSON.stringify({ streams }));
    this.#answers.send(response, 'stream-list', { status: 200, headers, body });
  }

  /** Without the slash the page's relative URLs would miss the stream. */
  #toWatchPage(request: HttpRequest, response: HttpResponse, params: PathParams): void {
    const stream = params['stream'] ?? '';
    if (!isStreamName(stream)) return this.#notPlayable(stream, response);
    const query = /^[\x21-\x7e]+$/.test(request.query) ? `?${request.query}` : '';
    const headers = this.#answers.headers('redirect', '');
    const location = ['Location', `${stream}/${query}`] as const;
    this.#answers.send(response, 'redirect', { status: 308, headers, extra: [location] });
  }

  #watchPage(request: HttpRequest, response: HttpResponse, params: PathParams): void {
    const stream = params['stream'] ?? '';
    if (!isStreamName(stream)) return this.#notPlayable(stream, response);
    this.#pages.serve(WATCH_PAGE, readAsked(request), response);
  }
}

/** A reader count that the gauge follows. */
function countReaders(metrics: OriginMetrics): ReaderCount {
  let readers = 0;
  return {
    get readers() {
      return readers;
    },
    set readers(now) {
      readers = now;
      metrics.growingReaders.set(now);
    },
  };
}
