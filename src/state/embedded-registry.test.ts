import { FakeClock } from '../../test/support/fake-clock.ts';
import { describeRegistry } from '../../test/support/registry-contract.ts';
import { Metrics } from '../base/metrics.ts';
import { EmbeddedRegistry } from './embedded-registry.ts';
import { StateMetrics } from './state-metrics.ts';

describeRegistry('the embedded one', () => {
  const clock = new FakeClock();
  const registry = new EmbeddedRegistry({ clock, metrics: new StateMetrics(new Metrics()) });
  return {
    open: async () => registry,
    openAgain: async () => registry,
    dispose: async () => undefined,
    advance: (ms) => clock.advance(ms),
  };
});
