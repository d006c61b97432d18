/** A secret as it lies on disk: encrypted and authenticated under a key-encryption key (KEK). */
export interface WrappedSecret {
  /** Which KEK; says nothing about its value. */
  readonly kekId: string;
  readonly sealed: Uint8Array;
}

/**
 * Wraps content keys for rest. It answers at once, since encryption asks in the middle of a stream: a key management
 * service stands one level above and gives out the KEKs when the server starts (see {@link KekSource}).
 */
export interface KeyWrapper {
  /** The KEK that {@link wrap} uses now: the newest. */
  readonly kekId: string;
  /** `context` is not stored: the same must be given again to unwrap. */
  wrap(secret: Uint8Array, context: Uint8Array): WrappedSecret;
  /** Undefined: made under a KEK we do not have, for another context, or damaged. */
  unwrap(wrapped: WrappedSecret, context: Uint8Array): Uint8Array | undefined;
  /** Whether the KEK of that id is here. */
  has(kekId: string): boolean;
}

/** A key-encryption key, AES-256. */
export interface Kek {
  readonly id: string;
  readonly key: Uint8Array;
}

/** Where KEKs come from: a file, the environment, or a key management service. */
export interface KekSource {
  /**
   * All KEKs, the newest last; at least one.
   * @throws AppError SECRET_FILE_UNSAFE
   */
  load(): Promise<readonly Kek[]>;
  /** Changes when the KEKs may have changed, so that they need not be loaded to find out. */
  version(): Promise<string>;
}
