import { afterEach, describe, expect, it } from 'vitest';
import { DvrStream, type DvrOptions } from '../../test/support/dvr-stream.ts';
import { FakeArchive } from '../../test/support/fake-archive.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { MemoryJournal } from '../../test/support/packager-bench.ts';
import { type ParsedPlaylist, parsePlaylist } from '../../test/support/playlist.ts';
import {
  audioTrack,
  EPOCH_MS,
  timeline,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { Metrics } from '../base/metrics.ts';
import type { Rendition } from '../stream/live-window.ts';
import type { VideoTrack } from '../stream/track.ts';
import { renderMpd } from './dash/mpd.ts';
import { renderMediaPlaylist } from './hls/media-playlist.ts';
import { renderMultivariant } from './hls/multivariant.ts';
import { PackagerDirectory } from './packager-directory.ts';
import { PackagerMetrics } from './packager-metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS } from './stream-packager.ts';

/** Ten seconds of window: what is held is twice that, and four target durations. */
const MEMORY_SECONDS = 28;
const RUNG: VideoTrack = { ...videoTrack(), width: 160, height: 120 };
const TIMEOUT_MS = 60_000;

let stream: DvrStream;

function dvr(options: DvrOptions = {}): DvrStream {
  stream = new DvrStream(options);
  return stream;
}

afterEach(() => {
  stream?.close();
});

function playlist(id = 'video'): ParsedPlaylist {
  const rendition = stream.rendition(id);
  return parsePlaylist(renderMediaPlaylist(stream.window, rendition));
}

function places({ segments }: Rendition): string {
  const letter = { memory: 'm', archive: 'a', lost: 'l' } as const;
  return segments.map(({ place, state }) => (state === 'gap' ? 'g' : letter[place])).join('');
}

function numbers({ segments }: Rendition): number[] {
  return segments.map(({ number }) => number);
}

function expectContiguous(): void {
  for (const rendition of stream.window.renditions) {
    const all = numbers(rendition);
    expect(all).toEqual(all.map((_, i) => (all[0] ?? 0) + i));
  }
}

/** How many discontinuities lie before each listed segment with media, over the life of the stream. */
function discontinuityNumbers(): Map<number, number> {
  return new Map(
    playlist().segments.flatMap(({ msn, gap, discontinuityNumber }) =>
      gap ? [] : [[msn, discontinuityNumber]],
    ),
  );
}

describe('a window with an archive behind it', () => {
  it('lists as much as the DVR reaches back, and holds no more than before', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(100);
    const { segments, targetDuration } = playlist();
    const listed = segments.reduce((sum, { duration }) => sum + (duration ?? 0), 0);
    expect(listed).toBeGreaterThanOrEqual(60);
    expect(listed).toBeLessThan(60 + 2 * targetDuration);
    expect(stream.window.plan.windowSeconds).toBe(60);
    expect(stream.window.plan.canSkipUntilSeconds).toBe(12);
    expect(renderMpd(stream.window, { clockUrl: '/time' })).toContain('timeShiftBufferDepth="PT60S"');
    for (const rendition of stream.window.renditions) {
      expect(places(rendition)).toMatch(/^a+m+$/);
      const held = rendition.segments.filter(({ place }) => place === 'memory');
      expect(held.length * 2).toBeLessThanOrEqual(MEMORY_SECONDS + 4);
      expect(held.length * 2).toBeGreaterThanOrEqual(MEMORY_SECONDS);
      for (const { place, chunks, parts } of rendition.segments)
        expect(chunks.length > 0 && parts.length > 0).toBe(place === 'memory');
    }
    expectContiguous();
  });

  it('counts as its memory exactly the bytes of its chunks', { timeout: TIMEOUT_MS }, async () => {
    dvr().publish().run(70.5);
    const bytes = stream.window.renditions
      .flatMap(({ segments }) => segments.flatMap(({ chunks }) => chunks))
      .reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    const gauge = await stream.metrics.registry.getSingleMetric('headwater_packager_window_bytes')?.get();
    expect(gauge?.values[0]?.value).toBe(bytes);
    stream.packager.close();
    const after = await stream.metrics.registry.getSingleMetric('headwater_packager_window_bytes')?.get();
    expect(after?.values[0]?.value).toBe(0);
  });

  it('gives every complete segment to the archive once, in order, as it was packaged', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(30).away().run(7).publish('resume').run(20.1);
    for (const rendition of stream.window.renditions) {
      const given = stream.archive.given.get(rendition.id) ?? [];
      expect(given).toEqual(numbers(rendition).slice(0, given.length));
      expect(given.length).toBeGreaterThanOrEqual(rendition.segments.length - 1);
    }
    expect(stream.archive.blobs.size).toBeGreaterThan(40);
    for (const [name, bytes] of stream.archive.blobs)
      expect(stream.packaged.get(`${name.replace('cam/', '')}.m4s`)?.equals(bytes), name).toBe(true);
  });

  it('keeps segments downloadable for as long again after they left the list', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr({ dvrSeconds: 30 }).publish().run(160);
    const { segments, firstListed } = stream.rendition('video');
    expect(firstListed - (segments[0]?.number ?? 0)).toBeGreaterThanOrEqual(15);
    expect(segments.length * 2).toBeLessThan(2 * 30 + 8 + 4);
  });

  it('with no DVR keeps all and lists no more than without', { timeout: TIMEOUT_MS }, () => {
    dvr({ dvrSeconds: 0 }).publish().run(60);
    const { segments, firstListed } = stream.rendition('video');
    expect(stream.window.plan.windowSeconds).toBe(10);
    expect(playlist().segments.length).toBeLessThanOrEqual(6);
    expect(segments.length * 2).toBeLessThanOrEqual(MEMORY_SECONDS + 4);
    expect(stream.archive.listed?.number).toBe(firstListed);
    expect(stream.archive.given.get('video')?.length).toBe(29);
  });

  it('tells the archive where the list begins, and the discontinuities before it', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr({ dvrSeconds: 20 }).publish().run(9).away().run(5).publish('resume').run(50);
    const { firstListed, discontinuitySequence } = stream.rendition('video');
    expect(discontinuitySequence).toBe(1);
    expect(stream.archive.listed).toEqual({ number: firstListed, discontinuitySequence });
  });

  it('declares the bit rate of all that is listed, also of what left the memory', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(90);
    for (const rendition of stream.window.renditions) {
      const listed = rendition.segments.filter(
        ({ number, state }) => number >= rendition.firstListed && state === 'closed',
      );
      const rates = listed.map((s) => (s.sizeBytes * 8 * rendition.timescale) / s.durationTicks);
      expect(Math.abs(rendition.peakBps - Math.max(...rates))).toBeLessThanOrEqual(1);
      const bits = listed.reduce((sum, { sizeBytes }) => sum + sizeBytes * 8, 0);
      const ticks = listed.reduce((sum, { durationTicks }) => sum + durationTicks, 0);
      expect(Math.abs(rendition.averageBps - (bits * rendition.timescale) / ticks)).toBeLessThanOrEqual(1);
    }
  });

  it('takes what the store gave up early off the list', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(70);
    const to = stream.rendition('video').firstListed + 8;
    stream.archive.shorten(to);
    expect(playlist().mediaSequence).toBe(to);
    expect(stream.archive.listed?.number).toBe(to);
    stream.archive.shorten(to + 1000);
    expect(playlist().segments.length).toBeGreaterThan(10);
    stream.run(30);
    expectContiguous();
  });
});

describe('a segment that is not stored', () => {
  it('stays in memory until it is, and leaves it then', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(50, false);
    expect(places(stream.rendition('video'))).toMatch(/^m+$/);
    stream.archive.settle();
    expect(places(stream.rendition('video'))).toMatch(/^a{9,}m+$/);
  });

  it('stays in memory although storing it failed, and is as good as before', {
    timeout: TIMEOUT_MS,
  }, async () => {
    dvr();
    stream.archive.mode = 'fail';
    stream.publish().run(50);
    expect(places(stream.rendition('video'))).toMatch(/^m+$/);
    for (const { uri, gap } of playlist().segments) {
      expect(gap).toBe(false);
      const answer = await stream.get(uri ?? '');
      expect(stream.packaged.get(uri ?? '')?.equals(answer.bytes())).toBe(true);
    }
  });

  it('is lost when its room is needed, a gap for HLS and empty for DASH', {
    timeout: TIMEOUT_MS,
  }, async () => {
    dvr({ maxWindowBytes: 2_000_000 });
    stream.publish().run(20);
    stream.archive.mode = 'fail';
    stream.run(50);
    stream.archive.mode = 'store';
    stream.run(4);
    const { segments } = stream.rendition('video');
    expect(places(stream.rendition('video'))).toMatch(/^a+l+m+$/);
    const version = stream.window.version;
    expect(version).toBeGreaterThan(0);
    const lost = segments.filter(({ place }) => place === 'lost').map(({ number }) => number);
    expect(stream.archive.given.get('video')).toEqual(expect.arrayContaining(lost.map((number) => -number)));
    const text = playlist();
    for (const number of lost) {
      const listed = text.segments.find(({ msn }) => msn === number);
      expect(listed?.gap).toBe(true);
      const answer = await stream.get(listed?.uri ?? '');
      expect(answer.status).toBe(200);
      expect(answer.bytes().subarray(4, 8).toString()).toBe('styp');
      expect(answer.bytes()).toHaveLength(24);
    }
    const metric = stream.metrics.registry.getSingleMetric('headwater_packager_lost_segments_total');
    expect((await metric?.get())?.values.length).toBeGreaterThan(0);
  });

  it('never costs the newest segments their place in memory', { timeout: TIMEOUT_MS }, () => {
    dvr({ maxWindowBytes: 100 });
    stream.archive.mode = 'fail';
    stream.publish();
    for (let i = 0; i < 60; i++) {
      stream.run(0.5);
      const complete = stream.packager.window?.renditions[0]?.segments.findLast((s) => s.state === 'closed');
      if (complete) expect(complete.place).toBe('memory');
    }
  });
});

describe('a stream that goes on behind what was archived', () => {
  it('after an end lists the old segments, gaps, and a discontinuity before the new', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(21).end();
    expect(stream.archive.ends).toBe(1);
    stream.run(9);
    const before = playlist();
    stream.anew().run(4.5);
    const after = playlist();
    expect(after.mediaSequence).toBe(before.mediaSequence);
    expect(after.ended).toBe(false);
    const old = after.segments.slice(0, before.segments.length);
    expect(old.map(({ uri }) => uri)).toEqual(before.segments.map(({ uri }) => uri));
    const rest = after.segments.slice(before.segments.length);
    expect(rest.map(({ gap, discontinuity }) => `${gap} ${discontinuity}`)).toEqual([
      'true false',
      'true false',
      'true false',
      'true false',
      'true false',
      'false true',
      'false false',
    ]);
    const gaps = rest.filter(({ gap }) => gap).reduce((sum, { duration }) => sum + (duration ?? 0), 0);
    expect(gaps).toBeCloseTo(9, 1);
    expectContiguous();
    expect(new Set(stream.window.periods.map(({ id }) => id)).size).toBe(2);
  });

  it('serves nothing before its first new segment is complete', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(20).end().run(4).anew().run(1);
    expect(stream.window.published).toBe(false);
    stream.run(1.2);
    expect(stream.window.published).toBe(true);
  });

  it('after a kill jumps over the numbers that were reserved, as gaps', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(21);
    const last = stream.rendition('video').segments.at(-1)?.number ?? 0;
    stream.archive.settle();
    stream.kill().run(3).publish().run(5);
    const first = stream.window.periods.at(-1)?.startNumber ?? 0;
    expect(first).toBe(last + 17);
    expectContiguous();
    const gaps = playlist().segments.filter(({ gap }) => gap);
    expect(gaps).toHaveLength(17);
    const holeSeconds = gaps.reduce((sum, { duration }) => sum + (duration ?? 0), 0);
    // What was not complete is missing, too.
    expect(holeSeconds).toBeCloseTo(3 + 1, 1);
    for (const { duration } of gaps) expect(duration).toBeGreaterThan(0.1);
  });

  it('keeps the count of discontinuities, also of one that was lost with the process', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(11).away().run(4).publish('resume').run(7);
    stream.away().run(4).publish('resume').run(1);
    const before = discontinuityNumbers();
    const open = stream.rendition('video').segments.at(-1);
    expect(open?.discontinuity).toBe(true);
    expect(stream.rendition('video').discontinuitySequence).toBe(0);
    stream.kill().run(2).publish().run(5);
    const after = discontinuityNumbers();
    for (const [number, count] of before) if (after.has(number)) expect(after.get(number)).toBe(count);
    expect(Math.max(...after.values())).toBe(3);
  });

  it('never gives a period id twice', { timeout: TIMEOUT_MS }, () => {
    dvr().publish().run(5);
    const seen = new Set(stream.window.periods.map(({ id }) => id));
    // Faster than the second that an id is made of.
    for (let i = 0; i < 4; i++) {
      stream.kill().publish().run(0.2);
      const id = stream.window.periods.at(-1)?.id ?? '';
      expect(seen.has(id)).toBe(false);
      seen.add(id);
    }
    stream.run(5);
    expect(new Set(stream.window.periods.map(({ id }) => id)).size).toBe(stream.window.periods.length);
  });

  it('begins anew when all of it would have left the list, and tells the archive', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(11).end().run(70).anew().run(5);
    expect(playlist().segments.length).toBeLessThan(4);
    expect(stream.window.periods).toHaveLength(1);
    expect(stream.archive.listed?.number).toBe(stream.rendition('video').firstListed);
    expect(stream.rendition('video').discontinuitySequence).toBe(1);
  });

  it('begins anew under another TARGETDURATION', { timeout: TIMEOUT_MS }, () => {
    const archive = new FakeArchive();
    dvr({ archive }).publish().run(11).end();
    const { journal, clock } = stream;
    const last = stream.rendition('video').segments.at(-1)?.number ?? 0;
    stream.packager.close();
    const other = new DvrStream({ archive, segmentMs: 6000 });
    for (const [name, record] of journal.records) other.journal.records.set(name, record);
    other.clock.advance(clock.wallMs() - other.clock.wallMs() + 2000);
    other.publish().run(13);
    const [first] = other.rendition('video').segments;
    expect(first?.number).toBeGreaterThan(last);
    expect(archive.listed?.number).toBe(first?.number);
    expect(other.window.periods).toHaveLength(1);
    other.close();
  });

  it('lists old DASH periods with their ends, and their media under the same numbers', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(20).end().run(6);
    const old = /<Period id="([^"]+)" start="([^"]+)" duration="([^"]+)"/.exec(mpd())?.slice(1);
    expect(old).toHaveLength(3);
    stream.anew().run(5);
    const text = mpd();
    expect(/<Period id="([^"]+)" start="([^"]+)" duration="([^"]+)"/.exec(text)?.slice(1)).toEqual(old);
    expect(text.match(/<Period /g)).toHaveLength(2);
    expect(text).toContain('endNumber=');
    stream.run(70);
    expect(mpd().match(/<Period /g)).toHaveLength(1);
  });

  it('goes on with periods that were encrypted, under the keys and maps that they had', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr({ keys: new FakeKeys(8000) })
      .publish()
      .run(21);
    const lines = (): string[] =>
      renderMediaPlaylist(stream.window, stream.rendition('video'))
        .split('\n')
        .filter((line) => /^#EXT-X-(KEY|MAP)/.test(line));
    const protections = (): string[] => mpd().match(/cenc:default_KID="[^"]+"/g) ?? [];
    const [before, keysBefore] = [lines(), protections()];
    const inits = stream.window.periods.map(({ inits: own }) => own.get('video'));
    stream.kill().run(2).publish().run(5);
    const whole = (all: string[]): string[] => all.slice(0, -2);
    expect(lines().slice(0, before.length - 2)).toEqual(whole(before));
    expect(protections().slice(0, 2)).toEqual(keysBefore.slice(0, 2));
    expect(stream.window.periods[0]?.inits.get('video')).toEqual(inits[0]);
    expect(new Set(lines().filter((line) => line.includes('MAP'))).size).toBeGreaterThan(2);
  });

  it('has a rendition that nobody makes any more to its end, with gaps from then on', {
    timeout: TIMEOUT_MS,
  }, () => {
    dvr().publish().run(20).end().run(4).anew('start', false).run(5);
    expectContiguous();
    const audio = stream.rendition('audio');
    expect(numbers(audio).at(0)).toBe(numbers(stream.rendition('video')).at(0));
    expect(playlist('audio').segments.filter(({ gap }) => !gap)).toHaveLength(10);
    expect(renderMultivariant(stream.window)).not.toContain('TYPE=AUDIO');
    stream.end().run(2).anew('start', true).run(5);
    expectContiguous();
    expect(playlist('audio').segments.at(-1)?.gap).toBe(false);
    expect(renderMultivariant(stream.window)).toContain('TYPE=AUDIO');
  });

  it('does so although the clock went back a little, and not when it went back far', {
    timeout: TIMEOUT_MS,
  }, () => {
    for (const [backMs, goesOn] of [
      [1500, true],
      [30_000, false],
    ] as const) {
      dvr().publish().run(31).end();
      const last = stream.rendition('video').segments.at(-1)?.number ?? 0;
      stream.clock.stepWall(-backMs);
      stream.anew().run(5);
      expect(stream.window.periods).toHaveLength(goesOn ? 2 : 1);
      expect(stream.window.periods.at(-1)?.startNumber).toBe(last + 1);
      expectContiguous();
      stream.close();
    }
  });
});

function mpd(): string {
  return renderMpd(stream.window, { clockUrl: '/time' });
}

describe('a rung of the ladder', () => {
  function withRungs(): void {
    dvr({ ladder: true, audio: false });
    stream.onSample = (sample) => {
      if (sample.kind === 'video') stream.packager.rungs.sample('240p', sample);
    };
  }

  function encode(): void {
    stream.packager.rungs.expect(['240p']);
    stream.packager.rungs.track('240p', RUNG);
  }

  it.each([
    ['before the first sample', 0],
    ['while the first segment is made', 1],
    ['a second after it was shown', 5],
  ])('is taken up again with its old segments: named %s', { timeout: TIMEOUT_MS }, (_when, seconds) => {
    withRungs();
    stream.publish();
    encode();
    stream.run(16);
    const old = playlist('240p').segments;
    expect(old.every(({ gap }) => !gap)).toBe(true);
    stream.kill().run(2);
    stream.publish();
    if (seconds > 4) stream.packager.rungs.expect([]);
    if (seconds > 0) stream.run(seconds);
    encode();
    stream.run(12);
    expectContiguous();
    const now = playlist('240p');
    expect(now.segments.slice(0, old.length).map(({ uri }) => uri)).toEqual(old.map(({ uri }) => uri));
    expect(now.segments.slice(0, old.length).some(({ gap }) => gap)).toBe(false);
    expect(now.segments.at(-1)?.gap).toBe(false);
    expect(now.mediaSequence).toBe(playlist().mediaSequence);
    expect(now.segments.length).toBe(playlist().segments.length);
    expect(renderMultivariant(stream.window)).toContain('240p.m3u8');
    expect(mpd().match(/<Representation id="240p"/g)?.length).toBeGreaterThanOrEqual(2);
    const given = stream.archive.given.get('240p') ?? [];
    expect(given).toEqual(given.toSorted((a, b) => a - b));
    expect(new Set(given).size).toBe(given.length);
  });

  it('that is new has gaps for all before it', { timeout: TIMEOUT_MS }, () => {
    withRungs();
    stream.publish();
    stream.packager.rungs.expect([]);
    stream.run(40).kill().run(2);
    stream.publish();
    encode();
    stream.run(6);
    expectContiguous();
    expect(places(stream.rendition('240p'))).toMatch(/^g{20,}m+$/);
    stream.run(60);
    expectContiguous();
  });

  it('that is named and then left out is there for its old segments only', { timeout: TIMEOUT_MS }, () => {
    withRungs();
    stream.publish();
    encode();
    stream.run(16).kill().run(2);
    stream.publish();
    stream.packager.rungs.expect(['240p']);
    stream.run(1);
    stream.packager.rungs.expect([]);
    stream.run(6);
    expect(stream.window.published).toBe(true);
    expectContiguous();
    expect(renderMultivariant(stream.window)).not.toContain('240p.m3u8');
    expect(playlist('240p').segments.filter(({ gap }) => !gap).length).toBeGreaterThan(5);
  });
});

describe('the directory', () => {
  it.each([
    ['as far back as it reached', 100, true, 100],
    ['two windows at least', 5, true, 20],
    ['two windows where there is no archive', 100, false, 20],
  ])('keeps an ended stream for %s', (_what, dvrSeconds, isArchived, keptSeconds) => {
    const clock = new FakeClock(EPOCH_MS);
    const archive = new FakeArchive();
    const directory = new PackagerDirectory(
      { ...DEFAULT_PACKAGER_OPTIONS, windowSeconds: 10, dvrSeconds },
      {
        clock,
        log: createMemoryLog(),
        metrics: new PackagerMetrics(new Metrics()),
        journal: new MemoryJournal(),
        archive: isArchived ? archive : undefined,
      },
    );
    const { source } = directory.createSink('cam');
    source.begin(timeline({ video: videoTrack(), audio: audioTrack() }));
    for (const sample of videoSamples({ seconds: 3 })) source.sample(sample);
    source.end();
    clock.advance(keptSeconds * 1000 - 1);
    expect(directory.window('cam')).toBeDefined();
    clock.advance(1);
    expect(directory.window('cam')).toBeUndefined();
    expect(archive.opened).toBe(0);
    directory.close();
  });
});
