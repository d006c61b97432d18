import { choice, flag, host, integer, port, text } from './field.ts';
import { ladderRungs } from './ladder-rungs.ts';
import type { Section } from './schema.ts';

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

/** Configuration of what viewers and operators speak to, and of what is made for them. */
export const deliverySections = {
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
    windowSeconds: integer(
      60,
      { min: 6, max: 3600 },
      'How far back playlists reach, and how much of a stream is in memory.',
    ),
    dvrSeconds: integer(
      0,
      { min: 0, max: 86_400 },
      'How far back viewers may go: what is older than `live.windowSeconds` is in storage (`storage.*`), under the same URLs. 0: no further than the window.',
    ),
    record: flag(
      false,
      'Keep every broadcast, and make a title of it, without encoding anything again, when it ends.',
    ),
    recordingsKeptHours: integer(
      0,
      { min: 0, max: 87_600 },
      'Titles that were made of broadcasts go after so many hours. 0: they stay.',
    ),
    graceMs: integer(
      30_000,
      { min: 0, max: MAX_MS },
      'A publisher that comes back within this time goes on with the same stream; after it the stream ends.',
    ),
    onSecondPublisher: choice(
      ['takeover', 'reject'],
      'takeover',
      'A second publisher of a stream in the same role: `takeover` lets it replace the first as soon as it sends a picture, `reject` refuses it while the first is connected.',
    ),
    failoverMs: integer(
      300,
      { min: 100, max: 10_000 },
      'A publisher that sends no picture for this long gives way to one that stands by (`role=backup`).',
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
} as const satisfies Section;
