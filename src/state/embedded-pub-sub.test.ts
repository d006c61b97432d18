import { createMemoryLog } from '../../test/support/memory-log.ts';
import { describePubSub } from '../../test/support/pub-sub-contract.ts';
import { Metrics } from '../base/metrics.ts';
import { EmbeddedPubSub } from './embedded-pub-sub.ts';
import { StateMetrics } from './state-metrics.ts';

describePubSub('the embedded one', () => {
  const bus = new EmbeddedPubSub({ log: createMemoryLog(), metrics: new StateMetrics(new Metrics()) });
  return { open: async () => bus, openAgain: async () => bus, dispose: async () => undefined };
});
