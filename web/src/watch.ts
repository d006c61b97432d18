import { Controls } from './controls.ts';
import { byId } from './dom.ts';
import { GlassMeter } from './glass-meter.ts';
import { PageReadings } from './page-api.ts';
import { parsePageOptions, streamNameOf } from './page-options.ts';
import { PlaybackSession } from './playback-session.ts';
import { ProtectionCard } from './protection-card.ts';
import { QualityMenu } from './quality-menu.ts';
import { Readouts } from './readouts.ts';
import { ServerClock } from './server-clock.ts';
import { openSource, PassSource, takeLogin } from './stream-source.ts';

const UPDATE_EVERY_MS = 500;
const CHECK_EVERY_MS = 100;

function openPage(): void {
  const video = byId('video', HTMLVideoElement);
  const name = streamNameOf(location.pathname);
  const options = parsePageOptions(location.search);
  byId('stream-name', HTMLElement).textContent = name;
  document.title = `${name} · Headwater`;
  video.muted = true;

  const login = takeLogin();
  const source = login === undefined ? openSource(new URL('.', location.href)) : new PassSource(name, login);
  const clock = new ServerClock(new URL('/time', location.href));
  const controls = new Controls(video, () => session, options);
  const session: PlaybackSession = new PlaybackSession(
    { video, source, onState: (state) => controls.show(state) },
    options,
  );
  const readings = new PageReadings(video, session);
  const readouts = new Readouts(readings, video);
  const quality = new QualityMenu(readings);
  const protection = new ProtectionCard(() => source.status);
  window.headwater = readings;
  if (source instanceof PassSource) addEventListener('pagehide', () => source.close());

  controls.show(session.state);
  session.connect();
  void clock.synchronize();
  new GlassMeter(
    video,
    () => clock.nowMs(),
    (reading) => readings.add(reading),
  ).start();
  setInterval(() => session.check(), CHECK_EVERY_MS);
  setInterval(() => {
    readouts.update();
    quality.update();
    protection.update();
  }, UPDATE_EVERY_MS);
}

openPage();
