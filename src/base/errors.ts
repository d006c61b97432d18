/** What the table says of one error: the HTTP status it maps to and the sentence for docs/errors.md. */
interface ErrorEntry {
  readonly status: number;
  readonly meaning: string;
}

/**
 * Every error Headwater reports to the outside. Codes are stable: a retired one is never reused.
 * docs/errors.md is generated from this table.
 */
export const ERRORS = {
  INTERNAL: { status: 500, meaning: 'A fault of ours. The log line with the same code has the cause.' },
  CLI_USAGE: { status: 400, meaning: 'The command line is wrong: an unknown command, option or argument.' },
  CLI_SERVER_UNREACHABLE: { status: 503, meaning: 'The server that a command is for does not answer.' },
  CLI_MIGRATE_UNREADABLE: {
    status: 422,
    meaning: 'The configuration of another server cannot be read or is not what its name says.',
  },
  CONFIG_INVALID: {
    status: 500,
    meaning: 'A configuration key is unknown, has the wrong type or a value out of range.',
  },
  TOOL_MISSING: {
    status: 500,
    meaning: 'A program Headwater needs is not installed and may not be installed here.',
  },
  SECRET_FILE_UNSAFE: {
    status: 500,
    meaning: 'A file with a secret is missing, too short, or readable by other users.',
  },
  TOKEN_KEY_UNUSABLE: {
    status: 500,
    meaning: 'The file with the key that tokens are checked with cannot be read or holds no such key.',
  },

  CONTROL_READERS_FULL: { status: 503, meaning: 'As many clients listen to the progress of jobs as may.' },
  VOD_TITLE_INVALID: { status: 400, meaning: 'The name or what is wanted of a new title is not allowed.' },
  VOD_TITLE_EXISTS: { status: 409, meaning: 'There is a title of that name, or one is being made.' },
  VOD_TITLE_NOT_FOUND: { status: 404, meaning: 'There is no title of that name.' },
  VOD_JOB_NOT_FOUND: { status: 404, meaning: 'There is no such job in a state for that.' },
  VOD_UPLOAD_NOT_FOUND: { status: 404, meaning: 'There is no such upload; one that lies idle is deleted.' },
  VOD_UPLOAD_CONFLICT: {
    status: 409,
    meaning: 'The upload goes on elsewhere than said, is being added to, or is not complete.',
  },
  VOD_UPLOADS_FULL: { status: 503, meaning: 'As many uploads are kept as may be.' },
  VOD_WORK_DAMAGED: { status: 500, meaning: 'What an encoder made of a master is not what was asked for.' },
  VOD_RECORDING_EMPTY: { status: 404, meaning: 'Nothing is kept of the stream, or not of that time.' },
  VOD_RECORDING_RANGE_INVALID: {
    status: 400,
    meaning: 'The time range of a recording is empty, or reaches into the future.',
  },
  VOD_RECORDING_TOO_LONG: { status: 422, meaning: 'A recording is longer than one title may be.' },
  VOD_RECORDINGS_FULL: { status: 503, meaning: 'As many recordings are being made, or wait for it, as may.' },

  HTTP_NOT_FOUND: { status: 404, meaning: 'Nothing lives at this URL.' },
  HTTP_BAD_REQUEST: { status: 400, meaning: 'The request is malformed.' },
  HTTP_METHOD_NOT_ALLOWED: { status: 405, meaning: 'The URL exists but not for this method.' },
  HTTP_BODY_TOO_LARGE: { status: 413, meaning: 'The request body is over the limit of this endpoint.' },
  HTTP_UNSUPPORTED_ENCODING: { status: 415, meaning: 'Request bodies must not be compressed.' },
  HTTP_UNAUTHORIZED: { status: 401, meaning: 'The admin token is missing or wrong.' },
  HTTP_TOO_MANY_FAILURES: {
    status: 429,
    meaning: 'Too many wrong tokens came from this address; it is not heard for the rest of the minute.',
  },
  HTTP_REQUEST_TIMEOUT: { status: 408, meaning: 'The request did not arrive in time.' },
  HTTP_HEADERS_TOO_LARGE: {
    status: 431,
    meaning: 'The request line and headers are over the limit of this listener.',
  },
  HTTP_LISTEN_FAILED: {
    status: 500,
    meaning: 'The HTTP listener could not be opened: port in use, not allowed, or no such address.',
  },
  HTTP_DRIVER_MISSING: { status: 500, meaning: 'The HTTP driver asked for does not load on this machine.' },

  DRM_TRACK_REFUSED: {
    status: 422,
    meaning:
      'A track cannot be encrypted, by its codec or profile. The stream is not published in the clear in its place.',
  },
  DRM_KEYS_UNAVAILABLE: {
    status: 503,
    meaning: 'A content key cannot be made, stored or unwrapped. Nothing is sent in the clear in its place.',
  },
  DRM_KEKS_BUSY: {
    status: 503,
    meaning: 'Another process is changing the keys that content keys are encrypted with (headwater keys).',
  },

  TOKEN_MISSING: { status: 401, meaning: 'The request carries no bearer token.' },
  TOKEN_INVALID: {
    status: 401,
    meaning: 'The token is malformed, not signed by an issuer that counts here, or not meant for this call.',
  },
  TOKEN_EXPIRED: { status: 401, meaning: 'The token is not valid any more, or not yet.' },
  TOKEN_USED: { status: 401, meaning: 'The token counts once and has been used.' },
  TOKEN_ISSUER_UNAVAILABLE: {
    status: 503,
    meaning: 'The keys that the token is checked with cannot be fetched now.',
  },
  TOKEN_PROOF_MISSING: {
    status: 401,
    meaning: "The request must carry a proof of the device's key (DPoP, RFC 9449).",
  },
  TOKEN_PROOF_INVALID: {
    status: 401,
    meaning: "The proof of the device's key is malformed, of another key, request or token, or too old.",
  },
  TOKEN_PROOF_USED: { status: 401, meaning: "The proof of the device's key has been used before." },
  TOKEN_PROOF_NONCE: {
    status: 401,
    meaning: "The proof of the device's key must carry the nonce that is given in DPoP-Nonce.",
  },

  LICENSE_REQUEST_MALFORMED: { status: 400, meaning: 'The licence request cannot be read.' },
  LICENSE_NOT_ENTITLED: {
    status: 403,
    meaning: 'The session may have none of the keys of what it plays, or not now.',
  },
  LICENSE_REGION_REFUSED: { status: 403, meaning: 'This may not be played from where the request comes.' },
  LICENSE_SESSION_ENDED: {
    status: 401,
    meaning: 'The playback session is over: its heartbeats stopped, or it was ended.',
  },
  LICENSE_SESSION_REVOKED: {
    status: 403,
    meaning:
      'The playback session was taken away: by an operator, or as the user may not play this any more.',
  },
  LICENSE_DEVICE_REVOKED: { status: 403, meaning: 'The device may not play any more.' },
  LICENSE_VIEWER_REVOKED: { status: 403, meaning: 'The user may not play any more.' },
  LICENSE_TOO_MANY_STREAMS: { status: 409, meaning: 'As many sessions play at once as the user may have.' },
  LICENSE_RATE_LIMITED: {
    status: 429,
    meaning: 'Too many requests from this address or session; Retry-After says when to ask again.',
  },
  LICENSE_OVERLOADED: {
    status: 503,
    meaning: 'More licences are asked for than can be answered in time; ask again in a moment.',
  },
  LICENSE_STATE_UNAVAILABLE: { status: 503, meaning: 'The store of playback sessions cannot be used now.' },

  SESSION_REQUEST_MALFORMED: {
    status: 400,
    meaning: 'The body is not JSON that says what is to be played, or has a field that is wrong.',
  },
  SESSION_LIMIT: {
    status: 409,
    meaning: 'The user already has as many sessions as may play at once; the answer names them.',
  },
  SESSION_ENDED: { status: 410, meaning: 'The playback session is over: start another.' },
  SESSION_REVOKED: {
    status: 410,
    meaning:
      'The playback session was taken away: by an operator, or as the user may not play this any more.',
  },
  SESSION_NOT_FOUND: { status: 404, meaning: 'No playback session of this id is known.' },
  SESSION_ENTITLEMENT_UNAVAILABLE: {
    status: 503,
    meaning: 'What the user may play cannot be found out now; nothing is played on a guess.',
  },

  RESUME_REQUEST_MALFORMED: {
    status: 400,
    meaning: 'A call about where a viewer is has a body, name or parameter that is wrong.',
  },
  RESUME_CONFLICT: {
    status: 409,
    meaning: 'Something newer is known of where the viewer is; the answer has it.',
  },
  RESUME_RATE_LIMITED: {
    status: 429,
    meaning: 'Too many such calls from this address or user; Retry-After says when to ask again.',
  },
  RESUME_PROFILE_LIMIT: {
    status: 409,
    meaning: 'The user has as many profiles as it may.',
  },
  RESUME_STREAMS_FULL: {
    status: 429,
    meaning: 'As many event streams are open as the user, the address or the server may have.',
  },
  RESUME_UNAVAILABLE: {
    status: 503,
    meaning: 'The store of where viewers are cannot be used now; keep the report and send it again.',
  },
  PUBSUB_UNAVAILABLE: {
    status: 503,
    meaning: 'Messages between servers cannot be passed on now.',
  },
  LEASE_UNAVAILABLE: {
    status: 503,
    meaning: 'Which server may do something that only one may do cannot be decided now.',
  },
  REGISTRY_UNAVAILABLE: { status: 503, meaning: 'Which servers there are cannot be found out now.' },

  LICENSE_VENDOR_DENIED: {
    status: 403,
    meaning: 'The DRM service refuses this device or user a licence.',
  },
  LICENSE_VENDOR_UNUSABLE: {
    status: 502,
    meaning:
      'The DRM service refused our request or gave an answer that is no licence; its word is in the log.',
  },
  LICENSE_VENDOR_UNAVAILABLE: {
    status: 503,
    meaning:
      'The DRM service did not answer in time, failed, or is left alone for a while because it has failed several times.',
  },

  STREAM_NAME_INVALID: { status: 400, meaning: 'A stream name must match ^[A-Za-z0-9_-]{1,64}$.' },
  STREAM_NOT_FOUND: { status: 404, meaning: 'No stream of this name is known.' },
  STREAM_OFFLINE: { status: 404, meaning: 'The stream is known but nobody is publishing it.' },
  STREAM_BUSY: { status: 409, meaning: 'Somebody is already publishing this stream.' },
  STREAM_TAKEN_OVER: { status: 409, meaning: 'Another publisher of the same stream and role took over.' },
  STREAM_LIMIT: { status: 503, meaning: 'The server already carries as many publishers as it may.' },
  STREAM_KICKED: { status: 409, meaning: 'The publisher was disconnected by an operator.' },
  STREAM_CLOSING: { status: 503, meaning: 'The server is shutting down.' },
  STREAM_FRAME_RATE_TOO_HIGH: {
    status: 422,
    meaning: 'The video has more frames a second than a stream may have.',
  },
  STREAM_VIDEO_TOO_LARGE: { status: 422, meaning: 'The picture has more pixels than a stream may have.' },
  STREAM_NO_SEQUENCE_HEADER: {
    status: 422,
    meaning: 'Media came for five seconds without a usable H.264 or AAC configuration before it.',
  },
  STREAM_NO_KEY_FRAME: { status: 422, meaning: 'Video came for too long without a key frame to begin at.' },
  STREAM_TIMESTAMPS_STUCK: {
    status: 422,
    meaning: 'Media came for five seconds without its timestamps moving on.',
  },

  INGEST_LISTEN_FAILED: {
    status: 500,
    meaning: 'The address to listen on for publishers is taken or not ours.',
  },
  INGEST_CERTIFICATE_UNUSABLE: {
    status: 500,
    meaning:
      'The certificate and key of RTMPS cannot be read, do not belong together, or the key may be read by other users.',
  },
  INGEST_STREAM_EXISTS: {
    status: 409,
    meaning: 'The stream already has a publish key; rotate it to get a new one.',
  },
  INGEST_KEYS_CORRUPT: {
    status: 500,
    meaning: 'publish-keys.json cannot be read or is damaged. It is left as it is.',
  },
  INGEST_KEYS_BUSY: { status: 503, meaning: 'Another process is changing the publish keys.' },
  INGEST_KEY_REVOKED: {
    status: 403,
    meaning: 'The publish key was replaced or taken back, and who published with it was disconnected.',
  },
  INGEST_GRANT_EXPIRED: {
    status: 403,
    meaning: 'The time a publish token or the webhook gave is over, and the publisher was disconnected.',
  },
  INGEST_AUTH_UNAVAILABLE: {
    status: 503,
    meaning:
      'Who may publish could not be found out (webhook or JWKS: no answer in time, or none that can be used). The publisher was refused.',
  },

  INGEST_CMAF_POINT_UNKNOWN: {
    status: 404,
    meaning: 'CMAF ingest: no publishing point of this name; it is /ingest/ and the name of a stream.',
  },
  INGEST_CMAF_PATH_REFUSED: {
    status: 403,
    meaning: 'CMAF ingest: the path leads outside its publishing point.',
  },
  INGEST_CMAF_UNAUTHORIZED: { status: 401, meaning: 'CMAF ingest: the request carries no publish key.' },
  INGEST_CMAF_FORBIDDEN: {
    status: 403,
    meaning: 'CMAF ingest: this publishing point may not be published to.',
  },
  INGEST_CMAF_INIT_MISSING: {
    status: 412,
    meaning: 'CMAF ingest: media of a track whose initialization segment is not known; send that first.',
  },
  INGEST_CMAF_INIT_UNUSABLE: {
    status: 412,
    meaning: 'CMAF ingest: the initialization segment cannot be read, or is not of a fragmented file.',
  },
  INGEST_CMAF_MEDIA_TYPE: {
    status: 415,
    meaning:
      'CMAF ingest: neither CMAF nor a manifest by its name or Content-Type, or in a codec that is not carried.',
  },
  INGEST_CMAF_MALFORMED: {
    status: 400,
    meaning: 'CMAF ingest: the body is not fragmented MP4, or is damaged.',
  },
  INGEST_CMAF_TRACK_LIMIT: {
    status: 400,
    meaning: 'CMAF ingest: more tracks than a stream may have (cmaf.maxTracks).',
  },
  INGEST_CMAF_BITRATE: {
    status: 429,
    meaning: 'CMAF ingest: the stream is sent faster than it may be (cmaf.maxBitrateBps).',
  },
  INGEST_CMAF_BUSY: {
    status: 503,
    meaning:
      'CMAF ingest: as many requests are open as may be (cmaf.maxRequests, cmaf.maxRequestsPerStream).',
  },
  INGEST_CMAF_SILENT: {
    status: 408,
    meaning: 'CMAF ingest: a request or a stream gave no media for too long (cmaf.silenceTimeoutMs).',
  },

  CONTROL_TOKEN_UNSAFE: {
    status: 500,
    meaning: 'The file of the admin token may be read by others, or holds a token that is too short.',
  },

  STATE_FOLDER_UNUSABLE: {
    status: 500,
    meaning: 'The data folder (dataDir) cannot be made or written.',
  },
  STATE_SEGMENTS_UNAVAILABLE: {
    status: 503,
    meaning: 'The index of the live segments that are in the store cannot be opened or written now.',
  },
  STATE_SEGMENTS_IN_USE: {
    status: 503,
    meaning: 'Another process has the index of live segments open; it belongs to one process.',
  },
  STATE_SECRETS_DIFFER: {
    status: 500,
    meaning:
      'A server that shares its viewers with this one (`state.driver: redis`) has another secret than this one: the message names the file.',
  },
  STATE_OPTIONS_UNUSABLE: {
    status: 500,
    meaning: 'The settings of the state store contradict each other, or a file they name cannot be read.',
  },

  STORAGE_UNAVAILABLE: {
    status: 503,
    meaning: 'The store of titles and recordings cannot be used now; it is worth another try.',
  },
  STORAGE_FULL: { status: 507, meaning: 'The store has no room left, or may not be written to.' },
  STORAGE_EXISTS: { status: 409, meaning: 'There is already something stored under this key.' },
  STORAGE_NOT_FOUND: { status: 404, meaning: 'There is nothing stored under the key that is to be copied.' },
  STORAGE_CONFLICT: {
    status: 412,
    meaning: 'What is stored under this key is not what the writer has seen: somebody else changed it.',
  },
  STORAGE_KEY_INVALID: {
    status: 400,
    meaning: 'Nothing can be stored under this key: see src/storage/blob-store.ts for what a key is.',
  },
  STORAGE_TOO_LARGE: {
    status: 413,
    meaning: 'What is stored, or to be stored, is larger than can be read or written this way.',
  },

  JOB_QUEUE_UNAVAILABLE: { status: 503, meaning: 'The job queue cannot be used now.' },
  JOB_QUEUE_IN_USE: {
    status: 503,
    meaning: 'Another process has this job queue open; one on a folder belongs to one process.',
  },
  JOB_QUEUE_CLOSING: { status: 503, meaning: 'The worker of a job was stopped, and the job given back.' },
  JOB_LIMIT: { status: 429, meaning: 'As many jobs, or groups of jobs, are kept as may be.' },
  JOB_INVALID: {
    status: 422,
    meaning: 'A group of jobs has an id that is malformed or used twice, is too large, or has too many jobs.',
  },
  JOB_CANCELLED: { status: 409, meaning: 'The job was cancelled, or what it belongs to was.' },
  JOB_FAILED: { status: 500, meaning: 'A job failed for a reason that has no code of its own.' },
  JOB_WORKER_LOST: {
    status: 500,
    meaning:
      'The worker of a job died or was not heard of for too long, as often as the job may be begun. What it answers later is refused.',
  },

  TRANSCODE_FFMPEG_MISSING: {
    status: 500,
    meaning:
      'ffmpeg is not there or may not be run: streams go out as they come, without further rungs, and without audio that is not AAC.',
  },
  TRANSCODE_ENCODER_EXITED: { status: 500, meaning: 'An encoder ended by itself and was started again.' },
  TRANSCODE_ENCODER_HUNG: {
    status: 500,
    meaning: 'An encoder gave nothing for too long (ladder.watchdogMs) and was replaced.',
  },
  TRANSCODE_OUTPUT_MALFORMED: {
    status: 500,
    meaning: 'An encoder gave something else than H.264 or AAC in FLV and was replaced.',
  },
  TRANSCODE_TOO_SLOW: {
    status: 503,
    meaning: 'An encoder was too far behind (ladder.maxLagMs): its most expensive rung was left out.',
  },
  TRANSCODE_NO_ROOM: {
    status: 503,
    meaning:
      'The stream goes out without further rungs: ladder.maxChannels or the share of the cores is used up by others.',
  },
  TRANSCODE_AUDIO_NO_ROOM: {
    status: 503,
    meaning: 'Audio that is not AAC is left out: ladder.maxAudioEncoders others are being encoded.',
  },

  ORIGIN_MEDIA_NOT_FOUND: {
    status: 404,
    meaning: 'No such segment, part or initialization segment, or not any more.',
  },
  ORIGIN_MEDIA_NOT_YET: { status: 404, meaning: 'The segment or part lies ahead of the live edge.' },
  ORIGIN_DIRECTIVES_REFUSED: {
    status: 400,
    meaning: 'The _HLS_ directives are malformed, or ask for a part too far ahead of the live edge.',
  },
  ORIGIN_PATCH_TOO_EARLY: {
    status: 425,
    meaning: 'The MPD has not changed since the publishTime asked about.',
  },
  ORIGIN_PATCH_GONE: {
    status: 410,
    meaning: 'The MPD of that publishTime is not held any more: fetch the whole MPD.',
  },
  ORIGIN_WAITERS_FULL: {
    status: 503,
    meaning: 'The stream already holds as many requests as it may (live.maxWaiters).',
  },
  ORIGIN_HOLD_EXPIRED: { status: 503, meaning: 'What the request waited for was not published in time.' },
  ORIGIN_TOKEN_REFUSED: {
    status: 403,
    meaning: 'The token in the path is not ours, has run out, or is not for this path.',
  },
  ORIGIN_CLOSING: { status: 503, meaning: 'The server is shutting down.' },

  VOD_DOWNLOAD_NOT_ALLOWED: {
    status: 404,
    meaning:
      'The title is not for download (allowDownload), still grows, is encrypted, or has no such rendition that could be one file.',
  },
  VOD_MASTER_MISSING: {
    status: 404,
    meaning: 'There is no such master, or it lies outside of the folders that masters may be in (vod.roots).',
  },
  VOD_MASTER_UNREACHABLE: {
    status: 503,
    meaning: 'A worker of the farm cannot read the master where the title says it is; its job went back.',
  },
  VOD_MASTER_UNREADABLE: {
    status: 422,
    meaning: 'The master is damaged, cut short, or holds nothing that can be decoded.',
  },
  VOD_MASTER_REFUSED: {
    status: 422,
    meaning:
      'The master is of a kind that is not taken: no media file, or one that cannot be encoded safely.',
  },
  VOD_MASTER_TOO_LARGE: {
    status: 422,
    meaning: 'The master is over a limit: bytes, duration, picture size, frame rate or number of tracks.',
  },
  VOD_TEXT_UNREADABLE: {
    status: 422,
    meaning: 'A track or file of subtitles cannot be read, or is over a limit.',
  },
  VOD_COMPLEXITY_FAILED: {
    status: 500,
    meaning: 'How hard a title is to encode could not be measured; the message has what ffmpeg said of it.',
  },
  VOD_PIECE_FAILED: {
    status: 500,
    meaning: 'A piece of a title could not be encoded; the message has what ffmpeg said of it.',
  },
  VOD_AUDIO_FAILED: {
    status: 500,
    meaning: 'The sound of a title could not be encoded; the message has what ffmpeg said of it.',
  },
  VOD_THUMBNAILS_FAILED: {
    status: 500,
    meaning: 'The thumbnails of a title could not be made; the message has what ffmpeg said of it.',
  },

  VALIDATE_UNREACHABLE: {
    status: 502,
    meaning:
      'The manifest to validate cannot be fetched: no connection, no answer in time, or another status than 200.',
  },
  VALIDATE_NOT_A_MANIFEST: {
    status: 422,
    meaning: 'What is at the URL to validate is neither an HLS playlist nor a DASH MPD.',
  },
} as const satisfies Record<string, ErrorEntry>;

/** A stable, documented error code. */
export type ErrorCode = keyof typeof ERRORS;

/** The one error class that crosses folder borders: a stable code, a sentence, and the cause kept. */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = ERRORS[code].meaning, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'AppError';
    this.code = code;
  }

  /** The HTTP status this error maps to. */
  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The code of any thrown value: its own when it is an {@link AppError}, else INTERNAL. */
export function errorCode(error: unknown): ErrorCode {
  return error instanceof AppError ? error.code : 'INTERNAL';
}
