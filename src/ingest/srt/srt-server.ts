import { type Clock, every, type Timer } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Authoriser } from '../authorise.ts';
import type { PublishTarget } from '../publish-target.ts';
import { AuthFailures } from '../address-limits.ts';
import { readTextSecretFile } from '../../base/secret-file.ts';
import { SrtListener } from './listener.ts';
import type { OpenFeed } from './payload-feed.ts';
import { SrtMetrics } from './srt-metrics.ts';
import type { SrtOptions } from './srt-options.ts';
import { SrtSession, type SrtSessionDeps, type SrtSessionSnapshot } from './srt-session.ts';
import { TsFeed } from './ts-feed.ts';
import { type PullSource, SrtPuller } from './srt-puller.ts';
import { UdpSocket } from './udp-socket.ts';

export interface SrtServerDeps {
  readonly hub: PublishTarget;
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Unpredictable bytes: for cookies, socket ids and session ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** What makes samples of the payload; MPEG-TS when left out. */
  readonly openFeed?: OpenFeed;
  /** Where streams that are fetched are published, when not at `hub`: nobody has to be let in for those. */
  readonly pullHub?: PublishTarget;
  /** Streams to fetch from listeners elsewhere while this one is open. */
  readonly pulls?: readonly PullSource[];
}

/** One tick serves the timers of all connections. */
const TICK_MS = 10;
const MIN_PASSPHRASE_BYTES = 10;
/** Silence is looked for, and counters are published, this often. */
const WATCH_MS = 1_000;

/** Listens for SRT publishers on one UDP port, fetches what is to be pulled, and feeds the stream hub. */
export class SrtServer {
  readonly #options: SrtOptions;
  readonly #deps: SrtServerDeps;
  readonly #metrics: SrtMetrics;
  readonly #sessionDeps: SrtSessionDeps;
  readonly #listener: SrtListener;
  readonly #sessions = new Set<SrtSession>();
  readonly #pullers: readonly SrtPuller[];
  #socket: UdpSocket | undefined;
  #ticks: Timer | undefined;
  #watchedMs = 0;
  #closing: Promise<void> | undefined;

  constructor(options: SrtOptions, deps: SrtServerDeps) {
    const { clock, hub, authoriser, log, randomBytes } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new SrtMetrics(deps.metrics);
    this.#sessionDeps = {
      options,
      hub,
      authoriser,
      authFailures: new AuthFailures(options.maxAuthFailuresPerMinute),
      clock,
      log,
      metrics: this.#metrics,
      randomBytes,
      openFeed: deps.openFeed ?? ((publisher) => new TsFeed(publisher, this.#metrics, log)),
    };
    const pullerDeps = { ...this.#sessionDeps, hub: deps.pullHub ?? hub, readSecret };
    this.#pullers = (deps.pulls ?? []).map((source) => new SrtPuller(source, options, pullerDeps));
    this.#listener = new SrtListener(options, {
      randomBytes,
      nowMs: () => clock.monotonicMs(),
      send: (packet, to) => this.#socket?.send(packet, to),
      onRequest: (request) => {
        const session = new SrtSession(request, this.#sessionDeps, (ended, connection) => {
          this.#sessions.delete(ended);
          if (connection) this.#listener.end(connection);
        });
        this.#sessions.add(session);
        session.start();
      },
      onIgnored: (why) => this.#metrics.ignored(why),
      onRefused: (why, code, from) => {
        this.#metrics.closed(why);
        log.warn({ reason: why, code, remoteAddress: from.address }, 'SRT caller turned away');
      },
    });
  }

  /**
   * Starts listening; gives the real port.
   * @throws AppError INGEST_LISTEN_FAILED when the address is taken or not ours.
   */
  async listen(): Promise<number> {
    const { host, port, socketBufferBytes } = this.#options;
    const socket = await UdpSocket.open(
      { host, port, bufferBytes: socketBufferBytes },
      {
        packet: (bytes, from) => this.#receive(bytes, from),
        error: (error) => {
          this.#metrics.socketError('receive');
          this.#deps.log.error({ err: error }, 'SRT socket failed to receive');
        },
        sendError: () => this.#metrics.socketError('send'),
      },
    ).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new AppError('INGEST_LISTEN_FAILED', `cannot listen on ${host}:${port}/udp: ${why}`, { cause });
    });
    this.#socket = socket;
    for (const puller of this.#pullers) puller.start();
    const { bufferBytes } = socket;
    this.#metrics.socketBuffer(bufferBytes);
    const line = { askedBytes: socketBufferBytes, bufferBytes };
    if (bufferBytes < socketBufferBytes) {
      this.#deps.log.warn(
        line,
        'the system gives SRT a smaller receive buffer than asked for (net.core.rmem_max)',
      );
    } else this.#deps.log.info(line, 'SRT receive buffer');
    return socket.port;
  }

  /** Publishers there are, those that are pulled too, as the control API may show them. */
  snapshots(): SrtSessionSnapshot[] {
    return [...this.#sessions, ...this.#pullers].flatMap((each) => each.snapshot() ?? []);
  }

  /** Stops listening, ends every session and tells the peers. Idempotent; settles when the socket is closed. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const pullersClosed = Promise.all(this.#pullers.map((puller) => puller.close()));
    for (const session of this.#sessions) session.close();
    this.#ticks?.cancel();
    this.#ticks = undefined;
    await Promise.all([this.#socket?.close(), pullersClosed]);
  }

  #receive(bytes: Buffer, from: { readonly address: string; readonly port: number }): void {
    if (this.#closing) return;
    this.#guard(() => this.#listener.receive(bytes, from));
    if (this.#listener.size > 0) this.#ticks ??= every(this.#deps.clock, TICK_MS, () => this.#tick());
  }

  /** A bug met while serving one peer is not everybody's end. */
  #guard(serve: () => void): void {
    try {
      serve();
    } catch (error) {
      this.#deps.log.error({ err: error }, 'SRT packet or timer not handled');
    }
  }

  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#guard(() => this.#listener.tick());
    if (nowMs - this.#watchedMs >= WATCH_MS) {
      this.#watchedMs = nowMs;
      for (const session of this.#sessions) session.watch();
    }
    if (this.#listener.size > 0 || this.#sessions.size > 0) return;
    this.#ticks?.cancel();
    this.#ticks = undefined;
  }
}

/** The passphrase of a stream that is pulled; SRT takes 10 to 79 bytes. */
async function readSecret(path: string): Promise<string> {
  return (await readTextSecretFile(path, MIN_PASSPHRASE_BYTES)).toString('utf8');
}
