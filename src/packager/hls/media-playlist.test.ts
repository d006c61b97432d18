import { describe, expect, it } from 'vitest';
import { PackagerBench } from '../../../test/support/packager-bench.ts';
import { type ParsedSegment, parsePlaylist } from '../../../test/support/playlist.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  videoSamples,
  videoTrack,
} from '../../../test/support/sample-source.ts';
import {
  DEFAULT_AUDIO,
  DEFAULT_VIDEO,
  type ModelOptions,
  WindowModel,
} from '../../../test/support/window-model.ts';
import { isoTime } from '../iso-time.ts';
import { floorMs, partSeconds } from './format.ts';
import { renderMediaPlaylist } from './media-playlist.ts';

function broadcast(options: Partial<ModelOptions> = {}): WindowModel {
  return new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 20, ...options });
}

function text(window: WindowModel, id: string, skip?: 'YES' | 'v2'): string {
  return renderMediaPlaylist(window, window.rendition(id), { skip });
}

function parts(segments: readonly ParsedSegment[]): number[] {
  return segments.map((segment) => segment.parts.length);
}

describe('a media playlist, golden', () => {
  it('lists video in the middle of a segment', async () => {
    await expect(text(broadcast().run(17_400), 'video')).toMatchFileSnapshot('golden/live-video.m3u8');
  });

  it('lists audio in the middle of a segment', async () => {
    await expect(text(broadcast().run(17_400), 'audio')).toMatchFileSnapshot('golden/live-audio.m3u8');
  });

  it('lists gaps and no hint while the publisher is away', async () => {
    const window = broadcast().run(17_400).away().run(5000);
    await expect(text(window, 'video')).toMatchFileSnapshot('golden/away-video.m3u8');
  });

  it('marks the discontinuity once the publisher is back, and nothing where the grid is re-anchored', async () => {
    const window = broadcast().run(11_400).away().run(5000).resume(640).run(3300).reanchor(3).run(5000);
    await expect(text(window, 'video')).toMatchFileSnapshot('golden/resumed-video.m3u8');
    await expect(text(window, 'audio')).toMatchFileSnapshot('golden/resumed-audio.m3u8');
  });

  it('skips what lies beyond the boundary in a delta update, and states the MAP again', async () => {
    const window = broadcast({ windowSeconds: 30 }).run(31_000);
    await expect(text(window, 'video', 'YES')).toMatchFileSnapshot('golden/delta-video.m3u8');
    await expect(text(window, 'audio', 'v2')).toMatchFileSnapshot('golden/delta-v2-audio.m3u8');
  });

  it('ends with ENDLIST and no hint', async () => {
    await expect(text(broadcast().run(9000).end(), 'video')).toMatchFileSnapshot('golden/ended-video.m3u8');
  });

  it('lists 29.97 fps and 44.1 kHz with real durations', async () => {
    const window = broadcast({
      video: { frameTicks: 3003, segmentFrames: 60, partFrames: 10 },
      audio: { sampleRate: 44_100, partFrames: 14 },
    }).run(9000);
    await expect(text(window, 'video')).toMatchFileSnapshot('golden/ntsc-video.m3u8');
    await expect(text(window, 'audio')).toMatchFileSnapshot('golden/ntsc-audio.m3u8');
  });
});

describe('a media playlist', () => {
  it('says nothing of an open segment before its first part can be fetched', () => {
    const window = broadcast({ eagerOpen: true }).run(6000);
    expect(window.rendition('video').segments.at(-1)?.state).toBe('open');
    const { open, hint, segments } = parsePlaylist(text(window, 'video'));
    expect(open).toBeUndefined();
    expect(hint).toBe(`video/p1/${(segments.at(-1)?.msn ?? 0) + 1}.0.m4s`);
  });

  it('hints the next segment once the open one is foretold to have all its parts', () => {
    const window = broadcast().run(6500);
    const open = window.rendition('video').segments.at(-1);
    if (open?.state !== 'open') throw new Error('no open segment');
    const { number } = open;
    expect(parsePlaylist(text(window, 'video')).hint).toBe(`video/p1/${number}.${open.parts.length}.m4s`);
    open.partsForetold = true;
    expect(parsePlaylist(text(window, 'video')).hint).toBe(`video/p1/${number + 1}.0.m4s`);
  });

  it('keeps MAP, date and DISCONTINUITY in front of the first part of a segment that is still open', () => {
    const window = broadcast().run(7000).away().run(3000).resume().run(700);
    const { open } = parsePlaylist(text(window, 'video'));
    expect(open).toMatchObject({ discontinuity: true, map: 'video/p2/init.mp4', mapStated: true });
    expect(open?.parts.length).toBe(2);
  });

  it('names only initialization segments that there are, also for gaps of a period without the track', () => {
    const bench = new PackagerBench();
    let fromMs = EPOCH_MS;
    const during = (withAudio: boolean): void => {
      const tracks = withAudio ? { video: videoTrack(), audio: audioTrack() } : { video: videoTrack() };
      bench.packager.begin(timeline(tracks, { reason: fromMs === EPOCH_MS ? 'start' : 'tracks' }));
      const video = videoSamples({ seconds: 4, startMs: fromMs });
      bench.feed(withAudio ? interleave(video, audioSamples({ seconds: 4, startMs: fromMs })) : video);
      fromMs += 4000;
    };
    const maps = (): string[] => {
      const { segments } = parsePlaylist(renderMediaPlaylist(bench.window, bench.rendition('audio')));
      return segments.map((segment) => `${segment.gap ? 'gap ' : ''}${segment.map}`);
    };
    for (const withAudio of [false, true, false]) during(withAudio);
    const withTrack = `audio/${bench.window.periods[1]?.id}/init.mp4`;
    const gap = `gap ${withTrack}`;
    expect(maps()).toEqual([gap, gap, withTrack, withTrack, gap]);
    const before = maps();
    during(true);
    expect(maps().slice(0, before.length)).toEqual(before);
    expect(maps().at(-1)).toBe(`audio/${bench.window.periods.at(-1)?.id}/init.mp4`);
  });

  it('lists parts only of segments that began within three target durations of the edge', () => {
    const window = broadcast().run(12_000);
    // The edge is at 12 s: the segments at 6, 8 and 10 s keep their parts, the one at 4 s has lost them.
    expect(parts(parsePlaylist(text(window, 'video')).segments)).toEqual([0, 0, 0, 6, 6, 6]);
    window.run(400);
    expect(parts(parsePlaylist(text(window, 'video')).segments)).toEqual([0, 0, 0, 0, 6, 6]);
  });

  it('does not call a part independent that begins without a key frame', () => {
    const window = broadcast().run(3000);
    window.dependentNext = true;
    window.run(2000);
    const { open } = parsePlaylist(text(window, 'video'));
    expect(open?.parts.map((part) => part.independent)).toEqual([false, false, false]);
  });

  it('gives audio its date early only where there is video to align with', () => {
    const date = (window: WindowModel): number =>
      parsePlaylist(text(window, 'audio')).segments[0]?.dateMs ?? 0;
    const startMs = 1_795_348_800_000;
    expect(date(new WindowModel({ audio: DEFAULT_AUDIO }).run(5000)) - startMs).toBe(0);
    // The first audio frame comes 137 samples after the picture: 2.85 ms, floored, less 10.
    expect(date(broadcast().run(5000)) - startMs).toBe(-8);
  });

  it('reports on every other rendition and never on itself', () => {
    const window = broadcast().run(5000);
    expect(parsePlaylist(text(window, 'video')).reports.map((report) => report.uri)).toEqual(['audio.m3u8']);
    expect(parsePlaylist(text(window, 'audio')).reports.map((report) => report.uri)).toEqual(['video.m3u8']);
    const alone = new WindowModel({ video: DEFAULT_VIDEO }).run(5000);
    expect(parsePlaylist(text(alone, 'video')).reports).toEqual([]);
  });

  it('sends a full playlist when a delta would skip nothing, or when the stream has ended', () => {
    const young = broadcast().run(12_500);
    expect(text(young, 'video', 'YES')).toBe(text(young, 'video'));
    const ended = broadcast().run(19_000).end();
    expect(text(ended, 'video', 'v2')).toBe(text(ended, 'video'));
  });

  it('keeps exactly the skip boundary of complete segments in a delta', () => {
    const window = broadcast({ windowSeconds: 40 }).run(33_000);
    const delta = parsePlaylist(text(window, 'video', 'YES'));
    expect(delta.skipped).toBe(10);
    expect(delta.segments.reduce((sum, segment) => sum + (segment.duration ?? 0), 0)).toBe(12);
  });

  it('hints nothing for a track that the current period does not have', () => {
    const window = broadcast().run(6000);
    expect(parsePlaylist(text(window, 'audio')).hint).toBeDefined();
    window.run(2000 / 3);
    const { period } = window;
    const tracks = new Map([['video', period.lead]]);
    window.periods.push({ ...period, id: 'p2', startNumber: period.startNumber + 3, tracks });
    window.rendition('audio').segments.pop();
    expect(parsePlaylist(text(window, 'audio')).hint).toBeUndefined();
  });

  it('hints the part of the period that the next number belongs to', () => {
    const window = broadcast({ audioLateMs: 700 }).run(6500);
    window.reanchor();
    // The new period is known, but audio still has parts of the old one to come.
    expect(parsePlaylist(text(window, 'audio')).hint).toMatch(/^audio\/p1\//);
  });
});

describe('numbers in a playlist', () => {
  it('never print a part longer than PART-TARGET', () => {
    expect(partSeconds(30_000, 90_000, 0.333)).toBe('0.33300');
    expect(partSeconds(30_000, 90_000, 0.334)).toBe('0.33333');
    expect(partSeconds(18_000, 90_000, 0.2)).toBe('0.20000');
    // Rounding up would print 0.32000 against a target that is a hair shorter.
    expect(partSeconds(0.319_999_6 * 1e6, 1e6, 0.319_999)).toBe('0.31999');
  });

  it('never round a date up, and lose no tick of an epoch time', () => {
    const epochSeconds = 1_795_348_800;
    expect(floorMs(epochSeconds * 90_000 + 89_999, 90_000)).toBe(epochSeconds * 1000 + 999);
    expect(floorMs(epochSeconds * 44_100 + 441, 44_100)).toBe(epochSeconds * 1000 + 10);
    expect(floorMs(epochSeconds * 90_000, 90_000)).toBe(epochSeconds * 1000);
  });
});

describe('splices', () => {
  it('are date ranges in every playlist and every delta, with the sections as they came', () => {
    const window = broadcast()
      .run(60_000)
      .splice(3000, { plannedSeconds: 30 })
      .splice(0, { durationSeconds: 12.5 });
    const date = isoTime(window.clock.wallMs() + 3000);
    const first = `#EXT-X-DATERANGE:ID="splice-0",START-DATE="${date}",PLANNED-DURATION=30.00000,SCTE35-OUT=0xFC301100`;
    for (const rendition of window.renditions) {
      for (const skip of [undefined, 'YES', 'v2'] as const) {
        const lines = renderMediaPlaylist(window, rendition, { skip }).split('\n');
        expect(lines).toContain(first);
        expect(lines.filter((line) => line.includes('splice-1'))).toEqual([
          expect.stringMatching(/DURATION=12\.50000,SCTE35-OUT=0xFC301101,SCTE35-IN=0xFC301201$/),
        ]);
      }
    }
  });
});
