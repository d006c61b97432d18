/** Why there was no answer, or no whole one. `closed`: we gave up ourselves. */
export type S3FailureKind = 'time_out' | 'network' | 'closed';

/** A request without a whole answer; what came of it at the other end is not known. */
export class S3Failure extends Error {
  readonly kind: S3FailureKind;
  /** A kept connection had been closed at the other end: nothing is wrong, try again at once. */
  readonly stale: boolean;

  constructor(
    kind: S3FailureKind,
    message: string,
    options: { readonly cause?: unknown; readonly stale?: boolean } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.stale = options.stale ?? false;
  }
}

/** What a connection failed with. */
export function asS3Failure(
  error: unknown,
  { reused = false, signal }: { readonly reused?: boolean; readonly signal?: AbortSignal } = {},
): S3Failure {
  if (error instanceof S3Failure) return error;
  if (signal?.aborted) return new S3Failure('closed', 'the request was given up', { cause: error });
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  return new S3Failure('network', `the connection failed${code}`, { cause: error, stale: reused });
}
