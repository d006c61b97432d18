import { Agent, request } from 'node:http';
import type { ViewerUsers } from './viewer-users.ts';

/** One user that plays one title: reports with it hold, as each counts up from the last. */
export interface ResumePlayer {
  readonly authorization: string;
  readonly epoch: number;
  /** Of the last report. */
  seq: number;
}

export const TITLE = 'film';
export const RESUME_PATH = `/v1/resume/${TITLE}`;
const DEVICE = 'tv';
const DURATION_MS = 5_400_000;
/** Far enough into the title that it counts as watched. */
const FROM_MS = 600_000;

/** The body of the next report. */
export function nextReport(player: ResumePlayer): string {
  player.seq += 1;
  const { epoch, seq } = player;
  const place = { positionMs: FROM_MS + seq, durationMs: DURATION_MS, state: 'playing' };
  return JSON.stringify({ device: DEVICE, epoch, seq, ...place });
}

/** Kept connections to one server, as many as calls are under way. */
export class HttpCaller {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #host: string;
  readonly #port: string;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = port;
  }

  call(method: string, path: string, authorization: string, body: string): Promise<CallAnswer> {
    return new Promise((resolve, reject) => {
      const headers = { authorization, 'content-length': Buffer.byteLength(body) };
      const options = { agent: this.#agent, host: this.#host, port: this.#port, method, path, headers };
      const call = request(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      call.on('error', reject).end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export interface CallAnswer {
  readonly status: number;
  readonly text: string;
}

/** Calls under way at once while players begin. */
const AT_ONCE = 64;
const MAX_TURNS = 100;
const RETRY_MS = 100;

/** Has `count` users begin to play: each claims its epoch. */
export async function beginPlaying(
  caller: HttpCaller,
  users: ViewerUsers,
  count: number,
): Promise<ResumePlayer[]> {
  const players: ResumePlayer[] = [];
  let next = 0;
  const begin = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const authorization = users.authorization(`user-${index}`);
      const body = JSON.stringify({ device: DEVICE });
      const { status, text } = await answered(() => caller.call('POST', RESUME_PATH, authorization, body));
      if (status !== 201) throw new Error(`no epoch: ${status} ${text}`);
      players[index] = { authorization, epoch: (JSON.parse(text) as { epoch: number }).epoch, seq: 0 };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, begin));
  return players;
}

/** Asks again where the store was too busy to answer in time, as every client should. */
async function answered(call: () => Promise<CallAnswer>): Promise<CallAnswer> {
  for (let turn = 1; ; turn++) {
    const answer = await call();
    if (answer.status !== 503 || turn === MAX_TURNS) return answer;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
