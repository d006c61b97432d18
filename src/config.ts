import { choice, flag, host, integer, optionalUrl, port, text, words } from './config/field.ts';
import { addressBlockList, countryList } from './config/address-block-field.ts';
import { ladderRungs } from './config/ladder-rungs.ts';
import { srtPulls } from './config/srt-pulls.ts';
import { tokenIssuers } from './config/token-issuers.ts';
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
    maxVideoTracks: integer(
      8,
      { min: 1, max: 256 },
      'Video tracks of one publisher (multitrack video of Enhanced RTMP); media of further ones is ignored.',
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
  rtmps: {
    host: host('0.0.0.0', 'Address RTMP over TLS is listened for on; its limits are those of `rtmp`.'),
    port: port(1936, 'Port of RTMP over TLS, open only while there is a certificate; 0 picks a free one.'),
    certPath: text(
      '',
      'PEM file of the certificate and those up to its authority; empty: no RTMP over TLS. Read again when it changes. Relative to the working directory.',
      { optional: true },
    ),
    keyPath: text(
      '',
      "PEM file of the certificate's private key, without a passphrase, readable by its owner (and group) only.",
      { optional: true },
    ),
  },
  srt: {
    enabled: flag(true, 'Whether SRT publishers are listened for.'),
    host: host('0.0.0.0', 'Address the SRT server listens on.'),
    port: port(8890, 'UDP port of the SRT server; 0 picks a free one.'),
    latencyMs: integer(
      120,
      { min: 20, max: 30_000 },
      'Time a missing packet is waited for, unless the publisher asks for more. What is in order does not wait.',
    ),
    pull: srtPulls(
      'none',
      'Streams to fetch from SRT listeners elsewhere: `stream=srt://host:port?streamid=…&passphraseFile=…&pbkeylen=16&latency=120`, several with spaces between.',
    ),
    maxConnections: integer(
      100,
      { min: 1, max: 100_000 },
      'SRT connections and callers waiting for an answer at once; one more is refused.',
    ),
    maxConnectionsPerAddress: integer(
      20,
      { min: 0, max: 100_000 },
      'The same from one address (one /64 of IPv6); 0 sets no limit.',
    ),
    maxInductionsPerSecond: integer(
      1000,
      { min: 1, max: 1_000_000 },
      'First handshake packets answered a second; more are ignored, and callers try again.',
    ),
    maxHandshakesPerSecond: integer(
      50,
      { min: 1, max: 100_000 },
      'Callers whose request to publish is looked at a second; more are ignored, and callers try again.',
    ),
    authTimeoutMs: integer(
      2500,
      { min: 100, max: 10_000 },
      'Time the check of a publisher may take; past it the answer is no. Callers wait 3 s.',
    ),
    peerIdleTimeoutMs: integer(
      5000,
      { min: 2000, max: MAX_MS },
      'A peer from which no packet of any kind comes for this long is taken as gone and its stream is free again.',
    ),
    silenceTimeoutMs: integer(
      5000,
      { min: 500, max: MAX_MS },
      'A publisher that is there but sends no media for this long is disconnected.',
    ),
    maxBufferPackets: integer(
      8192,
      { min: 64, max: 65_536 },
      'Receive window of one connection: how far ahead of a missing packet packets are taken.',
    ),
    maxBufferBytes: integer(
      16 * MIB,
      { min: 64 * KIB, max: 1024 * MIB },
      'Bytes held behind missing packets of one connection; at the limit what is missing is given up early.',
    ),
    maxReorderPackets: integer(
      64,
      { min: 0, max: 1024 },
      'Packets that may overtake one before it is asked for again; found out by what really happens.',
    ),
    maxBitrateBps: integer(
      20_000_000,
      { min: 10_000, max: 1_000_000_000 },
      'Bit rate a publisher may send; one that sends over twice as much during 5 s is disconnected.',
    ),
    maxAuthFailuresPerMinute: integer(
      10,
      { min: 1, max: 10_000 },
      'Refused publishers taken from one address within a minute; after that it is refused unheard.',
    ),
    socketBufferBytes: integer(
      4 * MIB,
      { min: 64 * KIB, max: 256 * MIB },
      'Receive buffer asked of the system; what it really gives (net.core.rmem_max) is logged.',
    ),
  },
  ingest: {
    auth: choice(
      ['keys', 'jwt', 'keys+jwt', 'webhook', 'none'],
      'keys',
      'Who may publish (see docs/publish-auth.md): `keys` asks for a publish key, `jwt` for a signed token, `keys+jwt` takes either, `webhook` asks a back end; `none` takes the stream name as it comes, allowed only while `rtmp.host` (and `rtmps.host`) is a loopback address; SRT and CMAF then take publishers of this machine only.',
    ),
    webhook: {
      url: optionalUrl('Where `auth: webhook` asks whether somebody may publish (POST). No answer is no.'),
      format: choice(
        ['headwater', 'mediamtx', 'srs', 'nginx-rtmp', 'ome'],
        'headwater',
        'Whose requests the back end understands: our own, or those of MediaMTX (authMethod http), SRS (http_hooks), nginx-rtmp (on_publish) or OvenMediaEngine (AdmissionWebhooks).',
      ),
      unpublishUrl: optionalUrl(
        'Where the end of a publish is told, as well as it can be. Empty: at `url` in the formats headwater and ome, nowhere in srs and nginx-rtmp. The format mediamtx has no such call.',
      ),
      secretPath: text(
        '',
        'File with the secret that signs each call, readable by its owner only; needed in the formats headwater (32 bytes or more) and ome. Relative to the working directory.',
        { optional: true },
      ),
      timeoutMs: integer(
        2000,
        { min: 50, max: 60_000 },
        'Time the back end has for its whole answer; past it the publisher is refused.',
      ),
      maxConcurrent: integer(
        32,
        { min: 1, max: 1000 },
        'Calls under way at once. Others wait for their turn within `timeoutMs`, 256 at most; one more is refused.',
      ),
      app: text(
        'live',
        'RTMP application that publishers may use besides `live`, and that the back end is told.',
      ),
      publicHost: host(
        'localhost',
        'Host name in the URLs that the back end is told (srs `tcUrl`, nginx-rtmp `tcurl`, ome `url`).',
      ),
      pathPrefix: text(
        '',
        'Put before the name in `path` of the format mediamtx: `live/` if the back end knows rtmp://host/live/studio as live/studio.',
        { optional: true },
      ),
    },
    jwt: {
      jwksUrl: optionalUrl(
        'Where the public keys that sign publish tokens are fetched (a JWKS), again every 5 minutes.',
      ),
      keyPath: text(
        '',
        'The key instead, in a file: a public key or certificate (PEM), a JWK or JWKS; or, for HS256 and the like, the shared secret (32 bytes or more, readable by its owner only). Relative to the working directory.',
        { optional: true },
      ),
      algorithms: words(
        [
          'EdDSA',
          'ES256',
          'ES384',
          'ES512',
          'RS256',
          'RS384',
          'RS512',
          'PS256',
          'PS384',
          'PS512',
          'HS256',
          'HS384',
          'HS512',
        ],
        'EdDSA,ES256,RS256',
        'Signatures that count. HS256 and the like need `keyPath` and cannot be mixed with others.',
      ),
      issuer: text('', 'What a token must have as `iss`; empty: anything.', { optional: true }),
      audience: text('', 'What a token must have in `aud`; empty: anything.', { optional: true }),
      leewaySeconds: integer(
        30,
        { min: 0, max: 600 },
        'How far the clock of the issuer may be off: a token counts so much before `nbf` and after `exp`.',
      ),
      permissionsClaim: text(
        'mediamtx_permissions',
        'Claim with permissions as MediaMTX has them, besides our own `publish`.',
      ),
      cutAtExpiry: flag(
        false,
        'Whether a publisher is disconnected when its token expires; if not, the token counts at the start only.',
      ),
    },
  },
  cmaf: {
    enabled: flag(
      true,
      'Whether CMAF is taken in on the control port (`PUT /ingest/<stream>/…`, DASH-IF Live Media Ingest).',
    ),
    maxRequests: integer(
      512,
      { min: 1, max: 100_000 },
      'Requests of CMAF ingest open at once; one more is answered 503.',
    ),
    maxRequestsPerStream: integer(
      64,
      { min: 1, max: 10_000 },
      'Requests of CMAF ingest open at once for one stream; one more is answered 503.',
    ),
    authTimeoutMs: integer(
      2500,
      { min: 100, max: MAX_MS },
      'Time the check of who may publish may take; past it the request is refused.',
    ),
    silenceTimeoutMs: integer(
      6000,
      { min: 500, max: 8000 },
      'A stream, or a request, that brings no media for this long is cut; segments sent whole must be shorter.',
    ),
    gatherMs: integer(
      500,
      { min: 0, max: 5000 },
      'Time the further tracks of a new stream may take to be declared, from its first media on.',
    ),
    maxTracks: integer(
      16,
      { min: 1, max: 64 },
      'Tracks of one stream; the initialization segment of a further one is answered 400.',
    ),
    maxVideoTracks: integer(
      8,
      { min: 1, max: 16 },
      'Video tracks taken as rungs of the ladder; lesser ones past it are ignored.',
    ),
    maxInitBytes: integer(
      256 * KIB,
      { min: 4 * KIB, max: 4 * MIB },
      'Largest `moov`; a larger one is answered 413.',
    ),
    maxFragmentBytes: integer(
      64 * MIB,
      { min: 1 * MIB, max: 1024 * MIB },
      'Largest `mdat`; a larger one is answered 413.',
    ),
    maxFragmentSamples: integer(
      8192,
      { min: 60, max: 100_000 },
      'Samples of one fragment; more are answered 413.',
    ),
    maxSampleBytes: integer(
      4 * MIB,
      { min: 64 * KIB, max: 16 * MIB },
      'Largest frame; a larger one is answered 413.',
    ),
    maxManifestBytes: integer(
      256 * KIB,
      { min: 4 * KIB, max: 4 * MIB },
      'Largest MPD or playlist, which is taken and not looked at; a larger one is answered 413.',
    ),
    maxBitrateBps: integer(
      60_000_000,
      { min: 10_000, max: 1_000_000_000 },
      'Bit rate of all that is sent for one stream, redundant copies too; over twice as much during 5 s is answered 429.',
    ),
    maxSourceLeadMs: integer(
      1000,
      { min: 100, max: 10_000 },
      'A redundant source that is this far ahead of the one in use takes its place.',
    ),
    maxStandbyBytes: integer(
      8 * MIB,
      { min: 64 * KIB, max: 256 * MIB },
      'Bytes of one track kept from redundant sources that are ahead; at the limit the next source takes over.',
    ),
    maxAuthFailuresPerMinute: integer(
      10,
      { min: 1, max: 10_000 },
      'Wrong publish keys taken from one address within a minute; after that it is refused unheard.',
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
  drm: {
    enabled: flag(
      false,
      'Whether live streams are encrypted (Common Encryption) and their keys given out by the licence server.',
    ),
    scheme: choice(
      ['cbcs', 'cenc'],
      'cbcs',
      'How: `cbcs` (AES-CBC in a pattern) plays everywhere today, `cenc` (AES-CTR) on older Widevine and PlayReady devices; FairPlay knows only cbcs.',
    ),
    rotationSeconds: integer(
      300,
      { min: 10, max: 86_400 },
      'Length of a crypto period: how often a live stream changes its keys. Counted from 1970, so a restart goes on in it.',
    ),
    leadSeconds: integer(
      30,
      { min: 2, max: 3600 },
      'How long before its period the next key is made and may be asked for; at most one period.',
    ),
    clearAudio: flag(false, 'Whether sound stays in the clear.'),
    systems: words(
      ['clearkey', 'widevine', 'playready', 'fairplay'],
      'clearkey',
      'DRM systems that players are told of, in this order. Clear Key is answered by this server, and is no protection against the viewer.',
    ),
    licenseUrls: {
      clearkey: text(
        '/license/clearkey',
        'Where players get Clear Key licences: a URL, or a path on the server that the manifest comes from. `{kid}` stands for the key ID. Empty: players are not told.',
        { optional: true },
      ),
      widevine: text('', 'The same for Widevine.', { optional: true }),
      playready: text(
        '',
        'The same for PlayReady; only a whole URL also goes into the PlayReady header (LA_URL).',
        { optional: true },
      ),
      fairplay: text(
        'skd://{kid}',
        'The skd URI of a FairPlay key; it must have `{kid}`, by which players know which key it is.',
      ),
    },
    widevineProvider: text('', 'Name of the content owner in the Widevine header; empty: none.', {
      optional: true,
    }),
    kekPath: text(
      '',
      'File of the keys that content keys are encrypted with at rest, readable by its owner only: 32 random bytes a line in hex or base64, the newest last. Empty: `secrets/content-kek.keys` in the data folder, made at first start. Relative to the working directory.',
      { optional: true },
    ),
    kek: text(
      '',
      'Those keys themselves, with spaces between them, for the environment (HEADWATER_DRM__KEK); a command line can be read by everybody on the machine.',
      { optional: true, secret: true },
    ),
    maxKeySets: integer(
      100_000,
      { min: 100, max: 10_000_000 },
      'Sets of keys held, one a stream or title and crypto period; at the limit no new ones are made, and what needs one is not sent.',
    ),
    speke: {
      url: optionalUrl(
        'Key server that content keys come from (SPEKE 2.0), in the place of our own random ones; https, unless it is on this machine or keys come encrypted. Empty: we make them.',
      ),
      authHeader: text('Authorization', 'Header that the key server takes its credential in.'),
      authPath: text(
        '',
        'File with the whole value of that header (`Bearer …`), readable by its owner only; empty: no such header. Relative to the working directory.',
        { optional: true },
      ),
      contentIdPrefix: text('', 'Put before `live/<stream>` or `vod/<title>` in the contentId it is told.', {
        optional: true,
      }),
      certPath: text(
        '',
        'RSA certificate (PEM) that the key server is to encrypt keys for; keys in the clear are then refused. Empty: TLS alone protects them.',
        { optional: true },
      ),
      keyPath: text('', 'Its private key (PEM, no passphrase), readable by its owner only.', {
        optional: true,
      }),
    },
  },
  auth: {
    issuers: tokenIssuers(
      'none',
      'Whose tokens count, besides those of `headwater token`: `iss=…,aud=…,jwks=URL` or `key=FILE` (a public key, or a secret for HS256), `alg=ES256+RS256`, `use=login` (begin sessions), `playback` (get licences) or `login+playback`; several with spaces between.',
    ),
    trustedProxies: addressBlockList(
      "Proxies in front of the licence server: their X-Forwarded-For, -Proto and -Host, and `license.countryHeader`, are believed, nobody else's.",
    ),
  },
  license: {
    enabled: flag(true, 'Whether playback sessions and licences are served on the control port.'),
    publicUrl: optionalUrl(
      'How players reach the control port, for example https://play.example.com; licence URLs and the proofs of devices name it. Empty: as each request does.',
    ),
    mediaUrl: optionalUrl('Where the manifests of sessions are, for example a CDN. Empty: as `publicUrl`.'),
    deviceProof: choice(
      ['required', 'optional', 'off'],
      'optional',
      "Whether sessions are bound to a key of the device, which each licence request must prove (DPoP): always, when the player has one, or only when the player's login token has. A token that names a device is held to it in any case.",
    ),
    proofNonce: flag(
      false,
      'Whether proofs must carry a nonce of ours (one more round trip), for devices whose clocks cannot be believed.',
    ),
    tokenAlgorithm: choice(
      ['HS256', 'ES256', 'EdDSA'],
      'EdDSA',
      'What new keys of our own tokens sign with; keys change after 30 days. HS256 is the cheapest and only for this server to check.',
    ),
    maxSessions: integer(
      3,
      { min: 1, max: 1000 },
      'Sessions of one user at once, unless its token says otherwise (`maxSessions`); one more is answered 409.',
    ),
    heartbeatSeconds: integer(30, { min: 1, max: 600 }, 'How often players are asked to report.'),
    sessionTtlSeconds: integer(
      90,
      { min: 2, max: 3600 },
      'A session that has not reported for this long is over and its place free.',
    ),
    maxSessionSeconds: integer(86_400, { min: 60, max: 86_400 }, 'Longest session.'),
    maxLicenseSeconds: integer(86_400, { min: 10, max: 86_400 }, 'Longest licence.'),
    tokenSeconds: integer(
      600,
      { min: 30, max: 86_400 },
      'Life of a playback token; each report of a session brings a new one.',
    ),
    pathTokenSeconds: integer(
      14_400,
      { min: 60, max: 86_400 },
      "Life of the token in a session's manifest URLs; each report of a session brings new ones.",
    ),
    foreignIdleSeconds: integer(
      900,
      { min: 30, max: 86_400 },
      "A session that a back end's own playback token began with a licence is over when no further one is asked for this long.",
    ),
    maxKeysPerLicense: integer(
      64,
      { min: 8, max: 1024 },
      'Keys in one licence; at the limit those asked for come first.',
    ),
    maxPerAddressPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'Licence requests a second of one address (one /64 of IPv6), three times as many at once; more are answered 429. 0 sets no limit.',
    ),
    maxPerSessionPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'The same of one session. Shaka Player asks for every key of the window by itself when it starts.',
    ),
    maxSessionCallsPerAddressPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'Sessions begun, reported and ended a second by one address; more are answered 429. 0 sets no limit.',
    ),
    allowAddresses: addressBlockList('Where may be played: only here. None: anywhere.'),
    denyAddresses: addressBlockList('Where may not be played.'),
    countryHeader: text(
      '',
      "Header in which a trusted proxy gives the viewer's country, for example CF-IPCountry.",
      { optional: true },
    ),
    allowCountries: countryList(
      'Countries where may be played; who comes from an unknown one is refused. None: anywhere.',
    ),
    denyCountries: countryList(
      'Countries where may not be played; who comes from an unknown one is refused.',
    ),
    vendor: {
      timeoutMs: integer(
        5000,
        { min: 100, max: 60_000 },
        'Time a DRM service or key server outside has for its whole answer; past it the player is answered 503.',
      ),
      maxConcurrent: integer(
        64,
        { min: 1, max: 10_000 },
        'Calls to such services under way at once; 256 more may wait within `timeoutMs`.',
      ),
      maxFailures: integer(
        5,
        { min: 1, max: 1000 },
        'A service that fails so often in a row is not asked for a while: players are answered 503 at once.',
      ),
      pauseMs: integer(
        5000,
        { min: 100, max: 600_000 },
        'That while; doubled up to a minute as long as the service goes on failing.',
      ),
      maxChallengeBytes: integer(
        64 * KIB,
        { min: 1 * KIB, max: 1 * MIB },
        'Longest challenge of Widevine, PlayReady or FairPlay; a longer one is answered 413.',
      ),
    },
    widevine: {
      url: optionalUrl(
        "Widevine's licence service with the provider at its end (https://license.widevine.com/cenc/getlicense/<provider>); empty: no Widevine licences (see docs/drm-vendors.md).",
      ),
      provider: text('', 'Name of the provider, as registered with the service.', { optional: true }),
      signingKeyPath: text(
        '',
        "File with the provider's AES key (32 bytes: raw, hex or base64), readable by its owner only. Relative to the working directory.",
        { optional: true },
      ),
      signingIvPath: text('', "The same for the provider's IV (16 bytes).", { optional: true }),
      renewSeconds: integer(
        300,
        { min: 0, max: 86_400 },
        'Players ask again after this time, and who is refused then stops within a minute; 0: one licence for the whole time.',
      ),
      renewalUrl: optionalUrl('Where players are told to ask again; empty: they ask where they asked first.'),
    },
    playready: {
      url: optionalUrl('PlayReady licence server (…/rightsmanager.asmx); empty: no PlayReady licences.'),
      entitlementHeader: text(
        'X-Headwater-Entitlement',
        'Header in which the licence server is told what policy grants (a JWT).',
      ),
      entitlementKeyPath: text(
        '',
        'File with the key that this token is signed with, or encrypted when it carries content keys (32 bytes: raw, hex or base64), readable by its owner only. Relative to the working directory.',
        { optional: true },
      ),
      sendKeys: flag(
        false,
        'Whether the token carries the content keys; if not, the licence server has them from elsewhere (SPEKE).',
      ),
    },
    fairplay: {
      url: optionalUrl('FairPlay key security module (KSM); empty: no FairPlay licences.'),
      format: choice(
        ['binary', 'form'],
        'binary',
        'How the module takes the SPC: as it is, or as base64 in the form field `spc`.',
      ),
      entitlementHeader: text('X-Headwater-Entitlement', 'As for PlayReady.'),
      entitlementKeyPath: text('', 'As for PlayReady.', { optional: true }),
      sendKeys: flag(true, 'As for PlayReady.'),
    },
    speke: {
      enabled: flag(
        false,
        'Whether packagers elsewhere get keys here (`POST /speke/v2` on the control port, SPEKE 2.0).',
      ),
      apiKeysPath: text(
        '',
        'File with their API keys, 32 characters or more, one a line, readable by its owner only; empty: only the admin token counts. Relative to the working directory.',
        { optional: true },
      ),
      requireEncryption: flag(
        false,
        'Whether a request must name a certificate that its keys are encrypted for.',
      ),
      maxDocumentBytes: integer(
        256 * KIB,
        { min: 4 * KIB, max: 1 * MIB },
        'Longest request; a longer one is answered 413.',
      ),
    },
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
  for (const name of publishListeners(config)) {
    const { host: address } = config[name];
    if (config.ingest.auth !== 'none' || isLoopback(address)) continue;
    refuse(
      'ingest.auth',
      `none lets anybody publish: set ${name}.host to 127.0.0.1 (it is ${address}) or use keys`,
    );
  }
  const { certPath, keyPath } = config.rtmps;
  if ((certPath === '') !== (keyPath === '')) {
    const missing = certPath === '' ? 'certPath' : 'keyPath';
    refuse(`rtmps.${missing}`, 'RTMP over TLS needs both rtmps.certPath and rtmps.keyPath');
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
  checkIngest(config, refuse);
  checkDrm(config, refuse);
  if (draft.origin('drm.kek') === '--set') {
    refuse(
      'drm.kek',
      'a command line can be read by everybody on this machine: use HEADWATER_DRM__KEK or drm.kekPath',
    );
  }
  checkLicense(config, refuse);
  checkVendors(config, refuse);
  refuseSharedPorts(config, refuse);
}

/** Services that licences or keys come from: each with what it needs, and no content key on an open line. */
function checkVendors({ drm, license }: Config, refuse: (path: string, what: string) => void): void {
  const { widevine, playready, fairplay } = license;
  for (const name of ['provider', 'signingKeyPath', 'signingIvPath'] as const) {
    if (widevine.url !== '' && widevine[name] === '')
      refuse(`license.widevine.${name}`, 'license.widevine.url is set: it is needed too');
  }
  for (const [name, { url, entitlementKeyPath }] of Object.entries({ playready, fairplay })) {
    if (url !== '' && entitlementKeyPath === '')
      refuse(`license.${name}.entitlementKeyPath`, `license.${name}.url is set: it is needed too`);
  }
  const { speke } = drm;
  if ((speke.certPath === '') !== (speke.keyPath === '')) {
    const missing = speke.certPath === '' ? 'certPath' : 'keyPath';
    refuse(`drm.speke.${missing}`, 'encrypted keys need both drm.speke.certPath and drm.speke.keyPath');
  }
  const open = {
    'license.widevine.url': widevine.url,
    'drm.speke.url': speke.certPath === '' ? speke.url : '',
  };
  for (const [path, url] of Object.entries(open)) {
    if (url.startsWith('http:') && !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, '')))
      refuse(path, 'content keys go over this line: use https');
  }
}

function checkDrm({ drm, live }: Config, refuse: (path: string, what: string) => void): void {
  // A period must begin at a segment, and players need two of them to get the next key.
  if (drm.rotationSeconds * 1000 < live.segmentMs * 3) {
    refuse('drm.rotationSeconds', `must hold at least three segments of ${live.segmentMs} ms`);
  }
  if (!drm.licenseUrls.fairplay.includes('{kid}')) {
    refuse('drm.licenseUrls.fairplay', 'must have {kid} in it');
  }
  if (drm.kek !== '' && drm.kekPath !== '') {
    refuse('drm.kek', 'set either drm.kek or drm.kekPath, not both');
  }
}

function checkLicense({ license, auth }: Config, refuse: (path: string, what: string) => void): void {
  if (license.sessionTtlSeconds < 2 * license.heartbeatSeconds) {
    refuse(
      'license.sessionTtlSeconds',
      `must be at least twice license.heartbeatSeconds (${license.heartbeatSeconds}): one report may be lost`,
    );
  }
  // The token must outlive the time to the next report that brings a new one.
  if (license.tokenSeconds < license.heartbeatSeconds) {
    refuse(
      'license.tokenSeconds',
      `must not be below license.heartbeatSeconds (${license.heartbeatSeconds})`,
    );
  }
  if (license.countryHeader !== '' && auth.trustedProxies === '') {
    refuse('auth.trustedProxies', 'license.countryHeader is believed from trusted proxies only: name them');
  }
  if (license.countryHeader === '' && license.allowCountries + license.denyCountries !== '') {
    refuse('license.countryHeader', 'rules on countries need the header that a trusted proxy gives them in');
  }
}

function checkIngest(
  { ingest, rtmp, srt, cmaf }: Config,
  refuse: (path: string, what: string) => void,
): void {
  if (ingest.auth === 'webhook') {
    checkWebhook(ingest.webhook, refuse);
    for (const [name, { authTimeoutMs }] of Object.entries({ rtmp, srt, cmaf })) {
      if (ingest.webhook.timeoutMs < authTimeoutMs) continue;
      refuse('ingest.webhook.timeoutMs', `must be below ${name}.authTimeoutMs (${authTimeoutMs})`);
    }
  }
  if (ingest.auth === 'jwt' || ingest.auth === 'keys+jwt') checkTokenKeys(ingest.jwt, refuse);
}

function checkWebhook(
  { url, format, secretPath }: Config['ingest']['webhook'],
  refuse: (path: string, what: string) => void,
): void {
  if (url === '') refuse('ingest.webhook.url', 'ingest.auth is webhook: set the URL to ask');
  if (secretPath === '' && (format === 'headwater' || format === 'ome')) {
    const how = 'make one with `openssl rand -hex 32 > FILE; chmod 600 FILE`, and give it to the back end';
    refuse(
      'ingest.webhook.secretPath',
      `the format ${format} signs its calls: name a file with the secret (${how})`,
    );
  }
}

function checkTokenKeys(
  { jwksUrl, keyPath, algorithms }: Config['ingest']['jwt'],
  refuse: (path: string, what: string) => void,
): void {
  if ((jwksUrl === '') === (keyPath === '')) {
    refuse(
      'ingest.jwt.jwksUrl',
      'publish tokens need either ingest.jwt.jwksUrl or ingest.jwt.keyPath, and not both',
    );
  }
  const shared = algorithms.split(',').filter((name) => name.startsWith('HS')).length;
  if (shared === 0) return;
  if (shared !== algorithms.split(',').length) {
    refuse(
      'ingest.jwt.algorithms',
      'HS256 and the like (a shared secret) cannot be mixed with signatures by a public key',
    );
  } else if (jwksUrl !== '') {
    refuse(
      'ingest.jwt.algorithms',
      'HS256 and the like need ingest.jwt.keyPath: a secret is nothing to publish',
    );
  }
}

/** Sections of the TCP listeners for publishers that are on. */
function publishListeners(config: Config): readonly ('rtmp' | 'rtmps')[] {
  return config.rtmps.certPath === '' ? ['rtmp'] : ['rtmp', 'rtmps'];
}

function refuseSharedPorts(config: Config, refuse: (path: string, what: string) => void): void {
  const taken = new Map<number, string>();
  for (const name of [...publishListeners(config), 'http', 'control', 'metrics'] as const) {
    const number = config[name].port;
    const other = taken.get(number);
    if (number !== 0 && other) refuse(`${name}.port`, `${number} is also ${other}.port`);
    taken.set(number, name);
  }
}
