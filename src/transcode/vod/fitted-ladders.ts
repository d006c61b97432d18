import { once } from 'node:events';
import { errorCode } from '../../base/errors.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { savedPercent } from './complexity.ts';
import type { Attempt, RungFitting, WorkDeps } from './encode-piece.ts';
import { measureComplexity } from './measure-complexity.ts';
import {
  type ComplexityResult,
  type PlannedRung,
  type QualityMetric,
  type TitleWork,
  workPrefix,
} from './title-plan.ts';

/**
 * The ladders of titles whose bit rates are fitted to their pictures. Whoever needs one first measures it; it is kept in the
 * store, so that all jobs of a title, on whatever machine and after whatever crash, encode by the same one.
 */
export class FittedLadders implements RungFitting {
  readonly #metric: () => Promise<QualityMetric>;
  /** By title and generation. */
  readonly #running = new Map<string, Promise<unknown>>();
  #chosen: Promise<QualityMetric> | undefined;

  /** @param metric asked for once, when the first title is measured */
  constructor(metric: () => Promise<QualityMetric> = () => Promise.resolve('ssim')) {
    this.#metric = metric;
  }

  /** @throws AppError VOD_COMPLEXITY_FAILED and those of the store; PermanentJobError when the master is at fault */
  async ladderOf(work: TitleWork, attempt: Attempt, deps: WorkDeps): Promise<ComplexityResult> {
    const key = ladderKey(work);
    for (;;) {
      attempt.signal.throwIfAborted();
      const known = await readLadder(deps.store, key);
      if (known) return known;
      const running = this.#running.get(key);
      if (!running) return await this.#measure(work, key, attempt, deps);
      // Another job of the title is at it. Should it fail, it is our turn.
      await settledOrAborted(running, attempt.signal);
    }
  }

  async rungsOf(
    work: TitleWork,
    rungs: readonly PlannedRung[],
    attempt: Attempt,
    deps: WorkDeps,
  ): Promise<readonly PlannedRung[]> {
    if (!work.plan.contentAware) return rungs;
    const ladder = await this.ladderOf(work, { ...attempt, progress() {} }, deps);
    return rungs.map((rung) => {
      const fitted = ladder.rungs.find(({ id }) => id === rung.id);
      return fitted ? { ...rung, crf: fitted.crf, maxBitrateBps: fitted.maxBitrateBps } : rung;
    });
  }

  async #measure(work: TitleWork, key: string, attempt: Attempt, deps: WorkDeps): Promise<ComplexityResult> {
    const measuring = (async () => {
      const metric = await (this.#chosen ??= this.#metric());
      const ladder = await measureComplexity(work, metric, attempt, deps);
      attempt.signal.throwIfAborted();
      const kept = await keepLadder(deps.store, key, ladder);
      if (kept === ladder) tell(work, ladder, deps);
      return kept;
    })();
    this.#running.set(key, measuring);
    try {
      return await measuring;
    } finally {
      this.#running.delete(key);
    }
  }
}

/** Where the ladder of a title is kept. */
export function ladderKey(work: Pick<TitleWork, 'title' | 'generation'>): string {
  return `${workPrefix(work)}complexity.json`;
}

async function readLadder(store: BlobStore, key: string): Promise<ComplexityResult | undefined> {
  const bytes = await store.get(key);
  return bytes && (JSON.parse(Buffer.from(bytes).toString('utf8')) as ComplexityResult);
}

/** The first one stands. */
async function keepLadder(
  store: BlobStore,
  key: string,
  ladder: ComplexityResult,
): Promise<ComplexityResult> {
  try {
    const bytes = Buffer.from(JSON.stringify(ladder), 'utf8');
    await store.put(key, bytes, { ifAbsent: true, contentType: 'application/json' });
    return ladder;
  } catch (error) {
    if (errorCode(error) !== 'STORAGE_EXISTS') throw error;
    return (await readLadder(store, key)) ?? ladder;
  }
}

function tell({ title }: TitleWork, { metric, rungs, notes }: ComplexityResult, { log }: WorkDeps): void {
  const rates = rungs.map(({ id, plannedBps, maxBitrateBps, crf }) => ({
    id,
    plannedBps,
    maxBitrateBps,
    crf,
  }));
  log.info(
    { title, metric, savedPercent: savedPercent(rungs), rungs: rates, note: notes.join(' ') },
    'ladder of a title fitted to its pictures',
  );
}

/** Resolves when it has ended, however it did, or the signal fires. */
async function settledOrAborted(running: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const aborted = signal.aborted ? Promise.resolve() : once(signal, 'abort', { signal: over.signal });
  await Promise.race([running, aborted]).catch(() => undefined);
  over.abort();
  await aborted.catch(() => undefined);
}
