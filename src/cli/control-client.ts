import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError, ERRORS, type ErrorCode } from '../base/errors.ts';
import type { Config } from '../config.ts';
import { reachableHost } from './reachable-host.ts';

/** What the control API answered. */
export interface ControlAnswer {
  readonly status: number;
  /** Undefined: it had no body. */
  readonly json: unknown;
}

/** Calls the control API of a server on this machine, as its operator. */
export interface ControlClient {
  /** @throws AppError with the server's own code, or CLI_SERVER_UNREACHABLE */
  call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<ControlAnswer>;
}

/** Where a server that runs puts the admin token. */
const TOKEN_FILE = join('secrets', 'admin.token');

/** @throws AppError CLI_SERVER_UNREACHABLE when there is no admin token: no server was ever started with that data folder */
export async function openControlClient(config: Config): Promise<ControlClient> {
  const file = join(resolve(config.dataDir), TOKEN_FILE);
  const token = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError(
      'CLI_SERVER_UNREACHABLE',
      `${file} cannot be read: is this the server's data folder?`,
      { cause },
    );
  });
  const base = `http://${reachableHost(config.control.host)}:${config.control.port}`;
  return {
    async call(method, path, body) {
      const answer = await fetch(base + path, {
        method,
        headers: {
          authorization: `Bearer ${token.trim()}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      }).catch((cause: unknown) => {
        throw new AppError('CLI_SERVER_UNREACHABLE', `nothing answers at ${base}: is the server running?`, {
          cause,
        });
      });
      const text = await answer.text();
      const json: unknown = text === '' ? undefined : JSON.parse(text);
      if (!answer.ok) throw problemOf(json, answer.status);
      return { status: answer.status, json };
    },
  };
}

function problemOf(json: unknown, status: number): AppError {
  const { code, detail, title } = (json ?? {}) as { code?: string; detail?: string; title?: string };
  const known = code !== undefined && code in ERRORS ? (code as ErrorCode) : 'INTERNAL';
  return new AppError(known, detail ?? title ?? `the server answered ${status}`);
}
