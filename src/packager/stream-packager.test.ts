import { describe, expect, it } from 'vitest';
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
import { MemoryJournal, PackagerBench } from '../../test/support/packager-bench.ts';
import { segmentSamples, windowFaults } from '../../test/support/window-check.ts';
import { findBox, readBoxes } from '../media/isobmff/box-reader.ts';
import { type FragmentSample, readFragments } from '../media/isobmff/fragment-reader.ts';
import type { Rendition } from '../stream/live-window.ts';

const START_NUMBER = EPOCH_MS / 2000;

function states(rendition: Rendition): string {
  return rendition.segments.map((segment) => segment.state[0]).join('');
}

function samplesAt(rendition: Rendition, index: number): FragmentSample[] {
  const segment = rendition.segments[index];
  return segment ? segmentSamples(segment) : [];
}

function startSeconds(rendition: Rendition): number[] {
  return rendition.segments.map((segment) => segment.startTicks / rendition.timescale - EPOCH_MS / 1000);
}

function avBench(seconds: number, options = {}): PackagerBench {
  const bench = new PackagerBench(options);
  bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
  bench.feed(interleave(videoSamples({ seconds }), audioSamples({ seconds })));
  return bench;
}

describe('a steady stream', () => {
  it('has no window before its first sample', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    expect(bench.packager.window).toBeUndefined();
  });

  it('numbers its segments from the epoch, the same in both renditions', () => {
    const bench = avBench(7);
    const [video, audio] = bench.window.renditions;
    expect(video?.segments.map((s) => s.number - START_NUMBER)).toEqual([0, 1, 2, 3]);
    expect(audio?.segments.map((s) => s.number - START_NUMBER)).toEqual([0, 1, 2, 3]);
    expect(startSeconds(bench.rendition('video'))).toEqual([0, 2, 4, 6]);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('cuts audio at the first frame that starts at or after the video cut, whatever arrives first', () => {
    for (const audioLeadMs of [-150, -40, 0, 40, 150]) {
      const bench = new PackagerBench();
      bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
      bench.feed(interleave(videoSamples({ seconds: 9 }), audioSamples({ seconds: 9 }), { audioLeadMs }));
      const audio = bench.rendition('audio');
      const video = bench.rendition('video');
      for (const segment of audio.segments.slice(1, 4)) {
        const twin = video.segments.find((one) => one.number === segment.number);
        const cut = (twin?.startTicks ?? 0) / VIDEO_TIMESCALE;
        const lag = segment.startTicks / 48_000 - cut;
        expect(lag, `audio ${audioLeadMs} ms ahead`).toBeGreaterThanOrEqual(0);
        expect(lag).toBeLessThan(1024 / 48_000);
      }
      expect(windowFaults(bench.window)).toEqual([]);
    }
  });

  it('foretells the last part of a segment, and never a part that does not come', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    const next = new Map<string, string>();
    let foretold = 0;
    for (const sample of interleave(videoSamples({ seconds: 9 }), audioSamples({ seconds: 9 }))) {
      bench.packager.sample(sample);
      for (const rendition of bench.window.renditions) {
        const segment = rendition.segments.at(-1);
        if (!segment) continue;
        const { number, parts, partsForetold } = segment;
        const last = `${number}.${parts.length - 1}`;
        const hint = partsForetold ? `${number + 1}.0` : `${number}.${parts.length}`;
        const before = next.get(rendition.id);
        if (parts.length > 0 && before !== hint && before !== undefined) expect(last).toBe(before);
        if (parts.length > 0) next.set(rendition.id, hint);
        if (partsForetold) foretold += 1;
      }
    }
    expect(foretold).toBeGreaterThan(6);
  });

  it('makes the duration of a segment the distance to the next one', () => {
    const bench = avBench(9);
    for (const rendition of bench.window.renditions) {
      rendition.segments.forEach((segment, index) => {
        const next = rendition.segments[index + 1];
        if (next) expect(segment.durationTicks).toBe(next.startTicks - segment.startTicks);
      });
    }
  });

  it('loses no sample and keeps each where its time is', () => {
    const bench = avBench(6.5);
    const videoDts = bench
      .rendition('video')
      .segments.flatMap(segmentSamples)
      .map((s) => s.dts);
    expect(videoDts).toEqual(videoSamples({ seconds: 6.5 }).map((s) => s.dts));
    bench.packager.away();
    const audioDts = bench
      .rendition('audio')
      .segments.flatMap(segmentSamples)
      .map((s) => s.dts);
    expect(audioDts).toEqual(audioSamples({ seconds: 6.5 }).map((s) => s.dts));
  });

  it('publishes a part with the frame that fills it, not with the frame after', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    const frames = videoSamples({ seconds: 2 });
    bench.feed(frames.slice(0, 5));
    expect(bench.rendition('video').segments[0]?.parts).toHaveLength(0);
    bench.feed(frames.slice(5, 6));
    expect(bench.rendition('video').segments[0]?.parts).toHaveLength(1);
    bench.feed(frames.slice(6));
    expect(bench.rendition('video').segments[0]?.parts).toHaveLength(10);
    expect(bench.rendition('video').segments[0]?.state).toBe('open');
  });

  it('publishes the last audio part of a segment with its last frame', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(videoSamples({ seconds: 2 }));
    // 94 frames start within two seconds: ten parts of nine, and one of four.
    bench.feed(audioSamples({ seconds: 94.01 * (1024 / 48_000) }));
    const [segment] = bench.rendition('audio').segments;
    expect(segment?.state).toBe('open');
    expect(segment?.parts).toHaveLength(11);
    expect(segment?.parts.at(-1)?.endChunk).toBe(segment?.chunks.length);
  });

  it('gives only the first chunk of a segment the brands of a segment', () => {
    const bench = avBench(4.1);
    const [, segment] = bench.rendition('video').segments;
    const brands = segment?.chunks.map((chunk) =>
      Buffer.from(chunk.bytes.subarray(8, 12)).toString('latin1'),
    );
    expect(brands?.[0]).toBe('msdh');
    expect(new Set(brands?.slice(1))).toEqual(new Set(['cmfl']));
  });

  it('tells of a chunk before the part it completes, and of a segment before the one that follows', () => {
    const bench = avBench(4.5);
    const told = bench.changes.filter(
      (c) => c.kind !== 'period' && c.kind !== 'state' && c.rendition === 'video',
    );
    const cut = told.findIndex((c) => c.kind === 'segment');
    expect(told.slice(cut - 2, cut + 2).map((c) => c.kind)).toEqual(['chunk', 'part', 'segment', 'chunk']);
  });

  it('shows listeners only finished states', () => {
    const bench = avBench(2.5);
    const faults: string[] = [];
    bench.window.subscribe((change) => {
      if (change.kind === 'chunk' && change.segment.chunks.length === 0) faults.push('chunk not there');
      if (change.kind === 'part' && !change.segment.parts.includes(change.part))
        faults.push('part not there');
      if (change.kind === 'segment' && change.segment.state === 'open') faults.push('segment not closed');
      faults.push(...windowFaults(bench.window));
    });
    const rest = { seconds: 2.5, startMs: EPOCH_MS + 2500 };
    bench.feed(videoSamples({ ...rest, isKey: (n) => n === 45 }));
    expect(faults).toEqual([]);
  });

  it('calls a listener that subscribes again from within once for each change', () => {
    const bench = avBench(1);
    let calls = 0;
    const listen = (): void => {
      const stop = bench.window.subscribe(() => {
        calls += 1;
        stop();
        listen();
      });
    };
    listen();
    const told = bench.changes.length;
    bench.feed(videoSamples({ seconds: 1 / 30, startMs: EPOCH_MS + 1000, isKey: () => false }));
    expect(calls).toBe(bench.changes.length - told);
  });

  it('stamps each chunk with its media time as the time of capture', () => {
    const bench = avBench(0.5);
    for (const rendition of bench.window.renditions) {
      for (const chunk of rendition.segments[0]?.chunks ?? []) {
        const tfdt = readFragments(chunk.bytes)?.[0]?.tracks[0]?.baseTicks ?? 0;
        const prft = findBox(readBoxes(chunk.bytes).boxes, ['prft']);
        const { buffer, byteOffset } = chunk.bytes;
        const view = new DataView(buffer, byteOffset + (prft?.bodyStart ?? 0));
        expect(view.getUint32(0)).toBe(0x01000018);
        expect(Number(view.getBigUint64(16))).toBe(tfdt);
        const seconds = view.getUint32(8) - 2_208_988_800 + view.getUint32(12) / 2 ** 32;
        expect(seconds).toBeCloseTo(tfdt / rendition.timescale, 5);
      }
    }
  });

  it('goes on when a listener throws, and says so', async () => {
    const bench = avBench(1);
    bench.window.subscribe(() => {
      throw new Error('a bug in the origin');
    });
    bench.feed(videoSamples({ seconds: 1, startMs: EPOCH_MS + 1000, isKey: () => false }));
    expect(bench.log.lines.some((line) => line.level === 'error')).toBe(true);
    expect(await bench.metric('packager_failed_listeners_total')).toBeGreaterThan(0);
  });

  it('is published once every rendition has a complete segment', () => {
    const bench = avBench(1.9);
    expect(bench.window.published).toBe(false);
    bench.feed(
      interleave(
        videoSamples({ seconds: 0.3, startMs: EPOCH_MS + 1900, isKey: (n) => n === 3 }),
        audioSamples({ seconds: 0.3, startMs: EPOCH_MS + 1900 }),
      ),
    );
    expect(bench.window.published).toBe(true);
  });

  it('counts the version up when a playlist changes, not for a chunk', () => {
    const bench = avBench(2.2);
    const before = bench.window.version;
    bench.feed(videoSamples({ seconds: 1 / 30, startMs: EPOCH_MS + 2200, isKey: () => false }));
    expect(bench.changes.at(-1)?.kind).toBe('chunk');
    expect(bench.window.version).toBe(before);
  });
});

describe('cadences', () => {
  it.each([24, 25, 30_000 / 1001, 30, 50, 60_000 / 1001, 60])('keeps every rule at %f fps', (fps) => {
    const gopFrames = Math.round(fps) * 2;
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ fps, gopFrames }), audio: audioTrack() }));
    const video = videoSamples({ seconds: 13, fps, isKey: (n) => n % gopFrames === 0 });
    bench.feed(interleave(video, audioSamples({ seconds: 13 })));
    expect(windowFaults(bench.window)).toEqual([]);
    expect(bench.rendition('video').segments.every((s) => s.independent)).toBe(true);
    expect(bench.rendition('video').segments.length).toBeGreaterThanOrEqual(6);
  });

  it('keeps every rule with 44.1 kHz audio', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack(44_100) }));
    const audio = audioSamples({ seconds: 9, sampleRate: 44_100 });
    bench.feed(interleave(videoSamples({ seconds: 9 }), audio, { audioRate: 44_100 }), { audioRate: 44_100 });
    expect(windowFaults(bench.window)).toEqual([]);
    expect(bench.rendition('audio').segments).toHaveLength(5);
  });

  it('cuts audio alone on the same grid', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ audio: audioTrack() }));
    bench.feed(audioSamples({ seconds: 9 }));
    const [audio] = bench.window.renditions;
    expect(audio?.id).toBe('audio');
    for (const [n, start] of startSeconds(bench.rendition('audio')).entries()) {
      expect(Math.abs(start - 2 * n)).toBeLessThanOrEqual(512 / 48_000);
    }
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('never lets a part exceed PART-TARGET when frames come at uneven times', async () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ variable: true, gopFrames: 0 }) }));
    const spread = [20, 45, 33, 31, 40, 33, 33, 28, 500, 33, 36, 17];
    let dts = (EPOCH_MS / 1000) * VIDEO_TIMESCALE;
    const samples = Array.from({ length: 120 }, (_, n) => {
      const duration = (spread[n % spread.length] ?? 33) * 90;
      const sample = {
        kind: 'video' as const,
        dts,
        pts: dts,
        duration,
        key: n % 30 === 0,
        data: new Uint8Array(9),
      };
      dts += duration;
      return sample;
    });
    bench.feed(samples);
    // A frame of half a second cannot be split: its part is clipped and the part before it may be short.
    expect(windowFaults(bench.window, { continuousParts: false })).toEqual([]);
    expect(await bench.metric('packager_clipped_parts_total')).toBe(10);
  });

  it('keeps parts at 85 % of PART-TARGET or more when frames jitter by a few milliseconds', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ variable: true, gopFrames: 0 }) }));
    let dts = (EPOCH_MS / 1000) * VIDEO_TIMESCALE;
    const samples = Array.from({ length: 300 }, (_, n) => {
      const duration = (33 + ((n * 7) % 5) - 2) * 90;
      const sample = {
        kind: 'video' as const,
        dts,
        pts: dts,
        duration,
        key: n % 60 === 0,
        data: new Uint8Array(9),
      };
      dts += duration;
      return sample;
    });
    bench.feed(samples);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('keeps times and parts right across lost frames', () => {
    const bench = new PackagerBench({ chunkFrames: 2 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    const kept = (n: number): boolean => ![7, 30, 64, 65].includes(n % 101);
    const video = videoSamples({ seconds: 9 }).filter((_, n) => kept(n));
    const audio = audioSamples({ seconds: 9 }).filter((_, n) => kept(n));
    bench.feed(interleave(video, audio));
    bench.packager.away();
    for (const [id, fed] of [
      ['video', video],
      ['audio', audio],
    ] as const) {
      const rendition = bench.rendition(id);
      expect(rendition.segments.flatMap(segmentSamples).map((s) => s.dts)).toEqual(fed.map((s) => s.dts));
      for (const segment of rendition.segments) {
        const sum = segment.parts.reduce((total, part) => total + part.durationTicks, 0);
        expect(sum).toBe(segment.durationTicks);
      }
    }
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('keeps the parts of several frames a chunk whole', () => {
    const bench = new PackagerBench({ chunkFrames: 4 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(interleave(videoSamples({ seconds: 5 }), audioSamples({ seconds: 5 })));
    expect(windowFaults(bench.window)).toEqual([]);
    expect(bench.rendition('video').segments[0]?.chunks.length).toBeLessThan(25);
  });
});

describe('keeping audio in step', () => {
  it('lets audio that runs ahead wait only at the boundary', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    const audio = audioSamples({ seconds: 2.3 });
    bench.feed(interleave(videoSamples({ seconds: 1.9 }), audio.slice(0, 89)));
    bench.feed(audio.slice(89));
    // Known GOP: everything before the key frame at 2 s is out, what is past it waits for the video.
    const samples = bench.rendition('audio').segments.flatMap(segmentSamples);
    expect(samples).toHaveLength(94);
    bench.feed(videoSamples({ seconds: 0.2, startMs: EPOCH_MS + 1900, isKey: (n) => n === 3 }));
    expect(bench.rendition('audio').segments.flatMap(segmentSamples).length).toBeGreaterThan(94);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('goes on without video that has fallen silent, with gaps in its place, and takes it back', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(interleave(videoSamples({ seconds: 3 }), audioSamples({ seconds: 3 })));
    bench.feed(audioSamples({ seconds: 7.5, startMs: EPOCH_MS + 3008 }));
    expect(states(bench.rendition('audio'))).toBe('ccccco');
    expect(states(bench.rendition('video'))).toBe('ccgggo');
    bench.feed(
      interleave(
        videoSamples({ seconds: 4, startMs: EPOCH_MS + 10_500 }),
        audioSamples({ seconds: 4, startMs: EPOCH_MS + 10_512 }),
      ),
    );
    bench.packager.away();
    expect(states(bench.rendition('video'))).toBe('ccggggcc');
    expect(states(bench.rendition('audio'))).not.toContain('g');
    expect(windowFaults(bench.window)).toEqual([]);
    expect(bench.window.periods).toHaveLength(2);
    expect(bench.window.periods[1]?.continues).toBeUndefined();
    expect(bench.window.periods[1]?.startMs).toBe(EPOCH_MS + 10_500);
  });

  it('goes on without audio that has fallen silent, with gaps in its place, and takes it back', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(
      interleave(videoSamples({ seconds: 14 }), audioSamples({ seconds: 3 })).slice(0, 30 * 10 + 140),
    );
    expect(bench.rendition('audio').segments.length).toBeGreaterThanOrEqual(5);
    const video = videoSamples({ seconds: 14 }).slice(300);
    bench.feed(interleave(video, audioSamples({ seconds: 3.9, startMs: EPOCH_MS + 10_000 })));
    bench.packager.away();
    expect(states(bench.rendition('audio'))).toBe('ccgggcc');
    expect(states(bench.rendition('video'))).toBe('ccccccc');
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('ends an audio segment with the video where a hole in the audio lies across the cut', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    const audio = [
      ...audioSamples({ seconds: 1.6 }),
      ...audioSamples({ seconds: 3, startMs: EPOCH_MS + 2500 }),
    ];
    bench.feed(interleave(videoSamples({ seconds: 5 }), audio));
    const [first, second] = bench.rendition('audio').segments;
    expect((first?.durationTicks ?? 0) / 48_000).toBe(2);
    expect(first?.brokenOff).toBe(true);
    expect((second?.startTicks ?? 0) / 48_000).toBe(EPOCH_MS / 1000 + 2.5);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('stands a hole in the video as gaps and a new period', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 3 }));
    bench.feed(videoSamples({ seconds: 3, startMs: EPOCH_MS + 9300 }));
    expect(states(bench.rendition('video'))).toBe('ccgggco');
    const ends = bench.rendition('video').segments.map((s) => (s.startTicks + s.durationTicks) / 90_000);
    expect(ends[4]).toBe(EPOCH_MS / 1000 + 9.3);
    expect(windowFaults(bench.window)).toEqual([]);
    const discontinuous = bench.rendition('video').segments.flatMap((s, at) => (s.discontinuity ? [at] : []));
    expect(discontinuous).toEqual([5]);
  });
});

describe('a hole too short for a gap', () => {
  it('does not make the segment before it longer than TARGETDURATION', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ gopFrames: 0 }) }));
    bench.feed(videoSamples({ seconds: 3.9, isKey: (n) => n === 0 || n === 55 }));
    bench.feed(videoSamples({ seconds: 1, startMs: EPOCH_MS + 4366.6 }));
    expect(states(bench.rendition('video'))).toBe('cco');
    expect(windowFaults(bench.window)).toEqual([]);
  });
});

describe('parts', () => {
  it('are independent when they hold a key frame, be it not their first', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ gopFrames: 0 }) }));
    bench.feed(videoSamples({ seconds: 3, isKey: (n) => n % 60 === 0 || n === 33 }));
    const [segment] = bench.rendition('video').segments;
    expect(segment?.parts.flatMap(({ independent, index }) => (independent ? [index] : []))).toEqual([0, 5]);
  });
});

describe('periods', () => {
  it('starts the other track at the same instant as the lead', () => {
    const bench = avBench(3);
    const [period] = bench.window.periods;
    expect(period?.startMs).toBe(EPOCH_MS);
    expect(period?.startNumber).toBe(START_NUMBER);
    expect(bench.rendition('video').segments[0]?.startTicks).toBe((EPOCH_MS / 1000) * 90_000);
    expect(bench.rendition('audio').segments[0]?.startTicks).toBe((EPOCH_MS / 1000) * 48_000);
    expect(period?.segmentTicks).toBe(180_000);
    expect([...(period?.inits.keys() ?? [])]).toEqual(['video', 'audio']);
  });

  it('continues in a new period, unseen by HLS, when key frames leave the grid', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ gopFrames: 0 }) }));
    // A scene cut at frame 100 starts the GOP anew: no key frame would meet the old grid again.
    bench.feed(videoSamples({ seconds: 20, isKey: (n) => (n < 100 ? n % 60 === 0 : (n - 100) % 60 === 0) }));
    const { periods } = bench.window;
    expect(periods).toHaveLength(2);
    expect(periods[1]?.continues).toBe(periods[0]?.id);
    expect(periods[1]?.inits).toEqual(periods[0]?.inits);
    const late = bench.rendition('video').segments.filter((s) => s.period === periods[1]);
    expect(late.every((s) => s.independent)).toBe(true);
    expect(late[0]?.number).toBe(periods[1]?.startNumber);
    expect(bench.rendition('video').segments.some((s) => s.discontinuity)).toBe(false);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('cuts audio at the start of a continuing period too', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack({ gopFrames: 0 }), audio: audioTrack() }));
    const video = videoSamples({
      seconds: 20,
      isKey: (n) => (n < 100 ? n % 60 === 0 : (n - 100) % 60 === 0),
    });
    bench.feed(interleave(video, audioSamples({ seconds: 20 })));
    const second = bench.window.periods[1];
    const first = bench.rendition('audio').segments.find((s) => s.period === second);
    expect((first?.startTicks ?? 0) - (second?.startMs ?? 0) * 48).toBeLessThan(1024);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('marks a discontinuity in every rendition when a track got another configuration', () => {
    const bench = avBench(4.5);
    const config = new Uint8Array(videoTrack().config);
    config[3] = 30;
    bench.packager.begin(
      timeline({ video: videoTrack({ config }), audio: audioTrack() }, { reason: 'tracks' }),
    );
    const from = EPOCH_MS + 4500;
    bench.feed(
      interleave(
        videoSamples({ seconds: 4, startMs: from }),
        audioSamples({ seconds: 4, startMs: from + 14 }),
      ),
    );
    const changed = bench.window.periods[1];
    expect(changed?.continues).toBeUndefined();
    for (const rendition of bench.window.renditions) {
      expect(rendition.segments.map((s) => s.discontinuity)).toEqual([false, false, false, true, false]);
      expect(states(rendition)).toBe('cccco');
    }
    // The audio that did not change ran through the cut without losing a frame.
    const audio = bench.rendition('audio').segments.flatMap(segmentSamples);
    expect(audio.length).toBeGreaterThanOrEqual(395);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('keeps audio that is ahead out of the old segment while the cut is due', () => {
    const bench = avBench(4.5);
    const from = EPOCH_MS + 4500;
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    const audio = audioSamples({ seconds: 0.4, startMs: from + 20 });
    bench.feed(audio);
    bench.feed(videoSamples({ seconds: 1, startMs: from }));
    const inNew = samplesAt(bench.rendition('audio'), 3).map((sample) => sample.dts);
    expect(inNew).toEqual(audio.map((sample) => sample.dts));
  });

  it('fills the pause when tracks change across one', () => {
    const bench = avBench(4.5);
    const from = EPOCH_MS + 7000;
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    bench.feed(
      interleave(videoSamples({ seconds: 1, startMs: from }), audioSamples({ seconds: 1, startMs: from })),
    );
    for (const rendition of bench.window.renditions) expect(states(rendition)).toBe('cccggo');
    expect(bench.window.periods[1]?.continues).toBeUndefined();
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('continues when a change of tracks changed nothing', () => {
    const bench = avBench(4.5);
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    const from = EPOCH_MS + 4500;
    bench.feed(
      interleave(videoSamples({ seconds: 2, startMs: from }), audioSamples({ seconds: 2, startMs: from })),
    );
    expect(bench.window.periods[1]?.continues).toBe(bench.window.periods[0]?.id);
    expect(bench.rendition('video').segments.some((s) => s.discontinuity)).toBe(false);
  });

  it('gives audio that appears late the same numbers, with gaps for what it missed', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 6.5 }));
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    const from = EPOCH_MS + 6500;
    bench.feed(
      interleave(videoSamples({ seconds: 4, startMs: from }), audioSamples({ seconds: 4, startMs: from })),
    );
    expect(bench.window.renditions.map((r) => r.id)).toEqual(['video', 'audio']);
    expect(states(bench.rendition('video'))).toBe('ccccco');
    expect(states(bench.rendition('audio'))).toBe('ggggco');
    expect(bench.rendition('audio').segments.map((s) => s.number)).toEqual(
      bench.rendition('video').segments.map((s) => s.number),
    );
    expect(bench.rendition('video').segments.some((s) => s.discontinuity)).toBe(false);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('gives audio that goes away gaps, and takes it back', () => {
    const bench = avBench(4);
    bench.packager.begin(timeline({ video: videoTrack() }, { reason: 'tracks' }));
    bench.feed(videoSamples({ seconds: 4, startMs: EPOCH_MS + 4000 }));
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    const from = EPOCH_MS + 8000;
    bench.feed(
      interleave(videoSamples({ seconds: 4, startMs: from }), audioSamples({ seconds: 4, startMs: from })),
    );
    expect(states(bench.rendition('video'))).toBe('ccccco');
    expect(states(bench.rendition('audio'))).toBe('ccggco');
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('lets video that appears beside audio take the lead', () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ audio: audioTrack() }));
    bench.feed(audioSamples({ seconds: 5 }));
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'tracks' }));
    const from = EPOCH_MS + 5000;
    bench.feed(
      interleave(videoSamples({ seconds: 4, startMs: from }), audioSamples({ seconds: 4, startMs: from })),
    );
    expect(bench.window.renditions.map((r) => r.id)).toEqual(['video', 'audio']);
    expect(states(bench.rendition('video'))).toBe('gggco');
    expect(states(bench.rendition('audio'))).toBe('cccco');
    expect(bench.window.periods.at(-1)?.segmentTimescale).toBe(90_000);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('restates audio segments when the sample rate changes', () => {
    const bench = avBench(4);
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack(44_100) }, { reason: 'tracks' }));
    const from = EPOCH_MS + 4000;
    const audio = audioSamples({ seconds: 4, startMs: from, sampleRate: 44_100 });
    bench.feed(interleave(videoSamples({ seconds: 4, startMs: from }), audio, { audioRate: 44_100 }), {
      audioRate: 44_100,
    });
    const rendition = bench.rendition('audio');
    expect(rendition.timescale).toBe(44_100);
    for (const [n, start] of startSeconds(rendition).entries()) expect(start).toBeCloseTo(2 * n, 1);
    for (const segment of rendition.segments.slice(0, 3)) {
      expect(segment.durationTicks / 44_100).toBeCloseTo(2, 1);
    }
  });

  it('drops what starts before the period', async () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(audioSamples({ seconds: 0.5, startMs: EPOCH_MS - 200 }));
    bench.feed(videoSamples({ seconds: 1 }));
    const first = samplesAt(bench.rendition('audio'), 0)[0];
    expect((first?.dts ?? 0) / 48_000).toBeGreaterThanOrEqual(EPOCH_MS / 1000);
    expect(await bench.metric('packager_dropped_samples_total', { reason: 'before_period' })).toBe(10);
  });
});

describe('outages', () => {
  it('flushes what it has when the publisher goes away', () => {
    const bench = avBench(3.1);
    bench.packager.away();
    expect(bench.window.state).toBe('away');
    expect(states(bench.rendition('video'))).toBe('cc');
    expect(states(bench.rendition('audio'))).toBe('cc');
    expect(samplesAt(bench.rendition('video'), 1)).toHaveLength(33);
    expect(bench.rendition('video').segments[1]?.durationTicks).toBe(33 * 3000);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('appends a gap in every rendition each time a slot passes while the publisher is away', () => {
    const bench = avBench(3);
    bench.packager.away();
    bench.clock.advance(1900);
    expect(states(bench.rendition('video'))).toBe('cc');
    bench.clock.advance(200);
    expect(states(bench.rendition('video'))).toBe('ccg');
    bench.clock.advance(4000);
    expect(states(bench.rendition('video'))).toBe('ccggg');
    expect(states(bench.rendition('audio'))).toBe('ccggg');
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('comes back with a discontinuity, the next number, and gaps that add up to the absence', () => {
    const bench = avBench(3);
    bench.packager.away();
    bench.clock.advance(4500);
    const from = EPOCH_MS + 10_300;
    bench.packager.begin(
      timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'resume', startMs: from }),
    );
    bench.feed(
      interleave(videoSamples({ seconds: 3, startMs: from }), audioSamples({ seconds: 3, startMs: from })),
    );
    expect(bench.window.state).toBe('live');
    expect(states(bench.rendition('video'))).toBe('ccggggco');
    for (const rendition of bench.window.renditions) {
      expect(rendition.segments.map((s) => s.discontinuity).indexOf(true)).toBe(6);
      const absence = rendition.segments
        .filter((s) => s.state === 'gap')
        .reduce((sum, s) => sum + s.durationTicks, 0);
      expect(absence / rendition.timescale).toBeCloseTo(7.3, 1);
    }
    expect(bench.window.periods).toHaveLength(2);
    expect(bench.clock.pendingTimers).toBe(0);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('comes back at once without a gap', () => {
    const bench = avBench(3);
    bench.packager.away();
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'resume' }));
    bench.feed(videoSamples({ seconds: 1, startMs: EPOCH_MS + 3200 }));
    expect(states(bench.rendition('video'))).toBe('cco');
    expect(bench.rendition('video').segments[2]?.discontinuity).toBe(true);
  });

  it('never numbers back when the source clock jumps back', () => {
    const bench = avBench(5);
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'jump' }));
    bench.feed(videoSamples({ seconds: 3, startMs: EPOCH_MS + 3000 }));
    expect(bench.rendition('video').segments.map((s) => s.number - START_NUMBER)).toEqual([0, 1, 2, 3, 4]);
    expect(bench.rendition('video').segments[3]?.discontinuity).toBe(true);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('ends, and begins again in the same list when it was not long ago', () => {
    const bench = avBench(3);
    bench.packager.end();
    expect(bench.window.state).toBe('ended');
    expect(bench.window.published).toBe(true);
    bench.clock.advance(60_000);
    expect(states(bench.rendition('video'))).toBe('cc');
    expect(bench.clock.pendingTimers).toBe(0);
    const from = EPOCH_MS + 9000;
    bench.packager.begin(
      timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'start', startMs: from }),
    );
    bench.feed(videoSamples({ seconds: 2.5, startMs: from }));
    expect(bench.window.state).toBe('live');
    expect(states(bench.rendition('video'))).toBe('ccgggco');
    expect(bench.rendition('video').segments[5]?.discontinuity).toBe(true);
  });

  it('stays ended when the publisher is reported gone afterwards', () => {
    const bench = avBench(3);
    bench.packager.end();
    bench.packager.away();
    bench.clock.advance(10_000);
    expect(bench.window.state).toBe('ended');
    expect(states(bench.rendition('video'))).toBe('cc');
  });

  it('begins a new list after a long pause', () => {
    const bench = avBench(7);
    bench.packager.end();
    const from = EPOCH_MS + 3_600_000;
    bench.packager.begin(
      timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'start', startMs: from }),
    );
    bench.feed(videoSamples({ seconds: 0.5, startMs: from }));
    expect(bench.window.published).toBe(false);
    expect(bench.rendition('video').segments.map((s) => s.number)).toEqual([from / 2000]);
    expect(bench.rendition('video').firstListed).toBe(from / 2000);
    expect(bench.rendition('video').discontinuitySequence).toBe(1);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('ends well when nothing was ever published', () => {
    const bench = new PackagerBench();
    bench.packager.away();
    bench.packager.end();
    expect(bench.packager.window).toBeUndefined();
    expect(bench.clock.pendingTimers).toBe(0);
  });
});

describe('restarts', () => {
  it('goes on after the last number of the process before, in a greater period', () => {
    const journal = new MemoryJournal();
    journal.records.set('cam', {
      lastNumber: START_NUMBER + 5,
      discontinuitySequence: 3,
      lastPeriodId: 'pzzzzzz',
    });
    const bench = new PackagerBench({}, journal);
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 2.5 }));
    expect(bench.rendition('video').segments[0]?.number).toBe(START_NUMBER + 6);
    expect(bench.rendition('video').discontinuitySequence).toBe(4);
    expect(bench.window.periods[0]?.id).toBe('p1000000');
  });

  it('remembers the open segment, whose parts players may have seen', () => {
    const bench = avBench(4.1);
    expect(bench.journal.load('cam')).toEqual({
      lastNumber: START_NUMBER + 2,
      discontinuitySequence: 0,
      lastPeriodId: bench.window.periods[0]?.id,
    });
  });

  it('remembers the numbers of gaps', () => {
    const bench = avBench(3);
    bench.packager.away();
    bench.clock.advance(6000);
    expect(bench.journal.load('cam')?.lastNumber).toBe(bench.rendition('video').segments.at(-1)?.number);
    expect(bench.journal.load('cam')?.lastNumber).toBe(START_NUMBER + 4);
  });

  it('remembers discontinuities, listed or not', () => {
    const bench = avBench(3);
    bench.packager.away();
    bench.packager.begin(timeline({ video: videoTrack() }, { reason: 'resume' }));
    bench.feed(videoSamples({ seconds: 100, startMs: EPOCH_MS + 3300 }));
    expect(bench.rendition('video').discontinuitySequence).toBe(1);
    expect(bench.journal.load('cam')?.discontinuitySequence).toBe(1);
  });

  it('gives periods that begin within one second different ids', () => {
    const bench = avBench(3);
    for (let n = 0; n < 3; n++) {
      bench.packager.begin(timeline({ video: videoTrack() }, { reason: 'jump' }));
      bench.feed(videoSamples({ seconds: 0.1, startMs: EPOCH_MS + 3000 + n * 100 }));
    }
    expect(new Set(bench.window.periods.map((p) => p.id)).size).toBe(4);
  });
});

describe('the window', () => {
  it('lists what players may start from and keeps what they may still fetch', () => {
    const bench = avBench(200, { windowSeconds: 10 });
    for (const rendition of bench.window.renditions) {
      const closed = rendition.segments.filter((s) => s.state === 'closed');
      const listed = closed.filter((s) => s.number >= rendition.firstListed);
      expect(listed).toHaveLength(5);
      // A segment that left is kept for its duration plus that of the list (up to 14 s), and some.
      expect(closed.length - listed.length).toBeGreaterThanOrEqual(8);
      expect(closed.length - listed.length).toBeLessThanOrEqual(10);
    }
    expect(bench.window.periods).toHaveLength(1);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('keeps a segment that left the list for as long as it and the longest list it was in last', () => {
    const bench = new PackagerBench({ windowSeconds: 10 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    const seconds = (rendition: Rendition, ticks: number): number => ticks / rendition.timescale;
    const leftAt = new Map<number, number>();
    let longestList = 0;
    let checked = 0;
    for (const sample of interleave(videoSamples({ seconds: 60 }), audioSamples({ seconds: 60 }))) {
      bench.packager.sample(sample);
      if (sample.kind !== 'video') continue;
      const now = sample.dts / VIDEO_TIMESCALE;
      const video = bench.rendition('video');
      const listed = video.segments.filter((segment) => segment.number >= video.firstListed);
      const parts = listed.flatMap((s) => (s.state === 'open' ? s.parts : []));
      const ticks = [...listed, ...parts].reduce((sum, one) => sum + one.durationTicks, 0);
      longestList = Math.max(longestList, seconds(video, ticks));
      const held = new Set(video.segments.map((segment) => segment.number));
      for (const number of held)
        if (number < video.firstListed && !leftAt.has(number)) leftAt.set(number, now);
      for (const [number, at] of leftAt) {
        if (held.has(number)) continue;
        expect(now - at).toBeGreaterThanOrEqual(2 + longestList);
        leftAt.delete(number);
        checked += 1;
      }
    }
    expect(longestList).toBeGreaterThan(12);
    expect(checked).toBeGreaterThan(5);
  });

  it('never lists less than three target durations', () => {
    const bench = avBench(30, { windowSeconds: 1 });
    for (const rendition of bench.window.renditions) {
      const listed = rendition.segments.filter(
        (s) => s.state === 'closed' && s.number >= rendition.firstListed,
      );
      const ticks = listed.reduce((sum, segment) => sum + segment.durationTicks, 0);
      expect(ticks / rendition.timescale).toBeGreaterThanOrEqual(6);
      expect(listed.length).toBeLessThanOrEqual(4);
    }
  });

  it('drops a period with its last segment', () => {
    const bench = avBench(3, { windowSeconds: 6 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }, { reason: 'jump' }));
    const from = EPOCH_MS + 3000;
    bench.feed(
      interleave(videoSamples({ seconds: 60, startMs: from }), audioSamples({ seconds: 60, startMs: from })),
    );
    expect(bench.window.periods).toHaveLength(1);
    expect(bench.rendition('audio').discontinuitySequence).toBe(1);
  });

  it('stays below its memory limit by giving up the oldest, first what is not listed', async () => {
    const bench = new PackagerBench({ windowSeconds: 20, maxWindowBytes: 2_000_000 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    // 30 frames of 10 kB a second: 600 kB a segment, so that three and an open one fit.
    const video = videoSamples({ seconds: 40, frameBytes: 10_000 });
    bench.feed(interleave(video, audioSamples({ seconds: 40 })));
    const held = bench.window.renditions.flatMap((r) => r.segments).reduce((sum, s) => sum + s.sizeBytes, 0);
    expect(held).toBeLessThanOrEqual(2_000_000 + 650_000);
    expect(await bench.metric('packager_window_bytes')).toBe(held);
    expect(await bench.metric('packager_shrunk_windows_total')).toBeGreaterThan(0);
    expect(
      bench.rendition('video').segments.filter((s) => s.state === 'closed').length,
    ).toBeGreaterThanOrEqual(2);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('cuts a segment that grows too large, and starts a period there', () => {
    const bench = new PackagerBench({ maxSegmentBytes: 300_000 });
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 5, frameBytes: 10_000 }));
    for (const segment of bench.rendition('video').segments)
      expect(segment.sizeBytes).toBeLessThanOrEqual(310_000);
    expect(bench.window.periods.length).toBeGreaterThan(3);
    expect(bench.window.periods[1]?.continues).toBe(bench.window.periods[0]?.id);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('drops a sample that no segment could hold', async () => {
    const bench = new PackagerBench({ maxSegmentBytes: 1000 });
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 0.1, frameBytes: 2000 }));
    expect(await bench.metric('packager_dropped_samples_total', { reason: 'too_large' })).toBe(3);
  });

  it('drops audio that would swell its segment past the limit', async () => {
    const bench = new PackagerBench({ maxSegmentBytes: 20_000 });
    bench.packager.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    bench.feed(interleave(videoSamples({ seconds: 1 }), audioSamples({ seconds: 1, frameBytes: 5000 })));
    expect(bench.rendition('audio').segments[0]?.sizeBytes).toBeLessThanOrEqual(21_000);
    expect(await bench.metric('packager_dropped_samples_total', { reason: 'too_large' })).toBeGreaterThan(30);
  });

  it('measures the bit rates of what it lists', () => {
    const bench = avBench(9);
    const video = bench.rendition('video');
    const [first] = video.segments;
    expect(video.averageBps).toBe(((first?.sizeBytes ?? 0) * 8) / 2);
    expect(video.peakBps).toBe(video.averageBps);
  });

  it('lets go of memory and timers when closed, twice as well', async () => {
    const bench = avBench(5);
    bench.packager.away();
    bench.packager.close();
    bench.packager.close();
    expect(bench.clock.pendingTimers).toBe(0);
    expect(await bench.metric('packager_window_bytes')).toBe(0);
    for (const sample of videoSamples({ seconds: 0.1 })) bench.packager.sample(sample);
    bench.packager.away();
    expect(bench.clock.pendingTimers).toBe(0);
  });

  it('measures how late parts are', async () => {
    const bench = new PackagerBench();
    bench.packager.begin(timeline({ video: videoTrack() }));
    bench.feed(videoSamples({ seconds: 2 }), { delayMs: 80 });
    const text = await bench.metrics.registry.metrics();
    expect(text).toContain('headwater_packager_part_late_seconds_bucket{le="0.05",rendition="video"} 0');
    expect(text).toContain('headwater_packager_part_late_seconds_bucket{le="0.1",rendition="video"} 10');
  });
});
