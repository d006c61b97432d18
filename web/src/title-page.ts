import { byId } from './dom.ts';
import type { PageParts } from './page-parts.ts';
import type { Playback } from './playback.ts';
import { SeekBar, type SeekWords } from './seek-bar.ts';
import { fetchThumbnails } from './thumbnails.ts';
import { spokenTime, timeText } from './time-text.ts';
import { TitleMenus } from './title-menus.ts';
import { TitleNotes } from './title-notes.ts';
import { TitlePlayback } from './title-playback.ts';

/** The part of the watch page that is there for titles. */
export function openTitle(
  id: string,
  { video, source, options, controls }: Omit<PageParts, 'clock'>,
): { readonly playback: Playback; readonly update: () => void } {
  const notes = new TitleNotes({
    fromStart: () => playback.seek(0),
    goOnHere: () => void playback.goOnHere(),
  });
  const playback: TitlePlayback = new TitlePlayback(
    {
      video,
      source,
      onState: (state) => controls.show(state),
      onContinued: (positionMs) => notes.continued(positionMs),
      onHandedOff: (device) => notes.handedOff(device),
    },
    options,
  );
  const bar = new SeekBar({
    video,
    range() {
      const end = playback.durationSeconds;
      return end > 0 ? { start: 0, end } : undefined;
    },
    seek: (seconds) => playback.seek(seconds),
    words: WORDS,
  });
  const menus = new TitleMenus(video, playback);
  void showThumbnails(bar);
  void showName(id);
  return {
    playback,
    update() {
      bar.update();
      menus.update();
    },
  };
}

const WORDS: SeekWords = {
  place: timeText,
  whole: ({ end }) => timeText(end),
  spoken: (seconds, { end }) => `${spokenTime(seconds)} of ${spokenTime(end)}`,
};

async function showThumbnails(bar: SeekBar): Promise<void> {
  bar.thumbnails = await fetchThumbnails(new URL('.', location.href));
}

/** What people call the title, where titles are listed. */
async function showName(id: string): Promise<void> {
  try {
    const answer = await fetch('/vod/titles.json');
    const { titles } = (await answer.json()) as { readonly titles: readonly { id: string; name: string }[] };
    const name = titles.find((title) => title.id === id)?.name ?? '';
    if (name === '') return;
    byId('stream-name', HTMLElement).textContent = name;
    document.title = `${name} · Headwater`;
  } catch {
    // Its id stays.
  }
}
