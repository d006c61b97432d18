import type { Sample, VideoTrack } from './track.ts';

/**
 * Where an encoder, or a source that makes them itself, puts the rungs of one stream: the packager's side of the ladder. Rungs have the
 * source's own times, so that their segments and parts have the source's boundaries. Calls are synchronous, do not
 * throw and may come for a stream that is gone.
 *
 * A rung is known by its id, which is also its rendition's: URL-safe, e.g. `480p`.
 */
export interface LadderSink {
  /**
   * The rungs that are to be expected from now on, best first; none when nothing encodes. Before the stream is first
   * shown, its playlists wait for them, though not for ever. Later a rung that is new joins the presentation, and one
   * that is not named any more leaves it, at a segment boundary.
   */
  expect(rungs: readonly string[]): void;
  /**
   * What a rung's samples from here on are; before the first sample of each encoder, be it the same or not. The
   * cadence is the source's.
   */
  track(rung: string, track: VideoTrack): void;
  /**
   * The next frame of a rung. Of an encoder, `dts` = `pts` = a source frame's pts; of a source that makes its rungs
   * itself, both are the source frame's. `dts` strictly grows over the life of the stream, and there is a key frame
   * exactly where the source has one (and where an encoder that replaced another goes on); samples at or before the
   * last one given are left out.
   */
  sample(rung: string, sample: Sample): void;
  /** All that was fed of the current timeline has come out: nothing more is to be waited for. */
  flushed(rung: string): void;
}
