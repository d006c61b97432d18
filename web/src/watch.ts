import type { Content } from '../sdk/session-types.ts';
import { Controls } from './controls.ts';
import { byId } from './dom.ts';
import { GlassMeter } from './glass-meter.ts';
import { openLive } from './live-page.ts';
import { PageReadings } from './page-api.ts';
import { contentOf, parsePageOptions } from './page-options.ts';
import { ProtectionCard } from './protection-card.ts';
import { QualityMenu } from './quality-menu.ts';
import { Readouts } from './readouts.ts';
import { ServerClock } from './server-clock.ts';
import { openSource, SessionSource, type StreamSource, takeLogin } from './stream-source.ts';
import { openTitle } from './title-page.ts';

const UPDATE_EVERY_MS = 500;
const CHECK_EVERY_MS = 100;

function openPage(): void {
  const video = byId('video', HTMLVideoElement);
  const content = contentOf(location.pathname);
  const options = parsePageOptions(location.search);
  byId('stream-name', HTMLElement).textContent = content.id;
  document.title = `${content.id} · Headwater`;
  document.body.dataset['kind'] = content.kind;
  video.muted = true;

  const clock = new ServerClock(new URL('/time', location.href));
  const source = sourceOf(content);
  const controls = new Controls(video, () => playback, options, content.kind);
  const page = { video, source, clock, options, controls };
  const { playback, update } = content.kind === 'vod' ? openTitle(content.id, page) : openLive(page);
  const readings = new PageReadings(video, playback);
  const readouts = new Readouts(readings, video);
  const quality = new QualityMenu(readings);
  const protection = new ProtectionCard(() => source.status);
  window.headwater = readings;

  controls.show(playback.state);
  playback.connect();
  void clock.synchronize();
  new GlassMeter(
    video,
    () => clock.nowMs(),
    (reading) => readings.add(reading),
  ).start();
  setInterval(() => playback.check(), CHECK_EVERY_MS);
  setInterval(() => {
    readouts.update();
    quality.update();
    protection.update();
    update();
  }, UPDATE_EVERY_MS);
}

function sourceOf(content: Content): StreamSource {
  const login = takeLogin();
  if (login === undefined) return openSource(new URL('.', location.href));
  const source = new SessionSource(content, login);
  addEventListener('pagehide', () => source.close());
  // Out of the browser's cache the page has no session any more.
  addEventListener('pageshow', ({ persisted }) => {
    if (persisted) source.onLost?.();
  });
  return source;
}

openPage();
