import type { TsAudioCodec } from './ts-sink.ts';

/** What lies at one place of a stream of sound. */
export type FrameResult =
  | SoundFrame
  /** Nothing can be said before more bytes are there. */
  | { readonly kind: 'more' }
  /** No frame begins here. */
  | { readonly kind: 'damaged' }
  /** Well-formed, and no part of the sound that is taken. */
  | { readonly kind: 'skip'; readonly end: number }
  /** A frame that is not carried. */
  | { readonly kind: 'unsupported'; readonly end: number };

export interface SoundFrame {
  readonly kind: 'frame';
  /** Where it ends. */
  readonly end: number;
  readonly codec: TsAudioCodec;
  readonly config: Uint8Array;
  /** What follows says the same configuration. */
  readonly confirmed: boolean;
  /** The sample: bytes of its own, or ranges of the bytes given, which become one. */
  readonly data: Uint8Array | readonly (readonly [start: number, end: number])[];
  readonly samples: number;
  readonly sampleRate: number;
}

/** Knows the frames of one way to carry sound. */
export interface SoundFramer {
  /** No frame is longer; a longer wait is damage. */
  readonly maxFrameBytes: number;
  /** The byte that every frame begins with. */
  readonly firstByte: number;
  /** Looks at what begins at `at`. `bytes` ends where the bytes end that came. */
  frame(bytes: Buffer, at: number): FrameResult;
}
