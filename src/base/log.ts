import { pino } from 'pino';

/** Values a log line may carry. Never a key, token, URL query or user id. */
type Fields = Record<string, unknown>;

/** JSON-lines logger: a constant message plus fields. `error` means that a person must act. */
export interface Logger {
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
  /** A logger that adds `fields` to every line. */
  child(fields: Fields): Logger;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Field names whose values are replaced, wherever they stand, should one ever slip into a line. */
const SECRET_FIELDS = [
  'key',
  'streamKey',
  'publishKey',
  'token',
  'authorization',
  'password',
  'secret',
  'passphrase',
];

/** Opens the process's logger: one JSON object a line on stdout (or on `fd`). */
export function createLogger(level: LogLevel, fd = 1): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    },
    pino.destination({ fd, sync: true }),
  );
}
