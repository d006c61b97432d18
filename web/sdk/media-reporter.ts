import type { Position, WatchState } from './resume-types.ts';
import type { TitleResume } from './title-resume.ts';

/** The part of a video or audio element that is read. */
export interface MediaLike extends Pick<EventTarget, 'addEventListener' | 'removeEventListener'> {
  readonly currentTime: number;
  readonly duration: number;
  readonly paused: boolean;
  readonly ended: boolean;
}

/** The part of `document` and `window` that tells that the page goes. */
export interface PageLike {
  readonly document: Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>;
  readonly window: Pick<Window, 'addEventListener' | 'removeEventListener'>;
}

/** Follows a media element and tells where it is. The returned function ends that, with a last word. */
export function reportMedia(media: MediaLike, resume: TitleResume, page: PageLike): () => void {
  let isStarted = false;
  const position = (state: WatchState): Position => ({
    positionMs: media.currentTime * 1000,
    durationMs: media.duration * 1000,
    state,
  });
  const stateNow = (): WatchState => (media.ended ? 'completed' : media.paused ? 'paused' : 'playing');
  const isKnown = (): boolean => isStarted && media.duration > 0;
  const onPlaying = (): void => {
    isStarted = true;
    resume.update(position('playing'));
  };
  const onChange = (): void => {
    if (isKnown()) resume.update(position(stateNow()));
  };
  const onSeeked = (): void => {
    if (isKnown()) resume.seeked(position(stateNow()));
  };
  const onLeave = (): void => {
    if (isKnown()) resume.leave(position(media.ended ? 'completed' : 'stopped'));
  };
  const onEmptied = (): void => {
    isStarted = false;
  };
  const onVisibility = (): void => {
    if (page.document.visibilityState === 'hidden' && isKnown()) resume.leave(position(stateNow()));
  };
  const listeners: readonly (readonly [string, () => void])[] = [
    ['playing', onPlaying],
    ['pause', onChange],
    ['timeupdate', onChange],
    ['ended', onChange],
    // Another player takes the element: it begins with seeks of its own.
    ['emptied', onEmptied],
    ['seeked', onSeeked],
  ];
  for (const [name, act] of listeners) media.addEventListener(name, act);
  page.window.addEventListener('pagehide', onLeave);
  page.document.addEventListener('visibilitychange', onVisibility);
  return () => {
    onLeave();
    for (const [name, act] of listeners) media.removeEventListener(name, act);
    page.window.removeEventListener('pagehide', onLeave);
    page.document.removeEventListener('visibilitychange', onVisibility);
  };
}
