import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestServer } from './server.ts';
import { until } from './until.ts';

/** An answer of the control API. */
interface Answer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** A job as the control API shows it. */
export interface ShownJob {
  readonly id: string;
  readonly state: string;
  readonly progress: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** The control API of a server, as its operator. */
export async function controlOf(server: Pick<TestServer, 'dataDir' | 'controlUrl'>) {
  const token = (await readFile(join(server.dataDir, 'secrets', 'admin.token'), 'utf8')).trim();
  return async (method: string, path: string, body?: object): Promise<Answer> => {
    const answer = await fetch(server.controlUrl + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, json: (text === '' ? {} : JSON.parse(text)) as Answer['json'] };
  };
}

type Control = Awaited<ReturnType<typeof controlOf>>;

/** Asks for a title; its job. */
export async function addTitle(control: Control, wish: object): Promise<ShownJob> {
  const { status, json } = await control('POST', '/v1/assets', wish);
  if (status !== 202) throw new Error(`${status}: ${JSON.stringify(json)}`);
  return json as unknown as ShownJob;
}

/** Waits until a title is whole. @throws Error at once when its job has failed */
export async function whenWhole(
  control: Control,
  job: string,
  title: string,
  withinMs = 90_000,
): Promise<void> {
  await until(
    async () => {
      const { json } = await control('GET', `/v1/jobs/${job}`);
      if (json['state'] === 'failed') throw new Error(`failed: ${JSON.stringify(json['error'])}`);
      return (await control('GET', `/v1/assets/${title}`)).json['state'] === 'complete';
    },
    `${title} is whole`,
    withinMs,
  );
}
