import { AppError } from '../base/errors.ts';
import { isNotModified } from '../http/conditional.ts';
import type { HttpResponse } from '../http/types.ts';
import { emptySegment } from '../media/isobmff/empty-segment.ts';
import type { MediaPath } from '../packager/media-path.ts';
import type { ArchiveReader } from '../stream/archive.ts';
import type { Part, Rendition, Segment } from '../stream/live-window.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './asked.ts';
import type { AnswerKind } from './cache-policy.ts';
import {
  decidePart,
  decideSegment,
  isAhead,
  type PartOutcome,
  type SegmentOutcome,
} from './media-decision.ts';
import type { OriginMetrics } from './origin-metrics.ts';
import type { StreamEndpoint } from './stream-endpoint.ts';
import type { Waiter } from './wait-room.ts';
import { WholeMedia } from './whole-media.ts';
import type { WholeSender } from './whole-sender.ts';

type PathOf<K extends MediaPath['kind']> = Extract<MediaPath, { kind: K }>;

/** A request for media of a rendition that exists. */
interface MediaRequest {
  readonly endpoint: StreamEndpoint;
  readonly rendition: Rendition;
  readonly asked: Asked;
  readonly response: HttpResponse;
}

interface MediaRoutesDeps {
  readonly answers: Answers;
  readonly sender: WholeSender;
  readonly metrics: OriginMetrics;
  /** Where segments are that have left the memory; undefined: there are none. */
  readonly archive: ArchiveReader | undefined;
}

/** Not the same bytes twice: each has headers of its own. */
const NOTHING = { video: emptySegment(), audio: emptySegment() } as const;
const CONTENT_TYPES = { video: 'video/mp4', audio: 'audio/mp4' } as const;

/** Answers requests for initialization segments, segments and parts. */
export class MediaRoutes {
  readonly #answers: Answers;
  readonly #metrics: OriginMetrics;
  readonly #sender: WholeSender;
  readonly #archive: ArchiveReader | undefined;
  /** By the chunks of a segment, by part or initialization segment; goes with them when they leave the memory. */
  readonly #whole = new WeakMap<object, WholeMedia>();

  constructor({ answers, sender, metrics, archive }: MediaRoutesDeps) {
    this.#answers = answers;
    this.#sender = sender;
    this.#metrics = metrics;
    this.#archive = archive;
  }

  serve(endpoint: StreamEndpoint, path: MediaPath, asked: Asked, response: HttpResponse): void {
    const rendition = endpoint.window.renditions.find(({ id }) => id === path.rendition);
    if (!rendition) return this.#missing(response);
    const request = { endpoint, rendition, asked, response };
    switch (path.kind) {
      case 'init':
        return this.#init(request, path);
      case 'segment':
        return this.#segment(request, path);
      case 'part':
        return this.#part(request, path);
    }
  }

  #init(request: MediaRequest, path: PathOf<'init'>): void {
    const { periods, upcoming } = request.endpoint.window;
    const period = upcoming?.id === path.period ? upcoming : periods.findLast(({ id }) => id === path.period);
    const bytes = period?.inits.get(path.rendition);
    if (!bytes) return this.#missing(request.response);
    const known = this.#whole.get(bytes);
    if (known) return this.#send(request, known);
    const name = `${path.period}-init`;
    this.#send(
      request,
      this.#remember(bytes, request, 'init', name, bytes.length, () => [bytes]),
    );
  }

  #segment(request: MediaRequest, path: PathOf<'segment'>): void {
    const { endpoint, rendition, response } = request;
    const outcome = decideSegment(endpoint.window, rendition, path);
    if (outcome.kind !== 'not-yet') return this.#settleSegment(request, path, outcome);
    const decide = (): SegmentOutcome | undefined => {
      const later = decideSegment(endpoint.window, rendition, path);
      return later.kind === 'not-yet' ? undefined : later;
    };
    const key = `${path.rendition}/${path.period}/${path.number}`;
    const held = endpoint.segments.hold(
      { key, decide },
      this.#waiter(
        response,
        (settled) => this.#settleSegment(request, path, settled),
        'ORIGIN_MEDIA_NOT_YET',
      ),
    );
    if (!held) this.#refuse(response, 'segment');
  }

  #settleSegment(request: MediaRequest, path: PathOf<'segment'>, outcome: SegmentOutcome): void {
    switch (outcome.kind) {
      case 'whole':
        return this.#send(request, this.#wholeSegment(request, outcome.segment));
      case 'growing':
        return this.#growing(request, outcome.segment);
      case 'archived':
        return void this.#archived(request, outcome.segment);
      case 'past-end':
      case 'lost':
        return this.#send(request, this.#nothing(request));
      case 'missing':
        return this.#missing(request.response, isAhead(request.rendition, path.number));
    }
  }

  /** The very answer that it had while it was in memory. Only who is sent it holds on to its bytes. */
  async #archived(request: MediaRequest, segment: Segment): Promise<void> {
    const { endpoint, rendition, asked, response } = request;
    try {
      const describe = this.#describe(request, segment);
      const unread = describe(() => []);
      // Who has it already costs no read.
      if (isNotModified(asked.ifNoneMatch, unread.etag)) return this.#send(request, unread);
      const bytes = await this.#archive?.read(endpoint.window.stream, rendition.id, segment);
      if (bytes?.length !== segment.sizeBytes) return this.#missing(response);
      this.#send(
        request,
        describe(() => [bytes]),
      );
    } catch (error) {
      if (error instanceof AppError) this.#answers.fail(response, 'overload', error);
      else endpoint.fail(response, error);
    }
  }

  #nothing(request: MediaRequest): WholeMedia {
    const bytes = NOTHING[request.rendition.kind];
    const known = this.#whole.get(bytes);
    return known ?? this.#remember(bytes, request, 'segment', 'nothing', bytes.length, () => [bytes]);
  }

  #part(request: MediaRequest, path: PathOf<'part'>): void {
    const { endpoint, rendition, response } = request;
    const outcome = decidePart(endpoint.window, rendition, path, path.part);
    if (outcome.kind !== 'not-yet') return this.#settlePart(request, path, outcome);
    const decide = (): PartOutcome | undefined => {
      const later = decidePart(endpoint.window, rendition, path, path.part);
      return later.kind === 'not-yet' ? undefined : later;
    };
    const key = `${path.rendition}/${path.period}/${path.number}.${path.part}`;
    const held = endpoint.parts.hold(
      { key, decide },
      this.#waiter(response, (settled) => this.#settlePart(request, path, settled), 'ORIGIN_HOLD_EXPIRED'),
    );
    if (!held) this.#refuse(response, 'part');
  }

  #settlePart(request: MediaRequest, path: PathOf<'part'>, outcome: PartOutcome): void {
    if (outcome.kind === 'part') {
      return this.#send(request, this.#wholePart(request, outcome.segment, outcome.part));
    }
    this.#missing(request.response, isAhead(request.rendition, path.number));
  }

  #wholeSegment(request: MediaRequest, segment: Segment): WholeMedia {
    const { chunks } = segment;
    const known = this.#whole.get(chunks);
    if (known) return known;
    const media = this.#describe(request, segment)(() => chunks.map(({ bytes }) => bytes));
    this.#whole.set(chunks, media);
    return media;
  }

  /** A whole segment, wherever its bytes come from. */
  #describe(
    { rendition }: MediaRequest,
    { period, number, sizeBytes }: Segment,
  ): (chunks: WholeMedia['chunks']) => WholeMedia {
    const headers = this.#answers.headers('segment', CONTENT_TYPES[rendition.kind]);
    return (chunks) => new WholeMedia('segment', `${period.id}-${number}`, sizeBytes, headers, chunks);
  }

  #wholePart(request: MediaRequest, segment: Segment, part: Part): WholeMedia {
    const known = this.#whole.get(part);
    if (known) return known;
    const name = `${segment.period.id}-${segment.number}.${part.index}`;
    return this.#remember(part, request, 'part', name, part.sizeBytes, () =>
      segment.chunks.slice(part.firstChunk, part.endChunk).map((chunk) => chunk.bytes),
    );
  }

  #remember(
    source: object,
    { rendition }: MediaRequest,
    kind: WholeMedia['kind'],
    name: string,
    sizeBytes: number,
    chunks: () => readonly Uint8Array[],
  ): WholeMedia {
    const headers = this.#answers.headers(kind, CONTENT_TYPES[rendition.kind]);
    const media = new WholeMedia(kind, name, sizeBytes, headers, chunks);
    this.#whole.set(source, media);
    return media;
  }

  #send({ asked, response }: MediaRequest, media: WholeMedia): void {
    this.#sender.send(asked, response, media);
  }

  /** The chunks there are, at once, and each one to come as soon as it is complete. A range is not looked at. */
  #growing({ endpoint, rendition, asked, response }: MediaRequest, segment: Segment): void {
    const headers = this.#answers.headers('segment-growing', CONTENT_TYPES[rendition.kind]);
    const body = this.#answers.open(response, 'segment-growing', headers);
    if (asked.head) return body.end();
    response.onAbort(endpoint.streamer(segment).join(body));
  }

  #waiter<Outcome>(
    response: HttpResponse,
    settle: (outcome: Outcome) => void,
    expiry: 'ORIGIN_HOLD_EXPIRED' | 'ORIGIN_MEDIA_NOT_YET',
  ): Waiter<Outcome> {
    return {
      response,
      settle,
      expire: (reason) => {
        const error = new AppError(reason === 'closing' ? 'ORIGIN_CLOSING' : expiry);
        this.#answers.fail(response, error.status === 404 ? 'ahead' : 'overload', error);
      },
    };
  }

  #refuse(response: HttpResponse, kind: 'part' | 'segment'): void {
    this.#metrics.holdsRefused.inc({ kind });
    this.#answers.fail(response, 'overload', new AppError('ORIGIN_WAITERS_FULL'));
  }

  #missing(response: HttpResponse, ahead = false): void {
    const kind: AnswerKind = ahead ? 'ahead' : 'missing';
    this.#answers.fail(
      response,
      kind,
      new AppError(ahead ? 'ORIGIN_MEDIA_NOT_YET' : 'ORIGIN_MEDIA_NOT_FOUND'),
    );
  }
}
