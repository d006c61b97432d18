import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ComplexitySample, fitLadder } from './complexity.ts';
import {
  likenessArguments,
  readLikeness,
  type Stretch,
  stretchRanges,
  trialArguments,
  trialsOf,
} from './complexity-arguments.ts';
import type { Attempt, WorkDeps } from './encode-piece.ts';
import { perSecond } from './master-frame-rate.ts';
import { pieceSeeks } from './piece-seeks.ts';
import { allThreads } from './piece-threads.ts';
import type { ComplexityResult, QualityMetric, TitleWork } from './title-plan.ts';
import { failureOf } from './work-failures.ts';
import { endedWell, WorkRun } from './work-run.ts';

/**
 * Encodes a few short stretches of a title's master quickly, at two sizes of its ladder and two qualities, and compares them
 * with the master: what the bit rates of its rungs are to be. The same each time for the same master and ffmpeg.
 * @throws AppError VOD_COMPLEXITY_FAILED; PermanentJobError when the master is at fault
 */
export async function measureComplexity(
  work: TitleWork,
  metric: QualityMetric,
  attempt: Attempt,
  deps: WorkDeps,
): Promise<ComplexityResult> {
  const { video } = work.plan;
  const master = work.master.video;
  if (!video || !master) return { metric, rungs: [], notes: [] };
  const ranges = stretchRanges(video);
  const samples: ComplexitySample[] = [];
  for (const [n, range] of ranges.entries()) {
    const seeks = pieceSeeks(work.master.demuxer, range.start, video, master);
    for (const seek of seeks) {
      const stretch: Stretch = {
        ...{ masterPath: work.masterPath, video, range, seek, trials: trialsOf(video.rungs) },
        master: { demuxer: work.master.demuxer, video: master },
        ...{ toneMapper: deps.toneMapper, threads: allThreads(deps) },
      };
      const found = await tryStretch(stretch, n, { work, metric, attempt, deps });
      samples.push(...found);
      // Where reading begins too late there is nothing to try: from further ahead.
      if (found.length > 0) break;
    }
    attempt.progress((n + 1) / ranges.length);
  }
  return fitLadder(video, samples, metric);
}

interface Measurement {
  readonly work: TitleWork;
  readonly metric: QualityMetric;
  readonly attempt: Attempt;
  readonly deps: WorkDeps;
}

function tryStretch(stretch: Stretch, n: number, measurement: Measurement): Promise<ComplexitySample[]> {
  return measurement.deps.scratch.use(async (folder) => {
    const { trials, video } = stretch;
    const paths = trials.map((_, trial) => join(folder, `${trial}.h264`));
    const reports = trials.map((_, trial) => join(folder, `${trial}.txt`));
    await runThrough(trialArguments(stretch, paths), measurement);
    const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
    if (sizes.includes(0)) return [];
    await runThrough(likenessArguments(stretch, measurement.metric, paths, reports), measurement);
    const samples: ComplexitySample[] = [];
    for (const [trial, { rung, step }] of trials.entries()) {
      const values = readLikeness(await readFile(reports[trial] ?? '', 'latin1'), measurement.metric);
      if (values.length === 0) return [];
      const seconds = values.length / perSecond(video.frameRate);
      samples.push({
        ...{ stretch: n, pixels: rung.width * rung.height, step },
        bitrateBps: ((sizes[trial] ?? 0) * 8) / seconds,
        likeness: values.reduce((sum, value) => sum + value, 0) / values.length,
      });
    }
    return samples;
  });
}

async function runThrough(args: readonly string[], { work, attempt, deps }: Measurement): Promise<void> {
  // Everything else of the title waits for it.
  const run = new WorkRun(args, () => {}, attempt.signal, deps, true);
  const end = await run.ended;
  if (!endedWell(end)) throw failureOf(end, 'VOD_COMPLEXITY_FAILED', work.masterPath);
}
