import type { ListenerOptions } from './listener.ts';

/** What the SRT server listens on and every limit on what a peer may send, hold or wait. Times are milliseconds. */
export interface SrtOptions extends ListenerOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Time a missing packet is waited for; a caller may ask for more. What is in order does not wait. */
  readonly latencyMs: number;
  /** Connections and callers waiting for an answer; one more is refused. */
  readonly maxConnections: number;
  /** The same of one address (of one /64 for IPv6); 0 sets no limit. */
  readonly maxConnectionsPerAddress: number;
  /** First packets of handshakes answered; more are ignored, and callers try again. */
  readonly maxInductionsPerSecond: number;
  /** Callers whose request is looked at; more are ignored, and callers try again. */
  readonly maxHandshakesPerSecond: number;
  /** How long the authoriser may take; then the answer is no. A caller waits 3 s. */
  readonly authTimeoutMs: number;
  /** Without any packet of the peer; then it counts as gone. */
  readonly peerIdleTimeoutMs: number;
  /** Without media while publishing; then the publisher counts as gone. */
  readonly silenceTimeoutMs: number;
  /** How far a packet may lie ahead of the first missing one, and the flow window that is told to the peer. */
  readonly maxBufferPackets: number;
  /** Payload held behind missing packets; at the limit what is missing is given up early. */
  readonly maxBufferBytes: number;
  /** Packets that may overtake one before it is asked for; found out by what really happens. */
  readonly maxReorderPackets: number;
  /** Mean rate of everything received; a peer over twice this during 5 s is closed. */
  readonly maxBitrateBps: number;
  /** Refused publish attempts of one address; more in the same minute are refused without asking the authoriser. */
  readonly maxAuthFailuresPerMinute: number;
  /** Receive buffer asked of the kernel: what may come while this process is busy. */
  readonly socketBufferBytes: number;
}

export const SRT_DEFAULTS: SrtOptions = {
  host: '127.0.0.1',
  port: 8890,
  latencyMs: 120,
  maxConnections: 100,
  maxConnectionsPerAddress: 20,
  maxInductionsPerSecond: 1000,
  maxHandshakesPerSecond: 50,
  authTimeoutMs: 2_500,
  peerIdleTimeoutMs: 5_000,
  silenceTimeoutMs: 5_000,
  maxBufferPackets: 8_192,
  maxBufferBytes: 16 * 1024 * 1024,
  maxReorderPackets: 64,
  maxBitrateBps: 20_000_000,
  maxAuthFailuresPerMinute: 10,
  socketBufferBytes: 4 * 1024 * 1024,
};
