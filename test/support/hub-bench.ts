import type { ErrorCode } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { StreamHub } from '../../src/stream/hub.ts';
import { DEFAULT_HUB_OPTIONS, type HubOptions } from '../../src/stream/hub-options.ts';
import type { PublisherInfo } from '../../src/stream/publisher.ts';
import { FakeClock } from './fake-clock.ts';
import { createMemoryLog } from './memory-log.ts';
import { RecordingLadder } from './recording-ladder.ts';
import { RecordingSink, RTMP_INFO, type SourceOptions, SyntheticSource } from './stream-source.ts';

export const START_MS = 1_795_348_800_000;

/** A hub with a fake clock whose sinks remember. */
export function setUp(options: Partial<HubOptions> = {}) {
  const clock = new FakeClock(START_MS);
  const metrics = new Metrics();
  const log = createMemoryLog();
  const sinks: RecordingSink[] = [];
  const ladder = new RecordingLadder();
  const createSink = (): { source: RecordingSink; rungs: RecordingLadder } => {
    const sink = new RecordingSink(() => clock.wallMs());
    sinks.push(sink);
    return { source: sink, rungs: ladder };
  };
  const hub = new StreamHub({ ...DEFAULT_HUB_OPTIONS, ...options }, { clock, log, metrics, createSink });
  const closedWith: ErrorCode[] = [];
  const publish = (source: SourceOptions = {}, stream = 'show', info: PublisherInfo = RTMP_INFO) => {
    const publisher = hub.publish(stream, info, (code) => closedWith.push(code));
    return { publisher, source: new SyntheticSource(clock, publisher, source) };
  };
  const sink = (index = 0): RecordingSink => {
    const found = sinks[index];
    if (!found) throw new Error('no sink yet');
    return found;
  };
  const metric = async (name: string, labels: Record<string, string> = {}): Promise<number> => {
    const found = await metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
    const wanted = Object.entries(labels);
    return (found?.values ?? [])
      .filter((value) =>
        wanted.every(([label, text]) => (value.labels as Record<string, unknown>)[label] === text),
      )
      .reduce((sum, value) => sum + value.value, 0);
  };
  return { clock, hub, ladder, log, sinks, sink, publish, closedWith, metric };
}

/** Publishes, configures and runs a source. */
export function running(durationMs: number, source: SourceOptions = {}, options: Partial<HubOptions> = {}) {
  const all = setUp(options);
  const made = all.publish(source);
  made.source.configure();
  made.source.run(durationMs);
  return { ...all, ...made };
}
