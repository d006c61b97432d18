import { type Job, Queue, Worker } from 'bullmq';
import type { Clock } from '../base/clock.ts';
import type { JobConnection } from './bullmq-job-connection.ts';
import type { JobPlace, JobTicket } from './bullmq-job-store.ts';

/** A ticket in our hands: nobody else gets it while its lock is renewed. */
export interface HeldTicket {
  readonly place: JobPlace;
  readonly round: number;
  /** Unique to this holding of it. */
  readonly token: string;
  readonly kind: string;
  readonly id: string;
  readonly ticket: Job;
}

export interface TicketTimes {
  /** Who does not renew the lock of a ticket for so long may lose it to another. */
  readonly lockMs: number;
  /** How often it is looked for tickets whose lock is gone; they are given out after two looks. */
  readonly stalledMs: number;
}

/** BullMQ's commands for one of many go to Redis this many at a time. */
const BATCH = 500;
/** Stalls are counted by us, per job: see the store. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;
/** BullMQ's score of what is delayed: the time, with 12 bits behind it that keep the order. */
const DELAY_SCALE = 0x1000;
/** And of what has a priority: the priority, with 32 bits behind it. */
const PRIORITY_SCALE = 0x1_0000_0000;

interface Head {
  readonly kind: string;
  readonly rank: readonly number[];
}

/**
 * What BullMQ does for us: it hands each ticket to one worker at a time, by priority and in order, holds those that are to
 * wait, and hands those of a worker that died to the next. A ticket stands for one job; whether that may be begun, and what
 * became of it, the store alone decides. So a ticket too many does no harm, and one that is lost is issued again.
 *
 * Not BullMQ's flows: a parent there knows only of children that all end, whereas ours are to be cancelled, tried again
 * in part, and read afterwards; nor its processors: one worker does several kinds of jobs with slots that they share.
 */
export class JobTickets {
  readonly #connection: JobConnection;
  readonly #clock: Clock;
  readonly #times: TicketTimes;
  readonly #onError: (error: unknown) => void;
  readonly #queues = new Map<string, Queue>();
  readonly #workers = new Map<string, Worker>();
  readonly #name: string;
  #tokens = 0;

  /** @param name unique to this process */
  constructor(
    connection: JobConnection,
    clock: Clock,
    name: string,
    times: TicketTimes,
    onError: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#name = name;
    this.#times = times;
    this.#onError = onError;
  }

  /** Those that are there already stay as they are. */
  async issue(tickets: readonly JobTicket[]): Promise<void> {
    for (const [kind, all] of byKind(tickets)) {
      for (let start = 0; start < all.length; start += BATCH) {
        const jobs = all.slice(start, start + BATCH).map((ticket) => ({
          name: 'ticket',
          data: null,
          opts: {
            jobId: ticketId(ticket),
            priority: ticket.priority,
            removeOnComplete: true,
            removeOnFail: true,
          },
        }));
        await this.#connection.guard(() => this.#queue(kind).addBulk(jobs));
      }
    }
  }

  /** Those in somebody's hands stay. */
  async withdraw(tickets: readonly JobTicket[]): Promise<void> {
    for (const [kind, all] of byKind(tickets)) {
      for (let start = 0; start < all.length; start += BATCH) {
        const part = all.slice(start, start + BATCH);
        await this.#connection.guard(() =>
          Promise.all(part.map((ticket) => this.#queue(kind).remove(ticketId(ticket)))),
        );
      }
    }
  }

  /** Looks for tickets that a worker left behind, from now on. */
  watch(kinds: Iterable<string>): void {
    for (const kind of kinds) this.#worker(kind).startStalledCheckTimer().catch(this.#onError);
  }

  /** The ticket that is first among all of some kinds. */
  async next(kinds: readonly string[]): Promise<HeldTicket | undefined> {
    for (const { kind } of await this.#heads(kinds)) {
      const token = `${this.#name}:${++this.#tokens}`;
      const ticket = await this.#connection.guard(() =>
        this.#worker(kind).getNextJob(token, { block: false }),
      );
      const place = ticket?.id === undefined ? undefined : parseTicketId(ticket.id);
      if (ticket?.id !== undefined && place) return { ...place, token, kind, id: ticket.id, ticket };
    }
    return undefined;
  }

  /** It is done with. */
  async drop({ ticket, token }: HeldTicket): Promise<void> {
    await this.#connection.guard(() => ticket.moveToCompleted('', token, false));
  }

  /** It may be taken again at once. */
  async putBack({ ticket, token }: HeldTicket): Promise<void> {
    await this.#connection.guard(() => ticket.moveToWait(token));
  }

  async delay({ ticket, token }: HeldTicket, delayMs: number): Promise<void> {
    await this.#connection.guard(() =>
      ticket.moveToDelayed(Math.round(this.#clock.wallMs() + delayMs), token),
    );
  }

  /** @returns those of which the lock is gone */
  async renew(held: readonly HeldTicket[]): Promise<HeldTicket[]> {
    const lost: HeldTicket[] = [];
    for (const [kind, all] of byKind(held)) {
      const ids = all.map(({ id }) => id);
      const tokens = all.map(({ token }) => token);
      const gone = await this.#connection.guard(() =>
        this.#worker(kind).extendJobLocks(ids, tokens, this.#times.lockMs),
      );
      lost.push(...all.filter(({ id }) => gone.includes(id)));
    }
    return lost;
  }

  async close(): Promise<void> {
    // By force: otherwise BullMQ's own connections ask Redis for leave to go, and stay when it is not there.
    const workers = [...this.#workers.values()].map((worker) => worker.close(true));
    const queues = [...this.#queues.values()].map((queue) => queue.close());
    await Promise.all([...workers, ...queues].map((closed) => closed.catch(this.#onError)));
  }

  /** The kinds of which there is a ticket to be had, the one with the first ticket first. */
  async #heads(kinds: readonly string[]): Promise<readonly Head[]> {
    if (kinds.length === 1) return kinds.map((kind) => ({ kind, rank: [] }));
    const nowMs = this.#clock.wallMs();
    const heads = await Promise.all(kinds.map((kind) => this.#head(kind, nowMs)));
    return heads.flat().sort((a, b) => compareRanks(a.rank, b.rank));
  }

  async #head(kind: string, nowMs: number): Promise<Head[]> {
    const key = (part: string): string => `${this.#connection.prefix}:${kind}:${part}`;
    const { client } = this.#connection;
    const [given, first, delayed] = await this.#connection.guard(() =>
      Promise.all([
        client.lindex(key('wait'), -1),
        client.zrange(key('prioritized'), 0, '0', 'WITHSCORES'),
        client.zrange(key('delayed'), 0, '0', 'WITHSCORES'),
      ]),
    );
    const heads: Head[] = [];
    // What was given back or left behind comes first with BullMQ, as does what it has not looked at yet.
    if (given !== null) heads.push({ kind, rank: [0, ...placeOf(given)] });
    const [dueId, dueScore] = delayed;
    if (dueId !== undefined && Number(dueScore) / DELAY_SCALE <= nowMs)
      heads.push({ kind, rank: [0, ...placeOf(dueId)] });
    const [firstId, firstScore] = first;
    if (firstId !== undefined) {
      heads.push({ kind, rank: [Math.floor(Number(firstScore) / PRIORITY_SCALE), ...placeOf(firstId)] });
    }
    return heads;
  }

  #queue(kind: string): Queue {
    return this.#made(this.#queues, kind, () => {
      return new Queue(kind, { connection: this.#connection.client, prefix: this.#connection.prefix });
    });
  }

  #worker(kind: string): Worker {
    return this.#made(this.#workers, kind, () => {
      return new Worker(kind, null, {
        connection: this.#connection.client,
        prefix: this.#connection.prefix,
        autorun: false,
        lockDuration: this.#times.lockMs,
        stalledInterval: this.#times.stalledMs,
        maxStalledCount: UNLIMITED,
      });
    });
  }

  #made<T extends Queue | Worker>(all: Map<string, T>, kind: string, make: () => T): T {
    const known = all.get(kind);
    if (known) return known;
    const made = make();
    (made as Queue).on('error', this.#onError);
    all.set(kind, made);
    return made;
  }
}

/** BullMQ's own numbers and colons are not for ids of others. */
function ticketId({ seq, index, round }: JobTicket): string {
  return `${seq}.${index}.${round}`;
}

function parseTicketId(id: string): { readonly place: JobPlace; readonly round: number } | undefined {
  const [seq, index, round] = id.split('.').map(Number);
  if (seq === undefined || index === undefined || round === undefined) return undefined;
  return { place: { seq, index }, round };
}

function placeOf(id: string): number[] {
  return id.split('.').map(Number);
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

function byKind<T extends { readonly kind: string }>(all: readonly T[]): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const each of all) {
    const known = found.get(each.kind);
    if (known) known.push(each);
    else found.set(each.kind, [each]);
  }
  return found;
}
