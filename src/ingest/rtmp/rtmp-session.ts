import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../base/clock.ts';
import { ERRORS } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { AMF0_LIMITS, type Amf0Limits } from '../../media/amf0.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import type { PublishRole } from '../../stream/publisher.ts';
import type { Authoriser, PublishDecision, PublishRequest } from '../authorise.ts';
import { publishRole } from '../publish-role.ts';
import type { PublishTarget } from '../publish-target.ts';
import type { AuthFailures } from '../address-limits.ts';
import { ByteMeter } from '../byte-meter.ts';
import { ChunkReader } from './chunk-reader.ts';
import { writeChunks } from './chunk-writer.ts';
import { CLOSE_REASONS, type CloseReason } from './close-reason.ts';
import { decideControl } from './control-policy.ts';
import { parseCommand, type RtmpCommand } from './command.ts';
import { type CommandPhase, decideCommand } from './command-policy.ts';
import { enhancedAbilities } from './enhanced-abilities.ts';
import { Handshake } from './handshake.ts';
import { DEFAULT_CHUNK_BYTES, MESSAGE, type RtmpMessage } from './protocol.ts';
import * as replies from './replies.ts';
import type { RtmpMetrics } from './rtmp-metrics.ts';
import type { RtmpOptions } from './rtmp-options.ts';
import { RtmpPublication } from './rtmp-publication.ts';

export interface RtmpSessionDeps {
  readonly options: RtmpOptions;
  readonly hub: PublishTarget;
  readonly authoriser: Authoriser;
  readonly authFailures: AuthFailures;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RtmpMetrics;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Encodes audio in other codecs than AAC; without it a publisher that sends such audio is told so and let go. */
  readonly foreignAudio: ForeignAudioEncoder | undefined;
}

/** The other side of a session's socket. */
export interface RtmpPeer {
  /** Random, for logs. */
  readonly session: string;
  readonly protocol: 'rtmp' | 'rtmps';
  /** Address alone, for the authoriser. */
  readonly address: string;
  /** Address and port, for logs and the control API. */
  readonly remoteAddress: string;
  /** What limits by address count as one; see `addressGroup`. */
  readonly group: string;
}

/** Media counts in `publishing` only; in any other state it ends the connection. */
type State =
  | { readonly kind: 'handshake'; readonly handshake: Handshake }
  | { readonly kind: 'commands'; app: string | undefined; streamCount: number }
  | {
      readonly kind: 'authorising';
      readonly app: string;
      readonly role: PublishRole;
      readonly streamId: number;
      readonly streamCount: number;
      readonly abort: AbortController;
      /** Read from the socket before it was paused, not looked at before the answer is yes. */
      held: Buffer;
    }
  | {
      readonly kind: 'publishing';
      readonly app: string;
      readonly streamId: number;
      streamCount: number;
      readonly publication: RtmpPublication;
    }
  | { readonly kind: 'closed' };

type Authorising = Extract<State, { kind: 'authorising' }>;
type Publishing = Extract<State, { kind: 'publishing' }>;
type Commanding = Extract<State, { kind: 'commands' | 'publishing' }>;

/** How long a peer that was refused may take to read why. */
const FAREWELL_MS = 100;
/** How long a publisher whose stream is over may take to read that and close by itself: it reads between two frames. */
const GOODBYE_MS = 1_000;
/** Idle time before the kernel probes the peer. */
const KEEP_ALIVE_MS = 15_000;
const NO_BYTES: Buffer = Buffer.alloc(0);
const QUIET_REASONS: ReadonlySet<CloseReason> = new Set(['unpublished', 'disconnected', 'shutdown']);
const OUR_FAULTS: ReadonlySet<CloseReason> = new Set(['internal', 'auth_error']);

/** Chunk stream ids of what we send: control messages, calls, and what belongs to a message stream. */
const CONTROL_CHUNK_STREAM = 2;
const COMMAND_CHUNK_STREAM = 3;
const STREAM_CHUNK_STREAM = 5;

/**
 * One RTMP peer, from accept to close. It owns its socket, its timer and, while it publishes, its Publisher. Whatever
 * the peer sends ends at worst this one connection.
 */
export class RtmpSession {
  /** Settles when the socket is closed. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #peer: RtmpPeer;
  readonly #deps: RtmpSessionDeps;
  readonly #log: Logger;
  readonly #reader: ChunkReader;
  readonly #meter: ByteMeter;
  readonly #amfLimits: Amf0Limits;
  #state: State;
  #timer: Timer | undefined;
  #outChunkBytes = DEFAULT_CHUNK_BYTES;
  #ackWindowBytes = replies.WINDOW_ACK_BYTES;
  #acknowledgedBytes = 0;

  constructor(socket: Socket, peer: RtmpPeer, deps: RtmpSessionDeps) {
    const { options } = deps;
    this.#socket = socket;
    this.#peer = peer;
    this.#deps = deps;
    const { protocol, session, remoteAddress } = peer;
    this.#log = deps.log.child({ protocol, session, remoteAddress });
    this.#reader = new ChunkReader({
      maxMediaMessageBytes: options.maxUnauthorisedMessageBytes,
      maxOtherMessageBytes: options.maxUnauthorisedMessageBytes,
      maxChunkStreams: options.maxChunkStreams,
    });
    this.#meter = new ByteMeter(options.maxBitrateBps);
    this.#amfLimits = {
      ...AMF0_LIMITS,
      maxDepth: options.maxAmfDepth,
      maxProperties: options.maxAmfProperties,
      maxStringBytes: options.maxAmfStringBytes,
    };
    this.#state = { kind: 'handshake', handshake: new Handshake(deps.randomBytes) };
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    this.#attach();
    this.#arm(options.handshakeTimeoutMs, () => this.#finish('handshake_timeout'));
  }

  /** Bytes held for this peer: messages under way, input waiting for the authoriser, output waiting for the peer. */
  get bufferedBytes(): number {
    const held = this.#state.kind === 'authorising' ? this.#state.held.length : 0;
    return this.#reader.bufferedBytes + held + this.#socket.writableLength;
  }

  /** Ends the connection because the server shuts down. Idempotent. */
  close(): Promise<void> {
    this.#finish('shutdown');
    return this.closed;
  }

  #attach(): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (data) => this.#onData(data));
    socket.on('end', () => this.#finish('disconnected'));
    // 'close' follows every error and says all there is to know: the peer is gone.
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#finish('disconnected');
      this.#timer?.cancel();
    });
  }

  /** A bug met while serving one peer ends that peer's connection, not everybody's. */
  #guard(serve: () => void): void {
    try {
      serve();
    } catch (error) {
      this.#finish('internal', { err: error });
    }
  }

  /** Guarded as all else is, without a closure for every read. */
  #onData(data: Buffer): void {
    try {
      this.#receive(data);
    } catch (error) {
      this.#finish('internal', { err: error });
    }
  }

  #receive(data: Buffer): void {
    if (this.#state.kind === 'closed') return;
    this.#deps.metrics.received(data.length);
    if (!this.#meter.add(data.length, this.#deps.clock.monotonicMs())) {
      this.#finishWith('bitrate', 'The bit rate is over the limit of this server.');
      return;
    }
    // One write for all the answers to one read; who publishes is hardly ever answered.
    const answers = this.#state.kind !== 'publishing';
    if (answers) this.#socket.cork();
    if (this.#state.kind === 'handshake') this.#shakeHands(this.#state.handshake, data);
    else this.#consume(data);
    this.#acknowledge();
    if (answers) this.#socket.uncork();
  }

  #shakeHands(handshake: Handshake, data: Buffer): void {
    const step = handshake.push(data);
    if (step.kind === 'invalid') {
      this.#finish('handshake_invalid');
      return;
    }
    if (step.reply !== undefined) this.#socket.write(step.reply);
    if (step.kind === 'more') return;
    this.#state = { kind: 'commands', app: undefined, streamCount: 0 };
    this.#arm(this.#deps.options.commandTimeoutMs, () => this.#finish('command_timeout'));
    this.#consume(step.rest);
  }

  /** Reads messages until the input ends, the connection does, or the peer has to wait for the authoriser. */
  #consume(data: Buffer): void {
    this.#reader.feed(data);
    for (;;) {
      const state = this.#state;
      if (state.kind === 'authorising') {
        state.held = this.#reader.rest();
        return;
      }
      if (state.kind !== 'commands' && state.kind !== 'publishing') return;
      const step = this.#reader.next();
      if (step.kind === 'starved') return;
      if (step.kind === 'fault') this.#finish(step.fault);
      else this.#onMessage(state, step.message);
    }
  }

  #onMessage(state: Commanding, message: RtmpMessage): void {
    switch (message.type) {
      case MESSAGE.audio:
      case MESSAGE.video:
      case MESSAGE.aggregate:
      case MESSAGE.data:
      case MESSAGE.dataAmf3:
        if (state.kind === 'publishing') this.#onMedia(state, message);
        else this.#finish('media_unauthorised');
        return;
      case MESSAGE.command:
      case MESSAGE.commandAmf3:
        this.#onCommand(state, message);
        return;
      case MESSAGE.setChunkSize:
      case MESSAGE.abort:
      case MESSAGE.acknowledgement:
      case MESSAGE.userControl:
      case MESSAGE.windowAckSize:
      case MESSAGE.setPeerBandwidth:
        this.#onControl(message);
        return;
      default:
        this.#deps.metrics.ignored('message_type');
    }
  }

  #onMedia(state: Publishing, message: RtmpMessage): void {
    const fault = state.publication.take(message);
    if (fault === undefined) return;
    const { reason, fields, words } = fault;
    if (words === undefined) this.#finish(reason, fields);
    else this.#finishWith(reason, words, fields);
  }

  #onControl(message: RtmpMessage): void {
    const action = decideControl(message, this.#deps.options.maxChunkBytes);
    switch (action.kind) {
      case 'chunk-size':
        this.#reader.chunkBytes = action.chunkBytes;
        return;
      case 'abort':
        this.#reader.abort(action.chunkStreamId);
        return;
      case 'ack-window':
        this.#ackWindowBytes = action.windowBytes;
        return;
      case 'pong':
        this.#send(replies.pingResponse(action.token));
        return;
      case 'ignore':
        return;
      case 'fail':
        this.#finish(action.reason);
    }
  }

  #onCommand(state: Commanding, message: RtmpMessage): void {
    const command = parseCommand(message, this.#amfLimits);
    if (command === undefined) {
      this.#finish('amf_invalid');
      return;
    }
    const { app, streamCount } = state;
    const phase: CommandPhase = { app, streamCount, publishing: state.kind === 'publishing' };
    const action = decideCommand(phase, command);
    switch (action.kind) {
      case 'connect':
        if (state.kind === 'commands') this.#connect(state, action, command);
        return;
      case 'create-stream':
        state.streamCount += 1;
        this.#send(replies.result(command.transactionId, state.streamCount));
        return;
      case 'acknowledge':
        if (command.transactionId > 0) this.#send(replies.result(command.transactionId, undefined));
        return;
      case 'publish':
        if (state.kind === 'commands') this.#publish(state, message.streamId, action);
        return;
      case 'unpublish':
        if (state.kind === 'publishing') this.#dismiss(replies.unpublished(state.streamId));
        return;
      case 'refuse-play':
        this.#farewell('play_refused', replies.playRefused(message.streamId));
        return;
      case 'unknown':
        if (command.transactionId > 0) this.#send(replies.callFailed(command.transactionId));
        return;
      case 'ignore':
        return;
      case 'fail':
        this.#finish(action.reason);
    }
  }

  #connect(
    state: Extract<State, { kind: 'commands' }>,
    { app, enhanced }: { readonly app: string; readonly enhanced: boolean },
    command: RtmpCommand,
  ): void {
    state.app = app;
    this.#send(replies.windowAckSize(), replies.setPeerBandwidth(), replies.setChunkSize());
    this.#outChunkBytes = replies.OUT_CHUNK_BYTES;
    const abilities = enhanced ? enhancedAbilities(this.#deps.foreignAudio !== undefined) : {};
    this.#send(replies.connectSuccess(command.transactionId, abilities));
  }

  /** Stops reading and asks the authoriser; nothing of the peer is looked at before the answer. */
  #publish(
    { streamCount }: Extract<State, { kind: 'commands' }>,
    streamId: number,
    { app, key, query }: { app: string; key: string; query: string },
  ): void {
    const { authFailures, clock, options } = this.#deps;
    if (authFailures.exhausted(this.#peer.group, clock.monotonicMs())) {
      this.#farewell('auth_rate', replies.publishRefused(streamId));
      return;
    }
    const attempt: Authorising = {
      kind: 'authorising',
      app,
      role: publishRole(query),
      streamId,
      streamCount,
      abort: new AbortController(),
      held: NO_BYTES,
    };
    this.#state = attempt;
    this.#socket.pause();
    this.#arm(options.authTimeoutMs, () => this.#farewell('auth_timeout', replies.publishRefused(streamId)));
    const { protocol, session, address: remoteAddress } = this.#peer;
    const request: PublishRequest = { protocol, session, app, key, query, remoteAddress };
    void this.#authorise(attempt, request);
  }

  async #authorise(attempt: Authorising, request: PublishRequest): Promise<void> {
    let decision: PublishDecision;
    try {
      decision = await this.#deps.authoriser.authorise(request, attempt.abort.signal);
    } catch (error) {
      if (this.#state === attempt) this.#refuse(attempt, 'auth_error', { err: error });
      return;
    }
    // The peer left, or its time was up.
    if (this.#state !== attempt) return;
    if (decision.allow) {
      const { stream } = decision;
      this.#guard(() => this.#beginPublishing(attempt, stream));
    } else {
      this.#deps.authFailures.add(this.#peer.group, this.#deps.clock.monotonicMs());
      this.#refuse(attempt, 'auth_refused', { refusal: decision.code });
    }
  }

  #refuse(attempt: Authorising, reason: CloseReason, fields: Record<string, unknown> = {}): void {
    this.#farewell(reason, replies.publishRefused(attempt.streamId), FAREWELL_MS, fields);
  }

  #beginPublishing(attempt: Authorising, stream: string): void {
    const publication = this.#openPublication(attempt, stream);
    if (publication === undefined) return;
    const { metrics, options } = this.#deps;
    const { app, streamId, streamCount, held } = attempt;
    this.#state = { kind: 'publishing', app, streamId, streamCount, publication };
    this.#reader.limits = {
      maxMediaMessageBytes: options.maxMediaMessageBytes,
      maxOtherMessageBytes: options.maxCommandMessageBytes,
      maxChunkStreams: options.maxChunkStreams,
    };
    metrics.publishStarted();
    this.#log.info({ stream }, 'RTMP publish started');
    this.#send(...replies.publishStarted(streamId));
    this.#watchSilence(options.silenceTimeoutMs);
    this.#consume(held);
    this.#socket.resume();
  }

  #openPublication(attempt: Authorising, stream: string): RtmpPublication | undefined {
    const { protocol, session, remoteAddress } = this.#peer;
    const info = { stream, protocol, role: attempt.role, session, remoteAddress };
    const deps = { ...this.#deps, amfLimits: this.#amfLimits };
    const opened = RtmpPublication.open(info, deps, (code) =>
      this.#finishWith('hub', ERRORS[code].meaning, { code }),
    );
    if (!(opened instanceof RtmpPublication)) {
      this.#refuse(attempt, opened.reason, opened.fields);
      return undefined;
    }
    if (this.#state === attempt) return opened;
    opened.close('error');
    return undefined;
  }

  #watchSilence(delayMs: number): void {
    this.#arm(delayMs, () => {
      if (this.#state.kind !== 'publishing') return;
      const silentMs = this.#deps.clock.monotonicMs() - this.#state.publication.lastMediaMs;
      const leftMs = this.#deps.options.silenceTimeoutMs - silentMs;
      if (leftMs > 0) this.#watchSilence(leftMs);
      else this.#finishWith('silence_timeout', 'No media arrived for too long.');
    });
  }

  #acknowledge(): void {
    if (this.#state.kind === 'closed' || this.#state.kind === 'handshake') return;
    if (this.#meter.totalBytes - this.#acknowledgedBytes < this.#ackWindowBytes) return;
    this.#acknowledgedBytes = this.#meter.totalBytes;
    this.#send(replies.acknowledgement(this.#acknowledgedBytes));
  }

  #send(...messages: RtmpMessage[]): void {
    if (this.#state.kind === 'closed') return;
    for (const message of messages) this.#socket.write(this.#encode(message));
    if (this.#socket.writableLength > this.#deps.options.maxSendQueueBytes) this.#finish('send_queue');
  }

  #encode(message: RtmpMessage): Buffer {
    const isCall = message.type === MESSAGE.command;
    const ofStream = message.streamId > 0 ? STREAM_CHUNK_STREAM : COMMAND_CHUNK_STREAM;
    return writeChunks(message, isCall ? ofStream : CONTROL_CHUNK_STREAM, this.#outChunkBytes);
  }

  /** One timer at a time: each state has one deadline. */
  #arm(delayMs: number, callback: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(delayMs, callback);
  }

  /** Ends a publisher's connection and tells it why in words. */
  #finishWith(reason: CloseReason, description: string, fields: Record<string, unknown> = {}): void {
    const streamId = this.#state.kind === 'publishing' ? this.#state.streamId : 0;
    this.#farewell(reason, replies.publishFailed(streamId, description), GOODBYE_MS, fields);
  }

  /** Sends a last message, then ends: the peer gets `lingerMs` to read it, and what it sends is thrown away. */
  #farewell(
    reason: CloseReason,
    message: RtmpMessage,
    lingerMs: number = FAREWELL_MS,
    fields: Record<string, unknown> = {},
  ): void {
    if (!this.#leave(reason, fields)) return;
    this.#socket.end(this.#encode(message));
    this.#socket.resume();
    this.#arm(lingerMs, () => this.#socket.destroy());
  }

  /** Answers a publisher's goodbye. It is to close the connection: to some it is an error when the server is faster. */
  #dismiss(message: RtmpMessage): void {
    if (!this.#leave('unpublished', {})) return;
    this.#socket.write(this.#encode(message));
    this.#arm(GOODBYE_MS, () => this.#socket.destroy());
  }

  /** Ends the connection at once. */
  #finish(reason: CloseReason, fields: Record<string, unknown> = {}): void {
    this.#leave(reason, fields);
    this.#timer?.cancel();
    this.#socket.destroy();
  }

  /** The one way into `closed`: lets go of what the state held, and says why. False when already there. */
  #leave(reason: CloseReason, fields: Record<string, unknown>): boolean {
    const state = this.#state;
    if (state.kind === 'closed') return false;
    this.#state = { kind: 'closed' };
    this.#deps.metrics.closed(reason);
    const receivedBytes = this.#meter.totalBytes;
    if (state.kind === 'publishing') this.#deps.metrics.publishEnded();
    const stream = state.kind === 'publishing' ? { stream: state.publication.stream } : {};
    const line = { reason, receivedBytes, ...stream, ...fields };
    if (OUR_FAULTS.has(reason)) this.#log.error(line, 'RTMP session ended');
    else if (QUIET_REASONS.has(reason)) this.#log.info(line, 'RTMP session ended');
    else this.#log.warn(line, 'RTMP session ended');
    if (state.kind === 'authorising') state.abort.abort();
    if (state.kind === 'publishing')
      state.publication.close(reason === 'hub' ? undefined : CLOSE_REASONS[reason]);
    return true;
  }
}
