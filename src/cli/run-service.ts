import type { EventEmitter } from 'node:events';
import type { Clock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { EXIT_CODES, type ExitCode } from './command.ts';

/** Something that runs until it is closed; `close` drains, and is idempotent. */
export interface Service {
  start(): Promise<void>;
  close(): Promise<void>;
}

/** The process, as far as running a service needs it. */
export interface ServiceProcess extends Pick<EventEmitter, 'on' | 'off'> {
  /** Ends the process at once. */
  exit(code: ExitCode): void;
}

interface RunOptions {
  readonly process: ServiceProcess;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a stop may take before the process is ended anyway. */
  readonly stopWithinMs: number;
}

/**
 * A Ctrl-C reaches us up to three times: from the terminal, from npm, and from the start script. Signals within
 * this time of the first are the same wish.
 */
const SAME_SIGNAL_MS = 1000;

/** Runs a service until SIGTERM or SIGINT. A second signal ends the process at once with exit code 1. */
export async function runService(service: Service, options: RunOptions): Promise<ExitCode> {
  const { process, log } = options;
  const stop = stopSignal(options);
  const crash = (error: unknown): void => {
    log.error({ code: errorCode(error), err: describeError(error) }, 'unexpected error, stopping');
    process.exit(EXIT_CODES.failed);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  try {
    await service.start();
    await stop.wanted;
    await service.close();
    log.info({ event: 'stopped' }, 'stopped');
    return EXIT_CODES.ok;
  } catch (error) {
    await service.close().catch((closing: unknown) => {
      log.error({ code: errorCode(closing), err: describeError(closing) }, 'closing failed');
    });
    throw error;
  } finally {
    stop.dispose();
    process.off('uncaughtException', crash);
    process.off('unhandledRejection', crash);
  }
}

function stopSignal({ process, clock, log, stopWithinMs }: RunOptions) {
  let firstMs: number | undefined;
  let resolve: () => void;
  const wanted = new Promise<void>((settle) => {
    resolve = settle;
  });
  const onSignal = (signal: string): void => {
    if (firstMs === undefined) {
      firstMs = clock.monotonicMs();
      log.info({ event: 'stopping', signal }, 'stopping');
      clock.after(stopWithinMs, () => {
        log.error({ code: 'INTERNAL' }, 'the stop took too long');
        process.exit(EXIT_CODES.failed);
      });
      resolve();
    } else if (clock.monotonicMs() - firstMs >= SAME_SIGNAL_MS) {
      log.warn({ event: 'stopping', signal }, 'second signal, ending at once');
      process.exit(EXIT_CODES.failed);
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const dispose = (): void => {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  };
  return { wanted, dispose };
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
