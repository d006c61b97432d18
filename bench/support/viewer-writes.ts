import { HttpCaller, beginPlaying, nextReport, RESUME_PATH } from './resume-players.ts';
import { type LoadFigures, timedLoad } from './timed-load.ts';
import { type StateDriver, startViewerServers } from './viewer-servers.ts';
import type { ViewerUsers } from './viewer-users.ts';

export interface RateInit {
  readonly driver: StateDriver;
  readonly users: number;
  readonly connections: number;
  readonly seconds: number;
  readonly rounds: number;
}

/** How many reports of where viewers are one server answers, each when it is stored. The users report in turn. */
export async function measureWrites(
  logins: ViewerUsers,
  { driver, users, connections, seconds, rounds }: RateInit,
): Promise<LoadFigures> {
  const running = await startViewerServers(logins, { driver });
  const { servers, redis } = running;
  const [{ controlUrl, pid }] = servers;
  const caller = new HttpCaller(controlUrl);
  try {
    const players = await beginPlaying(caller, logins, users);
    let turn = 0;
    const next = () => {
      const player = players[turn++ % players.length];
      if (player === undefined) throw new Error('nobody plays');
      return { path: RESUME_PATH, authorization: player.authorization, body: nextReport(player) };
    };
    const pids = [pid, ...(redis ? [redis.pid] : [])];
    return await timedLoad({ url: controlUrl, method: 'PUT', connections, seconds, rounds, next, pids });
  } finally {
    caller.close();
    await running.close();
  }
}

/** How many playback sessions one server begins, each of another user, each with a claim of its place in a title. */
export async function measureStarts(
  logins: ViewerUsers,
  { driver, connections, seconds, rounds }: Omit<RateInit, 'users'>,
): Promise<LoadFigures> {
  const running = await startViewerServers(logins, { driver });
  const { servers, redis } = running;
  const [{ controlUrl, pid }] = servers;
  try {
    let user = 0;
    const body = JSON.stringify({ content: { kind: 'vod', id: 'film' } });
    const next = () => {
      user += 1;
      return { path: '/v1/sessions', authorization: logins.authorization(`starter-${user}`), body };
    };
    const pids = [pid, ...(redis ? [redis.pid] : [])];
    return await timedLoad({ url: controlUrl, method: 'POST', connections, seconds, rounds, next, pids });
  } finally {
    await running.close();
  }
}
