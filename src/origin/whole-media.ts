import { headerBlock } from '../http/header-block.ts';
import type { HeaderBlock } from '../http/types.ts';
import { JoinedBody } from './joined-bodies.ts';

/** Complete bytes behind an immutable URL, with what every answer about them needs. */
export class WholeMedia {
  readonly kind: 'init' | 'segment' | 'part' | 'title-media';
  readonly sizeBytes: number;
  /** Strong entity tag, quotes included: period, number, part, size. */
  readonly etag: string;
  /** The headers of its kind, and its ETag. */
  readonly headers: HeaderBlock;
  readonly joined = new JoinedBody();
  /** The chunks its bytes are made of. */
  readonly chunks: () => readonly Uint8Array[];

  constructor(
    kind: WholeMedia['kind'],
    name: string,
    sizeBytes: number,
    headers: HeaderBlock,
    chunks: () => readonly Uint8Array[],
  ) {
    this.kind = kind;
    this.sizeBytes = sizeBytes;
    this.etag = `"${name}-${sizeBytes}"`;
    this.headers = headerBlock([...headers.entries, ['ETag', this.etag]]);
    this.chunks = chunks;
  }
}
