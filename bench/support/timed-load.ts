import autocannon from 'autocannon';
import { cpuMicros } from './process-usage.ts';
import { percentile, type Spread, spread } from './report.ts';

/** One request of a load. */
export interface LoadRequest {
  readonly path: string;
  readonly authorization: string;
  readonly body: string;
}

export interface LoadInit {
  readonly url: string;
  readonly method: 'POST' | 'PUT';
  readonly connections: number;
  readonly seconds: number;
  readonly rounds: number;
  /** Made as it is sent. */
  readonly next: () => LoadRequest;
  /** The server's process, and others that work for it. */
  readonly pids: readonly number[];
}

/** What came of a load: median and range of the rounds. */
export interface LoadFigures {
  readonly perSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  /** CPU of each process for one request, microseconds, in the order of `pids`. */
  readonly cpuMicros: readonly Spread[];
  /** Answers other than 2xx, broken connections and time-outs, of all rounds. */
  readonly wrong: number;
  /** 2xx of all rounds. */
  readonly done: number;
}

interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicros: readonly number[];
  readonly wrong: number;
  readonly done: number;
}

/** Sends as fast as answers come, each connection one request at a time; the first, short round only warms up. */
export async function timedLoad(init: LoadInit): Promise<LoadFigures> {
  await round(init, 1);
  const rounds: Round[] = [];
  for (let i = 0; i < init.rounds; i++) rounds.push(await round(init, init.seconds));
  const sum = (of: (each: Round) => number): number => rounds.reduce((total, each) => total + of(each), 0);
  return {
    perSecond: spread(rounds.map((each) => each.perSecond)),
    p50Ms: spread(rounds.map((each) => each.p50Ms)),
    p99Ms: spread(rounds.map((each) => each.p99Ms)),
    cpuMicros: init.pids.map((_, i) => spread(rounds.map((each) => each.cpuMicros[i] ?? Number.NaN))),
    wrong: sum((each) => each.wrong),
    done: sum((each) => each.done),
  };
}

async function round({ url, method, connections, next, pids }: LoadInit, seconds: number): Promise<Round> {
  const tookMs: number[] = [];
  const before = pids.map(cpuMicros);
  const run = autocannon({
    url,
    connections,
    duration: seconds,
    requests: [
      {
        method,
        path: '/',
        setupRequest: (template) => {
          const { path, authorization, body } = next();
          return { ...template, path, body, headers: { authorization } };
        },
      },
    ],
  }).on('response', (_client, _status, _bytes, milliseconds) => {
    tookMs.push(milliseconds);
  });
  const result = await run;
  const done = result['2xx'];
  return {
    perSecond: done / result.duration,
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
    cpuMicros: pids.map((pid, i) => (cpuMicros(pid) - (before[i] ?? 0)) / done),
    wrong: result.non2xx + result.errors + result.timeouts,
    done,
  };
}
