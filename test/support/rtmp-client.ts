import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ChunkReader } from '../../src/ingest/rtmp/chunk-reader.ts';
import { writeChunks } from '../../src/ingest/rtmp/chunk-writer.ts';
import { MESSAGE, type RtmpMessage } from '../../src/ingest/rtmp/protocol.ts';
import { type Amf0Value, amf0Object, isAmf0Object, parseAmf0, writeAmf0 } from '../../src/media/amf0.ts';
import { until } from './until.ts';

const HELLO = Buffer.concat([Buffer.from([3]), Buffer.alloc(1536, 7)]);
const ANSWER_BYTES = 1 + 2 * 1536;
const BIG = 16 * 1024 * 1024;

/** What the server called on us. */
export interface ReceivedCommand {
  readonly name: string;
  readonly transactionId: number;
  readonly args: readonly Amf0Value[];
}

export interface ConnectOptions {
  readonly tls?: boolean;
  /** More for the connect command. */
  readonly properties?: Readonly<Record<string, Amf0Value>>;
}

/** An RTMP client that can do everything right, and every step wrong. */
export class RtmpTestClient {
  readonly socket: Socket;
  readonly messages: RtmpMessage[] = [];
  /** Milliseconds (performance.now) at which the socket was closed by the other side, or for good. */
  closedAtMs: number | undefined;
  receivedBytes = 0;
  readonly #reader = new ChunkReader({
    maxMediaMessageBytes: BIG,
    maxOtherMessageBytes: BIG,
    maxChunkStreams: 100,
  });
  #handshakeLeft = ANSWER_BYTES;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data) => this.#onData(data));
    socket.on('error', () => {});
    socket.on('end', () => (this.closedAtMs ??= performance.now()));
    socket.on('close', () => (this.closedAtMs ??= performance.now()));
  }

  static async connect(port: number): Promise<RtmpTestClient> {
    const socket = connect(port, '127.0.0.1');
    const client = new RtmpTestClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Over TLS, whoever the certificate is for. */
  static async connectTls(port: number): Promise<RtmpTestClient> {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    const client = new RtmpTestClient(socket);
    await once(socket, 'secureConnect');
    return client;
  }

  /** Connected, hands shaken. */
  static async shaken(port: number, tls = false): Promise<RtmpTestClient> {
    const client = await (tls ? RtmpTestClient.connectTls(port) : RtmpTestClient.connect(port));
    client.raw(HELLO);
    await until(() => client.#handshakeLeft === 0, 'the handshake');
    client.raw(Buffer.alloc(1536, 8));
    return client;
  }

  /** Shaken, connected to `live`, one message stream created. */
  static async ready(port: number, app = 'live', options: ConnectOptions = {}): Promise<RtmpTestClient> {
    const { tls = false, properties = {} } = options;
    const client = await RtmpTestClient.shaken(port, tls);
    const tcUrl = `rtmp://127.0.0.1/${app}`;
    client.command('connect', 1, amf0Object({ app, tcUrl, flashVer: 'test', ...properties }));
    client.command('createStream', 2, null);
    await client.untilCommand('_result', 2);
    return client;
  }

  /** Publishing. */
  static async publishing(port: number, key: string, options: ConnectOptions = {}): Promise<RtmpTestClient> {
    const client = await RtmpTestClient.ready(port, 'live', options);
    client.publish(key);
    await client.untilStatus('NetStream.Publish.Start');
    return client;
  }

  raw(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  send(message: Partial<RtmpMessage>, chunkStreamId = 6): void {
    this.raw(encode(message, chunkStreamId));
  }

  command(name: string, transactionId: number, ...args: Amf0Value[]): void {
    this.raw(encodeCommand(name, transactionId, ...args));
  }

  publish(key: string): void {
    this.raw(encodePublish(key));
  }

  get commands(): ReceivedCommand[] {
    const found: ReceivedCommand[] = [];
    for (const message of this.messages) {
      if (message.type !== MESSAGE.command) continue;
      const parsed = parseAmf0(message.payload);
      if (!parsed.ok) throw new Error('the server sent bad AMF');
      const [name, transactionId, ...args] = parsed.values;
      found.push({ name: name as string, transactionId: transactionId as number, args });
    }
    return found;
  }

  /** Every onStatus so far, as `code: description`. */
  get statuses(): string[] {
    return this.commands.flatMap(({ name, args }) => {
      const information = args[1];
      if (name !== 'onStatus' || !isAmf0Object(information)) return [];
      return [`${information.get('code') as string}: ${information.get('description') as string}`];
    });
  }

  untilCommand(name: string, transactionId: number): Promise<ReceivedCommand> {
    const found = () =>
      this.commands.find((command) => command.name === name && command.transactionId === transactionId);
    return until(found, `${name} ${transactionId}`);
  }

  untilStatus(code: string): Promise<string> {
    return until(() => this.statuses.find((status) => status.startsWith(`${code}:`)), code);
  }

  untilClosed(withinMs = 5_000): Promise<number> {
    return until(() => this.closedAtMs, 'the connection to be closed', withinMs);
  }

  end(): void {
    this.socket.destroy();
  }

  #onData(data: Buffer): void {
    this.receivedBytes += data.length;
    const taken = Math.min(this.#handshakeLeft, data.length);
    this.#handshakeLeft -= taken;
    this.#reader.feed(data.subarray(taken));
    for (let step = this.#reader.next(); step.kind !== 'starved'; step = this.#reader.next()) {
      if (step.kind === 'fault') throw new Error(`the server sent bad chunks: ${step.fault}`);
      this.messages.push(step.message);
      const { type, payload } = step.message;
      if (type === MESSAGE.setChunkSize) this.#reader.chunkBytes = payload.readUInt32BE(0);
    }
  }
}

/** A message in chunks of 128 bytes, as every sender starts. */
export function encode(message: Partial<RtmpMessage>, chunkStreamId = 6): Buffer {
  const whole: RtmpMessage = {
    type: MESSAGE.video,
    streamId: 1,
    timestamp: 0,
    payload: Buffer.alloc(0),
    ...message,
  };
  return writeChunks(whole, chunkStreamId, 128);
}

export function encodeCommand(name: string, transactionId: number, ...args: Amf0Value[]): Buffer {
  const payload = writeAmf0([name, transactionId, ...args]);
  return encode({ type: MESSAGE.command, streamId: 0, payload }, 3);
}

export function encodePublish(key: string): Buffer {
  const payload = writeAmf0(['publish', 3, null, key, 'live']);
  return encode({ type: MESSAGE.command, streamId: 1, payload }, 4);
}

/** A control message with a 32-bit value. */
export function encodeControl(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return encode({ type, streamId: 0, payload }, 2);
}

/** An H.264 key frame (or other frame) whose picture data is `text`. */
export function videoFrame(text: string, key = true): Buffer {
  return Buffer.concat([Buffer.from([key ? 0x17 : 0x27, 1, 0, 0, 0]), Buffer.from(text)]);
}

export function audioFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0xaf, 1]), Buffer.from(text)]);
}
