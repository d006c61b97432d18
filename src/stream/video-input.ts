import {
  type Picture,
  parseVideoConfig,
  readVideoFrame,
  type VideoConfig,
  type VideoFrame,
  videoConfigOfFrame,
} from '../media/video-config.ts';
import type { VideoCodec } from './track.ts';

/** What became of a declared configuration. */
export type Declaration =
  /** Nothing new. */
  | { readonly kind: 'same' }
  | { readonly kind: 'configured' }
  /** The first key frame will tell the rest. */
  | { readonly kind: 'awaits-key' }
  | { readonly kind: 'unusable' }
  | { readonly kind: 'too-large'; readonly picture: Picture };

/** What became of an access unit. */
export type Reading =
  /** `changed`: it brought another configuration with it. */
  | { readonly kind: 'frame'; readonly frame: VideoFrame; readonly changed: boolean }
  | { readonly kind: 'empty' }
  | { readonly kind: 'malformed' }
  /** Not yet configured: nothing was declared, or the declared codec wants a key frame first. */
  | { readonly kind: 'unconfigured'; readonly awaitsKey: boolean }
  | { readonly kind: 'too-large'; readonly picture: Pick<Picture, 'width' | 'height'> | undefined };

interface Declared {
  readonly codec: VideoCodec;
  readonly bytes: Uint8Array;
}

/**
 * One video track as its publisher sends it: knows its configuration, which was declared or came with the frames, and
 * refuses pictures that are too large from the configuration and the frames' headers alone.
 */
export class VideoInput {
  readonly #maxPixels: number;
  #declared: Declared | undefined;
  #awaitsKey = false;
  #config: VideoConfig | undefined;

  constructor(maxPixels: number) {
    this.#maxPixels = maxPixels;
  }

  /** The configuration in force; the same object as long as nothing changes it. */
  get config(): VideoConfig | undefined {
    return this.#config;
  }

  /** Something usable was declared. */
  get declared(): boolean {
    return this.#config !== undefined || this.#awaitsKey;
  }

  declare(codec: VideoCodec, bytes: Uint8Array): Declaration {
    const known = this.#declared;
    if (known?.codec === codec && Buffer.compare(known.bytes, bytes) === 0) return { kind: 'same' };
    const parsed = parseVideoConfig(codec, bytes);
    if (!parsed) return { kind: 'unusable' };
    if (parsed !== 'in-band' && this.#isTooLarge(parsed.picture)) {
      return { kind: 'too-large', picture: parsed.picture };
    }
    this.#declared = { codec, bytes: bytes.slice() };
    this.#awaitsKey = parsed === 'in-band';
    if (parsed !== 'in-band') this.#config = parsed;
    else if (this.#config?.codec !== codec) this.#config = undefined;
    return { kind: this.#awaitsKey ? 'awaits-key' : 'configured' };
  }

  read(data: Uint8Array): Reading {
    const before = this.#config;
    const config = this.#awaitsKey ? (this.#configOfKey(data) ?? before) : before;
    if (!config) return { kind: 'unconfigured', awaitsKey: this.#awaitsKey };
    const frame = readVideoFrame(config, data);
    if (!frame) return { kind: 'malformed' };
    if (!frame.picture) return { kind: 'empty' };
    if (this.#isTooLarge(frame.config.picture)) return { kind: 'too-large', picture: frame.config.picture };
    if (frame.pixels > this.#maxPixels) return { kind: 'too-large', picture: undefined };
    this.#config = frame.config;
    if (config !== before) this.#awaitsKey = false;
    return { kind: 'frame', frame, changed: this.#config !== before };
  }

  #configOfKey(data: Uint8Array): VideoConfig | undefined {
    return this.#declared && videoConfigOfFrame(this.#declared.codec, this.#declared.bytes, data);
  }

  #isTooLarge({ width, height }: Picture): boolean {
    return width * height > this.#maxPixels;
  }
}
