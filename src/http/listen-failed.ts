import { AppError } from '../base/errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'this user may not open the port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is not known',
};

/** Says in one sentence why a listener could not be opened. */
export function listenFailed(host: string, port: number, cause: NodeJS.ErrnoException | undefined): AppError {
  const reason = REASONS[cause?.code ?? ''] ?? cause?.message ?? 'the operating system refused';
  return new AppError('HTTP_LISTEN_FAILED', `cannot listen on ${host}:${port}: ${reason}`, { cause });
}
