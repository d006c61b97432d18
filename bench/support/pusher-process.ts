import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stop } from './headwater-process.ts';

/** What the pusher is told to publish. */
export interface PusherOrder {
  /** File of the clip. */
  readonly clip: string;
  /** RTMP port on loopback. */
  readonly port: number;
  readonly app: string;
  /** One publisher for each stream key. */
  readonly keys: readonly string[];
}

export type PusherAnswer = { readonly kind: 'publishing' } | ({ readonly kind: 'report' } & PusherReport);

export interface PusherReport {
  /** How late the latest message since the last report was handed to the kernel. */
  readonly worstLateMs: number;
  readonly sentMessages: number;
}

/** Publishers that run in a process of their own. */
export interface PusherProcess {
  readonly pid: number;
  /** How well real time was kept since the last report. @throws Error when the pusher is gone. */
  report(): Promise<PusherReport>;
  close(): Promise<void>;
}

/** Starts the pusher and waits until all its channels are publishing. @throws Error when the server refuses one. */
export async function startPusher(order: PusherOrder): Promise<PusherProcess> {
  const child = fork(fileURLToPath(new URL('./rtmp-pusher.js', import.meta.url)), {
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send(order);
  try {
    await answerOf(child);
  } catch (error) {
    await stop(child);
    throw error;
  }
  return {
    pid: child.pid ?? 0,
    async report() {
      if (!child.connected) throw new Error('the pusher is gone (see above)');
      child.send('report');
      const answer = await answerOf(child);
      if (answer.kind !== 'report') throw new Error('the pusher answered something else');
      return { worstLateMs: answer.worstLateMs, sentMessages: answer.sentMessages };
    },
    close: () => stop(child),
  };
}

function answerOf(child: ChildProcess): Promise<PusherAnswer> {
  return new Promise((resolve, reject) => {
    const onMessage = (answer: unknown): void => {
      child.off('close', onClose);
      resolve(answer as PusherAnswer);
    };
    const onClose = (code: number | null): void => {
      child.off('message', onMessage);
      reject(new Error(`the pusher ended with ${code} (see above)`));
    };
    child.once('message', onMessage);
    child.once('close', onClose);
  });
}
