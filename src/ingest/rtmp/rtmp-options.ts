/** What the RTMP server listens on and every limit on what a peer may send, hold or wait. Times are milliseconds. */
export interface RtmpOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Open connections, TLS or not; one more is destroyed at once. */
  readonly maxConnections: number;
  /** Open connections of one address (of one /64 for IPv6); 0 sets no limit. */
  readonly maxConnectionsPerAddress: number;
  /** From accept to the end of the handshake; over TLS the same again for its handshake. */
  readonly handshakeTimeoutMs: number;
  /** From the end of the handshake to the publish command. */
  readonly commandTimeoutMs: number;
  /** How long the authoriser may take; then the answer is no. */
  readonly authTimeoutMs: number;
  /** Without media while publishing; then the publisher counts as gone. */
  readonly silenceTimeoutMs: number;
  /** One audio, video or aggregate message of a publisher. */
  readonly maxMediaMessageBytes: number;
  /** One command, data or control message of a publisher. */
  readonly maxCommandMessageBytes: number;
  /** One message of whatever type before publishing is granted. */
  readonly maxUnauthorisedMessageBytes: number;
  /** Largest chunk size a peer may set; 0 or more than this is a protocol error. */
  readonly maxChunkBytes: number;
  /** Chunk stream ids a peer may use over the life of its connection. */
  readonly maxChunkStreams: number;
  /** Bytes waiting for a peer that does not read. */
  readonly maxSendQueueBytes: number;
  /** Mean rate of everything received; a peer over twice this during 5 s is closed. */
  readonly maxBitrateBps: number;
  /** Video tracks of one publisher (Enhanced RTMP); media of further ones is passed over. */
  readonly maxVideoTracks: number;
  /** Refused publish attempts of one address; more in the same minute are refused without asking the authoriser. */
  readonly maxAuthFailuresPerMinute: number;
  /** Objects and arrays inside each other in one command or metadata message. */
  readonly maxAmfDepth: number;
  /** Properties and array elements of one such message. */
  readonly maxAmfProperties: number;
  /** UTF-8 bytes of one string or property name in it. */
  readonly maxAmfStringBytes: number;
}

export const RTMP_DEFAULTS: RtmpOptions = {
  host: '127.0.0.1',
  port: 1935,
  maxConnections: 100,
  maxConnectionsPerAddress: 20,
  handshakeTimeoutMs: 5_000,
  commandTimeoutMs: 10_000,
  authTimeoutMs: 2_500,
  silenceTimeoutMs: 5_000,
  maxMediaMessageBytes: 4 * 1024 * 1024,
  maxCommandMessageBytes: 16 * 1024,
  maxUnauthorisedMessageBytes: 4 * 1024,
  maxChunkBytes: 1024 * 1024,
  maxChunkStreams: 16,
  maxSendQueueBytes: 256 * 1024,
  maxBitrateBps: 20_000_000,
  maxVideoTracks: 8,
  maxAuthFailuresPerMinute: 10,
  maxAmfDepth: 16,
  maxAmfProperties: 128,
  maxAmfStringBytes: 4096,
};

/** Where RTMP over TLS is listened for, and with what. */
export interface RtmpsOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** PEM: the certificate, then those between it and the authority. */
  readonly certPath: string;
  /** PEM, not encrypted, for its owner (and group) only. */
  readonly keyPath: string;
}
