import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { NewRecording } from './recording-status.ts';
import type { ControlRoute } from './routes.ts';
import { renderTitle } from './title-routes.ts';

/** The calls on recordings; there where live streams are kept. */
export const RECORDING_ROUTES: readonly ControlRoute[] = [
  {
    method: 'POST',
    path: '/v1/streams/{id}/recordings',
    auth: 'admin',
    operationId: 'recordStream',
    summary: 'Make a title of what is kept of a stream, or of a part of it, without encoding anything again',
    requestSchema: 'NewRecording',
    responses: {
      201: { description: 'The title; it can be played', schema: 'Title' },
      400: {
        description: 'The request is malformed, or the range empty or in the future',
        schema: 'Problem',
      },
      404: { description: 'Nothing is kept of the stream, or not of that time', schema: 'Problem' },
      409: { description: 'There is a title of that name', schema: 'Problem' },
      422: { description: 'It is longer than one title may be', schema: 'Problem' },
      503: { description: 'The store or the keys cannot be used now', schema: 'Problem' },
    },
    async call({ recordings }, id, body) {
      if (!recordings) throw new AppError('HTTP_NOT_FOUND');
      if (!isStreamName(id)) throw new AppError('STREAM_NAME_INVALID');
      return { status: 201, json: renderTitle(await recordings.record(parseRecording(id, body))) };
    },
  },
];

const TIME = {
  anyOf: [{ type: 'string', format: 'date-time' }, { type: 'integer' }],
};

/** Schemas of {@link RECORDING_ROUTES}. */
export const RECORDING_SCHEMAS: Readonly<Record<string, object>> = {
  NewRecording: {
    type: 'object',
    properties: {
      id: {
        type: 'string',
        pattern: '^[A-Za-z0-9_-]{1,64}$',
        description: 'Of the title; the stream and the time if not said',
      },
      name: { type: 'string', description: 'What people call it' },
      from: {
        ...TIME,
        description: 'RFC 3339, or ms since the Unix epoch; the first that is kept if not said',
      },
      to: { ...TIME, description: 'As from, not in it; now if not said' },
    },
    required: [],
  },
};

const FIELDS = new Set(['id', 'name', 'from', 'to']);
const MAX_TEXT = 4096;

/** @throws AppError HTTP_BAD_REQUEST */
function parseRecording(stream: string, body: unknown): NewRecording {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw bad('the body must be a JSON object');
  }
  const unknown = Object.keys(body).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw bad(`there is no field ${JSON.stringify(unknown)}`);
  const fields = body as Readonly<Record<string, unknown>>;
  return {
    stream,
    id: text(fields, 'id'),
    name: text(fields, 'name'),
    fromMs: time(fields, 'from'),
    toMs: time(fields, 'to'),
  };
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.length <= MAX_TEXT && !value.includes('\0')) return value;
  throw bad(`${name} must be a text`);
}

function time(fields: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  const ms = typeof value === 'string' ? timeOf(value) : value;
  if (typeof ms === 'number' && Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw bad(`${name} must be a time of RFC 3339, or ms since the Unix epoch`);
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Ms since the Unix epoch; NaN for what is no time. */
function timeOf(value: string): number {
  // oxlint-disable-next-line no-restricted-globals -- reads a given time, not the time
  return RFC_3339.test(value) ? Math.floor(Date.parse(value.toUpperCase())) : Number.NaN;
}

function bad(why: string): AppError {
  return new AppError('HTTP_BAD_REQUEST', why);
}
