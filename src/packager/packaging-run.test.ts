import { describe, expect, it } from 'vitest';
import { PackagerBench } from '../../test/support/packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  VIDEO_TIMESCALE,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { segmentSamples, windowFaults } from '../../test/support/window-check.ts';
import type { Rendition } from '../stream/live-window.ts';
import type { Sample } from '../stream/track.ts';
import { renderMediaPlaylist } from './hls/media-playlist.ts';

function secondsOf(sample: Sample): number {
  return sample.dts / (sample.kind === 'video' ? VIDEO_TIMESCALE : 48_000) - EPOCH_MS / 1000;
}

/** `seconds` of both, without what each lacks from a moment on for so long. */
function withHoles(
  seconds: number,
  holes: Partial<Record<'video' | 'audio', readonly [from: number, to: number]>>,
) {
  return interleave(videoSamples({ seconds }), audioSamples({ seconds })).filter((sample) => {
    const [from, to] = holes[sample.kind] ?? [Infinity, Infinity];
    return secondsOf(sample) < from || secondsOf(sample) >= to;
  });
}

function play(samples: readonly Sample[]): PackagerBench {
  const bench = new PackagerBench();
  bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
  bench.feed(samples);
  return bench;
}

/** As a hub gives frames whose rate is variable: each when the next has come, which is when it ends. */
function playHeld(samples: readonly Sample[]): PackagerBench {
  const video = samples.filter(({ kind }) => kind === 'video');
  const held = video.map((sample, n) => {
    const next = video[n + 1];
    return { ...sample, duration: (next?.dts ?? sample.dts + 3000) - sample.dts, nextKey: next?.key };
  });
  const ends = (sample: Sample): number => secondsOf({ ...sample, dts: sample.dts + sample.duration });
  const audio = samples.filter(({ kind }) => kind === 'audio');
  const bench = new PackagerBench();
  bench.packager.begin(
    timeline({ video: videoTrack({ variable: true, gopFrames: 0 }), audio: audioTrack() }),
  );
  bench.feed([...held, ...audio].toSorted((a, b) => ends(a) - ends(b)));
  return bench;
}

/** State, discontinuity, start and duration of each segment, hundredths of seconds. */
function told({ segments, timescale }: Rendition): string[] {
  return segments.map(({ state, discontinuity, startTicks, durationTicks }) => {
    const start = (startTicks / timescale - EPOCH_MS / 1000).toFixed(2);
    return `${state[0]}${discontinuity ? '!' : ''} ${start} ${(durationTicks / timescale).toFixed(2)}`;
  });
}

describe('a pause of all media', () => {
  const samples = withHoles(13, { video: [6.09, 8.09], audio: [6.09, 8.09] });

  it('ends what is open with what it holds, and goes on behind a gap and a discontinuity', () => {
    const bench = play(samples);
    expect(told(bench.rendition('video')).slice(3)).toEqual([
      'c 6.00 0.10',
      'g 6.10 2.00',
      'c! 8.10 1.90',
      'c 10.00 2.00',
      'o 12.00 0.00',
    ]);
    expect(told(bench.rendition('audio')).slice(3)).toEqual([
      'c 6.02 0.09',
      'g 6.10 2.01',
      'c! 8.11 1.90',
      'c 10.01 2.01',
      'o 12.01 0.00',
    ]);
    expect(windowFaults(bench.window)).toEqual([]);
    expect(bench.window.periods.map(({ startMs, continues }) => [startMs - EPOCH_MS, continues])).toEqual([
      [0, undefined],
      [8100, undefined],
    ]);
  });

  it('loses no frame', () => {
    const bench = play(samples);
    bench.packager.away();
    for (const kind of ['video', 'audio'] as const) {
      const kept = bench
        .rendition(kind)
        .segments.flatMap((segment) => segmentSamples(segment).map(({ dts }) => dts));
      const sent = samples.filter((sample) => sample.kind === kind).map(({ dts }) => dts);
      expect(kept).toEqual(sent);
    }
  });

  it('is the same whichever comes back first', () => {
    for (const audioLeadMs of [-150, 150]) {
      const led = interleave(
        samples.filter(({ kind }) => kind === 'video'),
        samples.filter(({ kind }) => kind === 'audio'),
        { audioLeadMs },
      );
      const bench = play(led);
      expect(
        told(bench.rendition('video'))
          .slice(3, 6)
          .map((text) => text.split(' ')[0]),
      ).toEqual(['c', 'g', 'c!']);
      expect(
        told(bench.rendition('audio'))
          .slice(3, 6)
          .map((text) => text.split(' ')[0]),
      ).toEqual(['c', 'g', 'c!']);
      expect(windowFaults(bench.window)).toEqual([]);
    }
  });

  it('leaves out sound that comes back a little before the picture', () => {
    const bench = play(withHoles(9, { video: [6.09, 8.19], audio: [6.09, 8.09] }));
    expect(told(bench.rendition('audio'))[4]?.startsWith('g 6.10')).toBe(true);
    expect(told(bench.rendition('audio'))[5]?.startsWith('o! 8.21')).toBe(true);
  });

  it('of half a second or less is left inside a segment', () => {
    const bench = play(withHoles(9, { video: [6.09, 6.58], audio: [6.09, 6.58] }));
    expect(bench.window.periods).toHaveLength(1);
    expect(told(bench.rendition('video'))[3]).toBe('c 6.00 2.00');
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('is seen at a variable rate, too, where the last frame would have lasted until the next', () => {
    const bench = playHeld(samples);
    expect(told(bench.rendition('video')).slice(3, 6)).toEqual([
      'c 6.00 0.10',
      'g 6.10 2.00',
      'c! 8.10 1.90',
    ]);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('is none where a picture stands still while the sound goes on', () => {
    const bench = playHeld(withHoles(9, { video: [6.09, 7.09] }));
    expect(bench.window.periods).toHaveLength(1);
    expect(told(bench.rendition('video'))[3]).toBe('c 6.00 2.00');
  });
});

describe('a track that stops while the other goes on', () => {
  it('lets sound go on over each boundary at once when the picture has stopped', () => {
    const bench = play([]);
    let longest = 0;
    let at = 0;
    withHoles(15, { video: [6.49, 15] }).forEach((sample, index) => {
      bench.feed([sample]);
      if (index === 0)
        bench.window.subscribe((change) => {
          if (change.kind !== 'part' || change.rendition !== 'audio') return;
          const now = bench.clock.wallMs();
          if (at > 0) longest = Math.max(longest, now - at);
          at = now;
        });
    });
    expect(longest).toBeLessThanOrEqual(240);
    expect(told(bench.rendition('video')).slice(3, 6)).toEqual([
      'c 6.00 0.50',
      'g 8.00 2.00',
      'g 10.00 2.00',
    ]);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('waits half a second for it at the first boundary when it stops there', () => {
    const bench = play(withHoles(6.5, { video: [5.99, 15] }));
    expect(told(bench.rendition('audio'))).toHaveLength(3);
    bench.feed(audioSamples({ seconds: 0.12, startMs: EPOCH_MS + 6507 }));
    expect(told(bench.rendition('audio'))).toHaveLength(4);
  });

  it('takes a picture that comes back behind a discontinuity, the sound running on through it', () => {
    const bench = play(withHoles(13, { video: [6.09, 9.09] }));
    expect(told(bench.rendition('video')).slice(3)).toEqual([
      'c 6.00 0.10',
      'g 8.00 1.10',
      'c! 9.10 0.90',
      'c 10.00 2.00',
      'o 12.00 0.00',
    ]);
    const audio = bench.rendition('audio').segments.slice(0, -1);
    audio.slice(1).forEach((segment, n) => {
      const before = audio[n];
      expect(segment.startTicks).toBe((before?.startTicks ?? 0) + (before?.durationTicks ?? 0));
    });
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('lists sound that stopped in the middle of a segment as a gap, as long as the picture', () => {
    const bench = play(withHoles(13, { audio: [6.49, 13] }));
    const audio = bench.rendition('audio');
    expect(told(audio).slice(3, 6)).toEqual(['c 6.02 1.98', 'g 8.00 2.00', 'g 10.00 2.00']);
    expect(audio.segments[3]?.brokenOff).toBe(true);
    expect(renderMediaPlaylist(bench.window, audio).match(/#EXT-X-GAP/g)).toHaveLength(3);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('shows what there is of it within half a second', () => {
    const bench = play(withHoles(7.2, { audio: [6.49, 13] }));
    const { parts, chunks } = bench.rendition('audio').segments.at(-1) ?? { parts: [], chunks: [] };
    expect(chunks.length).toBeGreaterThan(0);
    expect(parts.at(-1)?.endChunk).toBe(chunks.length);
  });
});

describe('a key frame that comes later than it was foretold', () => {
  it('leaves what was said of the sound true', () => {
    // The key frame at 6 s comes 67 ms late; sound had been foretold to end its segment there.
    const late = 2 * 3000;
    const samples = withHoles(9, {}).map((sample) =>
      sample.kind === 'video' && secondsOf(sample) > 5.99
        ? { ...sample, dts: sample.dts + late, pts: sample.pts + late }
        : sample,
    );
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    samples.forEach((sample) => bench.feed([sample]));
    const parts = bench.rendition('audio').segments[2]?.parts ?? [];
    expect(parts).toHaveLength(11);
    expect(told(bench.rendition('audio'))[3]?.startsWith('c 6.02')).toBe(true);
    expect(windowFaults(bench.window)).toEqual([]);
  });
});
