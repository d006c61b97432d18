import type { LiveWindow, Period } from '../../src/stream/live-window.ts';
import { tierOf } from '../../src/media/protection.ts';
import { exampleProtection } from './protection.ts';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, type ModelOptions, WindowModel } from './window-model.ts';

/** A model of an encrypted stream: 720p, and sound, each with its own key for each key period. */
export function encryptedModel(options: Partial<ModelOptions> = {}): WindowModel {
  return new WindowModel({
    video: { ...DEFAULT_VIDEO, width: 1280, height: 720 },
    audio: DEFAULT_AUDIO,
    windowSeconds: 20,
    protection: (id, keyPeriod) => exampleProtection(id === 'audio' ? 'AUDIO' : 'HD', keyPeriod),
    ...options,
  });
}

/** The same window with a rung of 480 lines beside the video, whose key is of tier SD. */
export function withSmallRung(model: WindowModel): LiveWindow {
  const rung = { ...model.rendition('video'), id: '480p' };
  const [video, ...others] = model.renditions;
  return {
    stream: model.stream,
    plan: model.plan,
    state: model.state,
    version: model.version,
    mpdChangedMs: model.mpdChangedMs,
    published: model.published,
    splices: model.splices,
    inbandEvents: model.inbandEvents,
    periods: model.periods.map(withRung),
    upcoming: model.upcoming && withRung(model.upcoming),
    renditions: [...(video ? [video] : []), rung, ...others],
    subscribe: () => model.subscribe(),
  };
}

function withRung(period: Period): Period {
  const video = period.tracks.get('video');
  if (video?.kind !== 'video') return period;
  const track = { ...video, width: 854, height: 480 };
  const keyPeriod = period.protections.get('video')?.kid[0] ?? 0;
  return {
    ...period,
    tracks: new Map([...period.tracks, ['480p', track]]),
    inits: new Map([...period.inits, ['480p', new Uint8Array(8)]]),
    protections: new Map([...period.protections, ['480p', exampleProtection(tierOf(track), keyPeriod)]]),
  };
}
