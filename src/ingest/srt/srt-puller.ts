import { type Clock, every, type Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { CallFailure } from './caller.ts';
import { SrtCaller } from './caller.ts';
import type { CloseReason } from './close-reason.ts';
import type { ConnectionOutput, SrtConnection } from './connection.ts';
import type { KeyBytes } from './key-material.ts';
import { Publication, type PublicationDeps } from './publication.ts';
import type { SrtOptions } from './srt-options.ts';
import type { SrtSessionSnapshot } from './srt-session.ts';
import { resolveAddress, UdpSocket } from './udp-socket.ts';

/** A stream that is fetched from an SRT listener elsewhere, as the operator has set it. */
export interface PullSource {
  /** What it is published as. */
  readonly stream: string;
  readonly host: string;
  readonly port: number;
  /** Empty for none. */
  readonly streamId: string;
  /** File with the passphrase; undefined when the stream is not encrypted. */
  readonly passphraseFile: string | undefined;
  readonly keyBytes: KeyBytes;
  /** Undefined: as the server has it. */
  readonly latencyMs: number | undefined;
}

export interface SrtPullerDeps extends PublicationDeps {
  readonly log: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Reads the passphrase each time a connection is made, so that a new one counts. @throws Error */
  readonly readSecret: (path: string) => Promise<string>;
}

/** One attempt, from its socket to the end of what it gave. */
interface Attempt {
  readonly socket: UdpSocket;
  readonly session: string;
  readonly remoteAddress: string;
  caller: SrtCaller | undefined;
  publication: Publication | undefined;
  connection: SrtConnection | undefined;
  ticks: Timer | undefined;
  watchedMs: number;
}

const TICK_MS = 10;
const WATCH_MS = 1_000;
const CONNECT_TIMEOUT_MS = 3_000;
/** Waits between attempts grow from the first to the last of these; a source that held for a while starts anew. */
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 30_000;
const HELD_MS = 10_000;
/** Part of a wait that is left to chance, so that many servers do not come back at once. */
const JITTER = 0.25;

/** Fetches one stream from an SRT listener, and comes back whenever it is lost, until it is closed. */
export class SrtPuller {
  readonly #source: PullSource;
  readonly #options: SrtOptions;
  readonly #deps: SrtPullerDeps;
  readonly #log: Logger;
  readonly #clock: Clock;
  #attempt: Attempt | undefined;
  #opening: Promise<void> = Promise.resolve();
  #wait: Timer | undefined;
  #failures = 0;
  #connectedMs: number | undefined;
  #closed = false;

  constructor(source: PullSource, options: SrtOptions, deps: SrtPullerDeps) {
    this.#source = source;
    this.#options = options;
    this.#deps = deps;
    this.#clock = deps.clock;
    this.#log = deps.log.child({ pull: source.stream });
  }

  /** Begins; failures are logged and tried again. */
  start(): void {
    if (!this.#closed) this.#opening = this.#open();
  }

  /** The connection, while it brings the stream. */
  snapshot(): SrtSessionSnapshot | undefined {
    const { publication, connection, session, remoteAddress } = this.#attempt ?? {};
    if (!publication?.open || !connection || session === undefined || remoteAddress === undefined)
      return undefined;
    return { session, stream: publication.stream, remoteAddress, stats: connection.stats() };
  }

  /** Idempotent; settles when the socket is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wait?.cancel();
    await this.#opening;
    this.#attempt?.publication?.close('shutdown');
    await this.#dispose(this.#attempt);
  }

  async #open(): Promise<void> {
    const { host, port, passphraseFile, keyBytes } = this.#source;
    let attempt: Attempt | undefined;
    try {
      const passphrase = passphraseFile === undefined ? '' : await this.#deps.readSecret(passphraseFile);
      const { address, family } = await resolveAddress(host);
      const socket = await UdpSocket.open(
        { host: family === 6 ? '::' : '0.0.0.0', port: 0, bufferBytes: this.#options.socketBufferBytes },
        {
          packet: (bytes, from) => {
            if (attempt && from.address === address && from.port === port) this.#receive(attempt, bytes);
          },
          error: () => this.#deps.metrics.socketError('receive'),
          sendError: () => this.#deps.metrics.socketError('send'),
        },
      );
      const session = Buffer.from(this.#deps.randomBytes(6)).toString('hex');
      const remoteAddress = family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
      const made: Attempt = {
        socket,
        session,
        remoteAddress,
        caller: undefined,
        publication: undefined,
        connection: undefined,
        ticks: undefined,
        watchedMs: 0,
      };
      attempt = made;
      this.#attempt = made;
      if (this.#closed) return;
      made.caller = await SrtCaller.start(
        {
          ...this.#options,
          latencyMs: this.#source.latencyMs ?? this.#options.latencyMs,
          streamId: this.#source.streamId,
          encryption: passphraseFile === undefined ? undefined : { passphrase, keyBytes },
          connectTimeoutMs: CONNECT_TIMEOUT_MS,
        },
        {
          send: (packet) => socket.send(packet, { address, port }),
          randomBytes: this.#deps.randomBytes,
          nowMs: () => this.#clock.monotonicMs(),
        },
        {
          connected: (connection) => this.#publish(made, connection),
          failed: (failure) => this.#failed(made, failure),
        },
      );
      if (!this.#closed) made.ticks = every(this.#clock, TICK_MS, () => this.#tick(made));
    } catch (error) {
      this.#ended(attempt, 'pull_unreachable', { err: error });
    }
  }

  /** A bug met in one source's packets ends its connection, not the process. */
  #receive(attempt: Attempt, bytes: Buffer): void {
    try {
      attempt.caller?.receive(bytes);
    } catch (error) {
      this.#ended(attempt, 'internal', { err: error });
    }
  }

  #publish(attempt: Attempt, connection: SrtConnection): Omit<ConnectionOutput, 'send'> | undefined {
    const { session, remoteAddress } = attempt;
    const { stream } = this.#source;
    attempt.connection = connection;
    const opened = Publication.open(
      { stream, role: 'primary', session, remoteAddress },
      this.#options,
      this.#deps,
      (reason, fields) => this.#ended(attempt, reason, fields),
    );
    if (typeof opened === 'string') {
      this.#ended(attempt, opened, {});
      return undefined;
    }
    attempt.publication = opened;
    this.#connectedMs = this.#clock.monotonicMs();
    this.#log.info({ stream, session, latencyMs: connection.stats().latencyMs }, 'SRT pull started');
    return opened;
  }

  #failed(attempt: Attempt, failure: CallFailure): void {
    if (failure.kind === 'timeout') this.#ended(attempt, 'pull_timeout', {});
    else if (failure.kind === 'rejected') this.#ended(attempt, 'pull_refused', { code: failure.code });
    else this.#ended(attempt, 'pull_refused', { why: failure.kind });
  }

  #tick(attempt: Attempt): void {
    const nowMs = this.#clock.monotonicMs();
    attempt.caller?.tick();
    if (nowMs - attempt.watchedMs < WATCH_MS) return;
    attempt.watchedMs = nowMs;
    if (attempt.connection) attempt.publication?.watch(attempt.connection.stats());
  }

  /** The attempt is over, before there was a stream or after. */
  #ended(attempt: Attempt | undefined, reason: CloseReason, fields: Record<string, unknown>): void {
    this.#deps.metrics.closed(reason);
    const stats = attempt?.connection?.stats();
    if (stats) attempt?.publication?.count(stats);
    const line = { reason, session: attempt?.session, ...fields, ...(stats && { stats }) };
    if (reason === 'shutdown') this.#log.info(line, 'SRT pull ended');
    else this.#log.warn(line, 'SRT pull ended');
    void this.#dispose(attempt);
    if (!this.#closed) this.#later();
  }

  #later(): void {
    const nowMs = this.#clock.monotonicMs();
    const held = this.#connectedMs !== undefined && nowMs - this.#connectedMs >= HELD_MS;
    this.#failures = held ? 1 : this.#failures + 1;
    this.#connectedMs = undefined;
    const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
    const chance = (Buffer.from(this.#deps.randomBytes(2)).readUInt16BE(0) / 0x1_0000) * JITTER;
    this.#wait = this.#clock.after(waitMs * (1 - chance), () => this.start());
  }

  async #dispose(attempt: Attempt | undefined): Promise<void> {
    attempt?.ticks?.cancel();
    attempt?.caller?.close();
    await attempt?.socket.close();
  }
}
