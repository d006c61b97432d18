/**
 * The floor of the ingest bench: a bare node:net server that lets RTMP publishers in and then only reads what they send
 * and throws it away. What it needs is what Node costs any server that reads these bytes from these sockets. Started by
 * `startDiscardServer`; tells its port, and when asked, how many bytes came since it was asked last.
 */
import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { ChunkReader } from '../../src/ingest/rtmp/chunk-reader.ts';
import { writeChunks } from '../../src/ingest/rtmp/chunk-writer.ts';
import { parseCommand } from '../../src/ingest/rtmp/command.ts';
import { Handshake } from '../../src/ingest/rtmp/handshake.ts';
import { DEFAULT_CHUNK_BYTES, MESSAGE, type RtmpMessage } from '../../src/ingest/rtmp/protocol.ts';
import * as replies from '../../src/ingest/rtmp/replies.ts';
import { AMF0_LIMITS } from '../../src/media/amf0.ts';

const COMMAND_CHUNK_STREAM = 3;
const MAX_MESSAGE_BYTES = 65_536;
const STREAM_ID = 1;

/** Answers what a publisher asks until it publishes. */
class Greeter {
  readonly #socket: Socket;
  readonly #handshake = new Handshake(randomBytes);
  readonly #reader = new ChunkReader({
    maxMediaMessageBytes: MAX_MESSAGE_BYTES,
    maxOtherMessageBytes: MAX_MESSAGE_BYTES,
    maxChunkStreams: 8,
  });
  #shaken = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True once the peer publishes. */
  greet(data: Buffer): boolean {
    if (this.#shaken) return this.#read(data);
    const step = this.#handshake.push(data);
    if (step.kind === 'invalid') throw new Error('the pusher does not speak RTMP');
    if (step.reply !== undefined) this.#socket.write(step.reply);
    if (step.kind === 'more') return false;
    this.#shaken = true;
    return this.#read(step.rest);
  }

  #read(data: Buffer): boolean {
    this.#reader.feed(data);
    for (;;) {
      const step = this.#reader.next();
      if (step.kind === 'fault') throw new Error(`the pusher sent ${step.fault}`);
      if (step.kind === 'starved') return false;
      if (this.#answer(step.message)) return true;
    }
  }

  #answer(message: RtmpMessage): boolean {
    if (message.type === MESSAGE.setChunkSize) this.#reader.chunkBytes = message.payload.readUInt32BE(0);
    const command = message.type === MESSAGE.command ? parseCommand(message, AMF0_LIMITS) : undefined;
    if (command?.name === 'connect') this.#send(replies.connectSuccess(command.transactionId, {}));
    if (command?.name === 'createStream') this.#send(replies.result(command.transactionId, STREAM_ID));
    if (command?.name !== 'publish') return false;
    for (const reply of replies.publishStarted(STREAM_ID)) this.#send(reply);
    return true;
  }

  #send(message: RtmpMessage): void {
    this.#socket.write(writeChunks(message, COMMAND_CHUNK_STREAM, DEFAULT_CHUNK_BYTES));
  }
}

let receivedBytes = 0;
const server = createServer((socket) => {
  const greeter = new Greeter(socket);
  const discard = (data: Buffer): void => {
    receivedBytes += data.length;
  };
  const greet = (data: Buffer): void => {
    if (greeter.greet(data)) socket.off('data', greet).on('data', discard);
  };
  socket
    .setNoDelay(true)
    .on('data', greet)
    .on('error', () => {});
});
process.on('message', () => {
  process.send?.(receivedBytes);
  receivedBytes = 0;
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
