import { execFile } from 'node:child_process';
import { type Environment, encoderEnvironment, findProgram } from './spawn-encoder.ts';

/** ffmpeg's list of filters is some tens of kilobytes. */
const MAX_LIST_BYTES = 1024 * 1024;
const LIST_TIMEOUT_MS = 10_000;

/** The names of the filters that an ffmpeg has; none when there is no such program, or it does not say. */
export async function listFilters(ffmpeg: string, environment: Environment): Promise<ReadonlySet<string>> {
  const program = findProgram(ffmpeg, environment);
  if (program === undefined) return new Set();
  const options = {
    cwd: '/',
    env: encoderEnvironment(environment),
    timeout: LIST_TIMEOUT_MS,
    maxBuffer: MAX_LIST_BYTES,
  };
  const list = await new Promise<string>((settle) => {
    execFile(program, ['-hide_banner', '-filters'], options, (error, stdout) => settle(error ? '' : stdout));
  });
  return new Set([...list.matchAll(/^ *\S+ +(\w+) +\S*->/gm)].map(([, name = '']) => name));
}
