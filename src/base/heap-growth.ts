import { setFlagsFromString } from 'node:v8';

/** How far the heap may grow beyond what is alive in it before all of it is looked through again. */
const GROWTH_PERCENT = 400;

/**
 * Lets V8 collect garbage by what the process holds, not by what its small heap does. Media lies in buffers outside the
 * heap, but their bytes count against the limit that V8 derives from the heap's size, a few megabytes: with ten
 * publishers of 4 Mb/s it marked the whole heap every second, which was a third of the CPU. To be called before the
 * server starts; costs some megabytes of garbage that is freed later.
 */
export function allowHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
