import { choice, flag, host, integer, optionalUrl, port, text, words } from './field.ts';
import { srtPulls } from './srt-pulls.ts';
import type { Section } from './schema.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MAX_MS = 3_600_000;

/** Configuration of what broadcasters speak to. */
export const ingestSections = {
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
} as const satisfies Section;
