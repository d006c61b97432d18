import type { RejectCode } from './reject.ts';
import { REJECT } from './reject.ts';

type PublisherEnd = 'unpublished' | 'disconnected' | 'timeout' | 'error';

/**
 * Why a connection ended or a caller was turned away, as a metric label and log field: a closed set. With each reason
 * goes what the publisher (if there is one) is told.
 */
export const CLOSE_REASONS = {
  /** The peer said goodbye. */
  unpublished: 'unpublished',
  /** Nothing at all came from the peer for too long. */
  peer_idle: 'disconnected',
  /** Our own shutdown. */
  shutdown: 'disconnected',
  /** The stream hub closed the publisher: kicked, replaced, or its media was refused. */
  hub: 'error',
  /** The peer is there but sends no media. */
  silence_timeout: 'timeout',
  /** The caller is not one of ours: its version, its options or its handshake. */
  handshake_refused: 'error',
  streamid_refused: 'error',
  /** It asked to watch. */
  mode_refused: 'error',
  auth_refused: 'error',
  /** Over the allowed refusals a minute: the authoriser was not asked. */
  auth_rate: 'error',
  auth_timeout: 'error',
  /** The authoriser failed. */
  auth_error: 'error',
  /** The passphrase is wrong. */
  bad_secret: 'error',
  /** One side encrypts and the other does not. */
  unsecure: 'error',
  stream_busy: 'error',
  stream_limit: 'error',
  stream_invalid: 'error',
  /** The hub is shutting down. */
  stream_closing: 'error',
  codec_unsupported: 'error',
  bitrate: 'error',
  connection_limit: 'error',
  address_limit: 'error',
  /** A source that is pulled turned us away, or did not answer. */
  pull_refused: 'error',
  pull_timeout: 'timeout',
  /** Its name is not found, or there is no way to it. */
  pull_unreachable: 'error',
  /** A bug of ours; the log line has the cause. */
  internal: 'error',
} as const satisfies Record<string, PublisherEnd>;

/** A label of `ingest_srt_closed_total`. */
export type CloseReason = keyof typeof CLOSE_REASONS;

/** What a caller is told that is turned away for a reason of ours. Why exactly a key is refused is not told. */
export const REJECTIONS: Readonly<Partial<Record<CloseReason, RejectCode>>> = {
  streamid_refused: REJECT.badRequest,
  mode_refused: REJECT.badMode,
  auth_refused: REJECT.unauthorised,
  auth_rate: REJECT.forbidden,
  auth_timeout: REJECT.serverError,
  auth_error: REJECT.serverError,
  bad_secret: REJECT.badSecret,
  unsecure: REJECT.unsecure,
  stream_busy: REJECT.conflict,
  stream_limit: REJECT.overload,
  stream_invalid: REJECT.badRequest,
  stream_closing: REJECT.down,
  shutdown: REJECT.closing,
  internal: REJECT.serverError,
};
