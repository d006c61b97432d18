import { AppError } from '../base/errors.ts';
import { ifRangeAllows, isNotModified } from '../http/conditional.ts';
import { contentRange, parseRange, unsatisfiedContentRange } from '../http/range.ts';
import type { HttpResponse } from '../http/types.ts';
import type { MediaPath } from '../packager/media-path.ts';
import type { Part, Rendition, Segment } from '../stream/live-window.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './asked.ts';
import { sliceBuffers } from './byte-slices.ts';
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

type PathOf<K extends MediaPath['kind']> = Extract<MediaPath, { kind: K }>;

/** A request for media of a rendition that exists. */
interface MediaRequest {
  readonly endpoint: StreamEndpoint;
  readonly rendition: Rendition;
  readonly asked: Asked;
  readonly response: HttpResponse;
}

/** Complete bytes behind an immutable URL. */
interface WholeMedia {
  readonly kind: 'init' | 'segment' | 'part';
  readonly buffers: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** Names the bytes within the stream: period, number, part. */
  readonly name: string;
}

const CONTENT_TYPES = { video: 'video/mp4', audio: 'audio/mp4' } as const;

/** Answers requests for initialization segments, segments and parts. */
export class MediaRoutes {
  readonly #answers: Answers;
  readonly #metrics: OriginMetrics;

  constructor(answers: Answers, metrics: OriginMetrics) {
    this.#answers = answers;
    this.#metrics = metrics;
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
    const period = request.endpoint.window.periods.find(({ id }) => id === path.period);
    const bytes = period?.inits.get(path.rendition);
    if (!bytes) return this.#missing(request.response);
    this.#whole(request, {
      kind: 'init',
      buffers: [bytes],
      sizeBytes: bytes.length,
      name: `${path.period}-init`,
    });
  }

  #segment(request: MediaRequest, path: PathOf<'segment'>): void {
    const { endpoint, response } = request;
    const decide = (): SegmentOutcome | undefined => {
      const outcome = decideSegment(endpoint.window, request.rendition, path);
      return outcome.kind === 'not-yet' ? undefined : outcome;
    };
    const outcome = decide();
    if (outcome) return this.#settleSegment(request, path, outcome);
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
        return this.#whole(request, wholeSegment(outcome.segment));
      case 'growing':
        return this.#growing(request, outcome.segment);
      case 'missing':
        return this.#missing(request.response, isAhead(request.rendition, path.number));
    }
  }

  #part(request: MediaRequest, path: PathOf<'part'>): void {
    const { endpoint, response } = request;
    const decide = (): PartOutcome | undefined => {
      const outcome = decidePart(endpoint.window, request.rendition, path, path.part);
      return outcome.kind === 'not-yet' ? undefined : outcome;
    };
    const outcome = decide();
    if (outcome) return this.#settlePart(request, path, outcome);
    const key = `${path.rendition}/${path.period}/${path.number}.${path.part}`;
    const held = endpoint.parts.hold(
      { key, decide },
      this.#waiter(response, (settled) => this.#settlePart(request, path, settled), 'ORIGIN_HOLD_EXPIRED'),
    );
    if (!held) this.#refuse(response, 'part');
  }

  #settlePart(request: MediaRequest, path: PathOf<'part'>, outcome: PartOutcome): void {
    if (outcome.kind === 'part') this.#whole(request, wholePart(outcome.segment, outcome.part));
    else this.#missing(request.response, isAhead(request.rendition, path.number));
  }

  /** A complete body: all of it, a range of it, or word that the client has it already. */
  #whole({ rendition, asked, response }: MediaRequest, media: WholeMedia): void {
    const { kind, sizeBytes } = media;
    const etag = `"${media.name}-${sizeBytes}"`;
    const headers = this.#answers.headers(kind, CONTENT_TYPES[rendition.kind]);
    const tag = ['ETag', etag] as const;
    if (isNotModified(asked.ifNoneMatch, etag)) {
      return this.#answers.send(response, kind, { status: 304, headers, extra: [tag] });
    }
    const range = ifRangeAllows(asked.ifRange, etag) ? parseRange(asked.range, sizeBytes) : undefined;
    if (range === undefined) {
      return this.#answers.send(response, kind, { status: 200, headers, extra: [tag], body: media.buffers });
    }
    if (range === 'unsatisfiable') {
      const bounds = ['Content-Range', unsatisfiedContentRange(sizeBytes)] as const;
      const refused = this.#answers.headers('refused', '');
      return this.#answers.send(response, kind, { status: 416, headers: refused, extra: [bounds] });
    }
    const body = sliceBuffers(media.buffers, range.start, range.end);
    const bounds = ['Content-Range', contentRange(range, sizeBytes)] as const;
    this.#answers.send(response, kind, { status: 206, headers, extra: [tag, bounds], body });
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

function wholeSegment(segment: Segment): WholeMedia {
  return {
    kind: 'segment',
    buffers: segment.chunks.map((chunk) => chunk.bytes),
    sizeBytes: segment.sizeBytes,
    name: `${segment.period.id}-${segment.number}`,
  };
}

function wholePart(segment: Segment, part: Part): WholeMedia {
  return {
    kind: 'part',
    buffers: segment.chunks.slice(part.firstChunk, part.endChunk).map((chunk) => chunk.bytes),
    sizeBytes: part.sizeBytes,
    name: `${segment.period.id}-${segment.number}.${part.index}`,
  };
}
