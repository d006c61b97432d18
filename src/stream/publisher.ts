/** Who is publishing: only what logs, metrics and the control API may show. */
export interface PublisherInfo {
  readonly protocol: 'rtmp';
  /** Session id, random, for logs. */
  readonly session: string;
  /** Address and port of the peer, for the control API and logs; never a metric label. */
  readonly remoteAddress: string;
  /** Timestamps given to {@link Publisher.write} are in these ticks a second and wrap at 2^wrapBits. */
  readonly timescale: number;
  readonly wrapBits: number;
}

/** One access unit as the protocol delivered it: source clock, may wrap, jump or repeat. */
export interface RawSample {
  readonly kind: 'video' | 'audio';
  /** Decode time, source ticks, modulo 2^wrapBits. */
  readonly dts: number;
  /** pts − dts in source ticks, may be negative. */
  readonly compositionOffset: number;
  readonly key: boolean;
  /** Length-prefixed NAL units (the configuration's lengthSize), or one raw AAC frame. Handed over: never reused. */
  readonly data: Uint8Array;
}

/**
 * The one who feeds a stream, from `StreamHub.publish()` until `close()` or until the hub closes it (the `onClosed`
 * given at publish). Calls never throw on bad media: what cannot be used is counted and dropped.
 */
export interface Publisher {
  readonly stream: string;
  /** Declares (or replaces) the H.264 configuration: an AVCDecoderConfigurationRecord. */
  videoConfig(config: Uint8Array): void;
  /** Declares (or replaces) the AAC configuration: an AudioSpecificConfig. */
  audioConfig(config: Uint8Array): void;
  /** What the source says it will send (onMetaData): the warm-up waits a little for what is announced. */
  announce(kinds: { readonly video: boolean; readonly audio: boolean }): void;
  write(sample: RawSample): void;
  /** Publisher gone. `graceful` when it said goodbye (deleteStream, FCUnpublish): still within the grace time. */
  close(reason: 'unpublished' | 'disconnected' | 'timeout' | 'error'): void;
}
