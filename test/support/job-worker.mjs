// A process that does jobs until it is killed: what tests of crashes kill. Started with one argument, JSON:
// { path } for the embedded driver or { port, prefix } for BullMQ, { options, workMs, concurrency, begunFile }.
// Each attempt that was begun is a line in `begunFile`; what else happens is a line on stdout.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const { path, port, prefix, options, workMs, concurrency, begunFile } = JSON.parse(process.argv[2]);
const dist = (name) => import(join(import.meta.dirname, '..', '..', 'dist', name));
const { systemClock } = await dist('base/clock.js');
const { createLogger } = await dist('base/log.js');
const { Metrics } = await dist('base/metrics.js');

const say = (line) => process.stdout.write(`${line}\n`);
const deps = {
  clock: systemClock,
  log: createLogger('silent', 2),
  metrics: new Metrics(),
  random: Math.random,
  processId: `p${process.pid}`,
};
let queue;
try {
  queue = path === undefined ? await openBullmq() : await openLmdb();
} catch (error) {
  say(`refused ${error.code}`);
  process.exit(1);
}
queue.subscribe((event) => {
  if (event.kind === 'flow') say(`flow ${event.state}`);
});
queue.work({ kinds: ['piece'], concurrency }, async (job) => {
  appendFileSync(begunFile, `${job.id} ${job.attempt}\n`);
  say(`begun ${job.id}`);
  job.signal.addEventListener('abort', () => say(`aborted ${job.id} ${job.signal.reason.code}`));
  await new Promise((resolve) => void setTimeout(resolve, Math.random() * workMs));
  job.progress(0.5);
  await new Promise((resolve) => void setTimeout(resolve, Math.random() * workMs));
  return { by: process.pid, attempt: job.attempt };
});
say('ready');
// Nothing else keeps the process of an embedded queue alive.
setInterval(() => undefined, 60_000);

async function openLmdb() {
  const { openLmdbJobQueue } = await dist('state/lmdb-job-queue.js');
  return openLmdbJobQueue(path, options, deps);
}

async function openBullmq() {
  const { openBullmqJobQueue } = await dist('state/bullmq-job-queue.js');
  const nodes = [{ host: '127.0.0.1', port }];
  return openBullmqJobQueue({ nodes, isCluster: false, db: 0, prefix }, options, deps);
}
