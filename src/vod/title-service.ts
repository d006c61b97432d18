import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AppError, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Encryption } from '../packager/period-cipher.ts';
import type { FlowStatus, JobError, JobQueue } from '../state/job-queue.ts';
import type { LeaseStore } from '../state/lease-store.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { isStreamName } from '../stream/stream-name.ts';
import type { Title } from '../stream/title.ts';
import type { Master, TitlePlan, TitleWork } from '../transcode/vod/title-plan.ts';
import { AssemblyLease } from './assembly-lease.ts';
import { type MakingView, viewMaking } from './making-view.ts';
import { madeKey } from './recording-order.ts';
import { type AssemblyEnd, deleteAll, TitleAssembler } from './title-assembler.ts';
import { type TitleCatalogue, titlePrefix } from './title-catalogue.ts';
import { flowId, titleFlow } from './title-jobs.ts';
import type { Uploads } from './uploads.ts';
import type { VodMetrics } from './vod-metrics.ts';

/** A file below one of the allowed folders, or an upload. */
export type FileChoice = { readonly path: string } | { readonly upload: string };

/** A text that lies beside the master, found. */
export interface Sidecar {
  readonly path: string;
  readonly language: string | undefined;
  /** Undefined: as its name says. */
  readonly format: 'subrip' | 'webvtt' | 'ttml' | undefined;
}

/** What somebody wants made. */
export interface TitleRequest {
  readonly id: string;
  /** Undefined: the id. */
  readonly name: string | undefined;
  readonly master: FileChoice;
  readonly sidecars: readonly (Omit<Sidecar, 'path'> & { readonly file: FileChoice })[];
  /** Undefined: as configured. */
  readonly isProtected: boolean | undefined;
  /** Renditions may be taken home as files; not of a title that is encrypted. */
  readonly allowDownload?: boolean | undefined;
  /** Name of a ladder; undefined: as configured. */
  readonly ladder: string | undefined;
  /** Whether the ladder is fitted to the pictures; undefined: as configured. */
  readonly contentAware?: boolean | undefined;
}

export interface TitleServiceOptions {
  /** Absolute folders that masters may lie in; none: nothing is taken by its path. */
  readonly roots: readonly string[];
  readonly isProtected: boolean;
}

export interface PlanWish {
  readonly ladder: string | undefined;
  readonly contentAware?: boolean | undefined;
  readonly sidecars: readonly Sidecar[];
}

export interface TitleServiceDeps {
  readonly queue: JobQueue;
  readonly store: BlobStore;
  readonly catalogue: TitleCatalogue;
  readonly uploads: Uploads;
  /** Where several servers share the queue: who puts a title together; undefined: this one does. */
  readonly leases?: LeaseStore | undefined;
  /** Of this server; unique. */
  readonly owner?: string | undefined;
  /** Whether a recording of that name is being made. */
  readonly isBeingRecorded?: ((title: string) => boolean) | undefined;
  /** Lets go of keys that a title has from a live stream. @throws AppError DRM_KEYS_UNAVAILABLE */
  readonly releaseKeys?: ((title: string) => Promise<void>) | undefined;
  readonly encryptionOf: (title: string) => Encryption | undefined;
  /** @throws AppError VOD_MASTER_… */
  readonly probe: (path: string) => Promise<Master>;
  /** @throws AppError VOD_MASTER_… */
  readonly plan: (master: Master, wish: PlanWish) => TitlePlan | Promise<TitlePlan>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: VodMetrics;
}

/** VOD is for whoever has time: everything of one priority, the older first. */
const PRIORITY = 100;
/** Flows that a list shows. */
const MAX_LISTED = 200;
const MAX_NAME = 200;

/** A title that this server makes, or would make if another did not. */
class Making {
  readonly work: TitleWork;
  lease: AssemblyLease | undefined;
  assembler: TitleAssembler | undefined;

  constructor(work: TitleWork) {
    this.work = work;
  }

  async close(): Promise<void> {
    await this.assembler?.close();
    await this.lease?.close();
  }
}

/** Makes titles, lists them, takes them away. */
export class TitleService {
  readonly #options: TitleServiceOptions;
  readonly #deps: TitleServiceDeps;
  /** By flow. */
  readonly #making = new Map<string, Making>();
  /** Of assemblies that failed, by flow: the queue knows nothing of them. */
  readonly #failures = new Map<string, JobError>();
  readonly #listeners = new Set<(flow: string) => void>();
  #unsubscribe: (() => void) | undefined;
  #closed = false;

  constructor(options: TitleServiceOptions, deps: TitleServiceDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Goes on with what a process before us had begun. */
  async open(): Promise<void> {
    this.#unsubscribe = this.#deps.queue.subscribe(
      ({ flow }) => {
        this.#advance(flow);
        for (const listener of this.#listeners) listener(flow);
      },
      () => void this.#resume(),
    );
    await this.#resume();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe?.();
    await Promise.all([...this.#making.values()].map((making) => making.close()));
    this.#making.clear();
  }

  /**
   * Looks at a master and begins to make a title of it.
   * @throws AppError VOD_TITLE_INVALID, VOD_TITLE_EXISTS, VOD_MASTER_…, JOB_QUEUE_UNAVAILABLE, STORAGE_UNAVAILABLE
   */
  async add(request: TitleRequest): Promise<MakingView> {
    try {
      return await this.#add(request);
    } catch (error) {
      this.#deps.metrics.refused.inc({ code: errorCode(error) });
      throw error;
    }
  }

  async #add(request: TitleRequest): Promise<MakingView> {
    const { queue, catalogue, clock } = this.#deps;
    const { id, ladder, contentAware } = request;
    if (!isStreamName(id)) throw new AppError('VOD_TITLE_INVALID');
    const name = (request.name ?? id).trim().slice(0, MAX_NAME) || id;
    if ((await catalogue.find(id)) || (await this.isBeingMade(id)) || this.#deps.isBeingRecorded?.(id)) {
      throw new AppError('VOD_TITLE_EXISTS');
    }
    const masterPath = await this.#fileOf(request.master);
    const sidecars = await Promise.all(
      request.sidecars.map(async ({ file, ...said }) => ({ path: await this.#fileOf(file), ...said })),
    );
    const master = await this.#deps.probe(masterPath);
    const plan = await this.#deps.plan(master, { ladder, contentAware, sidecars });
    const createdMs = clock.wallMs();
    const work: TitleWork = {
      title: id,
      generation: `p${createdMs.toString(36)}`,
      name,
      isProtected: request.isProtected ?? this.#options.isProtected,
      ...(request.allowDownload && { isDownloadable: true }),
      createdMs,
      masterPath,
      master,
      plan,
    };
    if (work.isProtected && work.isDownloadable) {
      throw new AppError('VOD_TITLE_INVALID', 'a title that is encrypted cannot be for download');
    }
    if (work.isProtected && !this.#deps.encryptionOf(id)) {
      throw new AppError('VOD_TITLE_INVALID', 'encryption is not configured here: drm.enabled is off');
    }
    // It took a while to look at the master.
    const isTaken = this.#deps.isBeingRecorded?.(id) === true || (await catalogue.find(id)) !== undefined;
    if (isTaken || !(await queue.add(titleFlow(work, PRIORITY)))) throw new AppError('VOD_TITLE_EXISTS');
    const flow = flowId(work);
    this.#assemble(flow, work);
    const view = await this.making(flow);
    if (!view) throw new AppError('VOD_TITLE_NOT_FOUND');
    return view;
  }

  /** Whether a title of that name is being made of a master. */
  async isBeingMade(title: string): Promise<boolean> {
    const flows = await this.#deps.queue.flows(MAX_LISTED);
    return flows.some((flow) => flow.state === 'running' && workOf(flow)?.title === title);
  }

  #fileOf(file: FileChoice): Promise<string> {
    return 'path' in file ? this.#allowed(file.path) : this.#deps.uploads.path(file.upload);
  }

  /** The real path of a file that may be read. @throws AppError VOD_MASTER_REFUSED */
  async #allowed(path: string): Promise<string> {
    const real = await realpath(path).catch(() => undefined);
    const below = (root: string): boolean =>
      real?.startsWith(root.endsWith(sep) ? root : root + sep) ?? false;
    const roots = await Promise.all(this.#options.roots.map((root) => realpath(root).catch(() => root)));
    if (real === undefined || !roots.some(below)) {
      // The same words for what is not there and what may not be read: nobody is told which files there are.
      throw new AppError(
        'VOD_MASTER_REFUSED',
        'no such file in a folder that masters may lie in (vod.roots)',
      );
    }
    return real;
  }

  /** The titles that can be played. */
  titles(): Promise<readonly Title[]> {
    return this.#deps.catalogue.list();
  }

  title(id: string): Promise<Title | undefined> {
    return this.#deps.catalogue.find(id);
  }

  /** What is being made, and what was made or failed lately; newest first. */
  async makings(): Promise<readonly MakingView[]> {
    const flows = await this.#deps.queue.flows(MAX_LISTED);
    return flows.flatMap((flow) => this.#view(flow) ?? []);
  }

  /** Undefined: no such flow. */
  async making(flow: string): Promise<MakingView | undefined> {
    const status = await this.#deps.queue.flow(flow);
    return status && this.#view(status);
  }

  #view(status: FlowStatus): MakingView | undefined {
    const work = workOf(status);
    return work && viewMaking(status, work, this.#deps.clock.wallMs(), this.#failures.get(status.id));
  }

  /** False: it is not being made. */
  cancel(flow: string): Promise<boolean> {
    return this.#deps.queue.cancel(flow);
  }

  /** Tries again what failed or was cancelled; what is done is kept. */
  async retry(flow: string): Promise<boolean> {
    const status = await this.#deps.queue.flow(flow);
    const work = status && workOf(status);
    if (!work || !(await this.#deps.queue.retry(flow))) return false;
    this.#failures.delete(flow);
    await this.#making.get(flow)?.close();
    this.#making.delete(flow);
    this.#assemble(flow, work);
    return true;
  }

  /**
   * Takes a title away, with everything that was made of it; one that is being made is cancelled first. False: there is none.
   * Players lose it at once.
   */
  async remove(id: string): Promise<boolean> {
    // One that is being recorded is not there yet, and its files are in use.
    if (!isStreamName(id) || this.#deps.isBeingRecorded?.(id)) return false;
    const { queue, catalogue, store } = this.#deps;
    const flows = (await queue.flows(MAX_LISTED)).filter((flow) => workOf(flow)?.title === id);
    const known = await catalogue.find(id);
    for (const { id: flow } of flows) {
      await queue.cancel(flow);
      await this.#making.get(flow)?.close();
      this.#making.delete(flow);
      this.#failures.delete(flow);
    }
    // First of all: as long as it is listed, whoever finds it half gone removes it again.
    await this.#deps.releaseKeys?.(id);
    await catalogue.remove(id);
    if (known?.recording?.isAutomatic) await store.delete(madeKey(known));
    await deleteAll(store, titlePrefix(id));
    await deleteAll(store, `work/${id}/`);
    for (const flow of flows) {
      const work = workOf(flow);
      if (work) await this.#discard(work);
      await queue.remove(flow.id);
    }
    this.#deps.metrics.making.set(this.#making.size);
    return known !== undefined || flows.length > 0;
  }

  /** Calls back with the flow whose view has changed. Returns the unsubscribe function. */
  subscribe(listener: (flow: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #discard(work: TitleWork): Promise<void> {
    for (const path of filesOf(work)) await this.#deps.uploads.discard(path);
  }

  async #resume(): Promise<void> {
    const flows = await this.#deps.queue.flows(MAX_LISTED);
    for (const flow of flows) {
      const work = workOf(flow);
      if (!work || this.#closed) continue;
      const known = this.#making.get(flow.id);
      if (known) known.assembler?.advance();
      // One that is done may still have to be put together.
      else if (flow.state === 'running' || (flow.state === 'done' && (await this.#isUnfinished(work)))) {
        this.#assemble(flow.id, work);
      }
    }
  }

  async #isUnfinished({ title, generation }: TitleWork): Promise<boolean> {
    const shown = await this.#deps.catalogue.find(title);
    return shown === undefined || (shown.periods[0]?.id === generation && shown.state === 'growing');
  }

  #assemble(flow: string, work: TitleWork): void {
    // The queue may have told of it before whoever added it comes here.
    if (this.#closed || this.#making.has(flow)) return;
    for (const path of filesOf(work)) this.#deps.uploads.use(path);
    const { leases, owner, clock } = this.#deps;
    const making = new Making(work);
    this.#making.set(flow, making);
    this.#deps.metrics.making.set(this.#making.size);
    const begin = (): void => {
      if (this.#closed || this.#making.get(flow) !== making) return;
      making.assembler = new TitleAssembler(flow, work, this.#deps, (end, error) =>
        this.#ended(flow, making, end, error),
      );
      making.assembler.advance();
    };
    if (!leases || owner === undefined) return begin();
    making.lease = new AssemblyLease(
      flow,
      { leases, owner, clock },
      () => void this.#beginHeld(flow, making, begin),
      () => {
        void making.assembler?.close();
        making.assembler = undefined;
      },
    );
  }

  /** Whoever had the lease before may have completed the title. */
  async #beginHeld(flow: string, making: Making, begin: () => void): Promise<void> {
    if (await this.#isUnfinished(making.work).catch(() => true)) return begin();
    if (this.#making.get(flow) === making) this.#making.delete(flow);
    this.#deps.metrics.making.set(this.#making.size);
    await making.close();
  }

  #advance(flow: string): void {
    const making = this.#making.get(flow);
    if (making) making.assembler?.advance();
    // Another server may have begun it.
    else if (this.#deps.leases) void this.#join(flow);
  }

  async #join(flow: string): Promise<void> {
    const status = await this.#deps.queue.flow(flow).catch(() => undefined);
    const work = status?.state === 'running' ? workOf(status) : undefined;
    if (work && !this.#making.has(flow)) this.#assemble(flow, work);
  }

  #ended(flow: string, making: Making, end: AssemblyEnd, error: AppError | undefined): void {
    if (this.#making.get(flow) === making) this.#making.delete(flow);
    void making.lease?.close();
    if (end === 'complete') void this.#discard(making.work).catch(() => undefined);
    this.#deps.metrics.making.set(this.#making.size);
    if (end === 'failed' && error) this.#failures.set(flow, { code: error.code, message: error.message });
    for (const listener of this.#listeners) listener(flow);
  }
}

/** What the jobs of a title read. */
function filesOf({ masterPath, plan }: TitleWork): string[] {
  return [masterPath, ...plan.texts.flatMap(({ path }) => path ?? [])];
}

/** The queue may hold flows of others. */
function workOf({ data }: FlowStatus): TitleWork | undefined {
  const work = data as unknown as Partial<TitleWork> | null;
  return typeof work?.title === 'string' && work.plan !== undefined ? (work as TitleWork) : undefined;
}
