import type { Rendition } from '../stream/live-window.ts';
import type { AudioTrack, VideoTrack } from '../stream/track.ts';

/** The bit rates a manifest declares for one rendition, bits a second. */
export interface DeclaredRate {
  /** Never below the measured peak. */
  readonly peakBps: number;
  /** Never above {@link peakBps}. */
  readonly averageBps: number;
}

/** Room over the measured peak for segments still to come (Apple allows a peak of 125 % of what is declared). */
const HEADROOM = 1.1;
/** Few segments say little about the peak: more room until there are {@link SETTLED_SEGMENTS} of them. */
const EARLY_HEADROOM = 1.5;
const SETTLED_SEGMENTS = 5;

/** Before anything is measured: what a camera encoder typically spends on a pixel. */
const BITS_PER_PIXEL = 0.1;
const ASSUMED_FRAME_RATE = 30;
const AUDIO_FLOOR_BPS = 128_000;

/** What to declare for `rendition`: measured rates with headroom, rounded up so that it seldom changes. */
export function declaredRate(rendition: Rendition, track: VideoTrack | AudioTrack): DeclaredRate {
  if (!(rendition.peakBps > 0)) {
    const floor = roundUp(floorBps(track));
    return { peakBps: floor, averageBps: floor };
  }
  const headroom = closedSegments(rendition) < SETTLED_SEGMENTS ? EARLY_HEADROOM : HEADROOM;
  const peakBps = roundUp(rendition.peakBps * headroom);
  const averageBps = Math.min(peakBps, roundUp(Math.max(1, rendition.averageBps)));
  return { peakBps, averageBps };
}

function floorBps(track: VideoTrack | AudioTrack): number {
  if (track.kind === 'audio') return AUDIO_FLOOR_BPS;
  const { frameTicks } = track.cadence;
  const framesPerSecond = frameTicks === undefined ? ASSUMED_FRAME_RATE : track.timescale / frameTicks;
  return track.width * track.height * framesPerSecond * BITS_PER_PIXEL;
}

/** Complete segments held, counted no further than matters. */
function closedSegments(rendition: Rendition): number {
  let count = 0;
  for (let i = rendition.segments.length - 1; i >= 0 && count < SETTLED_SEGMENTS; i--) {
    if (rendition.segments[i]?.state === 'closed') count++;
  }
  return count;
}

/** Up to two significant digits: steps of 1 to 10 %. */
function roundUp(bps: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(bps)) - 1);
  return Math.ceil(bps / step) * step;
}
