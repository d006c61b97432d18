import { describe, expect, it } from 'vitest';
import { Metrics } from '../base/metrics.ts';
import type { FlowStatus, JobHandler, JobWorker, RunningJob } from '../state/job-queue.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { reachableWork } from './reachable-work.ts';

const MASTER = '/masters/film.mov';
const SUBTITLES = '/masters/film.en.srt';

/** A queue of which a test hands out the jobs itself. */
function setUp() {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const metrics = new Metrics();
  const readable = new Set<string>();
  const slots: number[] = [];
  const state = { flow: 'running' as FlowStatus['state'] | undefined };
  let handler: JobHandler | undefined;
  const inner: JobWorker = {
    setConcurrency: (jobs) => void slots.push(jobs),
    close: async () => undefined,
  };
  const worker = reachableWork(
    {
      work: (_options, given) => {
        handler = given;
        return inner;
      },
      flow: async () => (state.flow && { state: state.flow }) as FlowStatus | undefined,
    },
    { clock, log, metrics, canRead: async (path) => readable.has(path) },
  ).work({ kinds: ['piece', 'text'], concurrency: 3 }, async () => 'made');
  const job = (data: object, flow = 'film.p1') =>
    handler?.({
      flow,
      data,
      flowData: { masterPath: MASTER, plan: { texts: [{ id: 'text-en', path: SUBTITLES }] } },
    } as unknown as RunningJob);
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const lacking = async (): Promise<number | undefined> =>
    (await metrics.registry.getSingleMetric('headwater_vod_unreachable_masters')?.get())?.values[0]?.value;
  return { worker, readable, slots, state, job, pass, log, lacking };
}

const PIECE = { kind: 'piece', rungs: [], index: 0 };

describe('work that reads files of other machines', () => {
  it('is done where they can be read', async () => {
    const { job, readable, slots } = setUp();
    readable.add(MASTER).add(SUBTITLES);
    expect(await job(PIECE)).toBe('made');
    expect(await job({ kind: 'text', id: 'text-en' })).toBe('made');
    expect(slots).toEqual([]);
  });

  it('goes back where they cannot, and no more is taken until they can', async () => {
    const { job, readable, slots, pass, log, lacking, worker } = setUp();
    const refused = { name: 'ElsewhereJobError', code: 'VOD_MASTER_UNREACHABLE' };
    await expect(job(PIECE)).rejects.toMatchObject(refused);
    await expect(job(PIECE)).rejects.toMatchObject(refused);
    expect(slots).toEqual([0, 0]);
    expect(await lacking()).toBe(1);
    await pass(5000);
    // Live encoding steps back and lets go again meanwhile: still none.
    worker.setConcurrency(2);
    expect(slots).toEqual([0, 0]);
    readable.add(MASTER);
    await pass(5000);
    expect([slots, await lacking()]).toEqual([[0, 0, 2], 0]);
    expect(log.lines.map(({ level }) => level)).toEqual(['error', 'info']);
    expect(await job(PIECE)).toBe('made');
  });

  it('of subtitles beside a master needs them, and not the master', async () => {
    const { job, readable } = setUp();
    readable.add(MASTER);
    await expect(job({ kind: 'text', id: 'text-en' })).rejects.toMatchObject({
      code: 'VOD_MASTER_UNREACHABLE',
    });
    readable.delete(MASTER);
    readable.add(SUBTITLES);
    expect(await job({ kind: 'text', id: 'text-en' })).toBe('made');
  });

  it.each([['done'], ['failed'], ['cancelled'], [undefined]] as const)(
    'keeps nobody from other work once the title is %s',
    async (end) => {
      const { job, state, slots, pass } = setUp();
      await expect(job(PIECE)).rejects.toThrow();
      await pass(5000);
      expect(slots).toEqual([0]);
      state.flow = end;
      await pass(5000);
      expect(slots).toEqual([0, 3]);
    },
  );

  it('is not looked for any more after its end', async () => {
    const { job, readable, slots, pass, worker } = setUp();
    await expect(job(PIECE)).rejects.toThrow();
    await worker.close();
    readable.add(MASTER);
    await pass(20_000);
    expect(slots).toEqual([0]);
  });
});
