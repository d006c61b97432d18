import type { Socket } from 'node:net';
import type { NodeAnsweringDeps, NodeResponse } from './node-exchange.ts';
import { resetSocket } from './reset-socket.ts';

/** One TCP connection and the requests that are open on it. */
export class NodeConnection {
  readonly socket: Socket;
  readonly address: string;
  /** What its responses need of the server. */
  readonly answering: NodeAnsweringDeps;
  readonly exchanges = new Set<NodeResponse>();
  /** A request on it was refused and answered: whatever the parser still finds wrong is known. */
  refused = false;
  #takenBytes = -1;
  #unmovedSinceMs = 0;

  constructor(socket: Socket, address: string, answering: NodeAnsweringDeps) {
    this.socket = socket;
    this.address = address;
    this.answering = answering;
  }

  /** How long bytes have waited without one leaving; 0 when none wait or some have left since the last look. */
  stalledForMs(nowMs: number): number {
    const taken = takenBytes(this.socket);
    if (this.socket.writableLength === 0 || taken !== this.#takenBytes) this.#unmovedSinceMs = nowMs;
    this.#takenBytes = taken;
    return nowMs - this.#unmovedSinceMs;
  }

  cutStalled(): void {
    const [first] = this.exchanges;
    if (first) first.cut('stalled');
    else resetSocket(this.socket);
  }
}

/**
 * Bytes the kernel has taken. The socket's own counts only move when a whole write is through, which for a backlog
 * written in one go may be long; those of the handle move with every byte.
 */
function takenBytes(socket: Socket): number {
  const { _handle: handle } = socket as Socket & {
    _handle?: { bytesWritten?: number; writeQueueSize?: number } | null;
  };
  if (handle?.bytesWritten === undefined || handle.writeQueueSize === undefined) {
    return socket.bytesWritten - socket.writableLength;
  }
  return handle.bytesWritten - handle.writeQueueSize;
}
