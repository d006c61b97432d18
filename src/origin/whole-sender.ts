import { ifRangeAllows, isNotModified } from '../http/conditional.ts';
import { type ByteRange, contentRange, parseRange, unsatisfiedContentRange } from '../http/range.ts';
import type { HttpResponse } from '../http/types.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './asked.ts';
import { sliceBuffers } from './byte-slices.ts';
import { JoinedBodies, MAX_JOINED_BYTES } from './joined-bodies.ts';
import type { OriginMetrics } from './origin-metrics.ts';
import type { WholeMedia } from './whole-media.ts';

/** Sends complete bodies: all of it, a range of it, or word that the client has it already. */
export class WholeSender {
  readonly #answers: Answers;
  readonly #bodies: JoinedBodies;

  constructor(answers: Answers, metrics: OriginMetrics) {
    this.#answers = answers;
    this.#bodies = new JoinedBodies(MAX_JOINED_BYTES, metrics.joinedBytes);
  }

  send(asked: Asked, response: HttpResponse, media: WholeMedia): void {
    const { kind, etag, headers, sizeBytes } = media;
    if (asked.ifNoneMatch !== '' && isNotModified(asked.ifNoneMatch, etag)) {
      return this.#answers.send(response, kind, { status: 304, headers });
    }
    if (asked.range !== '' && ifRangeAllows(asked.ifRange, etag)) {
      const range = parseRange(asked.range, sizeBytes);
      if (range) return this.#sendRange(response, media, range);
    }
    // The length of a body that is not sent is all that is asked of it.
    const body = asked.head ? media.chunks() : this.#bodies.get(media.joined, media.chunks);
    this.#answers.send(response, kind, { status: 200, headers, body });
  }

  #sendRange(response: HttpResponse, media: WholeMedia, range: ByteRange | 'unsatisfiable'): void {
    const { kind, headers, sizeBytes } = media;
    if (range === 'unsatisfiable') {
      const bounds = ['Content-Range', unsatisfiedContentRange(sizeBytes)] as const;
      const refused = this.#answers.headers('refused', '');
      return this.#answers.send(response, kind, { status: 416, headers: refused, extra: [bounds] });
    }
    const body = sliceBuffers(media.chunks(), range.start, range.end);
    const bounds = ['Content-Range', contentRange(range, sizeBytes)] as const;
    this.#answers.send(response, kind, { status: 206, headers, extra: [bounds], body });
  }
}
