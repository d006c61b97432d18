import { AppError } from '../base/errors.ts';
import { parseQuery } from '../http/query.ts';
import type { Route, RouteHandler } from '../http/router.ts';
import type { HttpRequest, HttpResponse } from '../http/types.ts';
import { renderSingleTitleMpd, renderTitleMpd } from '../packager/dash/title-mpd.ts';
import { parseKeyFormat } from '../packager/hls/key-format.ts';
import { renderChapters } from '../packager/hls/title-chapters.ts';
import { renderKeyFramesPlaylist } from '../packager/hls/title-iframes.ts';
import { renderTitleMultivariant } from '../packager/hls/title-multivariant.ts';
import { renderTitlePlaylist } from '../packager/hls/title-playlist.ts';
import { renderThumbnailsVtt } from '../packager/hls/title-thumbnails.ts';
import {
  KEY_FORMAT,
  parseTitlePath,
  segmentPath,
  textPath,
  thumbnailPath,
  type TitlePath,
} from '../packager/media-path.ts';
import { scopeName } from '../packager/tier-scope.ts';
import { isStreamName } from '../stream/stream-name.ts';
import { downloadFile } from '../packager/files/title-download.ts';
import { renditionFile, type TitleFile } from '../packager/files/title-file.ts';
import type { Title, TitleDirectory, TitleTrack } from '../stream/title.ts';
import type { Answers } from './answers.ts';
import { type Asked, readAsked } from './asked.ts';
import type { OriginMetrics } from './origin-metrics.ts';
import { LIBRARY_PAGE, type PageRoutes, WATCH_PAGE } from './page-routes.ts';
import { RenderedText, type RenderKind } from './text-cache.ts';
import { WholeMedia } from './whole-media.ts';
import { TitleFiles } from './title-files.ts';
import type { WholeSender } from './whole-sender.ts';

/** Where titles and their media are. Both reject with AppError STORAGE_UNAVAILABLE. */
export interface TitleSource {
  readonly titles: TitleDirectory;
  /** Undefined: there is no such blob. */
  readonly read: (key: string) => Promise<Uint8Array | undefined>;
  /** The same of what is read once: it takes no place from what many watch. */
  readonly readOnce: (key: string) => Promise<Uint8Array | undefined>;
}

interface TitleRoutesDeps {
  readonly answers: Answers;
  readonly sender: WholeSender;
  readonly metrics: OriginMetrics;
  readonly pages: PageRoutes;
  readonly clockUrl: string;
  /** Whether titles are listed for everybody. */
  readonly publicIndex: boolean;
}

/** A request for something of a title that exists. */
interface TitleRequest {
  readonly title: Title;
  readonly asked: Asked;
  readonly response: HttpResponse;
}

type PathOf<K extends TitlePath['kind']> = Extract<TitlePath, { kind: K }>;

const HLS_TYPE = 'application/vnd.apple.mpegurl';
const MPD_TYPE = 'application/dash+xml';
const VTT_TYPE = 'text/vtt; charset=utf-8';
const JSON_TYPE = 'application/json';
const CONTENT_TYPES = { video: 'video/mp4', audio: 'audio/mp4' } as const;
/** Below `/vod/`: no title's name has a dot. */
const LIST_NAME = 'titles.json';

/** The HTTP side of titles: their manifests, media and pages. Titles are values, so what is rendered of one is kept with it. */
export class TitleRoutes {
  readonly #source: TitleSource;
  readonly #deps: TitleRoutesDeps;
  readonly #texts = new WeakMap<Title, Map<string, RenderedText>>();
  readonly #files: TitleFiles;
  /** By path; made of records that may have many thousand segments. */
  readonly #knownFiles = new WeakMap<Title, Map<string, TitleFile>>();

  constructor(source: TitleSource, deps: TitleRoutesDeps) {
    this.#source = source;
    this.#deps = deps;
    this.#files = new TitleFiles(deps.answers);
  }

  routes(): Route[] {
    const get = (path: string, handler: RouteHandler): Route => ({ method: 'GET', path, handler });
    return [
      get('/vod', (request, response) => this.#redirect(request, response, 'vod')),
      get('/vod/', (request, response) => this.#library(request, response)),
      get(`/vod/${LIST_NAME}`, (_request, response) => this.#list(response)),
      get('/vod/:title', (request, response, params) =>
        this.#redirect(request, response, params['title'] ?? ''),
      ),
      get('/vod/:title/', (request, response, params) =>
        this.#page(request, response, params['title'] ?? ''),
      ),
      get('/vod/:title/*path', (request, response, params) =>
        this.#below(params['title'] ?? '', params['path'] ?? '', readAsked(request), response),
      ),
    ];
  }

  async #below(id: string, path: string, asked: Asked, response: HttpResponse): Promise<void> {
    const named = parseTitlePath(path);
    if (!named) return this.#missing(response);
    try {
      const title = isStreamName(id) ? await this.#source.titles.find(id) : undefined;
      if (!title) return this.#deps.answers.fail(response, 'missing', new AppError('VOD_TITLE_NOT_FOUND'));
      await this.#serve(named, { title, asked, response });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#deps.answers.fail(response, 'overload', error);
    }
  }

  #serve(path: TitlePath, request: TitleRequest): void | Promise<void> {
    const { title, asked } = request;
    const { tiers } = asked;
    const keyFormat =
      asked.query === '' ? undefined : parseKeyFormat(parseQuery(asked.query).get(KEY_FORMAT));
    const single = 'single' in path;
    const form = single ? `${path.kind} single` : path.kind;
    const scoped = `${form} ${scopeName(tiers)} ${keyFormat ?? ''}`;
    switch (path.kind) {
      case 'multivariant': {
        if (single && title.state !== 'complete') return this.#missing(request.response);
        const render = () => renderTitleMultivariant(title, { tiers, keyFormat, single });
        return this.#sendText(request, 'multivariant', scoped, HLS_TYPE, render);
      }
      case 'mpd': {
        const options = { tiers, clockUrl: this.#deps.clockUrl };
        const render = () => (single ? renderSingleTitleMpd : renderTitleMpd)(title, options);
        return this.#sendText(request, 'mpd', scoped, MPD_TYPE, render);
      }
      case 'playlist': {
        const render = () => renderTitlePlaylist(title, path.id, { keyFormat, single });
        return this.#sendText(request, 'playlist', `${form} ${path.id} ${keyFormat ?? ''}`, HLS_TYPE, render);
      }
      case 'key-frames': {
        const render = () => renderKeyFramesPlaylist(title, path.id, { keyFormat, single });
        return this.#sendText(request, 'playlist', `${form} ${path.id} ${keyFormat ?? ''}`, HLS_TYPE, render);
      }
      case 'chapters':
        return this.#sendText(request, 'playlist', path.kind, JSON_TYPE, () => renderChapters(title));
      case 'thumbnails-vtt':
        return this.#sendText(request, 'playlist', path.kind, VTT_TYPE, () => renderThumbnailsVtt(title));
      case 'init':
        return this.#init(path, request);
      case 'segment':
        return this.#segment(path, request);
      case 'file':
        return this.#file(path, request);
      case 'download':
        return this.#download(path, request);
      case 'text':
        return this.#text(path, request);
      case 'thumbnail-sheet':
        return this.#sheet(path, request);
    }
  }

  #init({ rendition, period }: PathOf<'init'>, { title, asked, response }: TitleRequest): void {
    const track = trackOf(title, period, rendition);
    if (!track) return this.#missing(response);
    const { init } = track;
    this.#sendMedia(asked, response, `${period}-${rendition}-init`, CONTENT_TYPES[track.track.kind], init);
  }

  async #segment(path: PathOf<'segment'>, { title, asked, response }: TitleRequest): Promise<void> {
    const { rendition, period, number } = path;
    const track = trackOf(title, period, rendition);
    const segment = track?.segments[number - (track.segments[0]?.number ?? 0)];
    if (!track || !segment || segment.isGap) return this.#missing(response);
    const key = this.#key(title, segmentPath(rendition, period, number));
    await this.#sendBlob(asked, response, key, CONTENT_TYPES[track.track.kind]);
  }

  async #file({ rendition, period: id }: PathOf<'file'>, request: TitleRequest): Promise<void> {
    const { title, asked, response } = request;
    const period = title.periods.find((each) => each.id === id);
    const track = period?.tracks.get(rendition);
    // It grows by what is added to its index.
    if (!period || !track || title.state !== 'complete') return this.#missing(response);
    const name = `${id}-${rendition}-media`;
    const file = this.#fileOf(title, name, () => renditionFile(period, rendition));
    if (!file) return this.#missing(response);
    const sent = { file, name, contentType: CONTENT_TYPES[track.track.kind], saveAs: undefined };
    await this.#files.send(title, sent, asked, response, (own, path) =>
      this.#source.read(this.#key(own, path)),
    );
  }

  async #download({ rendition }: PathOf<'download'>, request: TitleRequest): Promise<void> {
    const { title, asked, response } = request;
    const { isDownloadable = false, renditions, updatedMs } = title;
    const name = `${updatedMs}-${rendition}-download`;
    const file = isDownloadable ? this.#fileOf(title, name, () => downloadFile(title, rendition)) : undefined;
    const kind = renditions.find(({ id }) => id === rendition)?.kind;
    if (!file || !kind) {
      return this.#deps.answers.fail(response, 'missing', new AppError('VOD_DOWNLOAD_NOT_ALLOWED'));
    }
    const saveAs = `${title.id}-${rendition}.mp4`;
    const sent = { file, name, contentType: CONTENT_TYPES[kind], saveAs };
    await this.#files.send(title, sent, asked, response, (own, path) =>
      this.#source.readOnce(this.#key(own, path)),
    );
  }

  #fileOf(title: Title, name: string, make: () => TitleFile | undefined): TitleFile | undefined {
    const known = this.#knownFiles.get(title) ?? new Map<string, TitleFile>();
    this.#knownFiles.set(title, known);
    const file = known.get(name) ?? make();
    if (file) known.set(name, file);
    return file;
  }

  #text({ text, period }: PathOf<'text'>, { title, asked, response }: TitleRequest): void | Promise<void> {
    const known = title.periods.at(-1)?.id === period && title.texts.some(({ id }) => id === text);
    if (!known) return this.#missing(response);
    return this.#sendBlob(asked, response, this.#key(title, textPath(text, period)), VTT_TYPE);
  }

  #sheet({ period, sheet }: PathOf<'thumbnail-sheet'>, request: TitleRequest): void | Promise<void> {
    const { title, asked, response } = request;
    const sheets = title.thumbnails?.sheetBytes.length ?? 0;
    if (title.periods.at(-1)?.id !== period || sheet >= sheets) return this.#missing(response);
    return this.#sendBlob(asked, response, this.#key(title, thumbnailPath(period, sheet)), 'image/jpeg');
  }

  #key(title: Title, path: string): string {
    return this.#source.titles.blobKey(title, path);
  }

  /** What the record names is there; should it not be, something took it away. */
  async #sendBlob(asked: Asked, response: HttpResponse, key: string, contentType: string): Promise<void> {
    const bytes = await this.#source.read(key);
    if (!bytes) return this.#missing(response);
    this.#sendMedia(asked, response, key.replaceAll('/', '-'), contentType, bytes);
  }

  #sendMedia(
    asked: Asked,
    response: HttpResponse,
    name: string,
    contentType: string,
    bytes: Uint8Array,
  ): void {
    const { answers, sender } = this.#deps;
    const headers = answers.headers('title-media', contentType);
    sender.send(asked, response, new WholeMedia('title-media', name, bytes.length, headers, () => [bytes]));
  }

  /** A text of a title, rendered once for all who ask for the same. */
  #sendText(
    { title, asked, response }: TitleRequest,
    kind: RenderKind,
    name: string,
    contentType: string,
    render: () => string | undefined,
  ): void {
    const texts = this.#texts.get(title) ?? new Map<string, RenderedText>();
    this.#texts.set(title, texts);
    let text = texts.get(name);
    if (!text) {
      const rendered = render();
      if (rendered === undefined) return this.#missing(response);
      text = new RenderedText(rendered);
      texts.set(name, text);
      this.#deps.metrics.renders.inc({ kind });
    }
    const { identity } = text;
    const packed = text;
    const names = kind === 'multivariant' || kind === 'mpd';
    const answerKind =
      asked.tiers && names
        ? 'manifest-scoped'
        : title.state === 'growing'
          ? 'title-growing'
          : 'title-manifest';
    this.#deps.answers.sendText(
      response,
      answerKind,
      {
        identity,
        // Packed only when it is asked for.
        get gzip() {
          return packed.gzip;
        },
        contentType,
        tag: `${title.periods.at(-1)?.id ?? ''}-${title.updatedMs}`,
      },
      asked,
    );
  }

  #missing(response: HttpResponse): void {
    this.#deps.answers.fail(response, 'missing', new AppError('ORIGIN_MEDIA_NOT_FOUND'));
  }

  #library(request: HttpRequest, response: HttpResponse): void {
    if (this.#deps.publicIndex) return this.#deps.pages.serve(LIBRARY_PAGE, readAsked(request), response);
    this.#deps.answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
  }

  #page(request: HttpRequest, response: HttpResponse, title: string): void {
    if (isStreamName(title)) return this.#deps.pages.serve(WATCH_PAGE, readAsked(request), response);
    this.#deps.answers.fail(response, 'missing', new AppError('VOD_TITLE_NOT_FOUND'));
  }

  /** Without the slash the page's relative URLs would miss the title. */
  #redirect(request: HttpRequest, response: HttpResponse, name: string): void {
    const { answers } = this.#deps;
    if (!isStreamName(name)) return answers.fail(response, 'missing', new AppError('VOD_TITLE_NOT_FOUND'));
    const query = /^[\x21-\x7e]+$/.test(request.query) ? `?${request.query}` : '';
    const location = ['Location', `${name}/${query}`] as const;
    answers.send(response, 'redirect', {
      status: 308,
      headers: answers.headers('redirect', ''),
      extra: [location],
    });
  }

  async #list(response: HttpResponse): Promise<void> {
    const { answers, publicIndex } = this.#deps;
    if (!publicIndex) return answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
    const titles = (await this.#source.titles.list()).map((title) => ({
      id: title.id,
      name: title.name,
      durationMs: title.durationMs,
      state: title.state,
      createdMs: title.createdMs,
      thumbnails: title.thumbnails && `/vod/${title.id}/${thumbnailPath(title.periods[0]?.id ?? '', 0)}`,
      watch: `/vod/${title.id}/`,
      hls: `/vod/${title.id}/index.m3u8`,
      dash: `/vod/${title.id}/index.mpd`,
    }));
    const headers = answers.headers('title-list', JSON_TYPE);
    const body = Buffer.from(JSON.stringify({ titles }));
    answers.send(response, 'title-list', { status: 200, headers, body });
  }
}

function trackOf(title: Title, period: string, rendition: string): TitleTrack | undefined {
  return title.periods.find(({ id }) => id === period)?.tracks.get(rendition);
}
