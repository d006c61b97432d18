import { CallGate, type CallGateDeps } from './call-gate.ts';
import { assertKey, assertName, assertReport } from './resume-entry.ts';
import { type ProfileKey, RESUME_DEADLINE_MS, type ResumeReport } from './resume-store.ts';

/**
 * What every driver of the resume store has before it: a call is looked at before the driver sees it (what is wrong is a
 * fault of the caller, a RangeError), ends in time and is counted.
 */
export class ResumeGate {
  readonly #gate: CallGate;

  constructor(deps: CallGateDeps) {
    const options = { part: 'resume', code: 'RESUME_UNAVAILABLE', deadlineMs: RESUME_DEADLINE_MS } as const;
    this.#gate = new CallGate(options, deps);
  }

  /** A call about one title of a profile. */
  ofTitle<T>(key: ProfileKey, title: string, call: () => T | Promise<T>): Promise<T> {
    return this.#gate.run(() => {
      assertKey(key, title);
      return call();
    });
  }

  ofReport<T>(key: ProfileKey, report: ResumeReport, call: () => T | Promise<T>): Promise<T> {
    return this.#gate.run(() => {
      assertKey(key);
      assertReport(report);
      return call();
    });
  }

  ofProfile<T>(key: ProfileKey, call: () => T | Promise<T>): Promise<T> {
    return this.#gate.run(() => {
      assertKey(key);
      return call();
    });
  }

  /** A call about everything of a user. */
  ofViewer<T>(viewer: string, call: () => T | Promise<T>): Promise<T> {
    return this.#gate.run(() => {
      assertName(viewer);
      return call();
    });
  }

  /** Refuses further calls and resolves when those under way are over, or at the deadline. Idempotent. */
  close(): Promise<void> {
    return this.#gate.close();
  }
}
