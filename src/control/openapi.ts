import type { ControlRoute } from './routes.ts';
import { RECORDING_SCHEMAS } from './recording-routes.ts';
import { TITLE_SCHEMAS } from './title-schemas.ts';

/** The path the document itself is served under. */
export const OPENAPI_PATH = '/v1/openapi.json';

const string = { type: 'string' };
const integer = { type: 'integer' };
const nullable = (schema: object): object => ({ anyOf: [schema, { type: 'null' }] });
const object = (properties: Readonly<Record<string, object>>, optional: readonly string[] = []): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});

const SRT_LINK = {
  ...object({
    latencyMs: { ...integer, description: 'Negotiated: how long a missing packet is waited for' },
    rttMs: { type: 'number', description: 'Round trip, smoothed; 100 until it was measured' },
    receiveBps: { ...integer, description: 'Payload, with what is sent again' },
    sendBps: { ...integer, description: 'Acknowledgements and loss reports that go back' },
    receivedPackets: integer,
    receivedBytes: { ...integer, description: 'Payload' },
    lostPackets: { ...integer, description: 'Found missing; most of them come when they are sent again' },
    retransmittedPackets: { ...integer, description: 'Came marked as sent again' },
    duplicatePackets: integer,
    belatedPackets: { ...integer, description: 'Came after they were needed' },
    droppedPackets: { ...integer, description: 'Never came in time: holes in the stream' },
    undecryptedPackets: integer,
    lossReportsSent: integer,
    bufferedBytes: { ...integer, description: 'Payload held behind missing packets' },
  }),
  description: 'Of publishers over SRT alone. Counts since it connected; rates of the last whole second',
};

const PUBLISHER = object(
  {
    protocol: { ...string, examples: ['rtmp', 'rtmps', 'srt', 'cmaf'] },
    role: { ...string, enum: ['primary', 'backup'] },
    onAir: { type: 'boolean', description: 'Viewers get what it sends; else it warms up or stands by' },
    session: { ...string, description: 'As in the log' },
    remoteAddress: string,
    sinceMs: { type: 'number', description: 'Milliseconds since the Unix epoch' },
    srt: SRT_LINK,
  },
  ['srt'],
);

const SCHEMAS = {
  Stream: object({
    id: { ...string, pattern: '^[A-Za-z0-9_-]{1,64}$' },
    state: { ...string, enum: ['idle', 'live', 'away', 'ended'] },
    playable: { type: 'boolean', description: 'Manifests are served: at least one segment is complete' },
    publisher: nullable({ ...PUBLISHER, description: 'The one on air, or the first of those who wait' }),
    publishers: { type: 'array', items: PUBLISHER, description: 'All of them, the one on air first' },
    tracks: {
      type: 'array',
      items: object(
        {
          kind: { ...string, enum: ['video', 'audio'] },
          codec: { ...string, description: 'RFC 6381' },
          width: integer,
          height: integer,
          frameRate: { type: ['number', 'null'], description: 'null when it varies' },
          sampleRate: integer,
          channels: integer,
        },
        ['width', 'height', 'frameRate', 'sampleRate', 'channels'],
      ),
    },
    renditions: {
      type: 'array',
      items: object({
        id: string,
        codec: nullable({ ...string, description: 'RFC 6381; null while the rendition has no media' }),
        firstNumber: { ...integer, description: 'Oldest segment listed' },
        lastNumber: { ...integer, description: 'Newest segment, may still be growing' },
        averageBps: { type: 'number' },
        peakBps: { type: 'number' },
      }),
    },
    encoder: nullable(
      object({
        state: { ...string, enum: ['running', 'starting', 'degraded', 'off'] },
        rungs: {
          type: 'array',
          items: object({ id: string, width: integer, height: integer, bitrateBps: integer }),
        },
        shed: { type: 'array', items: string, description: 'Rungs left out because encoding was too slow' },
        restarts: integer,
        lagMs: { type: 'number', description: 'How far the slowest rung is behind the source' },
        lastCode: nullable({ ...string, description: 'Stable, see docs/errors.md' }),
      }),
    ),
    urls: object({ page: string, hls: string, dash: string }),
  }),
  StreamList: object({ streams: { type: 'array', items: { $ref: '#/components/schemas/Stream' } } }),
  PublishKey: object(
    {
      stream: string,
      key: { ...string, description: 'Shown once; only its hash is kept' },
      srtPassphrase: { ...string, description: 'For SRT by the name of the stream; changes with the key' },
    },
    ['srtPassphrase'],
  ),
  Health: object({ server: { const: 'headwater' }, status: { const: 'ok' } }),
  Readiness: object({ ready: { type: 'boolean' }, problems: { type: 'array', items: string } }),
  Problem: object(
    {
      type: string,
      title: string,
      status: integer,
      code: { ...string, description: 'Stable, see docs/errors.md' },
      detail: string,
    },
    ['type', 'title', 'detail'],
  ),
};

/** A call as the document tells of it; `viewer`: with a token of the viewer's. */
export interface DocumentedCall
  extends Pick<ControlRoute, 'path' | 'operationId' | 'summary' | 'responses' | 'requestSchema'> {
  readonly method: ControlRoute['method'] | 'PUT';
  readonly auth: ControlRoute['auth'] | 'viewer';
}

/** What other rooms say of calls on the same port. */
export interface DocumentedApi {
  readonly calls: readonly DocumentedCall[];
  readonly schemas: Readonly<Record<string, object>>;
}

/** The OpenAPI 3.1 document of a route table, and of what else is on its port. */
export function renderOpenApi(
  routes: readonly ControlRoute[],
  version: string,
  others: DocumentedApi = { calls: [], schemas: {} },
): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of [...routes, ...others.calls]) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: renderOperation(route) };
  }
  paths[OPENAPI_PATH] = { get: OPENAPI_OPERATION };
  return {
    openapi: '3.1.0',
    info: { title: 'Headwater control API', version },
    paths,
    components: {
      schemas: { ...SCHEMAS, ...TITLE_SCHEMAS, ...RECORDING_SCHEMAS, ...others.schemas },
      securitySchemes: {
        adminToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'Content of secrets/admin.token in the data folder',
        },
        viewerToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'Login token, or playback token; bound to a device, as `DPoP` with a proof (RFC 9449)',
        },
      },
    },
  };
}

const OPENAPI_OPERATION = {
  operationId: 'openApi',
  summary: 'This document',
  security: [],
  responses: {
    200: {
      description: 'OpenAPI 3.1 document',
      content: { 'application/json': { schema: { type: 'object' } } },
    },
  },
};

const SECURITY: Readonly<Record<DocumentedCall['auth'], readonly object[]>> = {
  admin: [{ adminToken: [] }],
  viewer: [{ viewerToken: [] }],
  none: [],
};

const ADMIN_RESPONSES = {
  401: { description: 'The admin token is missing or wrong', schema: 'Problem' },
  429: { description: 'Too many wrong tokens from this address', schema: 'Problem' },
};

function renderOperation(route: DocumentedCall): object {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const responses = Object.entries({
    ...route.responses,
    ...(route.auth === 'admin' ? ADMIN_RESPONSES : {}),
  });
  return {
    operationId: route.operationId,
    summary: route.summary,
    security: SECURITY[route.auth],
    ...(names.length > 0 && {
      parameters: names.map((name) => ({ name, in: 'path', required: true, schema: SCHEMA_ID })),
    }),
    ...(route.requestSchema !== undefined && {
      requestBody: { required: true, ...content(route.requestSchema) },
    }),
    responses: Object.fromEntries(
      responses.map(([status, { description, schema }]) => [status, { description, ...content(schema) }]),
    ),
  };
}

const SCHEMA_ID = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' };

function content(schema: string | undefined): object {
  if (schema === undefined) return {};
  const type = schema === 'Problem' ? 'application/problem+json' : 'application/json';
  return { content: { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } } };
}
