/** One playback session: who plays what on which device, from the start until it ends, is revoked or falls silent. */
export interface PlaybackSession {
  /** 1 to 64 characters of A-Z, a-z, 0-9, - and _; not to be guessed. */
  readonly id: string;
  /** Whose it is: a name that tells nobody who that is; at most 64 characters. */
  readonly viewer: string;
  /** Thumbprint of the device's key (RFC 7638); undefined for a session that is bound to none. */
  readonly device: string | undefined;
  /** `live/<stream>` or `vod/<title>`. */
  readonly content: string;
  /** Level that the device claims: L1, L2 or L3. */
  readonly robustness: string;
  /** Tiers that the user is entitled to, whatever the device. */
  readonly tiers: readonly string[];
  /** Ms since the Unix epoch, as all times here. */
  readonly startedMs: number;
  /** A heartbeat must come before it; else the session is over and its place free. */
  readonly aliveUntilMs: number;
  /** It is over then whatever comes. */
  readonly endsMs: number;
  /**
   * By whom its entitlement is judged again while it plays, sealed: at most 8 KiB that only those who wrote them can
   * read. Undefined: it is not judged again.
   */
  readonly login?: string | undefined;
}

/** What an operator can take away. `viewer` takes all the sessions of one user, and new ones too. */
export interface Revocable {
  readonly kind: 'session' | 'viewer' | 'device';
  /** Session id, viewer name, or thumbprint. */
  readonly id: string;
}

/** One thing that is taken away, and until when. */
export interface Revocation extends Revocable {
  readonly untilMs: number;
}

/** Why a session does not count, or that it does. `ended`: over, silent for too long, or never there. */
export type Standing = 'alive' | 'ended' | 'session_revoked' | 'viewer_revoked' | 'device_revoked';

export type CreateOutcome =
  | { readonly kind: 'created' }
  /** The viewer's sessions that are alive. */
  | { readonly kind: 'limit'; readonly sessions: readonly PlaybackSession[] }
  | { readonly kind: 'refused'; readonly standing: Exclude<Standing, 'alive' | 'ended'> };

export interface CreateRules {
  /** Sessions that one viewer may have alive at once, this one counted. */
  readonly maxAlive: number;
  /** A session of the same viewer that gives its place to this one; another's is left alone. */
  readonly replaces?: string | undefined;
  readonly nowMs: number;
}

/**
 * Where playback sessions and what was taken from them are kept. Every driver passes the same contract suite. Calls
 * reject with AppError LICENSE_STATE_UNAVAILABLE when the store cannot be used.
 */
export interface SessionStore {
  /**
   * Begins a session unless the viewer has as many as it may: checked and done in one step, whoever else does the same
   * at the same time. When it resolves, the session outlives a crash. An id that is alive already is taken over only
   * by the same viewer and device; else the answer is `refused` as a revoked session.
   */
  create(session: PlaybackSession, rules: CreateRules): Promise<CreateOutcome>;
  /**
   * Keeps a session until `aliveUntilMs` (never past its end). What is not alive any more stays so.
   * May be lost in a crash, together with at most a second before it: the next heartbeat makes up for it.
   */
  heartbeat(id: string, aliveUntilMs: number, nowMs: number): Promise<Standing>;
  /** Ends a session at the viewer's own wish. False when it was over. */
  end(id: string, nowMs: number): Promise<boolean>;
  /** A session that is kept, alive or not; ended ones are kept for a while. */
  find(id: string): Promise<PlaybackSession | undefined>;
  /** Whether a session counts now, its viewer and its device too. */
  standing(id: string, nowMs: number): Promise<Standing>;
  /** Sessions that are alive, of one viewer or of all, at most `limit`. */
  list(
    filter: { readonly viewer?: string | undefined },
    limit: number,
    nowMs: number,
  ): Promise<PlaybackSession[]>;
  /** Takes away until `untilMs`. When it resolves, it outlives a crash. */
  revoke(what: Revocable, untilMs: number): Promise<void>;
  /** Gives back. False when it was not taken. */
  restore(what: Revocable): Promise<boolean>;
  /** What is taken away now, at most `limit`. */
  revocations(limit: number, nowMs: number): Promise<Revocation[]>;
  /** Ends what is under way; idempotent. */
  close(): Promise<void>;
}

/** Remembers what may be used once. */
export interface ReplayCache {
  /**
   * True the first time that `id` (at most 256 characters) is claimed before `untilMs`, false ever after, whichever
   * process asks. Survives the end of the process, not of the machine: what it guards is valid for minutes.
   * Rejects with AppError LICENSE_STATE_UNAVAILABLE.
   */
  claim(id: string, untilMs: number, nowMs: number): Promise<boolean>;
}
