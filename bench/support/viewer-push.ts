import { until } from '../../test/support/until.ts';
import { connectDevices, type EventDevice } from './event-devices.ts';
import { cpuMicros } from './process-usage.ts';
import { percentile, type Spread, spread } from './report.ts';
import { beginPlaying, HttpCaller, nextReport, RESUME_PATH, type ResumePlayer } from './resume-players.ts';
import { startViewerServers } from './viewer-servers.ts';
import type { ViewerUsers } from './viewer-users.ts';

export interface PushInit {
  /** Each plays on one device at one server, and listens on another at the other. */
  readonly users: number;
  readonly writesPerSecond: number;
  readonly seconds: number;
  readonly rounds: number;
}

export interface PushFigures {
  /** From the sending of a report to its event on the other device: median and range of the rounds. */
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly maxMs: Spread;
  /** What was really sent a second. */
  readonly writesPerSecond: Spread;
  /** From the sending of a report to its answer. */
  readonly answerP99Ms: Spread;
  /** Shares of one core. */
  readonly writingServerLoad: Spread;
  readonly pushingServerLoad: Spread;
  readonly redisLoad: Spread;
  /** Reports that were not answered 200. */
  readonly refused: number;
  /** Stored reports whose event, or a later one's, never came. */
  readonly lost: number;
}

/** How often what is due is sent. */
const PACE_MS = 2;
const WARM_UP_SECONDS = 1;
const PATIENCE_MS = 10_000;

interface Round {
  readonly pushMs: readonly number[];
  readonly answerMs: readonly number[];
  readonly seconds: number;
  readonly sent: number;
  readonly refused: number;
  readonly lost: number;
}

/** A report that was sent, and its event that has not come. */
interface Waiting {
  readonly seq: number;
  readonly sentMs: number;
}

/** A user with its device at each server. */
class Listener {
  readonly player: ResumePlayer;
  readonly pushMs: number[] = [];
  #waiting: Waiting[] = [];

  constructor(player: ResumePlayer, device: EventDevice) {
    this.player = player;
    device.onRecord = ({ epoch, seq }, atMs) => {
      if (epoch !== player.epoch) return;
      // Two reports that come shortly after each other may be told as one, by the later of them.
      for (const each of this.#waiting) if (each.seq <= seq) this.pushMs.push(atMs - each.sentMs);
      this.#waiting = this.#waiting.filter((each) => each.seq > seq);
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  sent(seq: number, sentMs: number): void {
    this.#waiting.push({ seq, sentMs });
  }

  refused(seq: number): void {
    this.#waiting = this.#waiting.filter((each) => each.seq !== seq);
  }

  /** Takes what was measured. */
  take(): { readonly pushMs: readonly number[]; readonly lost: number } {
    const lost = this.#waiting.length;
    this.#waiting = [];
    return { pushMs: this.pushMs.splice(0), lost };
  }
}

/** How long it takes until another device of a user, at another server, hears of a report, under a steady load. */
export async function measurePush(logins: ViewerUsers, init: PushInit): Promise<PushFigures> {
  const running = await startViewerServers(logins, { driver: 'redis', count: 2 });
  const { servers, redis } = running;
  const [writing, pushing] = servers;
  const caller = new HttpCaller(writing.controlUrl);
  let devices: EventDevice[] = [];
  try {
    if (!pushing || !redis) throw new Error('two servers with a Redis were asked for');
    const players = await beginPlaying(caller, logins, init.users);
    devices = await connectDevices(
      pushing.controlUrl,
      players.map(({ authorization }) => authorization),
    );
    const listeners = players.flatMap((player, i) => {
      const device = devices[i];
      return device ? [new Listener(player, device)] : [];
    });
    await round(caller, listeners, init.writesPerSecond, WARM_UP_SECONDS);
    const rounds: Round[] = [];
    const loads: number[][] = [];
    const pids = [writing.pid, pushing.pid, redis.pid];
    for (let i = 0; i < init.rounds; i++) {
      const before = pids.map(cpuMicros);
      const startMs = performance.now();
      rounds.push(await round(caller, listeners, init.writesPerSecond, init.seconds));
      const tookMicros = (performance.now() - startMs) * 1000;
      loads.push(pids.map((pid, which) => (cpuMicros(pid) - (before[which] ?? 0)) / tookMicros));
    }
    return figures(rounds, loads);
  } finally {
    for (const device of devices) device.close();
    caller.close();
    await running.close();
  }
}

/** Sends at a steady rate, whether answers come or not, the users in turn. */
async function round(
  caller: HttpCaller,
  listeners: readonly Listener[],
  perSecond: number,
  seconds: number,
): Promise<Round> {
  const answerMs: number[] = [];
  let [sent, answered, refused] = [0, 0, 0];
  const send = async (listener: Listener): Promise<void> => {
    const { player } = listener;
    const body = nextReport(player);
    const { seq } = player;
    const sentMs = performance.now();
    listener.sent(seq, sentMs);
    const status = await caller.call('PUT', RESUME_PATH, player.authorization, body).then(
      (answer) => answer.status,
      () => 0,
    );
    answerMs.push(performance.now() - sentMs);
    answered += 1;
    if (status === 200) return;
    refused += 1;
    listener.refused(seq);
  };
  const startMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedSeconds = Math.min(seconds, (performance.now() - startMs) / 1000);
      for (const due = Math.floor(elapsedSeconds * perSecond); sent < due; sent++) {
        const listener = listeners[sent % listeners.length];
        if (listener) void send(listener);
      }
      if (elapsedSeconds < seconds) return;
      clearInterval(timer);
      resolve();
    }, PACE_MS);
  });
  const tookSeconds = (performance.now() - startMs) / 1000;
  await until(() => answered === sent, 'all reports are answered', PATIENCE_MS);
  await until(() => listeners.every(({ waiting }) => waiting === 0), 'all events', PATIENCE_MS).catch(
    // What never comes is counted.
    () => undefined,
  );
  const taken = listeners.map((listener) => listener.take());
  return {
    pushMs: taken.flatMap(({ pushMs }) => pushMs),
    lost: taken.reduce((sum, { lost }) => sum + lost, 0),
    answerMs,
    seconds: tookSeconds,
    sent,
    refused,
  };
}

function figures(rounds: readonly Round[], loads: readonly (readonly number[])[]): PushFigures {
  const of = (pick: (each: Round) => number): Spread => spread(rounds.map(pick));
  const loadOf = (which: number): Spread => spread(loads.map((each) => each[which] ?? Number.NaN));
  return {
    p50Ms: of(({ pushMs }) => percentile(pushMs, 0.5)),
    p99Ms: of(({ pushMs }) => percentile(pushMs, 0.99)),
    maxMs: of(({ pushMs }) => percentile(pushMs, 1)),
    writesPerSecond: of(({ sent, seconds }) => sent / seconds),
    answerP99Ms: of(({ answerMs }) => percentile(answerMs, 0.99)),
    writingServerLoad: loadOf(0),
    pushingServerLoad: loadOf(1),
    redisLoad: loadOf(2),
    refused: rounds.reduce((sum, each) => sum + each.refused, 0),
    lost: rounds.reduce((sum, each) => sum + each.lost, 0),
  };
}
