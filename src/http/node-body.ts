import type { IncomingMessage } from 'node:http';
import { AppError } from '../base/errors.ts';

/** Whether the request announced a body. */
export function announcesBody(message: IncomingMessage): boolean {
  const { 'transfer-encoding': coding, 'content-length': length } = message.headers;
  return coding !== undefined || (length !== undefined && length !== '0');
}

function refuseEncoding(message: IncomingMessage): void {
  const encoding = message.headers['content-encoding'];
  if (encoding && encoding.toLowerCase() !== 'identity') throw new AppError('HTTP_UNSUPPORTED_ENCODING');
}

/** Gives a request body as it comes; see `HttpRequest.bodyPieces`. Nothing is read ahead of who takes the pieces. */
export async function* readPieces(message: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  refuseEncoding(message);
  let wake = (): void => undefined;
  const changed = (): void => wake();
  // Not the stream's own iterator: leaving that destroys the socket before the peer could read why.
  for (const event of PIECE_EVENTS) message.on(event, changed);
  signal.addEventListener('abort', changed);
  try {
    for (;;) {
      signal.throwIfAborted();
      const piece = message.read() as Uint8Array | null;
      if (piece) yield piece;
      else if (message.readableEnded) return;
      else if (message.destroyed) throw new AppError('HTTP_BAD_REQUEST', 'the request body broke off');
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    for (const event of PIECE_EVENTS) message.off(event, changed);
    signal.removeEventListener('abort', changed);
  }
}

const PIECE_EVENTS = ['readable', 'end', 'close', 'error'] as const;

/**
 * Reads a whole request body. Bytes are counted as they come; at the limit reading stops.
 * @throws AppError HTTP_BODY_TOO_LARGE, HTTP_UNSUPPORTED_ENCODING, HTTP_BAD_REQUEST when the body breaks off.
 */
export async function readBody(message: IncomingMessage, limitBytes: number): Promise<Uint8Array> {
  refuseEncoding(message);
  if (Number(message.headers['content-length'] ?? 0) > limitBytes) throw new AppError('HTTP_BODY_TOO_LARGE');
  const chunks: Uint8Array[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      message.off('data', onData).off('end', onEnd).off('close', onBroken).off('error', onBroken);
    };
    const onData = (chunk: Uint8Array): void => {
      size += chunk.length;
      if (size <= limitBytes) {
        chunks.push(chunk);
        return;
      }
      stop();
      message.pause();
      reject(new AppError('HTTP_BODY_TOO_LARGE'));
    };
    const onEnd = (): void => {
      stop();
      resolve(Buffer.concat(chunks, size));
    };
    const onBroken = (): void => {
      stop();
      reject(new AppError('HTTP_BAD_REQUEST', 'the request body broke off'));
    };
    if (message.destroyed) return onBroken();
    message.on('data', onData).on('end', onEnd).on('close', onBroken).on('error', onBroken);
  });
}
