/** Ranges of time, as a media element gives them. */
interface Ranges {
  readonly length: number;
  start(index: number): number;
  end(index: number): number;
}

/** A hole this small is played over by browsers and players. */
const SMALL_GAP_SECONDS = 0.1;

/**
 * The rendition whose size the picture has; of several as large, the one that is being fetched. That one, too, when
 * none is as large: of a rendition that another took the place of, Shaka goes on telling the former one's size.
 */
export function shownRendition(
  video: { readonly videoWidth: number; readonly videoHeight: number },
  renditions: readonly { readonly id: string; readonly width: number; readonly height: number }[],
  loading: string | undefined,
): string | undefined {
  const fitting = renditions.filter(
    ({ width, height }) => width === video.videoWidth && height === video.videoHeight,
  );
  if (fitting.length === 0) return video.videoWidth > 0 ? loading : undefined;
  return (fitting.find(({ id }) => id === loading) ?? fitting[0])?.id;
}

/** Milliseconds from the playhead to the end of all media that is buffered; below nought when it has run past. */
export function newestMediaMs(video: { readonly currentTime: number; readonly buffered: Ranges }): number {
  const { buffered, currentTime } = video;
  return buffered.length === 0 ? 0 : (buffered.end(buffered.length - 1) - currentTime) * 1000;
}

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
