import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../../test/support/memory-log.ts';
import { until } from '../../../test/support/until.ts';
import { TestPubSub } from '../../../test/support/viewer-state.ts';
import { Metrics } from '../../base/metrics.ts';
import { ResumeMetrics } from './resume-metrics.ts';
import { parseNotice, type ViewerNotice, ViewerNotices } from './viewer-notices.ts';

function setUp() {
  const pubSub = new TestPubSub();
  const clock = new FakeClock();
  const log = createMemoryLog();
  const notices = new ViewerNotices({ pubSub, clock, log, metrics: new ResumeMetrics(new Metrics()) });
  return { pubSub, clock, log, notices };
}

describe('a notice', () => {
  it.each<ViewerNotice>([
    { kind: 'changed', profile: 'main', version: 7 },
    { kind: 'erased' },
    { kind: 'session', sessionId: 'abc', end: 'revoked' },
  ])('comes as it was told, to that user alone: %j', async (notice) => {
    const { notices, pubSub } = setUp();
    const [anna, bert]: ViewerNotice[][] = [[], []];
    await notices.listen('anna', (heard) => anna?.push(heard));
    await notices.listen('bert', (heard) => bert?.push(heard));
    notices.tell('anna', notice);
    await until(() => anna?.length === 1, 'the notice');
    expect([anna, bert]).toEqual([[notice], []]);
    expect(pubSub.published[0]?.channel).toMatch(/^[\x21-\x7e]{1,200}$/);
  });

  it('has no position and no title in it', async () => {
    const { notices, pubSub } = setUp();
    notices.tell('anna', { kind: 'changed', profile: 'main', version: 7 });
    expect(pubSub.published).toEqual([
      { channel: 'viewer:{anna}', message: '{"kind":"changed","profile":"main","version":7}' },
    ]);
  });

  it('that cannot be passed on harms nobody, and is logged once a second', async () => {
    const { notices, pubSub, clock, log } = setUp();
    pubSub.failing = true;
    for (let i = 0; i < 3; i++) notices.tell('anna', { kind: 'erased' });
    await until(() => log.lines.length > 0, 'the line');
    expect(log.lines).toHaveLength(1);
    expect(JSON.stringify(log.lines)).not.toContain('anna');
    clock.advance(1000);
    notices.tell('anna', { kind: 'erased' });
    await until(() => log.lines.length === 2, 'the next line');
  });

  it('is anything only when all of it is right', () => {
    for (const wrong of [
      '',
      '7',
      'null',
      '{}',
      '{"kind":"changed","profile":"a b","version":1}',
      '{"kind":"changed","profile":"main","version":"1"}',
      '{"kind":"session","sessionId":"x","end":"paused"}',
      '{"kind":"later"}',
    ]) {
      expect(parseNotice(wrong)).toBeUndefined();
    }
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseNotice(text)));
  });
});
