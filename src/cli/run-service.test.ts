import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { AppError } from '../base/errors.ts';
import { runService, type Service } from './run-service.ts';

/** A process whose exits are remembered. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }
}

function setUp(service: Partial<Service> = {}) {
  const calls: string[] = [];
  const process = new FakeProcess();
  const clock = new FakeClock();
  const log = createMemoryLog();
  const result = runService(
    {
      start: async () => void calls.push('start'),
      close: async () => void calls.push('close'),
      ...service,
    },
    { process, clock, log, stopWithinMs: 35_000 },
  );
  return { calls, process, clock, log, result };
}

it.each(['SIGTERM', 'SIGINT'])(
  'closes the service on %s and ends with 0, leaving no listener',
  async (signal) => {
    const { calls, process, log, result } = setUp();
    process.emit(signal, signal);
    expect(await result).toBe(0);
    expect(calls).toEqual(['start', 'close']);
    expect(process.exits).toEqual([]);
    expect(process.eventNames()).toEqual([]);
    expect(log.lines.map(({ fields }) => fields['event'])).toEqual(['stopping', 'stopped']);
  },
);

it('takes signals within a second as one wish, and ends at once on a later one', async () => {
  const { process, clock, result } = setUp({ close: () => new Promise(() => undefined) });
  void result;
  process.emit('SIGINT', 'SIGINT');
  clock.advance(999);
  process.emit('SIGINT', 'SIGINT');
  process.emit('SIGTERM', 'SIGTERM');
  expect(process.exits).toEqual([]);
  clock.advance(1);
  process.emit('SIGTERM', 'SIGTERM');
  expect(process.exits).toEqual([1]);
});

it('ends the process when closing takes too long', async () => {
  const { process, clock, log } = setUp({ close: () => new Promise(() => undefined) });
  process.emit('SIGTERM', 'SIGTERM');
  clock.advance(34_999);
  expect(process.exits).toEqual([]);
  clock.advance(1);
  expect(process.exits).toEqual([1]);
  expect(log.lines.at(-1)).toMatchObject({ level: 'error', message: 'the stop took too long' });
});

it('closes what was opened when the start fails, and passes the reason on', async () => {
  const failure = new AppError('HTTP_LISTEN_FAILED');
  let closed = false;
  const { result } = setUp({
    start: () => Promise.reject(failure),
    async close() {
      closed = true;
      throw new Error('this too');
    },
  });
  await expect(result).rejects.toBe(failure);
  expect(closed).toBe(true);
});

it.each(['uncaughtException', 'unhandledRejection'])(
  'logs an %s with its stack and ends with 1',
  async (event) => {
    const { process, log, calls } = setUp();
    await until(() => calls.includes('start'), 'the start');
    process.emit(event, new TypeError('oops'));
    expect(process.exits).toEqual([1]);
    expect(log.lines.at(-1)).toMatchObject({
      level: 'error',
      fields: { code: 'INTERNAL', err: expect.stringMatching(/TypeError: oops\n +at /) },
    });
  },
);
