import { ageOfPictureMs, CODE_BLOCKS, readPictureClock } from './picture-clock.ts';

/** Pixels a block is drawn with: enough that its middle is free of its neighbours' edges. */
const BLOCK_PX = 6;
const WIDTH_PX = CODE_BLOCKS * BLOCK_PX;

/** What one presented frame showed. */
export interface GlassReading {
  /** Drawing of the frame to its showing here; undefined when the picture holds no clock. */
  readonly glassToGlassMs: number | undefined;
}

/** Measures the true delay of a video that has a clock in its picture, on each frame that is presented. */
export class GlassMeter {
  readonly #video: HTMLVideoElement;
  readonly #onReading: (reading: GlassReading) => void;
  readonly #wallMsNow: () => number;
  readonly #context: CanvasRenderingContext2D | null;
  #callback: number | undefined;

  /** `wallMsNow` is the time by the clock that drew the pictures, Unix milliseconds. */
  constructor(video: HTMLVideoElement, wallMsNow: () => number, onReading: (reading: GlassReading) => void) {
    this.#video = video;
    this.#wallMsNow = wallMsNow;
    this.#onReading = onReading;
    const canvas = document.createElement('canvas');
    canvas.width = WIDTH_PX;
    canvas.height = 1;
    this.#context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  }

  /** Whether this browser tells when a frame is presented. */
  static supported(): boolean {
    return 'requestVideoFrameCallback' in HTMLVideoElement.prototype;
  }

  start(): void {
    if (this.#callback !== undefined || !GlassMeter.supported()) return;
    this.#callback = this.#video.requestVideoFrameCallback(this.#onFrame);
  }

  stop(): void {
    if (this.#callback !== undefined) this.#video.cancelVideoFrameCallback(this.#callback);
    this.#callback = undefined;
  }

  readonly #onFrame = (now: number, frame: VideoFrameCallbackMetadata): void => {
    this.#callback = this.#video.requestVideoFrameCallback(this.#onFrame);
    const time = this.#readClock();
    if (time === undefined) return this.#onReading({ glassToGlassMs: undefined });
    // A callback may come late, and then what is drawn may be newer than its metadata: the later of both is honest.
    const shownAt = Math.max(now, frame.expectedDisplayTime);
    const wallMs = this.#wallMsNow() + shownAt - performance.now();
    this.#onReading({ glassToGlassMs: ageOfPictureMs(time, wallMs) });
  };

  /** Draws only the middle of the row of blocks, as one line of pixels. */
  #readClock(): number | undefined {
    const { videoWidth } = this.#video;
    if (!this.#context || videoWidth === 0) return undefined;
    const block = videoWidth / CODE_BLOCKS;
    this.#context.drawImage(
      this.#video,
      0,
      block * 0.375,
      videoWidth,
      Math.max(1, block * 0.25),
      0,
      0,
      WIDTH_PX,
      1,
    );
    return readPictureClock(this.#context.getImageData(0, 0, WIDTH_PX, 1).data, WIDTH_PX);
  }
}
