/** Ranges of time, as a media element gives them. */
interface Ranges {
  readonly length: number;
  start(index: number): number;
  end(index: number): number;
}

/** A hole this small is played over by browsers and players. */
const SMALL_GAP_SECONDS = 0.1;

/** Milliseconds of media buffered ahead of the playhead without a hole. */
export function bufferAheadMs(video: { readonly currentTime: number; readonly buffered: Ranges }): number {
  const { buffered, currentTime } = video;
  let reached = currentTime;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= reached + SMALL_GAP_SECONDS && buffered.end(i) > reached)
      reached = buffered.end(i);
  }
  return (reached - currentTime) * 1000;
}
