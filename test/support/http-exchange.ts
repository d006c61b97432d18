import type {
  BodyStream,
  HttpAnswer,
  HttpRequest,
  HttpResponse,
  PiecedAnswer,
} from '../../src/http/types.ts';

/** A request made by hand. */
export function fakeRequest(
  fields: Partial<HttpRequest> & { headers?: Record<string, string> } = {},
): HttpRequest {
  return {
    method: 'GET',
    path: '/',
    query: '',
    remoteAddress: '192.0.2.1',
    header: (name) => fields.headers?.[name] ?? '',
    body: () => Promise.resolve(new Uint8Array(0)),
    async *bodyPieces() {},
    ...fields,
  };
}

/** A response that remembers what it was told. */
export class RecordedResponse implements HttpResponse {
  readonly answers: HttpAnswer[] = [];
  readonly written: Uint8Array[] = [];
  opened: { status: number; ended: boolean } | undefined;
  aborted = false;
  #onAbort: (() => void)[] = [];

  onAbort(callback: () => void): void {
    this.#onAbort.push(callback);
  }

  send(answer: HttpAnswer): void {
    if (!this.aborted && this.answers.length === 0 && !this.opened) this.answers.push(answer);
  }

  async sendPieces({ sizeBytes, pieces, ...answer }: PiecedAnswer): Promise<void> {
    const body: Uint8Array[] = [];
    for await (const piece of pieces) body.push(piece);
    const madeBytes = body.reduce((sum, piece) => sum + piece.length, 0);
    if (madeBytes !== sizeBytes) throw new Error(`a body of ${madeBytes} bytes instead of ${sizeBytes}`);
    this.send({ ...answer, body });
  }

  open(status: number): BodyStream {
    const opened = { status, ended: false };
    this.opened = opened;
    return {
      write: (data) => void this.written.push(data.data),
      end: () => {
        opened.ended = true;
      },
      backlogBytes: 0,
    };
  }

  /** Plays the peer going away. */
  abort(): void {
    this.aborted = true;
    for (const callback of this.#onAbort.splice(0)) callback();
  }
}
