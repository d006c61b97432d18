import { AppError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import { headerBlock } from '../http/header-block.ts';
import type { HttpAnswer, HttpHandler, HttpRequest } from '../http/types.ts';
import { type AdminAccess, COMMON_HEADERS, problem } from './admin-access.ts';
import type { DocumentedApi } from './openapi.ts';

/** What the uploads of masters are kept by. Rejections are AppErrors. */
export interface UploadKeeper {
  create(sizeBytes: number): Promise<UploadState>;
  find(id: string): Promise<UploadState | undefined>;
  append(id: string, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<UploadState>;
  remove(id: string): Promise<boolean>;
}

export interface UploadState {
  readonly id: string;
  readonly sizeBytes: number;
  readonly offset: number;
}

export const UPLOADS_PATH = '/v1/uploads';

const VERSION = '1.0.0';
const TUS = [['Tus-Resumable', VERSION], ...COMMON_HEADERS] as const;
const HEADERS = headerBlock(TUS);
const CAPABILITIES = headerBlock([
  ...TUS,
  ['Tus-Version', VERSION],
  ['Tus-Extension', 'creation,termination'],
]);
const CHUNK_TYPE = 'application/offset+octet-stream';
/** A request that brings nothing for so long is broken off; the client goes on from where it was. */
const SILENCE_MS = 30_000;

interface UploadApiDeps {
  readonly uploads: UploadKeeper;
  readonly access: AdminAccess;
  readonly clock: Clock;
}

/**
 * Uploads by the tus protocol 1.0 (core, creation, termination): POST with Upload-Length makes one, HEAD says how far it is,
 * PATCH goes on. Any client of that protocol works, with the admin token as bearer.
 */
export function createUploadApi({ uploads, access, clock }: UploadApiDeps): HttpHandler {
  return async (request, response) => {
    const { method, path } = request;
    if (method === 'OPTIONS') return response.send({ status: 204, headers: CAPABILITIES });
    const refusal = access(request);
    if (refusal) return response.send(refusal);
    const id = path.slice(UPLOADS_PATH.length + 1);
    try {
      response.send(await answer(request, id));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      response.send(problem(error, [['Tus-Resumable', VERSION]]));
    }
  };

  async function answer(request: HttpRequest, id: string): Promise<HttpAnswer> {
    const { method } = request;
    if (id === '') {
      if (method !== 'POST')
        return problem(new AppError('HTTP_METHOD_NOT_ALLOWED'), [['Allow', 'POST, OPTIONS']]);
      const made = await uploads.create(wholeNumber(request.header('upload-length')));
      return {
        status: 201,
        headers: HEADERS,
        extra: [...state(made), ['Location', `${UPLOADS_PATH}/${made.id}`]],
      };
    }
    if (method === 'HEAD' || method === 'GET')
      return { status: 200, headers: HEADERS, extra: state(await found(id)) };
    if (method === 'PATCH') return patch(request, id);
    if (method !== 'DELETE') {
      return problem(new AppError('HTTP_METHOD_NOT_ALLOWED'), [['Allow', 'HEAD, PATCH, DELETE, OPTIONS']]);
    }
    if (!(await uploads.remove(id))) throw new AppError('VOD_UPLOAD_NOT_FOUND');
    return { status: 204, headers: HEADERS };
  }

  async function patch(request: HttpRequest, id: string): Promise<HttpAnswer> {
    if (request.header('content-type') !== CHUNK_TYPE) {
      throw new AppError('HTTP_BAD_REQUEST', `the Content-Type must be ${CHUNK_TYPE}`);
    }
    const offset = wholeNumber(request.header('upload-offset'));
    const silence = new AbortController();
    const pieces = request.bodyPieces(silence.signal);
    const reached = await uploads.append(id, offset, watched(pieces, silence, clock));
    return { status: 204, headers: HEADERS, extra: state(reached) };
  }

  async function found(id: string): Promise<UploadState> {
    const upload = await uploads.find(id);
    if (!upload) throw new AppError('VOD_UPLOAD_NOT_FOUND');
    return upload;
  }
}

async function* watched(
  pieces: AsyncIterable<Uint8Array>,
  silence: AbortController,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const arm = () =>
    clock.after(SILENCE_MS, () => silence.abort(new AppError('HTTP_BAD_REQUEST', 'nothing came')));
  let timer = arm();
  try {
    for await (const piece of pieces) {
      timer.cancel();
      yield piece;
      timer = arm();
    }
  } finally {
    timer.cancel();
  }
}

function state({ sizeBytes, offset }: UploadState): (readonly [string, string])[] {
  return [
    ['Upload-Offset', String(offset)],
    ['Upload-Length', String(sizeBytes)],
  ];
}

/** @throws AppError HTTP_BAD_REQUEST */
function wholeNumber(text: string): number {
  if (!/^(?:0|[1-9]\d{0,14})$/.test(text))
    throw new AppError('HTTP_BAD_REQUEST', 'a number of bytes is missing');
  return Number(text);
}

const PROBLEM = (description: string) => ({ description, schema: 'Problem' });

/** What the API document says of it. */
export const UPLOAD_CALLS: DocumentedApi['calls'] = [
  {
    method: 'POST',
    path: UPLOADS_PATH,
    auth: 'admin',
    operationId: 'createUpload',
    summary:
      'Begin the upload of a master (tus 1.0: header Upload-Length; PATCH the Location with the bytes)',
    responses: { 201: { description: 'Location is where it goes on' }, 413: PROBLEM('Too large') },
  },
  {
    method: 'DELETE',
    path: `${UPLOADS_PATH}/{id}`,
    auth: 'admin',
    operationId: 'removeUpload',
    summary: 'Take an upload away',
    responses: { 204: { description: 'Gone' }, 404: PROBLEM('No such upload') },
  },
];
