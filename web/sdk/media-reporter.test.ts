import { beforeEach, expect, it } from 'vitest';
import { type MediaLike, reportMedia } from './media-reporter.ts';
import type { Position } from './resume-types.ts';
import type { TitleResume } from './title-resume.ts';

class FakeMedia extends EventTarget implements MediaLike {
  currentTime = 0;
  duration = Number.NaN;
  paused = true;
  ended = false;

  fire(
    name: string,
    change: Partial<Pick<FakeMedia, 'currentTime' | 'duration' | 'paused' | 'ended'>> = {},
  ): void {
    Object.assign(this, change);
    this.dispatchEvent(new Event(name));
  }
}

class FakeDocument extends EventTarget {
  visibilityState: DocumentVisibilityState = 'visible';
}

let media: FakeMedia;
let document: FakeDocument;
let window: EventTarget;
let said: [kind: string, position: Position][];
let stop: () => void;

beforeEach(() => {
  media = new FakeMedia();
  document = new FakeDocument();
  window = new EventTarget();
  said = [];
  const note =
    (kind: string) =>
    (position: Position): void =>
      void said.push([kind, position]);
  const resume = { update: note('update'), seeked: note('seeked'), leave: note('leave') };
  stop = reportMedia(media, resume as Pick<TitleResume, 'update' | 'seeked' | 'leave'> as TitleResume, {
    document,
    window,
  });
});

function play(): void {
  media.fire('playing', { paused: false, currentTime: 10, duration: 100 });
}

it('says nothing of the seeks with which a player begins', () => {
  media.fire('seeked', { currentTime: 0, duration: 100 });
  media.fire('timeupdate');
  expect(said).toEqual([]);
  play();
  expect(said).toEqual([['update', { positionMs: 10_000, durationMs: 100_000, state: 'playing' }]]);
  media.fire('emptied', { currentTime: 0 });
  media.fire('seeked');
  expect(said).toHaveLength(1);
});

it('says what state it is in, and seeks of the viewer', () => {
  play();
  media.fire('pause', { paused: true });
  media.fire('seeked', { currentTime: 50 });
  media.fire('ended', { ended: true, currentTime: 100 });
  expect(said.slice(1).map(([kind, { state, positionMs }]) => [kind, state, positionMs])).toEqual([
    ['update', 'paused', 10_000],
    ['seeked', 'paused', 50_000],
    ['update', 'completed', 100_000],
  ]);
});

it('has a last word when the page is hidden, when it goes, and when it is told to stop', () => {
  play();
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  window.dispatchEvent(new Event('pagehide'));
  stop();
  window.dispatchEvent(new Event('pagehide'));
  media.fire('timeupdate', { currentTime: 20 });
  expect(said.slice(1).map(([kind, { state }]) => [kind, state])).toEqual([
    ['leave', 'playing'],
    ['leave', 'stopped'],
    ['leave', 'stopped'],
  ]);
});
