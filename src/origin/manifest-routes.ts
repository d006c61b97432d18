import { AppError } from '../base/errors.ts';
import { parseQuery } from '../http/query.ts';
import type { HttpResponse } from '../http/types.ts';
import { decidePatch, type PatchDecision } from '../packager/dash/mpd-history.ts';
import { decideReload, parseDirectives, type ReloadDirectives } from '../packager/hls/blocking.ts';
import { type KeyFormatChoice, parseKeyFormat } from '../packager/hls/key-format.ts';
import { renderMediaPlaylist } from '../packager/hls/media-playlist.ts';
import { renderMultivariant } from '../packager/hls/multivariant.ts';
import { KEY_FORMAT } from '../packager/media-path.ts';
import { scopeName } from '../packager/tier-scope.ts';
import type { LiveWindow, Rendition } from '../stream/live-window.ts';
import type { Answers, CodedText } from './answers.ts';
import type { Asked } from './asked.ts';
import type { AnswerKind } from './cache-policy.ts';
import type { OriginMetrics } from './origin-metrics.ts';
import type { StreamEndpoint } from './stream-endpoint.ts';
import type { RenderedText } from './text-cache.ts';

const HLS_TYPE = 'application/vnd.apple.mpegurl';
const MPD_TYPE = 'application/dash+xml';
const PATCH_TYPE = 'application/dash-patch+xml';

/** A request for a media playlist, as far as it was understood. */
interface PlaylistRequest {
  readonly endpoint: StreamEndpoint;
  readonly rendition: Rendition;
  readonly directives: ReloadDirectives;
  readonly asked: Asked;
  readonly response: HttpResponse;
}

/** Answers requests for playlists and manifests; each is rendered and packed once per version of the window. */
export class ManifestRoutes {
  readonly #answers: Answers;
  readonly #metrics: OriginMetrics;

  constructor(answers: Answers, metrics: OriginMetrics) {
    this.#answers = answers;
    this.#metrics = metrics;
  }

  multivariant(endpoint: StreamEndpoint, asked: Asked, response: HttpResponse): void {
    const { window, texts } = endpoint;
    const { tiers } = asked;
    const keyFormat = keyFormatOf(asked);
    const name = `${scopeName(tiers)} ${keyFormat ?? ''}`;
    const text = texts.get('multivariant', name, window.version, () =>
      renderMultivariant(window, { tiers, keyFormat }),
    );
    this.#answers.sendText(
      response,
      tiers ? 'manifest-scoped' : 'multivariant',
      coded(text, HLS_TYPE, tagOf(window, window.version)),
      asked,
      window.plan,
    );
  }

  mpd(endpoint: StreamEndpoint, asked: Asked, response: HttpResponse): void {
    const { window, texts, mpd } = endpoint;
    const { tiers } = asked;
    const { xml, publishTimeMs } = mpd.current(window);
    const text = texts.get('mpd', scopeName(tiers), publishTimeMs, () =>
      tiers ? mpd.renderFor(window, tiers) : xml,
    );
    this.#answers.sendText(
      response,
      tiers ? 'manifest-scoped' : 'mpd',
      coded(text, MPD_TYPE, tagOf(window, publishTimeMs)),
      asked,
      window.plan,
    );
  }

  /** What changed since the MPD of `publishTime` (ISO/IEC 23009-1 5.15). */
  patch(endpoint: StreamEndpoint, asked: Asked, response: HttpResponse): void {
    const { window, texts, mpd } = endpoint;
    const publishTime = parseQuery(asked.query).get('publishTime') ?? '';
    const { publishTimeMs } = mpd.current(window);
    let text = texts.find('patch', publishTime, publishTimeMs);
    if (!text) {
      const decision = decidePatch(mpd, window, publishTime);
      if (decision.kind !== 'patch') return this.#refusePatch(response, decision);
      text = texts.get('patch', publishTime, publishTimeMs, () => decision.xml);
    }
    const patch = coded(text, PATCH_TYPE, tagOf(window, publishTimeMs));
    this.#answers.sendText(response, 'patch', patch, asked, window.plan);
  }

  #refusePatch(response: HttpResponse, decision: Exclude<PatchDecision, { kind: 'patch' }>): void {
    switch (decision.kind) {
      case 'tooEarly':
        return this.#answers.fail(response, 'ahead', new AppError('ORIGIN_PATCH_TOO_EARLY'));
      case 'gone':
        return this.#answers.fail(response, 'missing', new AppError('ORIGIN_PATCH_GONE'));
      case 'badRequest':
        return this.#answers.fail(response, 'refused', new AppError('HTTP_BAD_REQUEST', decision.reason));
    }
  }

  /** A media playlist: now, or as soon as it has what the directives ask for (RFC 8216bis 6.2.5.2). */
  media(endpoint: StreamEndpoint, asked: Asked, response: HttpResponse, renditionId: string): void {
    const { window } = endpoint;
    const rendition = window.renditions.find(({ id }) => id === renditionId);
    if (!rendition) return this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
    const directives = parseDirectives(asked.query);
    const request = { endpoint, rendition, directives, asked, response };
    const decision = decideReload(window, rendition, directives);
    switch (decision.kind) {
      case 'now':
        return this.#sendPlaylist(request);
      case 'wait':
        return this.#holdPlaylist(request, `${renditionId}/${decision.msn}/${decision.part ?? 'whole'}`);
      case 'badRequest': {
        const error = new AppError('ORIGIN_DIRECTIVES_REFUSED', decision.reason);
        return this.#answers.fail(response, 'refused', error);
      }
    }
  }

  #holdPlaylist(request: PlaylistRequest, key: string): void {
    const { endpoint, rendition, directives, response } = request;
    const decide = (): 'listed' | undefined =>
      decideReload(endpoint.window, rendition, directives).kind === 'wait' ? undefined : 'listed';
    const held = endpoint.playlists.hold(
      { key, decide },
      {
        response,
        settle: () => this.#sendPlaylist(request),
        expire: (reason) => {
          const error = new AppError(reason === 'closing' ? 'ORIGIN_CLOSING' : 'ORIGIN_HOLD_EXPIRED');
          this.#answers.fail(response, 'overload', error);
        },
      },
    );
    if (held) return;
    this.#metrics.holdsRefused.inc({ kind: 'playlist' });
    this.#answers.fail(response, 'overload', new AppError('ORIGIN_WAITERS_FULL'));
  }

  #sendPlaylist({ endpoint, rendition, directives, asked, response }: PlaylistRequest): void {
    const { window, texts } = endpoint;
    const { skip } = directives;
    const keyFormat = keyFormatOf(asked);
    const name = `${rendition.id} ${skip ?? 'full'} ${keyFormat ?? ''}`;
    const text = texts.get('playlist', name, window.version, () =>
      renderMediaPlaylist(window, rendition, {
        skip,
        keyFormat,
        history: endpoint.history(`${rendition.id} ${keyFormat ?? ''}`),
      }),
    );
    // Once the stream has ended directives name no version any more: it may begin again under the same URLs.
    const blocking = directives.msn !== undefined && window.state !== 'ended';
    const kind: AnswerKind = blocking ? 'playlist-blocking' : 'playlist';
    this.#answers.sendText(
      response,
      kind,
      coded(text, HLS_TYPE, tagOf(window, window.version)),
      asked,
      window.plan,
    );
  }
}

/** KEYFORMAT that the player asks for by its URL. */
function keyFormatOf({ query }: Asked): KeyFormatChoice | undefined {
  return query === '' ? undefined : parseKeyFormat(parseQuery(query).get(KEY_FORMAT));
}

function coded(text: RenderedText, contentType: string, tag: string): CodedText {
  return {
    identity: text.identity,
    // Packed only when it is asked for.
    get gzip() {
      return text.gzip;
    },
    contentType,
    tag,
  };
}

/** The period id tells windows of different runs of the server apart, the version those of one. */
function tagOf(window: LiveWindow, version: number): string {
  return `${window.periods.at(-1)?.id ?? ''}-${version}`;
}
