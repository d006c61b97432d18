import type { ResumeRecord } from '../../state/resume-store.ts';
import type { SessionEnd } from './viewer-notices.ts';

/** Server-sent events (HTML Living Standard 9.2) as text. No value in them can hold a line break: all is JSON. */

/** A comment, which keeps the connection and shows when it is gone. */
export const PING = ': ping\n\n';

/** Everything of the profile is to be forgotten. */
export const RESET = 'event: reset\ndata: {}\n\n';

/** How long clients wait before they come again. */
export function retryText(retryMs: number): string {
  return `retry: ${retryMs}\n\n`;
}

/** Records in the order of their versions, each with its version as the id of the event. */
export function recordsText(records: readonly ResumeRecord[]): string {
  return records
    .map((record) => `id: ${record.version}\nevent: record\ndata: ${JSON.stringify(record)}\n\n`)
    .join('');
}

/** The sessions that are alive. */
export function sessionsText(alive: readonly string[]): string {
  return `event: sessions\ndata: ${JSON.stringify({ alive })}\n\n`;
}

/** A session is over. */
export function sessionText(sessionId: string, state: SessionEnd): string {
  return `event: session\ndata: ${JSON.stringify({ sessionId, state })}\n\n`;
}
