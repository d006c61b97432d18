import { until } from '../../test/support/until.ts';
import { connectDevices, type EventDevice } from './event-devices.ts';
import type { HeadwaterProcess } from './headwater-process.ts';
import { cpuMicros, memory } from './process-usage.ts';
import { type Spread, spread } from './report.ts';
import { beginPlaying, HttpCaller, nextReport, RESUME_PATH } from './resume-players.ts';
import { startViewerServers } from './viewer-servers.ts';
import type { ViewerUsers } from './viewer-users.ts';

export interface StreamsInit {
  readonly devices: number;
  /** All of one user, among them: the most that one may have unless configured otherwise. */
  readonly devicesOfOneUser: number;
  readonly idleSeconds: number;
  readonly pushes: number;
}

export interface StreamsFigures {
  /** Growth of the server for one device, bytes: resident memory, what JavaScript holds, buffers. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Share of one core while nothing happens but the comments that keep connections awake. */
  readonly idleLoad: number;
  /** From the sending of a report until the first, and the last, of all devices of its user has the event. */
  readonly firstMs: Spread;
  readonly lastMs: Spread;
}

/** Connected before memory is looked at: code is compiled by then, and pools are filled. */
const WARM_UP_SHARE = 0.1;

interface Use {
  readonly resident: number;
  readonly heapUsed: number;
  readonly external: number;
}

/** What it costs one server that many devices listen, and how fast one user's hear of something. */
export async function measureStreams(logins: ViewerUsers, init: StreamsInit): Promise<StreamsFigures> {
  const running = await startViewerServers(logins, { driver: 'embedded', probe: true });
  const { servers } = running;
  const [server] = servers;
  const caller = new HttpCaller(server.controlUrl);
  const devices: EventDevice[] = [];
  try {
    const [player] = await beginPlaying(caller, logins, 1);
    if (!player) throw new Error('nobody plays');
    const early = Math.ceil(init.devices * WARM_UP_SHARE);
    const others = Array.from({ length: init.devices - init.devicesOfOneUser }, (_, i) =>
      logins.authorization(`listener-${i}`),
    );
    devices.push(...(await connectDevices(server.controlUrl, others.slice(0, early))));
    const before = await useOf(server);
    devices.push(...(await connectDevices(server.controlUrl, others.slice(early))));
    const after = await useOf(server);
    const grown = (of: (use: Use) => number): number => (of(after) - of(before)) / (others.length - early);
    const idleLoad = await loadFor(server.pid, init.idleSeconds);
    const own = Array.from({ length: init.devicesOfOneUser }, () => player.authorization);
    const listening = await connectDevices(server.controlUrl, own);
    devices.push(...listening);
    const [firstMs, lastMs]: number[][] = [[], []];
    for (let i = 0; i < init.pushes; i++) {
      const arrivals = arrivalsOf(listening, player.seq + 1);
      const sentMs = performance.now();
      const { status } = await caller.call('PUT', RESUME_PATH, player.authorization, nextReport(player));
      if (status !== 200) throw new Error(`a report was answered ${status}`);
      await until(() => arrivals.length === listening.length, 'every device hears of it');
      firstMs?.push(Math.min(...arrivals) - sentMs);
      lastMs?.push(Math.max(...arrivals) - sentMs);
    }
    return {
      residentBytes: grown(({ resident }) => resident),
      heapBytes: grown(({ heapUsed }) => heapUsed),
      externalBytes: grown(({ external }) => external),
      idleLoad,
      firstMs: spread(firstMs ?? []),
      lastMs: spread(lastMs ?? []),
    };
  } finally {
    for (const device of devices) device.close();
    caller.close();
    await running.close();
  }
}

/** Grows with the time of each device's event of the report `seq`. */
function arrivalsOf(devices: readonly EventDevice[], seq: number): number[] {
  const arrivals: number[] = [];
  for (const device of devices) {
    device.onRecord = (record, atMs) => {
      if (record.seq === seq) arrivals.push(atMs);
    };
  }
  return arrivals;
}

async function useOf(server: HeadwaterProcess): Promise<Use> {
  const heap = await server.heap();
  return { ...heap, resident: memory(server.pid).resident };
}

async function loadFor(pid: number, seconds: number): Promise<number> {
  const [before, startMs] = [cpuMicros(pid), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return (cpuMicros(pid) - before) / ((performance.now() - startMs) * 1000);
}
