import { type ConnectionLimits, type ConnectionOutput, SrtConnection } from './connection.ts';
import {
  EXTENSION,
  EXTENSION_FIELD,
  findExtension,
  FIRST_REJECT_CODE,
  type Handshake,
  HANDSHAKE,
  type HandshakeExtension,
  OUR_VERSION,
  parseCapabilities,
  parseHandshake,
  SRT_MAGIC,
  writeCapabilities,
  writeHandshake,
  writeText,
} from './handshake.ts';
import { deriveKek, type KeyBytes, wrapKeys, writeKeyMaterial } from './key-material.ts';
import { KeyRing } from './key-ring.ts';
import { MTU_BYTES, MTU_OVERHEAD_BYTES, OUR_FLAGS } from './negotiation.ts';
import { CONTROL, packetDestination, parsePacket, writeControl } from './packet.ts';

export interface CallerOptions extends ConnectionLimits {
  readonly latencyMs: number;
  /** Empty for none. */
  readonly streamId: string;
  /** The stream is encrypted under it; undefined when it is not. */
  readonly encryption: { readonly passphrase: string; readonly keyBytes: KeyBytes } | undefined;
  /** How long the listener may take to answer. */
  readonly connectTimeoutMs: number;
}

/** Why a call ended before there was a connection. */
export type CallFailure =
  | { readonly kind: 'rejected'; readonly code: number }
  | { readonly kind: 'timeout' }
  /** What answered does not speak this SRT, or answered with other keys. */
  | { readonly kind: 'incompatible' };

export interface CallerDeps {
  readonly send: (packet: Buffer) => void;
  /** Unpredictable bytes: for ids, numbers and keys. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly nowMs: () => number;
}

export interface CallerEvents {
  /** The listener accepted: gives what takes the payload. Undefined ends the connection again. */
  connected(connection: SrtConnection): Omit<ConnectionOutput, 'send'> | undefined;
  failed(failure: CallFailure): void;
}

type State =
  | { readonly kind: 'induction'; readonly cookie: 0 }
  | { readonly kind: 'conclusion'; readonly cookie: number }
  | { readonly kind: 'connected'; readonly connection: SrtConnection }
  | { readonly kind: 'closed' };

interface OwnKeys {
  readonly ring: KeyRing;
  /** Key material as it is sent. */
  readonly message: Buffer;
}

const REPEAT_MS = 250;
const SALT_BYTES = 16;
/** Which of the two keys is the first: the even one. */
const EVEN = 1;

/**
 * The calling side of SRT, as the one that receives: it asks a listener for a stream. As {@link SrtConnection} it touches
 * no socket and no clock. The caller makes the stream key for both directions.
 */
export class SrtCaller {
  readonly #options: CallerOptions;
  readonly #deps: CallerDeps;
  readonly #events: CallerEvents;
  readonly #keys: OwnKeys | undefined;
  readonly #localId: number;
  readonly #initialSequence: number;
  readonly #startMs: number;
  #askedMs: number;
  #state: State = { kind: 'induction', cookie: 0 };

  /** Makes keys if there are to be any, and sends the first packet. */
  static async start(options: CallerOptions, deps: CallerDeps, events: CallerEvents): Promise<SrtCaller> {
    return new SrtCaller(options, deps, events, await makeKeys(options.encryption, deps.randomBytes));
  }

  private constructor(
    options: CallerOptions,
    deps: CallerDeps,
    events: CallerEvents,
    keys: OwnKeys | undefined,
  ) {
    this.#options = options;
    this.#deps = deps;
    this.#events = events;
    this.#keys = keys;
    const random = Buffer.from(deps.randomBytes(8));
    this.#localId = (random.readUInt32BE(0) & 0x3fff_ffff) | 1;
    this.#initialSequence = random.readUInt32BE(4) & 0x7fff_ffff;
    this.#startMs = deps.nowMs();
    this.#askedMs = this.#startMs;
    this.#ask();
  }

  /** Takes one packet that came from the listener's address. */
  receive(bytes: Buffer): void {
    const state = this.#state;
    if (packetDestination(bytes) !== this.#localId || state.kind === 'closed') return;
    if (state.kind === 'connected') {
      state.connection.receive(bytes, this.#deps.nowMs());
      return;
    }
    const packet = parsePacket(bytes);
    if (packet?.kind !== 'control' || packet.type !== CONTROL.handshake) return;
    const handshake = parseHandshake(packet.body);
    if (handshake) this.#onHandshake(handshake);
  }

  /** To be called every 10 ms or so. */
  tick(): void {
    const nowMs = this.#deps.nowMs();
    if (this.#state.kind === 'connected') this.#state.connection.tick(nowMs);
    else if (this.#state.kind !== 'closed') this.#wait(nowMs);
  }

  /** Idempotent; tells the listener when there is a connection. Nothing is told to `events` any more. */
  close(): void {
    if (this.#state.kind === 'connected') this.#state.connection.shutdown(this.#deps.nowMs());
    this.#state = { kind: 'closed' };
  }

  #wait(nowMs: number): void {
    if (nowMs - this.#startMs >= this.#options.connectTimeoutMs) this.#fail({ kind: 'timeout' });
    else if (nowMs - this.#askedMs >= REPEAT_MS) this.#ask();
  }

  #onHandshake(handshake: Handshake): void {
    if (handshake.type === HANDSHAKE.induction) {
      if (this.#state.kind !== 'induction') return;
      if (handshake.version < 5 || handshake.extensionField !== SRT_MAGIC) {
        this.#fail({ kind: 'incompatible' });
        return;
      }
      this.#state = { kind: 'conclusion', cookie: handshake.cookie };
      this.#ask();
    } else if (this.#state.kind !== 'conclusion') return;
    else if (handshake.type === HANDSHAKE.conclusion) this.#connect(handshake);
    else if (handshake.type >= FIRST_REJECT_CODE) this.#fail({ kind: 'rejected', code: handshake.type });
  }

  #connect(handshake: Handshake): void {
    const content = findExtension(handshake, EXTENSION.capabilityResponse);
    const capabilities = content && parseCapabilities(content);
    // A listener that agrees to our key sends it back; another answer says that it does not have our passphrase.
    const keyAnswer = findExtension(handshake, EXTENSION.keyResponse);
    const agreed = this.#keys === undefined || keyAnswer?.equals(this.#keys.message) === true;
    if (!capabilities || !agreed || handshake.socketId === 0) {
      this.#fail({ kind: 'incompatible' });
      return;
    }
    let output: Omit<ConnectionOutput, 'send'> | undefined;
    const connection = new SrtConnection(
      {
        localId: this.#localId,
        peerId: handshake.socketId,
        peerVersion: capabilities.version,
        initialSequence: handshake.initialSequence,
        latencyMs: Math.max(this.#options.latencyMs, capabilities.sendLatencyMs),
        maxPacketBytes: Math.min(MTU_BYTES, handshake.mtuBytes) - MTU_OVERHEAD_BYTES,
        startMs: this.#deps.nowMs(),
        keys: this.#keys?.ring,
      },
      this.#options,
      {
        send: this.#deps.send,
        payload: (bytes) => output?.payload(bytes),
        gap: () => output?.gap(),
        ended: (end) => {
          this.#state = { kind: 'closed' };
          output?.ended(end);
        },
      },
    );
    this.#state = { kind: 'connected', connection };
    output = this.#events.connected(connection);
    if (output === undefined) this.close();
  }

  #ask(): void {
    this.#askedMs = this.#deps.nowMs();
    if (this.#state.kind === 'induction') {
      this.#send({ version: 4, extensionField: 2, type: HANDSHAKE.induction, cookie: 0, extensions: [] });
    } else if (this.#state.kind === 'conclusion') {
      this.#send({
        version: 5,
        extensionField: this.#extensionField(),
        type: HANDSHAKE.conclusion,
        cookie: this.#state.cookie,
        extensions: this.#extensions(),
      });
    }
  }

  #extensionField(): number {
    return (
      EXTENSION_FIELD.capabilities |
      (this.#keys ? EXTENSION_FIELD.keys : 0) |
      (this.#options.streamId === '' ? 0 : EXTENSION_FIELD.config)
    );
  }

  #extensions(): HandshakeExtension[] {
    const { latencyMs, streamId } = this.#options;
    const capabilities = {
      version: OUR_VERSION,
      flags: OUR_FLAGS,
      receiveLatencyMs: latencyMs,
      sendLatencyMs: 0,
    };
    return [
      { type: EXTENSION.capabilityRequest, content: writeCapabilities(capabilities) },
      ...(this.#keys ? [{ type: EXTENSION.keyRequest, content: this.#keys.message }] : []),
      ...(streamId === '' ? [] : [{ type: EXTENSION.streamId, content: writeText(streamId) }]),
    ];
  }

  #send(fields: Pick<Handshake, 'version' | 'extensionField' | 'type' | 'cookie' | 'extensions'>): void {
    const body = writeHandshake(
      {
        ...fields,
        encryption: (this.#options.encryption?.keyBytes ?? 0) / 8,
        initialSequence: this.#initialSequence,
        mtuBytes: MTU_BYTES,
        flowWindowPackets: this.#options.maxBufferPackets,
        socketId: this.#localId,
      },
      NO_ADDRESS,
    );
    const timestamp = Math.round((this.#deps.nowMs() - this.#startMs) * 1000) % 2 ** 32;
    this.#deps.send(writeControl({ type: CONTROL.handshake, timestamp, destination: 0, body }));
  }

  #fail(failure: CallFailure): void {
    this.#state = { kind: 'closed' };
    this.#events.failed(failure);
  }
}

const NO_ADDRESS = new Uint8Array(0);

async function makeKeys(
  encryption: CallerOptions['encryption'],
  randomBytes: (size: number) => Uint8Array,
): Promise<OwnKeys | undefined> {
  if (encryption === undefined) return undefined;
  const { passphrase, keyBytes } = encryption;
  const salt = Buffer.from(randomBytes(SALT_BYTES));
  const even = Buffer.from(randomBytes(keyBytes));
  const kek = await deriveKek(passphrase, salt, keyBytes);
  const material = { keys: EVEN, keyBytes, salt, wrapped: wrapKeys(kek, even) } as const;
  return {
    ring: KeyRing.of(passphrase, kek, material, { even, odd: undefined }),
    message: writeKeyMaterial(material),
  };
}
