import { ok } from 'node:assert';
import { Metrics } from '../../../src/base/metrics.ts';
import { writeFlvAudio, writeFlvFrame, writeFlvStart } from '../../../src/media/flv-writer.ts';
import { FlvReader } from '../../../src/media/flv-reader.ts';
import { PackagerMetrics } from '../../../src/packager/packager-metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS, StreamPackager } from '../../../src/packager/stream-packager.ts';
import { StreamHub } from '../../../src/stream/hub.ts';
import { DEFAULT_HUB_OPTIONS } from '../../../src/stream/hub-options.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLog } from '../../support/memory-log.ts';
import { openMediaFeed } from '../../support/odd-media-feed.ts';
import { AVC_360P30, accessUnit, RTMP_INFO } from '../../support/stream-source.ts';
import { windowFaults } from '../../support/window-check.ts';
import { type FuzzTarget, hex, joined, mutated } from '../fuzz-target.ts';

/** Three seconds, ten frames a second, a key frame each second, and sound beside it. */
const BROADCAST = joined([
  writeFlvStart({ config: AVC_360P30, frameRate: 10 }),
  writeFlvAudio(0, hex('af00 1190')),
  ...Array.from({ length: 32 }, (_, frame) => [
    writeFlvFrame({
      dtsMs: frame * 100,
      ptsMs: frame * 100,
      key: frame % 10 === 0,
      data: accessUnit(frame % 10 === 0, frame, 24),
    }),
    writeFlvAudio(frame * 100, hex('af01 2110 04')),
  ]).flat(),
]);

/** So much time passes between two tags whose own clock says nothing sensible. */
const LONGEST_WAIT_MS = 3000;

/** FLV tags from anywhere, through the feed, the hub and the packager: whatever comes, the window stays lawful. */
export const flvToWindow: FuzzTarget = {
  name: 'flv-to-window',
  bytes: mutated([BROADCAST]),
  runs: 300,
  check({ bytes }) {
    const clock = new FakeClock();
    const log = createMemoryLog();
    const packagers: StreamPackager[] = [];
    const hub = new StreamHub(DEFAULT_HUB_OPTIONS, {
      clock,
      log,
      metrics: new Metrics(),
      createSink: (stream) => {
        const packager = new StreamPackager(stream, DEFAULT_PACKAGER_OPTIONS, {
          clock,
          log,
          metrics: new PackagerMetrics(new Metrics()),
          journal: { load: () => undefined, save: () => undefined },
        });
        packagers.push(packager);
        return { source: packager, rungs: packager.rungs };
      },
    });
    const publisher = hub.publish('show', RTMP_INFO, () => {});
    const feed = openMediaFeed(publisher);
    let lastMs = 0;
    for (const { type, timestampMs, body } of new FlvReader().push(bytes)) {
      const waitMs = timestampMs - lastMs;
      clock.advance(Math.min(Math.max(0, waitMs), LONGEST_WAIT_MS));
      lastMs = timestampMs;
      if (type === 'video' || type === 'audio') feed(type, timestampMs, body);
    }
    for (const { window } of packagers) {
      if (window) ok(windowFaults(window, { continuousParts: false }).length === 0, faultsOf(window));
    }
    hub.close();
    for (const packager of packagers) packager.close();
    ok(clock.pendingTimers === 0, 'timers left');
  },
};

function faultsOf(window: Parameters<typeof windowFaults>[0]): string {
  return windowFaults(window, { continuousParts: false }).join('; ');
}
