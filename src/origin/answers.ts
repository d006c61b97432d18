import type { Counter } from 'prom-client';
import type { AppError } from '../base/errors.ts';
import { BatchedCounter, type Series } from '../base/batched-counter.ts';
import { isNotModified } from '../http/conditional.ts';
import { corsHeaderBlock } from '../http/cors.ts';
import { headerBlock } from '../http/header-block.ts';
import { problemAnswer } from '../http/problem.ts';
import type { BodyStream, HeaderBlock, HttpAnswer, HttpResponse, PiecedAnswer } from '../http/types.ts';
import type { SegmentPlan } from '../stream/live-window.ts';
import type { Asked } from './asked.ts';
import { type AnswerKind, cacheControl } from './cache-policy.ts';
import type { OriginMetrics } from './origin-metrics.ts';

type Entry = readonly [name: string, value: string];

/** On every answer: timing visible to players across origins, and no guessing of types. */
const COMMON: readonly Entry[] = [
  ['Timing-Allow-Origin', '*'],
  ['X-Content-Type-Options', 'nosniff'],
];

/** The pages play with blob URLs and workers made from them; everything else comes from here. */
const PAGE_SECURITY: readonly Entry[] = [
  [
    'Content-Security-Policy',
    [
      "default-src 'self'",
      "script-src 'self' blob:",
      "worker-src 'self' blob:",
      "media-src 'self' blob: data:",
      "img-src 'self' data: blob:",
      "style-src 'self' 'unsafe-inline'",
      "object-src 'none'",
      "base-uri 'none'",
    ].join('; '),
  ],
  ['Referrer-Policy', 'no-referrer'],
];

/** Headers that a kind of answer has beyond those of all. */
const KIND_ENTRIES: { readonly [K in AnswerKind]?: readonly Entry[] } = {
  init: [['Accept-Ranges', 'bytes']],
  segment: [['Accept-Ranges', 'bytes']],
  part: [['Accept-Ranges', 'bytes']],
  'title-media': [['Accept-Ranges', 'bytes']],
  /** Proxies that gather answers before passing them on would undo the low latency. */
  'segment-growing': [['X-Accel-Buffering', 'no']],
  page: PAGE_SECURITY,
};

/** Kinds a client should come back for, seconds later. */
const RETRY_AFTER_SECONDS = '1';

/** A text in the two codings it is sent in. */
export interface CodedText {
  readonly identity: Uint8Array;
  /** Undefined when packing saves nothing. */
  readonly gzip: Uint8Array | undefined;
  readonly contentType: string;
  /** Strong entity tag of the unpacked text, without quotes. */
  readonly tag: string;
}

/** The answer with one version of a text in one coding. */
interface TextAnswer extends HttpAnswer {
  readonly tag: string;
  readonly etag: string;
}

/** Gives answers their headers, from blocks that are rendered once per kind, and counts them. */
export class Answers {
  readonly #counts: ResponseCounts;
  readonly #blocks = new Map<string, HeaderBlock>();
  /** Answers with a text by the bytes they send: one version of a playlist is sent very many times. */
  readonly #texts = new WeakMap<Uint8Array, Map<AnswerKind, TextAnswer>>();

  constructor(metrics: OriginMetrics) {
    this.#counts = new ResponseCounts(metrics.responses);
  }

  /** Headers of a kind of answer. The same arguments give the same block. */
  headers(
    kind: AnswerKind,
    contentType: string,
    plan?: SegmentPlan,
    more: readonly Entry[] = [],
  ): HeaderBlock {
    const cache = cacheControl(kind, plan);
    const key = [kind, contentType, cache, ...more.flat()].join('|');
    const known = this.#blocks.get(key);
    if (known) return known;
    const type: Entry[] = contentType === '' ? [] : [['Content-Type', contentType]];
    const block = corsHeaderBlock([
      ...type,
      ['Cache-Control', cache],
      ...COMMON,
      ...(KIND_ENTRIES[kind] ?? []),
      ...more,
    ]);
    this.#blocks.set(key, block);
    return block;
  }

  send(response: HttpResponse, kind: AnswerKind, answer: HttpAnswer): void {
    this.#counts.add(kind, answer.status);
    response.send(answer);
  }

  sendPieces(response: HttpResponse, kind: AnswerKind, answer: PiecedAnswer): Promise<void> {
    this.#counts.add(kind, answer.status);
    return response.sendPieces(answer);
  }

  open(response: HttpResponse, kind: AnswerKind, headers: HeaderBlock): BodyStream {
    this.#counts.add(kind, 200);
    return response.open(200, headers);
  }

  /** Sends a text packed or not, as the client takes it, or 304 when it has it already. */
  sendText(
    response: HttpResponse,
    kind: AnswerKind,
    text: CodedText,
    asked: Asked,
    plan?: SegmentPlan,
  ): void {
    const gzip = asked.acceptsGzip ? text.gzip : undefined;
    const answer = this.#textAnswer(kind, text, gzip, plan);
    if (asked.ifNoneMatch === '' || !isNotModified(asked.ifNoneMatch, answer.etag)) {
      this.send(response, kind, answer);
    } else {
      this.send(response, kind, { status: 304, headers: answer.headers });
    }
  }

  #textAnswer(
    kind: AnswerKind,
    text: CodedText,
    gzip: Uint8Array | undefined,
    plan?: SegmentPlan,
  ): TextAnswer {
    const body = gzip ?? text.identity;
    const ofBody = this.#texts.get(body) ?? new Map<AnswerKind, TextAnswer>();
    const known = ofBody.get(kind);
    if (known?.tag === text.tag) return known;
    const { tag } = text;
    const etag = gzip ? `"${tag}-gz"` : `"${tag}"`;
    const coding: Entry[] = gzip ? [['Content-Encoding', 'gzip']] : [];
    const shared = this.headers(kind, text.contentType, plan, [['Vary', 'Accept-Encoding'], ...coding]);
    const headers = headerBlock([...shared.entries, ['ETag', etag]]);
    const answer = { status: 200, headers, body, tag, etag };
    this.#texts.set(body, ofBody.set(kind, answer));
    return answer;
  }

  /** Answers with problem+json; the kind says how long caches may keep it. */
  fail(response: HttpResponse, kind: AnswerKind, error: AppError): void {
    const extra: Entry[] = error.status === 503 ? [['Retry-After', RETRY_AFTER_SECONDS]] : [];
    const problem = problemAnswer(error, extra);
    this.send(response, kind, { ...problem, headers: this.headers(kind, 'application/problem+json') });
  }
}

/** Counts answers by kind and status. */
class ResponseCounts {
  readonly #counter: BatchedCounter<'kind' | 'status'>;
  readonly #series = new Map<AnswerKind, Map<number, Series>>();

  constructor(counter: Counter<'kind' | 'status'>) {
    this.#counter = new BatchedCounter(counter);
  }

  add(kind: AnswerKind, status: number): void {
    const series = this.#series.get(kind)?.get(status) ?? this.#begin(kind, status);
    series.inc();
  }

  #begin(kind: AnswerKind, status: number): Series {
    const ofKind = this.#series.get(kind) ?? new Map<number, Series>();
    const series = this.#counter.series({ kind, status });
    this.#series.set(kind, ofKind.set(status, series));
    return series;
  }
}
