import { listFilters } from '../ffmpeg-filters.ts';
import type { Environment } from '../spawn-encoder.ts';
import type { QualityMetric } from './title-plan.ts';

/** What this ffmpeg compares pictures with: the model of how people see them where it has it. */
export async function chooseQualityMetric(ffmpeg: string, environment: Environment): Promise<QualityMetric> {
  const filters = await listFilters(ffmpeg, environment);
  return filters.has('libvmaf') ? 'vmaf' : 'ssim';
}
