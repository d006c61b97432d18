import { every, type Timer } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { ticksToMs } from '../packager/ticks.ts';
import { Slots } from '../storage/slots.ts';
import type { ArchivedStretch } from '../stream/archive.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { Title } from '../stream/title.ts';
import type { Broadcast } from './broadcast.ts';
import { type MakerDeps, RecordingMaker } from './recording-maker.ts';
import {
  givenName,
  isMadeOf,
  MADE_PREFIX,
  numberedId,
  orderKey,
  ORDERS_PREFIX,
  ordersOf,
  parseMadeKey,
  readOrder,
  recordingId,
  recordingName,
  type RecordingOrder,
  writeOrder,
} from './recording-order.ts';
import { deleteAll } from './title-assembler.ts';
import { titlePrefix } from './title-catalogue.ts';

export interface RecorderOptions {
  /** Titles made of broadcasts go after so long; 0: they stay. */
  readonly keptMs: number;
}

export interface RecorderDeps extends MakerDeps {
  readonly log: Logger;
  readonly titles: {
    /** Whether a title of that name is being made of a master. */
    isBeingMade(id: string): Promise<boolean>;
    /** Takes a title away with everything. False: there is none. */
    remove(id: string): Promise<boolean>;
  };
}

/** What somebody wants recorded; times are ms since the Unix epoch. */
export interface RecordingRequest {
  readonly stream: string;
  /** Undefined: by the stream and the time. */
  readonly id: string | undefined;
  readonly name: string | undefined;
  /** Undefined: from the first that is kept. */
  readonly fromMs: number | undefined;
  /** Undefined: to the last. */
  readonly toMs: number | undefined;
}

/** Made at the same time; each has many calls of the store under way. */
const AT_ONCE = 2;
/** Ordered, and not made yet; one more is refused. Broadcasts are as many as there are. */
const MAX_ORDERS = 16;
/** After a failure: first wait and longest. */
const RETRY_MS = { first: 1000, longest: 60_000 };
/** Somebody waits for what was ordered: tried so often at most. */
const ORDER_TRIES = 5;
const EXPIRY_PERIOD_MS = 600_000;
/** Names that are tried where a name was not given and is another's. */
const MAX_NAMESAKES = 99;
/** An order that another server left without an end, and of which nothing is kept here. */
const FORSAKEN_MS = 3_600_000;

/** What no waiting mends. */
const FATAL = new Set<string>([
  'VOD_RECORDING_TOO_LONG',
  'VOD_TITLE_EXISTS',
  'STORAGE_TOO_LARGE',
  'STORAGE_KEY_INVALID',
]);

type End = 'made' | 'known' | 'empty' | 'failed';

/**
 * Makes titles of live streams: of every broadcast that is over, where that is wanted, and of what somebody orders. What was
 * under way when the process ended is done again: of broadcasts the archive knows, orders are noted in the store.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #deps: RecorderDeps;
  readonly #slots = new Slots(AT_ONCE);
  /** By title. */
  readonly #making = new Map<string, RecordingMaker>();
  /** Broadcasts that are being recorded. */
  readonly #broadcasts = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #waits = new Set<Timer>();
  #orders = 0;
  #unsubscribe: (() => void) | undefined;
  #expiry: Timer | undefined;
  #closed = false;

  constructor(options: RecorderOptions, deps: RecorderDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Begins with what is there to do; waits for none of it. */
  open(): void {
    const { source, clock } = this.#deps;
    this.#unsubscribe = source.onEnded(() => this.#look());
    this.#look();
    this.#track(this.#again('orders of recordings cannot be read', () => this.#resumeOrders()));
    if (this.#options.keptMs === 0) return;
    this.#track(this.#expire());
    this.#expiry = every(clock, EXPIRY_PERIOD_MS, () => this.#track(this.#expire()));
  }

  /** Stops after the segments that it is at. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe?.();
    this.#expiry?.cancel();
    for (const maker of this.#making.values()) maker.close();
    for (const wait of this.#waits) wait.cancel();
    this.#waits.clear();
    await Promise.allSettled(this.#running);
  }

  /** Whether a recording of that name is being made. */
  isMaking(title: string): boolean {
    return this.#making.has(title);
  }

  /**
   * Makes a title of what is kept of a stream.
   * @throws AppError STREAM_NAME_INVALID, VOD_TITLE_INVALID, VOD_TITLE_EXISTS, VOD_RECORDING_…, DRM_KEYS_UNAVAILABLE, STORAGE_…
   */
  async record(request: RecordingRequest): Promise<Title> {
    if (this.#orders >= MAX_ORDERS) throw new AppError('VOD_RECORDINGS_FULL');
    this.#orders += 1;
    const recording = this.#record(request).finally(() => (this.#orders -= 1));
    this.#track(recording);
    return recording;
  }

  async #record(request: RecordingRequest): Promise<Title> {
    const order = await this.#orderOf(request);
    const maker = this.#maker(order);
    try {
      await this.#deps.store.put(orderKey(order.id), writeOrder(order), { ifAbsent: true });
    } catch (error) {
      this.#forget(maker);
      if (errorCode(error) === 'STORAGE_EXISTS') throw new AppError('VOD_TITLE_EXISTS');
      throw error;
    }
    return this.#carryOut(maker, 'placed');
  }

  /** The order, its name taken. */
  async #orderOf({ stream, id, name, fromMs = 0, toMs }: RecordingRequest): Promise<RecordingOrder> {
    const { source, clock } = this.#deps;
    if (!isStreamName(stream)) throw new AppError('STREAM_NAME_INVALID');
    if (id !== undefined && !isStreamName(id)) throw new AppError('VOD_TITLE_INVALID');
    const nowMs = clock.wallMs();
    const untilMs = toMs ?? nowMs;
    if (untilMs > nowMs) {
      throw new AppError('VOD_RECORDING_RANGE_INVALID', 'the range reaches into the future');
    }
    if (fromMs >= untilMs) throw new AppError('VOD_RECORDING_RANGE_INVALID', 'the range is empty');
    const range = { stream, fromMs, toMs: untilMs };
    const stretch = source.stretch(range);
    const beginMs = stretch && mediaStartMs(stretch);
    if (beginMs === undefined) throw new AppError('VOD_RECORDING_EMPTY');
    const order = {
      ...range,
      id: id ?? recordingId(stream, beginMs),
      name: givenName(name) ?? id ?? recordingName(stream, beginMs),
    };
    const free = await this.#freeOrder(order, id === undefined ? MAX_NAMESAKES : 1);
    if (!free || 'known' in free) throw new AppError('VOD_TITLE_EXISTS');
    return free;
  }

  /** Under the first name that is free: it is taken then. Undefined: none is. `known`: it was made before. */
  async #freeOrder(
    order: RecordingOrder,
    names: number,
  ): Promise<RecordingOrder | { readonly known: Title } | undefined> {
    const { catalogue, titles } = this.#deps;
    for (let number = 1; number <= names; number++) {
      const named = { ...order, id: numberedId(order.id, number) };
      const { id } = named;
      if (this.#making.has(id)) continue;
      const maker = new RecordingMaker(named, this.#deps);
      this.#making.set(id, maker);
      let isFree = false;
      try {
        const known = await catalogue.find(id);
        if (known && isMadeOf(known, named)) return { known };
        isFree = !known && !(await titles.isBeingMade(id));
        if (isFree) return named;
      } finally {
        if (!isFree) this.#making.delete(id);
        this.#countMaking();
      }
    }
    return undefined;
  }

  #maker({ id }: RecordingOrder): RecordingMaker {
    const maker = this.#making.get(id);
    if (!maker) throw new Error('the name of a recording is taken first');
    return maker;
  }

  /** Makes what was ordered, tries again for a while; what fails for good leaves nothing. */
  async #carryOut(maker: RecordingMaker, begun: 'placed' | 'anything'): Promise<Title> {
    const { log } = this.#deps;
    const { id } = maker.order;
    try {
      const title = await this.#tries(maker, ORDER_TRIES);
      if (!title) throw new AppError('VOD_RECORDING_EMPTY');
      await this.#deps.store.delete(orderKey(id)).catch((error: unknown) => {
        // It is found made at the next start.
        log.warn({ title: id, code: errorCode(error), err: error }, 'the order of a recording stays noted');
      });
      this.#ended(maker, 'made');
      this.#forget(maker);
      return title;
    } catch (error) {
      // What a process that stops has begun, the next one does.
      if (this.#closed) {
        this.#forget(maker);
        throw error;
      }
      if (errorCode(error) === 'VOD_RECORDING_EMPTY') this.#ended(maker, 'empty');
      else this.#ended(maker, 'failed', error);
      const clearing = this.#again('a recording that failed cannot be cleared away', () =>
        this.#clear(maker, begun),
      );
      this.#track(clearing.finally(() => this.#forget(maker)));
      throw error;
    }
  }

  /** `anything`: also what a process before us has put there. */
  async #clear(maker: RecordingMaker, begun: 'placed' | 'anything'): Promise<void> {
    const { id } = maker.order;
    const { store, catalogue, titles } = this.#deps;
    // Another server was faster, with the very same files perhaps.
    if (!(await catalogue.find(id)) && !(await titles.isBeingMade(id))) {
      await maker.discard();
      if (begun === 'anything') await deleteAll(store, titlePrefix(id));
    }
    await store.delete(orderKey(id));
  }

  /** @throws what the last try failed with */
  async #tries(maker: RecordingMaker, most: number): Promise<Title | undefined> {
    for (let count = 1; ; count++) {
      try {
        return await this.#slots.run(() => maker.make());
      } catch (error) {
        const isOver = count >= most || this.#closed || FATAL.has(errorCode(error));
        if (isOver || !(error instanceof AppError)) throw error;
        this.#deps.metrics.retries.inc();
        await this.#wait(waitMs(count));
      }
    }
  }

  /** Orders of a process before us are carried out as if they were given now. */
  async #resumeOrders(): Promise<void> {
    const { store } = this.#deps;
    let from: string | undefined;
    do {
      const page = await store.list(ORDERS_PREFIX, from);
      for (const { key, modifiedMs } of page.blobs) {
        const bytes = await store.get(key);
        const order = bytes && readOrder(bytes);
        if (order && orderKey(order.id) === key) await this.#resume(order, modifiedMs);
      }
      from = page.next;
    } while (from !== undefined);
  }

  async #resume(order: RecordingOrder, notedMs: number): Promise<void> {
    const { store, catalogue, clock, source, log } = this.#deps;
    const { id, stream } = order;
    if (this.#making.has(id)) return;
    const isMade = (await catalogue.find(id)) !== undefined;
    if (isMade) return store.delete(orderKey(id));
    const isKept = source.stretch(order) !== undefined;
    if (this.#making.has(id) || (!isKept && clock.wallMs() - notedMs < FORSAKEN_MS)) return;
    const maker = new RecordingMaker(order, this.#deps);
    this.#making.set(id, maker);
    this.#countMaking();
    log.info({ title: id, stream }, 'an order of a recording is carried out again');
    this.#track(this.#carryOut(maker, 'anything'));
  }

  #look(): void {
    if (this.#closed) return;
    for (const broadcast of this.#deps.source.ended()) {
      const name = `${broadcast.stream}/${broadcast.firstNumber}`;
      if (this.#broadcasts.has(name)) continue;
      this.#broadcasts.add(name);
      this.#track(
        this.#again('a broadcast cannot be recorded yet', () => this.#keepBroadcast(broadcast)).finally(() =>
          this.#broadcasts.delete(name),
        ),
      );
    }
  }

  async #keepBroadcast(broadcast: Broadcast): Promise<void> {
    for (const order of ordersOf(broadcast)) await this.#keepPart(order);
    await this.#deps.source.finished(broadcast);
  }

  async #keepPart(order: RecordingOrder): Promise<void> {
    const free = await this.#freeOrder(order, MAX_NAMESAKES);
    if (!free) throw new AppError('VOD_TITLE_EXISTS');
    if ('known' in free) {
      this.#deps.metrics.recordings.inc({ why: 'broadcast', end: 'known' });
      return;
    }
    const maker = this.#maker(free);
    try {
      const title = await this.#tries(maker, 1);
      this.#ended(maker, title ? 'made' : 'empty');
    } catch (error) {
      if (errorCode(error) !== 'VOD_RECORDING_TOO_LONG') throw error;
      this.#ended(maker, 'failed', error);
    } finally {
      this.#forget(maker);
    }
  }

  #ended(maker: RecordingMaker, end: End, error?: unknown): void {
    const { id, stream, broadcast } = maker.order;
    const why = broadcast ? 'broadcast' : 'order';
    this.#deps.metrics.recordings.inc({ why, end });
    const fields = { event: 'recording', title: id, stream, why, end };
    if (error === undefined) this.#deps.log.info(fields, 'a recording has ended');
    else this.#deps.log.error({ ...fields, code: errorCode(error), err: error }, 'a recording has failed');
  }

  #forget(maker: RecordingMaker): void {
    if (this.#making.get(maker.order.id) === maker) this.#making.delete(maker.order.id);
    this.#countMaking();
  }

  #countMaking(): void {
    this.#deps.metrics.making.set(this.#making.size);
  }

  /** Titles that are over time go. */
  async #expire(): Promise<void> {
    const { store, log } = this.#deps;
    try {
      let from: string | undefined;
      do {
        const page = await store.list(MADE_PREFIX, from);
        for (const { key } of page.blobs) {
          // The oldest come first.
          if (this.#closed || !(await this.#expireOne(key))) return;
        }
        from = page.next;
      } while (from !== undefined);
    } catch (error) {
      log.warn(
        { code: errorCode(error), err: error },
        'recordings cannot be looked through for old ones yet',
      );
    }
  }

  /** False: it is not over time. The record has the last word: the name may be another title's by now. */
  async #expireOne(key: string): Promise<boolean> {
    const { store, catalogue, titles, clock, log, metrics } = this.#deps;
    const noted = parseMadeKey(key);
    if (!noted) return true;
    const { id, createdMs } = noted;
    if (createdMs + this.#options.keptMs > clock.wallMs()) return false;
    const title = await catalogue.find(id);
    if (title?.recording?.isAutomatic && title.createdMs === createdMs) {
      await titles.remove(id);
      metrics.expired.inc();
      log.info({ event: 'recording_expired', title: id }, 'a recording has gone after its time');
    }
    await store.delete(key);
    return true;
  }

  /** Does something until it succeeds, or the recorder closes. */
  async #again(problem: string, act: () => Promise<void>): Promise<void> {
    for (let count = 1; !this.#closed; count++) {
      try {
        return await act();
      } catch (error) {
        if (this.#closed) return;
        this.#deps.metrics.retries.inc();
        const level = error instanceof AppError ? 'warn' : 'error';
        this.#deps.log[level]({ code: errorCode(error), err: error, waitMs: waitMs(count) }, problem);
        await this.#wait(waitMs(count));
      }
    }
  }

  /** Rejects when the recorder closes meanwhile. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new AppError('STORAGE_UNAVAILABLE', 'the server stops'));
      if (this.#closed) return stop();
      const timer = this.#deps.clock.after(ms, () => {
        this.#waits.delete(wait);
        resolve();
      });
      const wait = {
        cancel() {
          timer.cancel();
          stop();
        },
      };
      this.#waits.add(wait);
    });
  }

  /** For {@link close} to wait for; whoever asked for it hears of its failure. */
  #track(work: Promise<unknown>): void {
    const settled = work.catch(() => undefined).finally(() => this.#running.delete(settled));
    this.#running.add(settled);
  }
}

/** When the first of it was live; undefined: nothing is in it. */
function mediaStartMs({ renditions }: ArchivedStretch): number | undefined {
  const starts = renditions.flatMap(({ segments, timescale }) =>
    segments.slice(0, 1).map(({ startTicks }) => ticksToMs(startTicks, timescale)),
  );
  return starts.length === 0 ? undefined : Math.min(...starts);
}

function waitMs(failures: number): number {
  return Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** (failures - 1));
}
