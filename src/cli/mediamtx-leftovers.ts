/** What of a mediamtx.yml has no counterpart with us, and why. */

/** A mapping of the file. */
export type Values = Readonly<Record<string, unknown>>;

/** Whole features of MediaMTX that Headwater has no counterpart of, named once and not key by key. */
export const FAMILIES: readonly {
  readonly key: string;
  readonly pattern: RegExp;
  readonly reason: string;
  readonly isOn: (all: Values) => boolean;
}[] = [
  {
    key: 'rtsp',
    pattern: /^(rtsps?|rtp|rtcp|srtp|srtcp|multicast|protocols$|encryption$|server(Key|Cert)$|authMethods$)/,
    reason: 'Headwater has no RTSP: publish by RTMP, RTMPS, SRT or CMAF, play by HLS or DASH',
    isOn: (all) => isOn(all['rtsp'], true),
  },
  {
    key: 'webrtc',
    pattern: /^webrtc/,
    reason: 'Headwater has no WebRTC (WHIP, WHEP): play by low-latency HLS or DASH',
    isOn: (all) => isOn(all['webrtc'], true),
  },
  {
    key: 'playback',
    pattern: /^playback/,
    reason: 'this version keeps no recordings to play back',
    isOn: (all) => isOn(all['playback'], false),
  },
  {
    key: 'pprof',
    pattern: /^pprof/,
    reason: 'Go profiles have no counterpart; see the metrics',
    isOn: (all) => isOn(all['pprof'], false),
  },
];

/** Keys whose value at MediaMTX's default says nothing; another value has no counterpart, and why. */
export const LEFTOVER: readonly {
  readonly pattern: RegExp;
  readonly defaults: readonly unknown[];
  readonly reason: string;
}[] = [
  {
    pattern: /^runOn/,
    defaults: [null, '', false],
    reason: 'Headwater runs no commands; use the webhook (ingest.webhook.url) for publishing',
  },
  {
    pattern: /^log(Destinations|File|Structured)$|^sysLog/,
    defaults: [null, 'mediamtx.log', 'mediamtx', false, true, ['stdout']],
    reason: 'the log is JSON lines on stdout; let the service manager keep it',
  },
  { pattern: /^dumpPackets$/, defaults: [false], reason: 'packets are not dumped' },
  {
    pattern: /^(writeTimeout|writeQueueSize|readBufferCount|readBufferSize)$/,
    defaults: ['10s', 512],
    reason: 'see http.maxBacklogBytes and http.stallTimeoutMs, which bound slow viewers',
  },
  { pattern: /^udp(MaxPayloadSize|ReadBufferSize)$/, defaults: [1452, 1472, 0], reason: 'no counterpart' },
  {
    pattern: /^hls(Encryption|ServerKey|ServerCert)$/,
    defaults: [false, 'no', 'server.key', 'server.crt'],
    reason: 'the media port speaks HTTP: let a proxy in front of it do TLS',
  },
  {
    pattern: /^hlsAllowOrigins?$/,
    defaults: ['*', ['*']],
    reason: 'media may be read from pages of any origin',
  },
  { pattern: /^hlsTrustedProxies$/, defaults: [null, []], reason: 'forwarded addresses are not read' },
  {
    pattern: /^hlsVariant$/,
    defaults: ['lowLatency', 'fmp4'],
    reason: 'segments are always CMAF (fMP4) with low-latency parts',
  },
  {
    pattern: /^hls(AlwaysRemux|MuxerCloseAfter)$/,
    defaults: [true, false, 'no', 'yes', '60s'],
    reason: 'streams are always packaged',
  },
  { pattern: /^hlsDirectory$/, defaults: [null, ''], reason: 'segments are kept in memory' },
  {
    pattern: /^api(Encryption|ServerKey|ServerCert|AllowOrigins?|TrustedProxies)$/,
    defaults: [false, 'no', 'server.key', 'server.crt', '*', ['*'], null, []],
    reason: 'the control port speaks HTTP to whoever has the admin token',
  },
  {
    pattern: /^metrics(Encryption|ServerKey|ServerCert|AllowOrigins?|TrustedProxies)$/,
    defaults: [false, 'no', 'server.key', 'server.crt', '*', ['*'], null, []],
    reason: 'metrics are plain HTTP: keep their port off public networks',
  },
];

/** Settings of a path that have no counterpart, by pattern; those at MediaMTX's default are not named. */
export const PATH_NOTES: readonly {
  readonly pattern: RegExp;
  readonly isSet: (value: unknown) => boolean;
  readonly reason: string;
}[] = [
  { pattern: /^record$/, isSet: (value) => isOn(value, false), reason: 'this version does not record' },
  { pattern: /^runOn/, isSet: isText, reason: 'Headwater runs no commands; the webhook tells of publishes' },
  {
    pattern: /^srtPublishPassphrase$/,
    isSet: isText,
    reason: 'each stream has a passphrase of its own: headwater stream show-srt',
  },
  {
    pattern: /^(srtReadPassphrase|fallback|sourceRedirect|alwaysAvailableFile)$/,
    isSet: isText,
    reason: 'no counterpart',
  },
  { pattern: /^alwaysAvailable$/, isSet: (value) => isOn(value, false), reason: 'no counterpart' },
  {
    pattern: /^(publish|read)(User|Pass)$/,
    isSet: isText,
    reason: 'use a publish key instead of user and password',
  },
  {
    pattern: /^(publish|read)IPs$/,
    isSet: (value) => Array.isArray(value) && value.length > 0,
    reason: 'publishers and viewers are not told apart by address',
  },
  { pattern: /^maxReaders$/, isSet: (value) => value !== 0, reason: 'see http.maxConnections' },
  {
    pattern: /^sourceOnDemand$/,
    isSet: (value) => isOn(value, false),
    reason: 'streams are not fetched on demand',
  },
];

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** MediaMTX takes true, yes, strict and optional as on. */
export function isOn(value: unknown, byDefault: boolean): boolean {
  if (value === undefined || value === null) return byDefault;
  if (typeof value === 'boolean') return value;
  return typeof value === 'string' && ['yes', 'true', 'strict', 'optional'].includes(value);
}

export function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
