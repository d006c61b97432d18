/**
 * Headwater's SRT server in a process of its own, with payload that is only looked at: started by `startSrtReceiver`.
 */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { SRT_DEFAULTS } from '../../src/ingest/srt/srt-options.ts';
import { SrtServer } from '../../src/ingest/srt/srt-server.ts';
import type { Publisher, PublisherInfo } from '../../src/stream/publisher.ts';
import { RecordTally } from './srt-record.ts';

/** What the process is asked. */
export type SrtReceiverQuestion =
  | { readonly kind: 'clear' }
  | { readonly kind: 'delays' }
  | { readonly kind: 'records' }
  | { readonly kind: 'damage'; readonly count: number; readonly groupSize: number };

const tally = new RecordTally();

function publisher(stream: string, _info: PublisherInfo): Publisher {
  return {
    stream,
    videoConfig() {},
    audioConfig() {},
    announce() {},
    write() {},
    event() {},
    close() {},
  };
}

const passphrase = process.argv[2] ?? '';
const server = new SrtServer(
  { ...SRT_DEFAULTS, port: 0, maxConnectionsPerAddress: 0 },
  {
    hub: { publish: publisher },
    authoriser: {
      authorise: ({ key }) =>
        Promise.resolve({ allow: true, stream: key, encryption: { passphrase, required: false } }),
    },
    clock: systemClock,
    log: createLogger('error'),
    metrics: new Metrics(),
    randomBytes,
    openFeed: () => {
      let samples = 0;
      return {
        get samples() {
          return samples;
        },
        unsupported: undefined,
        push(bytes) {
          samples += 1;
          tally.take(bytes);
        },
        gap() {},
        flush() {},
        report() {},
      };
    },
  },
);

process.on('message', (question: SrtReceiverQuestion) => {
  if (question.kind === 'clear') tally.clear();
  process.send?.(answer(question));
});
process.on('disconnect', () => process.exit());
process.send?.(await server.listen());

function answer(question: SrtReceiverQuestion): unknown {
  if (question.kind === 'delays') return tally.delaysMs;
  if (question.kind === 'records') return tally.records;
  if (question.kind === 'clear') return true;
  const { count, groupSize } = question;
  return { packets: tally.missing(0, count), frames: tally.damagedGroups(0, count, groupSize) };
}
