const string = { type: 'string' };
const integer = { type: 'integer' };
const number = { type: 'number' };
const boolean = { type: 'boolean' };
const nullable = (schema: object): object => ({ anyOf: [schema, { type: 'null' }] });
const list = (items: object): object => ({ type: 'array', items });
const object = (properties: Readonly<Record<string, object>>, optional: readonly string[] = []): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });

const FILE = {
  path: { ...string, description: 'A file on the server, below one of vod.roots; or' },
  upload: { ...string, description: 'the id of an upload that is complete' },
};

/** Schemas of {@link TITLE_ROUTES}. */
export const TITLE_SCHEMAS: Readonly<Record<string, object>> = {
  NewTitle: object(
    {
      title: { ...string, pattern: '^[A-Za-z0-9_-]{1,64}$' },
      name: { ...string, description: 'What people call it; the title if not said' },
      ...FILE,
      sidecars: {
        ...list(
          object(
            {
              ...FILE,
              language: { ...string, description: 'BCP 47' },
              format: {
                ...string,
                enum: ['subrip', 'webvtt', 'ttml'],
                description: 'As the name says if not said',
              },
            },
            ['path', 'upload', 'language', 'format'],
          ),
        ),
        description: 'Subtitles beside the master: SubRip, WebVTT, TTML',
      },
      protect: { ...boolean, description: 'Whether it is encrypted; as drm.enabled says if not said' },
      ladder: { ...string, description: 'Instead of the configured ladder' },
      contentAware: {
        ...boolean,
        description:
          'Whether a ladder by name is fitted to the pictures; as vod.contentAware says if not said',
      },
      allowDownload: {
        ...boolean,
        description:
          'Whether viewers may take renditions home as files: `/vod/<title>/download/<rendition>.mp4`',
      },
    },
    ['allowDownload', 'contentAware', 'name', 'path', 'upload', 'sidecars', 'protect', 'ladder'],
  ),
  Title: object({
    id: string,
    name: string,
    state: {
      ...string,
      enum: ['growing', 'complete'],
      description: 'Its beginning can be played while it grows',
    },
    durationMs: integer,
    createdMs: integer,
    protected: boolean,
    renditions: list(
      object(
        {
          id: string,
          codec: { ...string, description: 'RFC 6381' },
          width: integer,
          height: integer,
          channels: integer,
          language: string,
          averageBps: number,
          peakBps: number,
        },
        ['width', 'height', 'channels', 'language'],
      ),
    ),
    urls: object({ page: string, hls: string, dash: string }),
  }),
  TitleList: object({ titles: list(ref('Title')) }),
  Job: object({
    id: string,
    title: string,
    name: string,
    state: { ...string, enum: ['running', 'done', 'failed', 'cancelled'] },
    progress: { ...number, description: '0 to 1' },
    rungs: list(object({ id: string, progress: number })),
    speed: nullable({ ...number, description: 'Media time made in a unit of time, all rungs together' }),
    etaSeconds: nullable(integer),
    addedMs: integer,
    endedMs: nullable(integer),
    notes: {
      ...list(string),
      description: 'What is left out and why, how its ladder was fitted (the latter not in lists of jobs)',
    },
    error: nullable(
      object({ code: { ...string, description: 'Stable, see docs/errors.md' }, message: string }),
    ),
  }),
  JobList: object({ jobs: list(ref('Job')) }),
};
