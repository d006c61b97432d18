/** What the API document says of the licence server's calls; the control API puts it beside its own. */

const string = { type: 'string' };
const time = { ...string, format: 'date-time' };
const tiers = { type: 'array', items: { ...string, enum: ['AUDIO', 'SD', 'HD', 'UHD'] } };
const object = (properties: Readonly<Record<string, object>>, required: readonly string[]): object => ({
  type: 'object',
  properties,
  required,
});

export const LICENSE_SCHEMAS = {
  SessionRequest: object(
    {
      content: object({ kind: { ...string, enum: ['live', 'vod'] }, id: string }, ['kind', 'id']),
      url: { ...string, description: 'Of what is to be played, instead of `content`' },
      device: { type: 'object', description: 'Public key of the device: a JWK, EC P-256' },
      robustness: { ...string, enum: ['L1', 'L2', 'L3'], default: 'L3' },
      drm: { ...string, enum: ['clearkey', 'widevine', 'playready', 'fairplay'], default: 'clearkey' },
      replaces: { ...string, description: 'Session of the same user that ends for this one' },
      profile: { ...string, default: 'main', description: 'Whose place in the title is wanted' },
    },
    [],
  ),
  PlaybackSession: object(
    {
      sessionId: string,
      token: { ...string, description: 'Playback token (JWT), for licences and for this session' },
      tokenType: { ...string, enum: ['DPoP', 'Bearer'] },
      tokenExpiresAt: time,
      manifests: object({ hls: string, dash: string }, ['hls', 'dash']),
      licenseUrl: string,
      licenseUrls: { type: 'object', additionalProperties: string },
      heartbeatSeconds: { type: 'integer' },
      expiresAt: time,
      tiers,
      resume: {
        anyOf: [{ type: 'object' }, { type: 'null' }],
        description:
          'Of a title: `epoch` and `record` at the start; `record`, `conflict` or `error` of the report that a heartbeat carried; null while positions cannot be had',
      },
    },
    ['sessionId', 'token', 'tokenType', 'manifests', 'licenseUrl', 'heartbeatSeconds', 'expiresAt', 'tiers'],
  ),
  SessionReport: object({ resume: { description: 'A ResumeReport', type: 'object' } }, []),
  SessionStatus: object(
    {
      sessionId: string,
      viewer: { ...string, description: 'A name for the user that tells nobody who it is' },
      device: { anyOf: [string, { type: 'null' }], description: 'Thumbprint of its key (RFC 7638)' },
      content: string,
      robustness: string,
      tiers,
      startedAt: time,
      aliveUntil: time,
      expiresAt: time,
      standing: { ...string, description: 'Of one session: alive, ended, or what was taken away' },
    },
    [
      'sessionId',
      'viewer',
      'device',
      'content',
      'robustness',
      'tiers',
      'startedAt',
      'aliveUntil',
      'expiresAt',
    ],
  ),
  SessionList: object(
    { sessions: { type: 'array', items: { $ref: '#/components/schemas/SessionStatus' } } },
    ['sessions'],
  ),
  RevocationList: object({ revocations: { type: 'array', items: { type: 'object' } } }, ['revocations']),
} as const;

const REFUSED = { description: 'Refused; the code says why', schema: 'Problem' };
const UNAUTHORIZED = {
  description: 'The token or the proof of the device is missing or wrong',
  schema: 'Problem',
};
const LIMITED = { description: 'Too many calls from this address', schema: 'Problem' };
const NOT_FOUND = { description: 'No such session', schema: 'Problem' };
const DONE = { description: 'Done' };

/** Calls of players and operators. `viewer`: by a login or playback token. */
export const LICENSE_CALLS = [
  {
    method: 'POST',
    path: '/v1/sessions',
    auth: 'viewer',
    operationId: 'startSession',
    summary: 'Begin a playback session, with a login token',
    requestSchema: 'SessionRequest',
    responses: {
      201: { description: 'Begun', schema: 'PlaybackSession' },
      400: REFUSED,
      401: UNAUTHORIZED,
      403: REFUSED,
      409: { description: 'The user has as many sessions as it may', schema: 'Problem' },
      429: LIMITED,
      503: { description: 'Who may play what cannot be found out now', schema: 'Problem' },
    },
  },
  {
    method: 'POST',
    path: '/v1/sessions/{id}/heartbeat',
    auth: 'viewer',
    operationId: 'keepSession',
    summary: 'Keep a session; answers with new tokens. May carry where the viewer is',
    requestSchema: 'SessionReport',
    responses: {
      200: { description: 'Kept', schema: 'PlaybackSession' },
      401: UNAUTHORIZED,
      410: { description: 'Over, or taken away', schema: 'Problem' },
      429: LIMITED,
    },
  },
  {
    method: 'DELETE',
    path: '/v1/sessions/{id}',
    auth: 'viewer',
    operationId: 'endSession',
    summary: 'End a session; with the admin token, take it away',
    responses: { 204: DONE, 401: UNAUTHORIZED, 404: NOT_FOUND, 429: LIMITED },
  },
  {
    method: 'GET',
    path: '/v1/sessions',
    auth: 'admin',
    operationId: 'listSessions',
    summary: 'Sessions that are alive, of all or of one user (`?user=`, `?issuer=`)',
    responses: { 200: { description: 'The sessions', schema: 'SessionList' } },
  },
  {
    method: 'GET',
    path: '/v1/sessions/{id}',
    auth: 'admin',
    operationId: 'getSession',
    summary: 'One session',
    responses: { 200: { description: 'The session', schema: 'SessionStatus' }, 404: NOT_FOUND },
  },
  {
    method: 'POST',
    path: '/v1/sessions/{id}/revoke',
    auth: 'admin',
    operationId: 'revokeSession',
    summary: 'Take a session away: no further licence, no further report',
    responses: { 204: DONE, 404: NOT_FOUND },
  },
  {
    method: 'POST',
    path: '/v1/devices/{thumbprint}/revoke',
    auth: 'admin',
    operationId: 'revokeDevice',
    summary: 'Take everything away from a device, by the thumbprint of its key',
    responses: { 204: DONE, 400: REFUSED },
  },
  {
    method: 'DELETE',
    path: '/v1/devices/{thumbprint}/revoke',
    auth: 'admin',
    operationId: 'restoreDevice',
    summary: 'Give it back',
    responses: { 204: DONE, 400: REFUSED, 404: { description: 'It was not taken away', schema: 'Problem' } },
  },
  {
    method: 'POST',
    path: '/v1/viewers/revoke',
    auth: 'admin',
    operationId: 'revokeViewer',
    summary: 'Take everything away from a user: {"user", "issuer"}',
    responses: { 204: DONE, 400: REFUSED },
  },
  {
    method: 'POST',
    path: '/v1/viewers/restore',
    auth: 'admin',
    operationId: 'restoreViewer',
    summary: 'Give it back',
    responses: { 204: DONE, 400: REFUSED, 404: { description: 'It was not taken away', schema: 'Problem' } },
  },
  {
    method: 'GET',
    path: '/v1/revocations',
    auth: 'admin',
    operationId: 'listRevocations',
    summary: 'What is taken away now',
    responses: { 200: { description: 'Sessions, devices and users', schema: 'RevocationList' } },
  },
] as const;
