import { byId } from './dom.ts';
import type { PageParts } from './page-parts.ts';
import type { Playback } from './playback.ts';
import { PlaybackSession } from './playback-session.ts';
import { SeekBar, type SeekWords } from './seek-bar.ts';
import { spokenTime, timeText } from './time-text.ts';

/** The part of the watch page that is there for live streams. */
export function openLive({ video, source, clock, options, controls }: PageParts): {
  readonly playback: Playback;
  readonly update: () => void;
} {
  const playback = new PlaybackSession(
    {
      video,
      source,
      serverNowMs: () => clock.nowMs(),
      onState: (state) => controls.show(state),
    },
    options,
  );
  const bar = new SeekBar({
    video,
    range: () => playback.seekRange,
    seek: (seconds) => playback.seek(seconds),
    words: WORDS,
  });
  const live = byId('go-live', HTMLButtonElement);
  live.addEventListener('click', () => playback.goLive());
  return {
    playback,
    update() {
      bar.update();
      live.hidden = playback.seekRange === undefined;
      live.setAttribute('aria-pressed', String(!playback.isBehind));
    },
  };
}

/** Nearer than this nobody counts the seconds. */
const LIVE_SECONDS = 3;

/** Places of a live stream are told by how far behind they are. */
const WORDS: SeekWords = {
  place: (seconds, { end }) => (end - seconds < LIVE_SECONDS ? 'Live' : `\u2212${timeText(end - seconds)}`),
  whole: () => '',
  spoken: (seconds, { end }) =>
    end - seconds < LIVE_SECONDS ? 'live' : `${spokenTime(end - seconds)} behind live`,
};
