import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { RecordingKeeper } from './recording-status.ts';
import type { TitleKeeper } from './title-status.ts';
import { renderStream, type KeyKeeper, type StreamDirectory, type StreamStatus } from './stream-status.ts';

/** What the control API's calls work on. */
export interface ControlServices {
  readonly streams: StreamDirectory;
  readonly keys: KeyKeeper;
  /** Undefined: there is no VOD here. */
  readonly titles?: TitleKeeper | undefined;
  /** Undefined: nothing is kept of live streams here. */
  readonly recordings?: RecordingKeeper | undefined;
  /** Sentences on what keeps the server from doing its work; empty when it is ready. */
  readonly problems: () => readonly string[];
}

/** Answer of one call: JSON, or nothing (204). */
export interface CallResult {
  readonly status: number;
  readonly json?: object;
}

/** One call of the control API. Routing, access and the OpenAPI document are all made from this table. */
export interface ControlRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** OpenAPI template; `{id}` is a name. */
  readonly path: string;
  /** Who may call it: whoever has the admin token, or anybody. */
  readonly auth: 'admin' | 'none';
  readonly operationId: string;
  readonly summary: string;
  /** Status codes with what they mean; 401 and 429 are added where a token is asked for. */
  readonly responses: Readonly<Record<number, { readonly description: string; readonly schema?: string }>>;
  /** Name of the schema of its body, which is JSON; undefined: it takes none. */
  readonly requestSchema?: string;
  /** `body`: what the JSON says, of a call that takes some. */
  call(services: ControlServices, id: string, body: unknown): CallResult | Promise<CallResult>;
}

export const CONTROL_ROUTES: readonly ControlRoute[] = [
  {
    method: 'GET',
    path: '/v1/streams',
    auth: 'admin',
    operationId: 'listStreams',
    summary: 'Every stream that has a publish key or is being published',
    responses: { 200: { description: 'The streams', schema: 'StreamList' } },
    async call({ streams }) {
      return { status: 200, json: { streams: (await streams.streams()).map(renderStream) } };
    },
  },
  {
    method: 'GET',
    path: '/v1/streams/{id}',
    auth: 'admin',
    operationId: 'getStream',
    summary: 'One stream',
    responses: {
      200: { description: 'The stream', schema: 'Stream' },
      400: { description: 'Not a stream name', schema: 'Problem' },
      404: { description: 'No such stream', schema: 'Problem' },
    },
    async call({ streams }, id) {
      return { status: 200, json: renderStream(await findStream(streams, id)) };
    },
  },
  {
    method: 'DELETE',
    path: '/v1/streams/{id}/publisher',
    auth: 'admin',
    operationId: 'kickPublisher',
    summary: 'Disconnect the publisher; with its key it may come back',
    responses: {
      204: { description: 'Disconnected' },
      400: { description: 'Not a stream name', schema: 'Problem' },
      404: { description: 'No such stream, or nobody is publishing it', schema: 'Problem' },
    },
    async call({ streams }, id) {
      const { publishers } = await findStream(streams, id);
      if (publishers.length === 0) throw new AppError('STREAM_OFFLINE');
      streams.kick(id);
      return { status: 204 };
    },
  },
  {
    method: 'POST',
    path: '/v1/streams/{id}/key',
    auth: 'admin',
    operationId: 'rotateKey',
    summary: 'Give the stream a new publish key; who publishes with the old one is disconnected',
    responses: {
      200: { description: 'The new key, shown this once', schema: 'PublishKey' },
      400: { description: 'Not a stream name', schema: 'Problem' },
      404: { description: 'The stream has no publish key', schema: 'Problem' },
    },
    async call({ keys }, id) {
      requireName(id);
      const key = await keys.rotate(id);
      const srtPassphrase = await keys.srtPassphrase(id);
      return {
        status: 200,
        json: { stream: id, key, ...(srtPassphrase !== undefined && { srtPassphrase }) },
      };
    },
  },
  {
    method: 'DELETE',
    path: '/v1/streams/{id}/key',
    auth: 'admin',
    operationId: 'revokeKey',
    summary: 'Take the publish key back; whoever publishes the stream is disconnected',
    responses: {
      204: { description: 'The stream has no publish key any more' },
      400: { description: 'Not a stream name', schema: 'Problem' },
      404: { description: 'The stream has no publish key', schema: 'Problem' },
    },
    async call({ keys }, id) {
      requireName(id);
      await keys.revoke(id);
      return { status: 204 };
    },
  },
  {
    method: 'GET',
    path: '/healthz',
    auth: 'none',
    operationId: 'health',
    summary: 'Is the process alive',
    responses: { 200: { description: 'Alive', schema: 'Health' } },
    call: () => ({ status: 200, json: { server: 'headwater', status: 'ok' } }),
  },
  {
    method: 'GET',
    path: '/readyz',
    auth: 'none',
    operationId: 'readiness',
    summary: 'May traffic be sent here',
    responses: {
      200: { description: 'Ready', schema: 'Readiness' },
      503: { description: 'Not ready; `problems` says why', schema: 'Readiness' },
    },
    call({ problems }) {
      const found = problems();
      return { status: found.length === 0 ? 200 : 503, json: { ready: found.length === 0, problems: found } };
    },
  },
];

async function findStream(streams: StreamDirectory, id: string): Promise<StreamStatus> {
  requireName(id);
  const found = (await streams.streams()).find((stream) => stream.id === id);
  if (!found) throw new AppError('STREAM_NOT_FOUND');
  return found;
}

function requireName(id: string): void {
  if (!isStreamName(id)) throw new AppError('STREAM_NAME_INVALID');
}
