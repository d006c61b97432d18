import { choice, flag, host, integer, port, text } from './config/field.ts';
import { ladderRungs } from './config/ladder-rungs.ts';
import type { ConfigOf, Section } from './config/schema.ts';
import type { ConfigDraft } from './config/sources.ts';
import { LOG_LEVELS } from './base/log.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MAX_MS = 3_600_000;

/** Keys that every HTTP listener's limits are made of; the media listeners have them as `http.*`. */
const httpLimits = {
  maxConnections: integer(
    10_000,
    { min: 1, max: 1_000_000 },
    'Connections held at once on one HTTP listener; one more is closed at once.',
  ),
  maxConnectionsPerAddress: integer(
    200,
    { min: 0, max: 1_000_000 },
    'Connections held at once from one address (one /64 of IPv6); 0 sets no limit, which is right behind a proxy.',
  ),
  maxHeaderBytes: integer(
    16 * KIB,
    { min: 1 * KIB, max: 64 * KIB },
    'Longest request line and headers together; more is answered 431.',
  ),
  headersTimeoutMs: integer(
    5000,
    { min: 100, max: MAX_MS },
    'Time a client has to send its request headers before it is disconnected; fixed at 10 s with the uws driver.',
  ),
  requestTimeoutMs: integer(
    8000,
    { min: 0, max: MAX_MS },
    'Time a client has to send its whole request, body too, before it is disconnected; 0 sets none.',
  ),
  idleTimeoutMs: integer(
    15_000,
    { min: 1000, max: MAX_MS },
    'A kept-alive connection without a request for this long is closed; fixed at 10 s with the uws driver.',
  ),
  maxBacklogBytes: integer(
    2 * MIB,
    { min: 64 * KIB, max: 1024 * MIB },
    'A viewer that has this many bytes still to take is too slow and is disconnected.',
  ),
  stallTimeoutMs: integer(
    10_000,
    { min: 100, max: MAX_MS },
    'A viewer that takes no byte for this long while bytes wait is disconnected.',
  ),
};

/** Every configuration key. docs/config.md, the environment names and the {@link Config} type all come from here. */
export const CONFIG_SCHEMA = {
  dataDir: text(
    './headwater-data',
    'Folder for publish keys, secrets and journals; made at first start (0700). Relative to the working directory.',
  ),
  log: {
    level: choice(
      LOG_LEVELS,
      'info',
      'Least important log line that is written; `error` means that a person must act.',
    ),
  },
  rtmp: {
    host: host('0.0.0.0', 'Address the RTMP server listens on.'),
    port: port(1935, 'Port of the RTMP server; 0 picks a free one.'),
    maxConnections: integer(
      100,
      { min: 1, max: 100_000 },
      'RTMP connections held at once; one more is closed at once.',
    ),
    maxConnectionsPerAddress: integer(
      20,
      { min: 0, max: 100_000 },
      'RTMP connections held at once from one address (one /64 of IPv6); 0 sets no limit.',
    ),
    handshakeTimeoutMs: integer(
      5000,
      { min: 100, max: MAX_MS },
      'Time a publisher has to finish the RTMP handshake before it is disconnected.',
    ),
    commandTimeoutMs: integer(
      10_000,
      { min: 100, max: MAX_MS },
      'Time from the handshake to an accepted publish before the connection is closed.',
    ),
    authTimeoutMs: integer(
      2500,
      { min: 100, max: MAX_MS },
      'Time the check of a publish key may take; past it the publish is refused.',
    ),
    silenceTimeoutMs: integer(
      5000,
      { min: 500, max: MAX_MS },
      'A publisher that sends nothing for this long is taken as gone and its stream is free again.',
    ),
    maxMediaMessageBytes: integer(
      4 * MIB,
      { min: 64 * KIB, max: 16 * MIB },
      'Longest audio or video message; a longer one ends the connection.',
    ),
    maxCommandMessageBytes: integer(
      16 * KIB,
      { min: 1 * KIB, max: 1 * MIB },
      'Longest command or metadata message; a longer one ends the connection.',
    ),
    maxUnauthorisedMessageBytes: integer(
      4 * KIB,
      { min: 1 * KIB, max: 64 * KIB },
      'Longest message of any kind before the publish key was accepted; a longer one ends the connection.',
    ),
    maxChunkBytes: integer(
      1 * MIB,
      { min: 128, max: 16 * MIB - 1 },
      'Largest chunk size a publisher may set; a larger one ends the connection.',
    ),
    maxChunkStreams: integer(
      16,
      { min: 4, max: 65_599 },
      'Chunk streams one connection may use; one more ends the connection.',
    ),
    maxSendQueueBytes: integer(
      256 * KIB,
      { min: 4 * KIB, max: 64 * MIB },
      'A publisher that has this many of our answers still to read is disconnected.',
    ),
    maxBitrateBps: integer(
      20_000_000,
      { min: 10_000, max: 1_000_000_000 },
      'Bit rate a publisher may send; one that sends over twice as much during 5 s is disconnected.',
    ),
    maxAuthFailuresPerMinute: integer(
      10,
      { min: 1, max: 10_000 },
      'Wrong publish keys taken from one address within a minute; after that it is refused unheard.',
    ),
    maxAmfDepth: integer(
      16,
      { min: 2, max: 64 },
      'Objects inside each other in one command (more ends the connection) or metadata message (more is ignored).',
    ),
    maxAmfProperties: integer(
      128,
      { min: 16, max: 10_000 },
      'Properties of one command (more ends the connection) or metadata message (more is ignored).',
    ),
    maxAmfStringBytes: integer(
      4 * KIB,
      { min: 256, max: 64 * KIB },
      'Longest string in one command (a longer one ends the connection) or metadata message (it is ignored).',
    ),
  },
  ingest: {
    auth: choice(
      ['keys', 'none'],
      'keys',
      'Who may publish: `keys` asks for a publish key; `none` takes the stream name as it comes, allowed only while `rtmp.host` is a loopback address.',
    ),
  },
  http: {
    host: host('0.0.0.0', 'Address the media server (playlists, segments, watch page) listens on.'),
    port: port(8888, 'Port of the media server; 0 picks a free one.'),
    driver: choice(
      ['auto', 'uws', 'node'],
      'auto',
      'HTTP engine of the media server: `uws` is uWebSockets.js, `node` is node:http, `auto` takes uws where it loads.',
    ),
    publicIndex: flag(true, 'Whether `/` lists the streams that are live to whoever asks.'),
    ...httpLimits,
  },
  control: {
    host: host(
      '0.0.0.0',
      'Address of the second HTTP server: control API (always asks for the admin token), health, and growing segments for CDNs.',
    ),
    port: port(8889, 'Port of the control server; 0 picks a free one.'),
  },
  metrics: {
    host: host(
      '127.0.0.1',
      'Address the metrics are served on; they need no token, so keep it off public networks.',
    ),
    port: port(9998, 'Port of the metrics (`GET /metrics`); 0 picks a free one.'),
  },
  live: {
    segmentMs: integer(
      2000,
      { min: 500, max: 10_000 },
      'Shortest segment; the real one is the smallest whole number of GOPs that is not shorter.',
    ),
    partMs: integer(
      200,
      { min: 50, max: 2000 },
      'Target duration of an LL-HLS part, rounded to whole frames.',
    ),
    chunkFrames: integer(
      1,
      { min: 1, max: 60 },
      'Video frames in one CMAF chunk; 1 gives the lowest latency, more gives less overhead.',
    ),
    windowSeconds: integer(60, { min: 6, max: 3600 }, 'How far back playlists reach.'),
    graceMs: integer(
      30_000,
      { min: 0, max: MAX_MS },
      'A publisher that comes back within this time goes on with the same stream; after it the stream ends.',
    ),
    anchorMs: integer(
      1000,
      { min: 100, max: 10_000 },
      'Time over which a new stream is watched to tie its clock to the wall clock.',
    ),
    targetLatencyMs: integer(
      500,
      { min: 100, max: 60_000 },
      'Latency LL-DASH players are asked to hold (ServiceDescription).',
    ),
    mpdPatch: flag(
      false,
      'Offer MPD Patch documents (PatchLocation in the MPD). Off because today dash.js stops updating at the first answer that says nothing is new.',
    ),
    maxPublishers: integer(
      50,
      { min: 1, max: 10_000 },
      'Streams published at once; one more publisher is refused.',
    ),
    maxVideoPixels: integer(
      8_912_896,
      { min: 16_384, max: 67_108_864 },
      'Largest picture, width times height; a publisher above it is disconnected.',
    ),
    maxFrameRate: integer(
      61,
      { min: 1, max: 1000 },
      'Highest frame rate; a stream above it is refused once its rate is known.',
    ),
    maxGopMs: integer(
      10_000,
      { min: 500, max: 60_000 },
      'Longest time between key frames without a warning; a publisher without any for twice as long is disconnected.',
    ),
    gopCacheMs: integer(
      10_000,
      { min: 100, max: 60_000 },
      'Longest stretch of recent samples kept for those who join a stream; whole GOPs within all three bounds.',
    ),
    gopCacheFrames: integer(
      600,
      { min: 10, max: 100_000 },
      'Most recent frames kept for those who join a stream.',
    ),
    gopCacheBytes: integer(
      32 * MIB,
      { min: 1 * MIB, max: 1024 * MIB },
      'Most bytes of recent samples kept for those who join a stream.',
    ),
    maxWindowBytes: integer(
      256 * MIB,
      { min: 8 * MIB, max: 64 * 1024 * MIB },
      'Memory one stream may hold for its window; at the limit the oldest segments leave early.',
    ),
    maxSegmentBytes: integer(
      32 * MIB,
      { min: 1 * MIB, max: 1024 * MIB },
      'Largest segment; at the limit it is cut early.',
    ),
    maxWaiters: integer(
      10_000,
      { min: 1, max: 1_000_000 },
      'Blocking playlist and part requests that may wait at once on one stream; one more is answered 503.',
    ),
  },
  ladder: {
    rungs: ladderRungs(
      'auto',
      'Renditions encoded besides the source: `auto` chooses by the source and the cores, `none` encodes nothing, or a list of heights and bit rates, e.g. `720p:2500k,480p:1000k`; a rung above the source is left out.',
    ),
    encoder: choice(
      ['libx264', 'h264_nvenc', 'h264_qsv', 'h264_vaapi', 'h264_videotoolbox'],
      'libx264',
      'What encodes: libx264 on the CPU, or the hardware of NVIDIA, Intel, VA-API or macOS; `headwater doctor` tries it.',
    ),
    preset: choice(
      ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium'],
      'veryfast',
      'How much CPU libx264 spends on quality; other encoders do not use it.',
    ),
    vaapiDevice: text('/dev/dri/renderD128', 'Device that h264_vaapi encodes on.'),
    ffmpeg: text('ffmpeg', 'The ffmpeg program: a name looked up in PATH, or a path.'),
    maxChannels: integer(
      0,
      { min: 0, max: 10_000 },
      'Streams encoded at once, one more goes out as it comes; 0 allows one a core.',
    ),
    cpuShare: integer(
      60,
      { min: 1, max: 100 },
      'Percent of the cores that `auto` plans with for all streams together.',
    ),
    watchdogMs: integer(
      800,
      { min: 200, max: 60_000 },
      'An encoder that is fed and gives nothing for this long is replaced.',
    ),
    startTimeoutMs: integer(
      5000,
      { min: 500, max: 60_000 },
      'The same for an encoder that has not given its first frame yet.',
    ),
    maxLagMs: integer(
      1000,
      { min: 200, max: 60_000 },
      'An encoder that stays so far behind its source is too slow: its most expensive rung is left out.',
    ),
    maxQueueBytes: integer(
      48 * MIB,
      { min: 1 * MIB, max: 2048 * MIB },
      'What may wait for one encoder; above it media is skipped up to the next key frame.',
    ),
    audioEncoder: flag(
      true,
      'Whether audio that comes in another codec than AAC (MP3, G.711, Speex and the like) is encoded; if not, a publisher that sends it is turned away. `rungs: none` does not change it.',
    ),
    maxAudioEncoders: integer(
      16,
      { min: 1, max: 10_000 },
      'Publishers whose audio is encoded at once; one more goes out without its audio.',
    ),
  },
  shutdown: {
    drainMs: integer(
      30_000,
      { min: 0, max: 600_000 },
      'Time a stop waits for answers in progress before it cuts them.',
    ),
  },
} satisfies Section;

/** The whole configuration, frozen; every key is there. */
export type Config = ConfigOf<typeof CONFIG_SCHEMA>;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** True when only this machine can reach what listens on `address`. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}

/** Rules between keys; each complaint points at the key to change, where it was given. */
export function checkConfig(config: Config, draft: ConfigDraft): void {
  const refuse = (path: string, what: string): void => draft.refuse(draft.origin(path), path, what);
  const { live } = config;
  if (config.ingest.auth === 'none' && !isLoopback(config.rtmp.host)) {
    refuse(
      'ingest.auth',
      `none lets anybody publish: set rtmp.host to 127.0.0.1 (it is ${config.rtmp.host}) or use keys`,
    );
  }
  if (live.partMs * 2 > live.segmentMs) {
    refuse('live.partMs', `must be at most half of live.segmentMs (${live.segmentMs})`);
  }
  // RFC 8216bis 6.2.2: never fewer than three target durations in a live playlist.
  if (live.windowSeconds * 1000 < live.segmentMs * 3) {
    refuse('live.windowSeconds', `must hold at least three segments of ${live.segmentMs} ms`);
  }
  if (live.maxSegmentBytes > live.maxWindowBytes) {
    refuse('live.maxSegmentBytes', `must not be above live.maxWindowBytes (${live.maxWindowBytes})`);
  }
  const { ladder } = config;
  if (ladder.startTimeoutMs < ladder.watchdogMs) {
    refuse('ladder.startTimeoutMs', `must not be below ladder.watchdogMs (${ladder.watchdogMs})`);
  }
  // A new encoder is fed the cached GOPs first: they must fit.
  if (ladder.maxQueueBytes < live.gopCacheBytes) {
    refuse('ladder.maxQueueBytes', `must not be below live.gopCacheBytes (${live.gopCacheBytes})`);
  }
  refuseSharedPorts(config, refuse);
}

function refuseSharedPorts(config: Config, refuse: (path: string, what: string) => void): void {
  const taken = new Map<number, string>();
  for (const name of ['rtmp', 'http', 'control', 'metrics'] as const) {
    const number = config[name].port;
    const other = taken.get(number);
    if (number !== 0 && other) refuse(`${name}.port`, `${number} is also ${other}.port`);
    taken.set(number, name);
  }
}
