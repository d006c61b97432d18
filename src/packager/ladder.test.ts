import { describe, expect, it } from 'vitest';
import { PackagerBench } from '../../test/support/packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { segmentSamples, windowFaults } from '../../test/support/window-check.ts';
import type { Sample, TimelineReason, VideoTrack } from '../stream/track.ts';
import { renderMpd } from './dash/mpd.ts';
import { renderMediaPlaylist } from './hls/media-playlist.ts';
import { renderMultivariant } from './hls/multivariant.ts';

const SOURCE = { ...videoTrack(), width: 1280, height: 720 };
/** The same stream at another resolution: another configuration record. */
const BIGGER = { ...SOURCE, config: SOURCE.config.map((byte, i) => (i === 3 ? 0x1f : byte)) };
const RUNG: VideoTrack = { ...videoTrack(), width: 640, height: 360 };

/** A stream whose encoder is played by the test: rung samples are the source's, sent on with a delay in frames. */
class LadderBench extends PackagerBench {
  constructor() {
    super({ ladder: true });
  }

  begin(reason: TimelineReason = 'start', video: VideoTrack = SOURCE): this {
    this.packager.begin(timeline({ video, audio: audioTrack() }, { reason }));
    return this;
  }

  /** The source from second `from` to second `to`, and each rung `lag` video frames behind. */
  run(from: number, to: number, rungs: readonly string[] = [], lag = 1): this {
    const startMs = EPOCH_MS + from * 1000;
    const seconds = to - from;
    const video = videoSamples({ startMs, seconds, isKey: (n) => (n + from * 30) % 60 === 0 });
    const waiting: Sample[] = [];
    for (const sample of interleave(video, audioSamples({ startMs, seconds }))) {
      this.feed([sample]);
      if (sample.kind !== 'video') continue;
      waiting.push(sample);
      if (waiting.length > lag) this.encode(rungs, waiting.splice(0, waiting.length - lag));
    }
    this.encode(rungs, waiting);
    return this;
  }

  encode(rungs: readonly string[], samples: readonly Sample[]): void {
    for (const sample of samples) for (const rung of rungs) this.packager.rungs.sample(rung, sample);
  }

  expect(...rungs: string[]): this {
    this.packager.rungs.expect(rungs);
    return this;
  }

  tell(rung: string, track: VideoTrack = RUNG): this {
    this.packager.rungs.track(rung, track);
    return this;
  }

  states(id: string): string {
    return this.rendition(id)
      .segments.map(({ state }) => state[0])
      .join('');
  }

  /** Decode times of all frames of a rendition, and whether they are all there once. */
  frames(id: string): number[] {
    return this.rendition(id).segments.flatMap((segment) => segmentSamples(segment).map(({ dts }) => dts));
  }
}

describe('a ladder that is there from the beginning', () => {
  it('has the very segments, parts and frames of the source in every rung', () => {
    const bench = new LadderBench().begin().run(0, 2).expect('480p', '240p').tell('480p').tell('240p');
    bench.encode(['480p', '240p'], videoSamples({ seconds: 2 }));
    bench.run(2, 13, ['480p', '240p']);
    expect(bench.window.renditions.map(({ id }) => id)).toEqual(['video', '480p', '240p', 'audio']);
    expect(bench.window.periods).toHaveLength(1);
    expect(bench.states('480p')).toBe(bench.states('video'));
    expect(bench.frames('240p')).toEqual(bench.frames('video'));
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('is not shown before every rung has a segment', () => {
    const bench = new LadderBench().begin().run(0, 4).expect('480p').tell('480p');
    expect(bench.window.published).toBe(false);
    bench.encode(['480p'], videoSamples({ seconds: 1.9 }));
    expect(bench.window.published).toBe(false);
    bench.encode(['480p'], videoSamples({ seconds: 2.2 }));
    expect(bench.window.published).toBe(true);
  });

  it('is shown at once when nothing is going to be encoded', () => {
    const bench = new LadderBench().begin().run(0, 3);
    expect(bench.window.published).toBe(false);
    bench.expect();
    expect(bench.window.published).toBe(true);
    expect(bench.window.renditions.map(({ id }) => id)).toEqual(['video', 'audio']);
  });

  it('is shown without rungs when an encoder says nothing for six seconds', () => {
    const bench = new LadderBench().begin().run(0, 6);
    expect(bench.window.published).toBe(false);
    bench.run(6, 8.2);
    expect(bench.window.published).toBe(true);
  });

  it('is shown without a rung that never comes, and lets go of one that is given up before', () => {
    const bench = new LadderBench().begin().expect('480p', '240p').run(0, 7).tell('480p');
    expect(bench.window.published).toBe(false);
    bench.expect('480p');
    bench.encode(['480p'], videoSamples({ seconds: 7 }));
    expect(bench.window.published).toBe(true);
    expect(bench.window.renditions.map(({ id }) => id)).toEqual(['video', '480p', 'audio']);
    expect(windowFaults(bench.window)).toEqual([]);

    const late = new LadderBench().begin().expect('480p').run(0, 11);
    expect(late.window.published).toBe(true);
    expect(renderMultivariant(late.window)).not.toContain('480p');
    expect(windowFaults(late.window)).toEqual([]);
  });
});

describe('an encoder that starts again', () => {
  it('loses nothing when it catches up within six seconds', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5.5, ['480p']);
    bench.run(5.5, 10);
    expect(bench.states('480p')).toBe('cco');
    // It starts with the last key frame; what was given before is left out.
    bench.encode(['480p'], videoSamples({ startMs: EPOCH_MS + 4000, seconds: 6 }));
    bench.run(10, 13, ['480p']);
    expect(bench.frames('480p')).toEqual(bench.frames('video'));
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('goes on with the next whole segment when it was away for longer', async () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    bench.run(5, 15);
    bench.encode(['480p'], videoSamples({ startMs: EPOCH_MS + 13_000, seconds: 2, isKey: () => false }));
    bench.run(15, 19, ['480p']);
    expect(bench.states('480p')).toBe('cccgggggco');
    expect(
      await bench.metric('packager_dropped_samples_total', { reason: 'awaits_boundary' }),
    ).toBeGreaterThan(0);
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });

  it('drops a frame that was given before', async () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 3, ['480p']);
    bench.encode(['480p'], videoSamples({ startMs: EPOCH_MS + 2000, seconds: 1 }));
    expect(await bench.metric('packager_dropped_samples_total', { reason: 'repeated' })).toBe(30);
    expect(bench.frames('480p')).toEqual(bench.frames('video'));
  });
});

describe('rungs that come and go while the stream is watched', () => {
  it('joins with a new period at the next cut, gaps before it', () => {
    const bench = new LadderBench().begin().run(0, 4).expect().run(4, 7).expect('480p').tell('480p');
    bench.run(7, 13, ['480p']);
    expect(bench.states('480p')).toBe('ggggcco');
    const [first, second] = bench.window.periods;
    expect(bench.window.periods).toHaveLength(2);
    expect(second?.continues).toBe(first?.id);
    expect([...(second?.tracks.keys() ?? [])]).toEqual(['video', 'audio', '480p']);
    expect(bench.rendition('video').segments.some(({ discontinuity }) => discontinuity)).toBe(false);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('leaves with a new period at the next cut, and is offered to nobody after it', () => {
    const bench = new LadderBench().begin().expect('480p', '240p').tell('480p').tell('240p');
    bench.run(0, 5, ['480p', '240p']);
    expect(renderMultivariant(bench.window)).toContain('480p.m3u8');
    bench.expect('240p').run(5, 11, ['240p']);
    expect(bench.window.periods).toHaveLength(2);
    expect(renderMultivariant(bench.window)).not.toContain('480p.m3u8');
    expect(renderMpd(bench.window, { clockUrl: 'time' }).match(/Representation id="480p"/g)).toHaveLength(1);
    expect(bench.states('480p')).toBe('cccggo');
    expect(renderMediaPlaylist(bench.window, bench.rendition('480p'))).not.toContain('PRELOAD-HINT');
    expect(bench.frames('240p')).toEqual(bench.frames('video'));
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });
});

describe('a rung that an encoder makes otherwise than before', () => {
  it('begins a period that continues nothing, with a discontinuity in every rendition', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    bench.tell('480p', { ...RUNG, config: BIGGER.config }).run(5, 9, ['480p']);
    expect(bench.window.periods.map(({ continues }) => continues)).toEqual([undefined, undefined]);
    for (const { segments } of bench.window.renditions) {
      expect(segments.map(({ discontinuity }) => discontinuity)).toEqual([false, false, false, true, false]);
    }
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });
});

describe('a rung whose encoder stops in the middle of a segment', () => {
  it('has a gap there in HLS, as long as the segment of the others', () => {
    const bench = new LadderBench()
      .begin()
      .expect('480p')
      .tell('480p')
      .run(0, 5, ['480p'])
      .expect()
      .run(5, 9);
    const { number } = bench.rendition('480p').segments[2] ?? { number: Number.NaN };
    const lines = renderMediaPlaylist(bench.window, bench.rendition('480p')).split('\n');
    const at = lines.findIndex((line) => line.endsWith(`/${number}.m4s`));
    expect(lines.slice(at - 2, at)).toEqual(['#EXT-X-GAP', '#EXTINF:2.00000,']);
    expect(lines.filter((line) => line.includes(`/${number}.0.m4s`))).toEqual([]);
    expect(renderMediaPlaylist(bench.window, bench.rendition('video'))).not.toContain('#EXT-X-GAP');
  });
});

describe('a rung that was away and is made otherwise when it comes back', () => {
  const comeBack = (track: VideoTrack): LadderBench =>
    new LadderBench()
      .begin()
      .expect('480p')
      .tell('480p')
      .run(0, 5, ['480p'])
      .expect()
      .run(5, 9)
      .expect('480p')
      .tell('480p', track)
      .run(9, 15, ['480p']);

  it('comes with a discontinuity in every rendition', () => {
    const { window } = comeBack({ ...RUNG, config: BIGGER.config });
    expect(window.periods.map(({ tracks }) => tracks.has('480p'))).toEqual([true, false, true]);
    const [, away, back] = window.periods;
    expect([away?.continues, back?.continues]).toEqual([window.periods[0]?.id, undefined]);
    for (const { segments } of window.renditions) {
      const marked = segments.filter(({ discontinuity }) => discontinuity);
      expect(marked.map(({ number }) => number)).toEqual([back?.startNumber]);
    }
  });

  it('goes on where it is the same', () => {
    const { window } = comeBack(RUNG);
    expect(window.periods.map(({ continues }) => continues)).toEqual([
      undefined,
      window.periods[0]?.id,
      window.periods[1]?.id,
    ]);
    for (const { segments } of window.renditions) {
      expect(segments.some(({ discontinuity }) => discontinuity)).toBe(false);
    }
    // In DASH only a set with the same Representations goes on: the sound's.
    const [, ...later] = renderMpd(window, { clockUrl: 'time' }).split('<Period ').slice(1);
    for (const period of later) {
      const [pictures, sound] = period.split('<AdaptationSet ').slice(1);
      expect([pictures, sound].map((set) => set?.includes('period-continuity'))).toEqual([false, true]);
    }
  });
});

describe('a ladder across changes of the stream', () => {
  it('takes the last frames that come after the publisher has gone', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p'], 4);
    const tail = videoSamples({ startMs: EPOCH_MS + 5000, seconds: 0.5 });
    bench.feed(tail);
    bench.packager.away();
    expect(bench.states('480p')).toBe('cco');
    bench.encode(['480p'], tail);
    expect(bench.states('480p')).toBe('ccc');
    bench.clock.advance(4000);
    expect(bench.states('480p')).toBe(bench.states('video'));
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });

  it('waits for no frame once the encoder has said that there are no more', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    bench.feed(videoSamples({ startMs: EPOCH_MS + 5000, seconds: 0.5 }));
    bench.packager.away();
    expect(bench.states('480p')).toBe('cco');
    bench.packager.rungs.flushed('480p');
    expect(bench.states('480p')).toBe('ccc');
  });

  it('puts the end of one timeline before the start of the next', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p'], 0);
    const tail = videoSamples({ startMs: EPOCH_MS + 5000, seconds: 0.5 });
    bench.feed(tail);
    bench.begin('jump').feed(videoSamples({ startMs: EPOCH_MS + 5500, seconds: 1 }));
    bench.encode(['480p'], [...tail, ...videoSamples({ startMs: EPOCH_MS + 5500, seconds: 1 })]);
    bench.run(6.5, 7.5, ['480p']);
    expect(bench.frames('480p')).toEqual(bench.frames('video'));
    expect(bench.window.periods.map(({ tracks }) => tracks.has('480p'))).toEqual([true, true]);
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });

  it('has its rungs again at once when the same source comes back', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    bench.packager.away();
    bench.clock.advance(7000);
    bench.begin('resume').run(12, 17, ['480p']);
    expect(bench.window.periods.at(-1)?.tracks.has('480p')).toBe(true);
    expect(bench.states('480p')).toBe(bench.states('video'));
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });

  it('waits for the encoder to say what it makes of another source', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 4, ['480p']);
    bench.begin('tracks', BIGGER).run(4, 5);
    expect(bench.window.periods.at(-1)?.tracks.has('480p')).toBe(false);
    const bigger = { ...RUNG, width: 854, height: 480, config: BIGGER.config };
    bench.tell('480p', bigger).run(5, 10, ['480p']);
    expect(bench.window.periods.at(-1)?.tracks.get('480p')).toEqual(bigger);
    expect(bench.states('480p')).toBe('ccgco');
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });

  it('takes a rung in again that an encoder makes the same of another source', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 4, ['480p']);
    bench.begin('tracks', BIGGER).run(4, 5).tell('480p').run(5, 10, ['480p']);
    expect(bench.window.periods.at(-1)?.tracks.has('480p')).toBe(true);
    expect(bench.states('480p')).toBe('ccgco');
  });

  it('frees and empties everything when the stream starts anew after its window', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    bench.packager.away();
    bench.clock.advance(200_000);
    bench.begin('resume').run(206, 212, ['480p']);
    expect(bench.frames('480p').length).toBeGreaterThan(0);
    expect(bench.states('480p')).toBe(bench.states('video'));
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
  });
});

describe('manifests of a ladder', () => {
  it('offers each rung with its own codec, size and rate, and one audio group', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 9, ['480p']);
    const text = renderMultivariant(bench.window);
    expect(text.match(/RESOLUTION=\d+x\d+/g)).toEqual(['RESOLUTION=1280x720', 'RESOLUTION=640x360']);
    expect(text.match(/AUDIO="audio"/g)).toHaveLength(2);
    expect(text.match(/#EXT-X-MEDIA:/g)).toHaveLength(1);
    const mpd = renderMpd(bench.window, { clockUrl: 'time' });
    expect(mpd.match(/<AdaptationSet /g)).toHaveLength(2);
    expect(mpd.match(/<Representation id="(\w+)"/g)).toHaveLength(3);
    expect(mpd).toContain('maxWidth="1280" maxHeight="720"');
  });

  it('reports every other rendition in each playlist', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 9.5, ['480p']);
    const text = renderMediaPlaylist(bench.window, bench.rendition('480p'));
    expect(text.match(/RENDITION-REPORT:URI="(\w+)\.m3u8"/g)).toHaveLength(2);
    const reported = /URI="video.m3u8",LAST-MSN=(\d+),LAST-PART=(\d+)/.exec(text);
    const { segments } = bench.rendition('video');
    expect(Number(reported?.[1])).toBe(segments.at(-1)?.number);
    expect(Number(reported?.[2])).toBe(segments.at(-1)?.parts.at(-1)?.index);
  });
});

describe('a source that another takes over in the middle of its GOP', () => {
  it('leaves no gap in a rung, which begins some ticks behind the lead-in', () => {
    const bench = new LadderBench().begin().expect('480p').tell('480p').run(0, 5, ['480p']);
    const startMs = EPOCH_MS + 5000;
    const startTicks = startMs * 90;
    const leadIn = { keyTicks: startTicks - 90_000 };
    bench.packager.begin(
      timeline({ video: SOURCE, audio: audioTrack() }, { reason: 'resume', startMs, leadIn }),
    );
    // Six hundred pictures of a long GOP, and the one that stays is soon followed by one of the true times.
    const first = videoSamples({ startMs, seconds: 0.1 })[0] as Sample;
    const squeezed = Array.from({ length: 600 }, (_, n): Sample => {
      const dts = startTicks + n;
      return { ...first, dts, pts: dts, duration: n < 599 ? 1 : 1600 - 599, key: n === 0 };
    });
    const rest = videoSamples({ startMs, seconds: 4, isKey: (n) => n % 60 === 30 }).map((sample) => ({
      ...sample,
      dts: sample.dts + 1600,
      pts: sample.pts + 1600,
    }));
    const sound = audioSamples({ startMs, seconds: 4 });
    const held = squeezed.at(-1) as Sample;
    bench.feed(squeezed);
    bench.encode(['480p'], [{ ...held, key: true }]);
    for (const sample of interleave(rest, sound)) {
      bench.feed([sample]);
      if (sample.kind === 'video') bench.encode(['480p'], [sample]);
    }
    expect(bench.states('480p')).not.toContain('g');
    expect(bench.states('480p')).toBe(bench.states('video'));
    expect(bench.frames('480p')).toContain(held.dts);
  });
});
