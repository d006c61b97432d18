/**
 * Why a connection ended, as a metric label and log field: a closed set. With each reason goes what the publisher (if
 * there is one) is told.
 */
export const CLOSE_REASONS = {
  /** The peer said goodbye: FCUnpublish, deleteStream or closeStream. */
  unpublished: 'unpublished',
  /** The peer closed or reset the connection. */
  disconnected: 'disconnected',
  /** Our own shutdown. */
  shutdown: 'disconnected',
  /** The stream hub closed the publisher: kicked, or its media was refused. */
  hub: 'error',
  /** The TLS handshake failed or was not finished. */
  tls_failed: 'error',
  handshake_invalid: 'error',
  handshake_timeout: 'timeout',
  command_timeout: 'timeout',
  silence_timeout: 'timeout',
  auth_refused: 'error',
  /** Over the allowed refusals a minute: the authoriser was not asked. */
  auth_rate: 'error',
  auth_timeout: 'error',
  /** The authoriser failed. */
  auth_error: 'error',
  stream_busy: 'error',
  stream_limit: 'error',
  stream_invalid: 'error',
  /** The hub is shutting down. */
  stream_closing: 'error',
  play_refused: 'error',
  second_publish: 'error',
  media_unauthorised: 'error',
  codec_unsupported: 'error',
  media_invalid: 'error',
  amf_invalid: 'error',
  command_invalid: 'error',
  control_invalid: 'error',
  chunk_invalid: 'error',
  chunk_size: 'error',
  chunk_streams: 'error',
  message_too_large: 'error',
  bytes_in_flight: 'error',
  send_queue: 'error',
  bitrate: 'error',
  connection_limit: 'error',
  address_limit: 'error',
  /** A bug of ours; the log line has the cause. */
  internal: 'error',
} as const satisfies Record<string, 'unpublished' | 'disconnected' | 'timeout' | 'error'>;

/** A label of `ingest_rtmp_closed_total`. */
export type CloseReason = keyof typeof CLOSE_REASONS;
