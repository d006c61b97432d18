/** What the API document says of resume state and its events; the control API puts it beside its own. */

const string = { type: 'string' };
const integer = { type: 'integer' };
const name = { ...string, pattern: '^[A-Za-z0-9_-]{1,64}$' };
const profile = { ...name, default: 'main' };
const state = { ...string, enum: ['playing', 'paused', 'stopped', 'completed'] };
const serverTimeMs = { ...integer, description: "Our clock, to measure a device's by" };
const record = { $ref: '#/components/schemas/ResumeRecord' };
const recordOrNull = { anyOf: [record, { type: 'null' }] };
const object = (properties: Readonly<Record<string, object>>, required: readonly string[]): object => ({
  type: 'object',
  properties,
  required,
});

const PLACE = {
  epoch: { ...integer, description: 'Of the play gesture, as the claim gave it' },
  seq: { ...integer, description: 'Grows with each report of one gesture' },
  positionMs: integer,
  durationMs: { ...integer, description: '0: not known' },
  state,
  force: {
    type: 'boolean',
    description: 'The user went there on purpose: it counts at the very beginning too',
  },
};
const PLACE_REQUIRED = ['epoch', 'seq', 'positionMs', 'durationMs', 'state'];

const RESUME_REPORT = object({ profile, device: name, ...PLACE }, ['device', ...PLACE_REQUIRED]);

export const RESUME_SCHEMAS = {
  ResumeRecord: object(
    {
      title: name,
      positionMs: { ...integer, description: '0 when completed' },
      durationMs: integer,
      state,
      device: name,
      epoch: integer,
      seq: integer,
      eventMs: { ...integer, description: 'When it was so, ms since the Unix epoch, of our clock' },
      version: { ...integer, description: 'Grows with every change of anything of the profile' },
      isDeleted: { type: 'boolean' },
    },
    [
      ...['title', 'positionMs', 'durationMs', 'state', 'device', 'epoch', 'seq', 'eventMs', 'version'],
      'isDeleted',
    ],
  ),
  ResumeClaimRequest: object({ profile, device: name }, ['device']),
  ResumeClaim: object({ epoch: integer, record: recordOrNull, serverTimeMs }, [
    'epoch',
    'record',
    'serverTimeMs',
  ]),
  ResumeReport: RESUME_REPORT,
  ResumeBeacon: {
    allOf: [
      { $ref: '#/components/schemas/ResumeReport' },
      object(
        {
          token: { ...string, description: 'Login or playback token, where there are no headers' },
          proof: { ...string, description: 'DPoP proof of the device, where the token is bound to one' },
        },
        [],
      ),
    ],
  },
  ResumeAnswer: object(
    {
      record: recordOrNull,
      held: {
        type: 'boolean',
        description: 'The report was of opened and closed: the record of before stays',
      },
      serverTimeMs,
    },
    ['record', 'serverTimeMs'],
  ),
  ResumeBatch: object(
    {
      profile,
      device: name,
      clientNowMs: { type: 'number', description: "The device's clock now" },
      reports: {
        type: 'array',
        maxItems: 200,
        items: object(
          {
            title: name,
            ...PLACE,
            atMs: { type: 'number', description: "When it was so, by the device's clock" },
            claimedMs: { type: 'number', description: '`serverTimeMs` of the claim' },
          },
          ['title', ...PLACE_REQUIRED, 'atMs'],
        ),
      },
    },
    ['device', 'clientNowMs', 'reports'],
  ),
  ResumeBatchAnswer: object(
    {
      results: {
        type: 'array',
        items: object(
          {
            title: name,
            outcome: { ...string, enum: ['stored', 'held', 'conflict', 'superseded', 'unavailable'] },
            record: recordOrNull,
          },
          ['title', 'outcome', 'record'],
        ),
      },
      serverTimeMs,
    },
    ['results', 'serverTimeMs'],
  ),
  ResumeList: object(
    {
      version: integer,
      records: { type: 'array', items: record },
      isWhole: { type: 'boolean', description: 'What is held besides these records is gone' },
      serverTimeMs,
    },
    ['version', 'records', 'serverTimeMs'],
  ),
  ResumeExport: object(
    {
      profiles: {
        type: 'array',
        items: object({ profile: name, records: { type: 'array', items: record } }, ['profile', 'records']),
      },
      sessions: { type: 'array', items: { type: 'object' } },
      serverTimeMs,
    },
    ['profiles', 'sessions'],
  ),
  ResumeErased: object({ erased: { ...integer, description: 'Records that were there' } }, ['erased']),
  EventTicket: object({ ticket: string, expiresMs: integer, serverTimeMs }, ['ticket', 'expiresMs']),
  ViewerRequest: object({ user: string, issuer: { ...string, default: 'headwater' } }, ['user']),
} as const;

const REFUSALS = {
  400: { description: 'A name, number or parameter is wrong', schema: 'Problem' },
  401: { description: 'The token or the proof of the device is missing or wrong', schema: 'Problem' },
  429: { description: 'Too many calls from this address or user', schema: 'Problem' },
  503: { description: 'The store cannot be used now: keep it and come again', schema: 'Problem' },
};
const CONFLICT = { description: 'Something newer is known: `record`', schema: 'Problem' };
const ONE_PROFILE = 'of one profile (`?profile=`)';

/** Calls of players, by a login token; the two that report also by the playback token of the title. */
export const RESUME_CALLS = [
  {
    method: 'GET',
    path: '/v1/resume',
    auth: 'viewer',
    operationId: 'listResume',
    summary: `What has changed ${ONE_PROFILE} since \`?after=\` (a version), or everything`,
    responses: { 200: { description: 'The records', schema: 'ResumeList' }, ...REFUSALS },
  },
  {
    method: 'DELETE',
    path: '/v1/resume',
    auth: 'viewer',
    operationId: 'eraseResume',
    summary: 'Erase everything of the user, in all profiles',
    responses: { 200: { description: 'It is gone', schema: 'ResumeErased' }, ...REFUSALS },
  },
  {
    method: 'GET',
    path: '/v1/resume/continue',
    auth: 'viewer',
    operationId: 'continueWatching',
    summary: `What may be gone on with ${ONE_PROFILE}, newest first, at most \`?limit=\``,
    responses: { 200: { description: 'The records', schema: 'ResumeList' }, ...REFUSALS },
  },
  {
    method: 'GET',
    path: '/v1/resume/export',
    auth: 'viewer',
    operationId: 'exportResume',
    summary: 'A copy of everything of the user',
    responses: { 200: { description: 'All of it', schema: 'ResumeExport' }, ...REFUSALS },
  },
  {
    method: 'POST',
    path: '/v1/resume/batch',
    auth: 'viewer',
    operationId: 'reportBatch',
    summary: 'Report what was watched offline',
    requestSchema: 'ResumeBatch',
    responses: { 200: { description: 'What became of each', schema: 'ResumeBatchAnswer' }, ...REFUSALS },
  },
  {
    method: 'GET',
    path: '/v1/resume/events',
    auth: 'viewer',
    operationId: 'resumeEvents',
    summary: `Server-sent events ${ONE_PROFILE}: record, reset, sessions, session; from \`Last-Event-ID\` or \`?after=\` on; by \`?ticket=\` without headers`,
    responses: { 200: { description: 'text/event-stream, until the token runs out' }, ...REFUSALS },
  },
  {
    method: 'POST',
    path: '/v1/resume/events/ticket',
    auth: 'viewer',
    operationId: 'eventTicket',
    summary: 'A ticket for one event stream, for EventSource, which cannot send headers',
    responses: { 201: { description: 'Good for 30 s and one stream', schema: 'EventTicket' }, ...REFUSALS },
  },
  {
    method: 'GET',
    path: '/v1/resume/{title}',
    auth: 'viewer',
    operationId: 'getResume',
    summary: `Where the viewer is in a title, ${ONE_PROFILE}`,
    responses: { 200: { description: 'The record, or null', schema: 'ResumeAnswer' }, ...REFUSALS },
  },
  {
    method: 'POST',
    path: '/v1/resume/{title}',
    auth: 'viewer',
    operationId: 'claimResume',
    summary: 'Begin a play gesture: what reports of it carry, and where the viewer was',
    requestSchema: 'ResumeClaimRequest',
    responses: {
      201: { description: 'Begun', schema: 'ResumeClaim' },
      409: { description: 'The user has as many profiles as it may', schema: 'Problem' },
      ...REFUSALS,
    },
  },
  {
    method: 'PUT',
    path: '/v1/resume/{title}',
    auth: 'viewer',
    operationId: 'reportResume',
    summary: 'Report where the viewer is',
    requestSchema: 'ResumeReport',
    responses: {
      200: { description: 'It holds, or was held back', schema: 'ResumeAnswer' },
      409: CONFLICT,
      ...REFUSALS,
    },
  },
  {
    method: 'DELETE',
    path: '/v1/resume/{title}',
    auth: 'viewer',
    operationId: 'removeResume',
    summary: `Take a title off the list ${ONE_PROFILE}`,
    responses: { 204: { description: 'It is not there any more' }, ...REFUSALS },
  },
  {
    method: 'POST',
    path: '/v1/resume/{title}/report',
    auth: 'viewer',
    operationId: 'beaconResume',
    summary: 'The same report from sendBeacon, with the token in the body',
    requestSchema: 'ResumeBeacon',
    responses: {
      200: { description: 'It holds, or was held back', schema: 'ResumeAnswer' },
      409: CONFLICT,
      ...REFUSALS,
    },
  },
  {
    method: 'POST',
    path: '/v1/viewers/export',
    auth: 'admin',
    operationId: 'exportViewer',
    summary: 'A copy of everything of a user, for the operator',
    requestSchema: 'ViewerRequest',
    responses: { 200: { description: 'All of it', schema: 'ResumeExport' } },
  },
  {
    method: 'POST',
    path: '/v1/viewers/erase',
    auth: 'admin',
    operationId: 'eraseViewer',
    summary: 'Erase everything of a user, for the operator',
    requestSchema: 'ViewerRequest',
    responses: { 200: { description: 'It is gone', schema: 'ResumeErased' } },
  },
] as const;
