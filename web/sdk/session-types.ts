import type { ResumeRecord } from './resume-types.ts';

/** What is to be played. */
export interface Content {
  readonly kind: 'live' | 'vod';
  readonly id: string;
}

/** How a session is to be started. */
export interface SessionOptions {
  /** Whose place in a title is wanted: one of the user's profiles; `main` unless told otherwise. */
  readonly profile?: string | undefined;
  /** What the device says of its protection: L1 is hardware. */
  readonly robustness?: 'L1' | 'L2' | 'L3' | undefined;
  /** The id of a session of the same user that ends for this one. */
  readonly replaces?: string | undefined;
}

/** A session that is in the way of a new one. */
export interface SessionConflict {
  readonly sessionId: string;
  readonly content: string;
  readonly startedAt: string;
}

/** What the server answers to the start of a session, and to each heartbeat. */
export interface SessionGrant {
  readonly sessionId: string;
  readonly token: string;
  readonly tokenType: 'DPoP' | 'Bearer';
  readonly manifests: { readonly hls: string; readonly dash: string };
  readonly licenseUrl: string;
  readonly heartbeatSeconds: number;
  readonly expiresAt: string;
  readonly tiers: readonly string[];
  /** At the start, of a VOD title: a claim; null while positions cannot be kept. At a heartbeat: what became of the report. */
  readonly resume?: ResumeClaim | HeartbeatResume | null;
}

/** A play gesture that the server knows of. */
export interface ResumeClaim {
  readonly epoch: number;
  readonly record: ResumeRecord | null;
  /** The server's clock then, where it told. */
  readonly serverTimeMs?: number;
}

/** What became of a report that went along with a heartbeat. */
export interface HeartbeatResume {
  readonly record?: ResumeRecord | null;
  readonly conflict?: { readonly record: ResumeRecord | null };
  readonly error?: string;
}

/**
 * Why a session is over. `closed`: by this page. `revoked`: taken away. `ended`: by the user elsewhere, or silent for too
 * long. `refused`: it may not go on.
 */
export type SessionEnd = 'closed' | 'revoked' | 'ended' | 'refused';
