import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../../test/support/memory-log.ts';
import { RecordingHub } from '../../../test/support/rtmp-hub.ts';
import { until } from '../../../test/support/until.ts';
import { Metrics } from '../../base/metrics.ts';
import { SrtMetrics } from './srt-metrics.ts';
import { SRT_DEFAULTS } from './srt-options.ts';
import { SrtPuller } from './srt-puller.ts';

/** A source that cannot be reached: every attempt ends before a socket is opened, at a time of the clock's. */
function unreachable(randomByte: number) {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const attemptsMs: number[] = [];
  const source = { stream: 'a', host: '127.0.0.1', port: 1, streamId: '', passphraseFile: '/gone' };
  const puller = new SrtPuller({ ...source, keyBytes: 16, latencyMs: undefined }, SRT_DEFAULTS, {
    hub: new RecordingHub(),
    clock,
    log,
    metrics: new SrtMetrics(new Metrics()),
    openFeed: () => {
      throw new Error('nothing can be published');
    },
    randomBytes: (size) => new Uint8Array(size).fill(randomByte),
    readSecret: () => {
      attemptsMs.push(clock.monotonicMs());
      return Promise.reject(new Error('no such file'));
    },
  });
  const failed = (count: number) =>
    until(() => log.lines.filter(({ message }) => message === 'SRT pull ended').length >= count, 'the end');
  return { puller, clock, attemptsMs, failed };
}

describe('a source that is pulled and cannot be reached', () => {
  it('is asked again after ever longer waits, up to half a minute', async () => {
    const { puller, clock, attemptsMs, failed } = unreachable(0);
    puller.start();
    for (const [index, waitMs] of [1, 2, 4, 8, 16, 30, 30].map((seconds) => seconds * 1000).entries()) {
      // Each wait begins with the failure before it.
      // oxlint-disable-next-line no-await-in-loop
      await failed(index + 1);
      clock.advance(waitMs - 1);
      expect(attemptsMs).toHaveLength(index + 1);
      clock.advance(1);
      expect(attemptsMs).toHaveLength(index + 2);
    }
    await failed(8);
    expect(clock.pendingTimers).toBe(1);
    await puller.close();
    expect(clock.pendingTimers).toBe(0);
    clock.advance(100_000);
    expect(attemptsMs).toHaveLength(8);
  });

  it('is asked up to a quarter sooner by chance, so that many servers do not come at once', async () => {
    const { puller, clock, attemptsMs, failed } = unreachable(0xff);
    puller.start();
    await failed(1);
    clock.advance(749);
    expect(attemptsMs).toHaveLength(1);
    clock.advance(2);
    expect(attemptsMs).toHaveLength(2);
    await failed(2);
    await puller.close();
  });
});
