import { AppError } from '../base/errors.ts';
import { ifRangeAllows, isNotModified } from '../http/conditional.ts';
import { headerBlock } from '../http/header-block.ts';
import { contentRange, parseRange, unsatisfiedContentRange } from '../http/range.ts';
import type { HeaderBlock, HttpResponse } from '../http/types.ts';
import { segmentPath } from '../packager/media-path.ts';
import { refitSegment } from '../packager/files/refit-segment.ts';
import { readTitleFile, type StoredPart, type TitleFile } from '../packager/files/title-file.ts';
import type { Title } from '../stream/title.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './asked.ts';

/** A file of a title, and what is said of it. */
export interface SentFile {
  readonly file: TitleFile;
  /** Its name in its entity tag: another file has another. */
  readonly name: string;
  readonly contentType: string;
  /** Undefined: it is played, not kept. */
  readonly saveAs: string | undefined;
}

/** What stored parts are read by: a blob of a title by its path. Undefined: there is none. */
export type ReadTitleBlob = (title: Title, path: string) => Promise<Uint8Array | undefined>;

/** Sends files that are nowhere as a whole: each reader holds one segment at a time, however large the file is. */
export class TitleFiles {
  readonly #answers: Answers;

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** Resolves when it is sent, or the reader has gone. */
  async send(
    title: Title,
    { file, name, contentType, saveAs }: SentFile,
    asked: Asked,
    response: HttpResponse,
    read: ReadTitleBlob,
  ): Promise<void> {
    const etag = `"${name}-${file.sizeBytes}"`;
    const headers = this.#headers(etag, contentType, saveAs);
    const kind = 'title-media';
    if (asked.ifNoneMatch !== '' && isNotModified(asked.ifNoneMatch, etag)) {
      return this.#answers.send(response, kind, { status: 304, headers });
    }
    const isRange = asked.range !== '' && ifRangeAllows(asked.ifRange, etag);
    const range = isRange ? parseRange(asked.range, file.sizeBytes) : undefined;
    if (range === 'unsatisfiable') {
      const bounds = ['Content-Range', unsatisfiedContentRange(file.sizeBytes)] as const;
      const refused = this.#answers.headers('refused', '');
      return this.#answers.send(response, kind, { status: 416, headers: refused, extra: [bounds] });
    }
    const { start, end } = range ?? { start: 0, end: file.sizeBytes - 1 };
    await this.#answers.sendPieces(response, kind, {
      status: range ? 206 : 200,
      headers,
      ...(range && { extra: [['Content-Range', contentRange(range, file.sizeBytes)] as const] }),
      sizeBytes: end - start + 1,
      pieces: readTitleFile(file, start, end, (part) => readPart(title, part, read)),
    });
  }

  #headers(etag: string, contentType: string, saveAs: string | undefined): HeaderBlock {
    const saved = saveAs === undefined ? [] : [contentDisposition(saveAs)];
    return headerBlock([
      ...this.#answers.headers('title-media', contentType).entries,
      ['ETag', etag],
      ...saved,
    ]);
  }
}

/** Names of titles and renditions have nothing in them that would need quoting (RFC 6266 4.1). */
function contentDisposition(name: string): readonly [string, string] {
  return ['Content-Disposition', `attachment; filename="${name}"`];
}

async function readPart(title: Title, part: StoredPart, read: ReadTitleBlob): Promise<Uint8Array> {
  const { rendition, period, number, sizeBytes, refit } = part;
  const path = segmentPath(rendition, period, number);
  const stored = await read(title, path);
  const bytes = stored && refit ? refitSegment(stored, refit) : stored;
  if (bytes?.length !== sizeBytes) {
    throw new AppError('STORAGE_UNAVAILABLE', `${path} of title ${title.id} is not what its record says`);
  }
  return bytes;
}
