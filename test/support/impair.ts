import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { FatePlan, type Impairment, outageLeftMs, seedOf } from './impair-plan.ts';

/** A bad network between a sender and a server on loopback. The same seed does the same to the same packets. */
export interface ImpairOptions extends Impairment {
  /** Port on 127.0.0.1 to which all is passed on. */
  readonly target: number;
  readonly seed: number;
  /** What differs from sender to server. */
  readonly up?: Impairment;
  /** What differs from server to sender. */
  readonly down?: Impairment;
}

/** What passed in one direction: datagrams, or reads of a TCP socket. */
export interface PassedCounts {
  received: number;
  forwarded: number;
  lost: number;
  duplicated: number;
  reordered: number;
  /** Lost in an outage (UDP), or held through one (TCP). */
  blackedOut: number;
}

export interface ImpairStats {
  readonly up: PassedCounts;
  readonly down: PassedCounts;
  /** Senders seen: UDP addresses or TCP connections. */
  readonly connections: number;
}

export interface ImpairedPath {
  /** Where the sender connects to, on 127.0.0.1. */
  readonly port: number;
  readonly stats: ImpairStats;
  /** An outage by hand, until it is set to false again. */
  setOutage(on: boolean): void;
  close(): Promise<void>;
}

export interface ImpairedTcp extends ImpairedPath {
  /** Cuts every connection on both sides with RST. */
  reset(): void;
}

export interface ImpairTcpOptions extends ImpairOptions {
  /** Cuts a connection with RST once so many bytes have come from the sender. */
  readonly resetAfterBytes?: number;
  /** Writes on in pieces of at most so many bytes. */
  readonly pieceBytes?: number;
}

type Direction = 'up' | 'down';

/** A datagram that nothing overtakes any more goes on its way after so long. */
const OVERTAKE_LIMIT_MS = 40;
/** The least retransmission time-out of Linux. */
const RETRANSMIT_MS = 200;
/** More than this under way, and a TCP sender is not read from. */
const MAX_UNDER_WAY_BYTES = 1024 * 1024;
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

function newCounts(): PassedCounts {
  return { received: 0, forwarded: 0, lost: 0, duplicated: 0, reordered: 0, blackedOut: 0 };
}

class Stats implements ImpairStats {
  readonly up = newCounts();
  readonly down = newCounts();
  connections = 0;
}

/** When outages reign, for all connections alike. */
class OutageWatch {
  byHand = false;
  #startMs: number | undefined;

  start(): void {
    this.#startMs ??= performance.now();
  }

  leftMs(impairment: Impairment): number {
    if (this.byHand) return Number.POSITIVE_INFINITY;
    return outageLeftMs(impairment.outages ?? [], performance.now() - (this.#startMs ?? performance.now()));
  }
}

/** Runs callbacks later, in the order of their calls; at once when nothing is to be waited for. */
class DelayLine {
  readonly #waiting: { readonly dueMs: number; readonly run: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  push(delayMs: number, run: () => void): void {
    const lastMs = this.#waiting.at(-1)?.dueMs ?? 0;
    if (delayMs <= 0 && this.#waiting.length === 0) {
      run();
      return;
    }
    this.#waiting.push({ dueMs: Math.max(lastMs, performance.now() + delayMs), run });
    this.#arm();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting.length = 0;
  }

  #arm(): void {
    const next = this.#waiting[0];
    if (!next || this.#timer) return;
    this.#timer = setTimeout(() => this.#due(), Math.max(0, next.dueMs - performance.now()));
  }

  #due(): void {
    this.#timer = undefined;
    // Timers of Node.js may run up to a millisecond early.
    const nowMs = performance.now() + 1;
    for (let next = this.#waiting[0]; next && next.dueMs <= nowMs; next = this.#waiting[0]) {
      this.#waiting.shift();
      next.run();
    }
    this.#arm();
  }
}

/** One direction of one UDP sender. */
class DatagramLane {
  readonly #plan: FatePlan;
  readonly #impairment: Impairment;
  readonly #outages: OutageWatch;
  readonly #counts: PassedCounts;
  readonly #send: (datagram: Buffer) => void;
  readonly #line = new DelayLine();
  readonly #overtaken = new Set<{ left: number; release: () => void; timer: NodeJS.Timeout }>();

  constructor(
    plan: FatePlan,
    impairment: Impairment,
    outages: OutageWatch,
    counts: PassedCounts,
    send: (datagram: Buffer) => void,
  ) {
    this.#plan = plan;
    this.#impairment = impairment;
    this.#outages = outages;
    this.#counts = counts;
    this.#send = send;
  }

  push(datagram: Buffer): void {
    const counts = this.#counts;
    const fate = this.#plan.next();
    counts.received++;
    if (this.#outages.leftMs(this.#impairment) > 0) counts.blackedOut++;
    else if (fate.lost) counts.lost++;
    else if (fate.overtakenBy > 0) this.#hold(datagram, fate.overtakenBy, fate.delayMs);
    else this.#forward(datagram, fate.delayMs);
    if (fate.duplicated && !fate.lost) {
      counts.duplicated++;
      this.#forward(datagram, fate.delayMs);
    }
    this.#overtake();
  }

  close(): void {
    this.#line.close();
    for (const held of this.#overtaken) clearTimeout(held.timer);
    this.#overtaken.clear();
  }

  #forward(datagram: Buffer, delayMs: number): void {
    this.#line.push(delayMs, () => {
      this.#counts.forwarded++;
      this.#send(datagram);
    });
  }

  #hold(datagram: Buffer, overtakenBy: number, delayMs: number): void {
    this.#counts.reordered++;
    const release = (): void => {
      clearTimeout(held.timer);
      if (this.#overtaken.delete(held)) this.#forward(datagram, delayMs);
    };
    // It counts itself as it comes in.
    const held = { left: overtakenBy + 1, release, timer: setTimeout(release, OVERTAKE_LIMIT_MS) };
    this.#overtaken.add(held);
  }

  #overtake(): void {
    for (const held of [...this.#overtaken]) {
      held.left--;
      if (held.left === 0) held.release();
    }
  }
}

interface UdpSender {
  readonly upstream: UdpSocket;
  readonly up: DatagramLane;
  readonly down: DatagramLane;
}

/** A UDP path to `target`; each sender gets a socket of its own towards it. */
export async function impairUdp(options: ImpairOptions): Promise<ImpairedPath> {
  const front = createSocket({ type: 'udp4', recvBufferSize: UDP_BUFFER_BYTES });
  const senders = new Map<string, UdpSender>();
  const stats = new Stats();
  const outages = new OutageWatch();
  const lane = (direction: Direction, send: (datagram: Buffer) => void): DatagramLane => {
    const impairment = { ...options, ...options[direction] };
    const plan = new FatePlan(seedOf(options.seed, stats.connections, direction), impairment);
    return new DatagramLane(plan, impairment, outages, stats[direction], send);
  };
  const open = ({ address, port }: RemoteInfo): UdpSender => {
    const upstream = createSocket({ type: 'udp4', recvBufferSize: UDP_BUFFER_BYTES });
    const sender: UdpSender = {
      upstream,
      up: lane('up', (datagram) => upstream.send(datagram, options.target, '127.0.0.1', ignoreError)),
      down: lane('down', (datagram) => front.send(datagram, port, address, ignoreError)),
    };
    upstream.on('message', (datagram) => sender.down.push(datagram));
    upstream.on('error', ignoreError);
    stats.connections++;
    return sender;
  };
  front.on('message', (datagram, from) => {
    outages.start();
    const name = `${from.address}:${from.port}`;
    const sender = senders.get(name) ?? open(from);
    senders.set(name, sender);
    sender.up.push(datagram);
  });
  front.on('error', ignoreError);
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  let closing: Promise<unknown> | undefined;
  return {
    port: front.address().port,
    stats,
    setOutage: (on) => void (outages.byHand = on),
    async close() {
      closing ??= Promise.all(
        [front, ...[...senders.values()].map(closeSender)].map((socket) => closeUdp(socket)),
      );
      await closing;
    },
  };
}

function closeSender({ upstream, up, down }: UdpSender): UdpSocket {
  up.close();
  down.close();
  return upstream;
}

async function closeUdp(socket: UdpSocket): Promise<void> {
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}

function ignoreError(): void {}

/** One direction of one TCP connection: what is read from one socket is written to the other, late. */
class ByteLane {
  readonly #options: ImpairTcpOptions;
  readonly #impairment: Impairment;
  readonly #plan: FatePlan;
  readonly #outages: OutageWatch;
  readonly #counts: PassedCounts;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #line = new DelayLine();
  #underWayBytes = 0;
  #hand: NodeJS.Timeout | undefined;
  #held: { readonly run: () => void; readonly delayMs: number }[] = [];

  constructor(
    direction: Direction,
    options: ImpairTcpOptions,
    stats: Stats,
    outages: OutageWatch,
    sockets: { readonly from: Socket; readonly to: Socket },
  ) {
    this.#options = options;
    this.#impairment = { ...options, ...options[direction] };
    this.#plan = new FatePlan(seedOf(options.seed, stats.connections, direction), this.#impairment);
    this.#outages = outages;
    this.#counts = stats[direction];
    this.#from = sockets.from;
    this.#to = sockets.to;
    this.#from.on('data', (bytes) => this.#push(bytes));
    this.#from.on('end', () => this.#later(0, () => this.#to.end()));
  }

  close(): void {
    clearTimeout(this.#hand);
    this.#line.close();
    this.#held = [];
  }

  #push(bytes: Buffer): void {
    const fate = this.#plan.next();
    this.#counts.received++;
    if (fate.lost) this.#counts.lost++;
    this.#underWayBytes += bytes.length;
    if (this.#underWayBytes > MAX_UNDER_WAY_BYTES) this.#from.pause();
    const leftMs = this.#outages.leftMs(this.#impairment);
    if (leftMs > 0 || this.#held.length > 0) this.#counts.blackedOut++;
    const delayMs = fate.delayMs + (fate.lost ? RETRANSMIT_MS : 0);
    this.#later(delayMs, () => this.#write(bytes));
  }

  /** In order; what comes in an outage waits for its end. */
  #later(delayMs: number, run: () => void): void {
    const leftMs = this.#outages.leftMs(this.#impairment);
    if (leftMs > 0 || this.#held.length > 0) {
      this.#held.push({ run, delayMs });
      this.#hand ??= setTimeout(() => this.#retry(), Math.min(leftMs, 20));
      return;
    }
    this.#line.push(delayMs, run);
  }

  #retry(): void {
    this.#hand = undefined;
    const leftMs = this.#outages.leftMs(this.#impairment);
    if (leftMs > 0) {
      this.#hand = setTimeout(() => this.#retry(), Math.min(leftMs, 20));
      return;
    }
    const held = this.#held;
    this.#held = [];
    for (const { run, delayMs } of held) this.#line.push(delayMs, run);
  }

  #write(bytes: Buffer): void {
    const pieceBytes = this.#options.pieceBytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += pieceBytes) this.#to.write(bytes.subarray(at, at + pieceBytes));
    this.#counts.forwarded++;
    this.#underWayBytes -= bytes.length;
    if (this.#underWayBytes <= MAX_UNDER_WAY_BYTES) this.#from.resume();
  }
}

/** A TCP path to `target`; each connection gets one of its own towards it. */
export async function impairTcp(options: ImpairTcpOptions): Promise<ImpairedTcp> {
  const stats = new Stats();
  const outages = new OutageWatch();
  const open = new Set<() => void>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (sender) => {
    outages.start();
    const target = connect({ port: options.target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const lanes = [
      new ByteLane('up', options, stats, outages, { from: sender, to: target }),
      new ByteLane('down', options, stats, outages, { from: target, to: sender }),
    ];
    stats.connections++;
    const cut = (): void => {
      open.delete(cut);
      for (const lane of lanes) lane.close();
      for (const socket of [sender, target]) if (!socket.destroyed) socket.resetAndDestroy();
    };
    open.add(cut);
    let sentBytes = 0;
    sender.on('data', (bytes) => {
      sentBytes += bytes.length;
      if (sentBytes >= (options.resetAfterBytes ?? Number.POSITIVE_INFINITY)) cut();
    });
    for (const socket of [sender, target]) {
      socket.on('error', cut);
      socket.on('close', () => {
        if (sender.destroyed && target.destroyed) cut();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reset = (): void => {
    for (const cut of [...open]) cut();
  };
  let closing: Promise<unknown> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    stats,
    setOutage: (on) => void (outages.byHand = on),
    reset,
    async close() {
      if (closing === undefined) {
        closing = once(server, 'close');
        server.close();
        reset();
      }
      await closing;
    },
  };
}
