import { AppError } from '../base/errors.ts';
import type { ControlRoute } from './routes.ts';
import type { FileChoice, JobView, NewSidecar, NewTitle, TitleKeeper, TitleStatus } from './title-status.ts';

const NOT_HERE = { description: 'No such title', schema: 'Problem' };
const NO_JOB = { description: 'No such job', schema: 'Problem' };

/** The calls on titles and on what makes them; there where VOD is. */
export const TITLE_ROUTES: readonly ControlRoute[] = [
  {
    method: 'POST',
    path: '/v1/assets',
    auth: 'admin',
    operationId: 'addTitle',
    summary: 'Make a title of a master: a file below one of vod.roots, or an upload',
    requestSchema: 'NewTitle',
    responses: {
      202: { description: 'The master is good, and the work has begun', schema: 'Job' },
      400: { description: 'The request is malformed', schema: 'Problem' },
      409: { description: 'There is a title of that name', schema: 'Problem' },
      422: { description: 'The master cannot be used', schema: 'Problem' },
    },
    async call({ titles }, _id, body) {
      return { status: 202, json: renderJob(await required(titles).add(parseNewTitle(body))) };
    },
  },
  {
    method: 'GET',
    path: '/v1/assets',
    auth: 'admin',
    operationId: 'listTitles',
    summary: 'Every title that can be played, the newest first',
    responses: { 200: { description: 'The titles', schema: 'TitleList' } },
    async call({ titles }) {
      return { status: 200, json: { titles: (await required(titles).titles()).map(renderTitle) } };
    },
  },
  {
    method: 'GET',
    path: '/v1/assets/{id}',
    auth: 'admin',
    operationId: 'getTitle',
    summary: 'One title',
    responses: { 200: { description: 'The title', schema: 'Title' }, 404: NOT_HERE },
    async call({ titles }, id) {
      const title = await required(titles).title(id);
      if (!title) throw new AppError('VOD_TITLE_NOT_FOUND');
      return { status: 200, json: renderTitle(title) };
    },
  },
  {
    method: 'DELETE',
    path: '/v1/assets/{id}',
    auth: 'admin',
    operationId: 'removeTitle',
    summary: 'Take a title away, with all its media; one that is being made is cancelled first',
    responses: { 204: { description: 'Gone' }, 404: NOT_HERE },
    async call({ titles }, id) {
      if (!(await required(titles).remove(id))) throw new AppError('VOD_TITLE_NOT_FOUND');
      return { status: 204 };
    },
  },
  {
    method: 'GET',
    path: '/v1/jobs',
    auth: 'admin',
    operationId: 'listJobs',
    summary: 'What is being made, and what was made or failed lately; the newest first',
    responses: { 200: { description: 'The jobs', schema: 'JobList' } },
    async call({ titles }) {
      return { status: 200, json: { jobs: (await required(titles).jobs()).map(renderJob) } };
    },
  },
  {
    method: 'GET',
    path: '/v1/jobs/{id}',
    auth: 'admin',
    operationId: 'getJob',
    summary: 'How far the making of a title is',
    responses: { 200: { description: 'The job', schema: 'Job' }, 404: NO_JOB },
    async call({ titles }, id) {
      const job = await required(titles).job(id);
      if (!job) throw new AppError('VOD_JOB_NOT_FOUND');
      return { status: 200, json: renderJob(job) };
    },
  },
  {
    method: 'DELETE',
    path: '/v1/jobs/{id}',
    auth: 'admin',
    operationId: 'cancelJob',
    summary: 'Stop making a title; what is done is kept until the title is removed',
    responses: { 204: { description: 'Stopped' }, 404: { ...NO_JOB, description: 'No such job is running' } },
    async call({ titles }, id) {
      if (!(await required(titles).cancel(id))) throw new AppError('VOD_JOB_NOT_FOUND');
      return { status: 204 };
    },
  },
  {
    method: 'POST',
    path: '/v1/jobs/{id}/retry',
    auth: 'admin',
    operationId: 'retryJob',
    summary: 'Go on with a job that failed or was stopped; what is done is not done again',
    responses: {
      204: { description: 'Goes on' },
      404: { ...NO_JOB, description: 'No such job has failed or was stopped' },
    },
    async call({ titles }, id) {
      if (!(await required(titles).retry(id))) throw new AppError('VOD_JOB_NOT_FOUND');
      return { status: 204 };
    },
  },
];

function required(titles: TitleKeeper | undefined): TitleKeeper {
  if (!titles) throw new AppError('HTTP_NOT_FOUND');
  return titles;
}

const FIELDS = new Set([
  ...['title', 'name', 'path', 'upload', 'sidecars', 'protect', 'ladder', 'allowDownload', 'contentAware'],
]);
const MAX_SIDECARS = 64;

/** @throws AppError HTTP_BAD_REQUEST */
function parseNewTitle(body: unknown): NewTitle {
  if (!isObject(body)) throw bad('the body must be a JSON object');
  const unknown = Object.keys(body).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw bad(`there is no field ${JSON.stringify(unknown)}`);
  const { sidecars = [], protect, allowDownload, contentAware } = body;
  if (protect !== undefined && typeof protect !== 'boolean') throw bad('protect must be true or false');
  if (allowDownload !== undefined && typeof allowDownload !== 'boolean')
    throw bad('allowDownload must be true or false');
  if (contentAware !== undefined && typeof contentAware !== 'boolean')
    throw bad('contentAware must be true or false');
  if (!Array.isArray(sidecars) || sidecars.length > MAX_SIDECARS) throw bad('sidecars must be a list');
  return {
    id: text(body, 'title') ?? '',
    name: text(body, 'name'),
    master: fileOf(body),
    sidecars: sidecars.map((sidecar: unknown) => {
      if (!isObject(sidecar)) throw bad('a sidecar has a path or upload, and a language');
      return {
        file: fileOf(sidecar),
        language: text(sidecar, 'language'),
        format: formatOf(text(sidecar, 'format')),
      };
    }),
    isProtected: protect,
    allowDownload,
    ladder: text(body, 'ladder'),
    contentAware,
  };
}

function formatOf(given: string | undefined): NewSidecar['format'] {
  if (given === undefined || given === 'subrip' || given === 'webvtt' || given === 'ttml') return given;
  throw bad('format must be subrip, webvtt or ttml');
}

function fileOf(from: Readonly<Record<string, unknown>>): FileChoice {
  const path = text(from, 'path');
  const upload = text(from, 'upload');
  if (path !== undefined && upload === undefined) return { path };
  if (upload !== undefined && path === undefined) return { upload };
  throw bad('either path or upload must be given');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const MAX_TEXT = 4096;

function text(from: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value.length > MAX_TEXT || value.includes('\0'))
    throw bad(`${name} must be a text`);
  return value;
}

function bad(why: string): AppError {
  return new AppError('HTTP_BAD_REQUEST', why);
}

/** `Title` in the document. */
export function renderTitle({ isProtected, ...title }: TitleStatus): object {
  const { id } = title;
  return {
    ...title,
    protected: isProtected,
    urls: { page: `/vod/${id}/`, hls: `/vod/${id}/index.m3u8`, dash: `/vod/${id}/index.mpd` },
  };
}

/** `Job` in the document. */
export function renderJob(job: JobView): object {
  const { speed, etaSeconds, endedMs, error } = job;
  return {
    ...job,
    speed: speed ?? null,
    etaSeconds: etaSeconds ?? null,
    endedMs: endedMs ?? null,
    error: error ?? null,
  };
}
