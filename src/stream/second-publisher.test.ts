import { describe, expect, test } from 'vitest';
import { running } from '../../test/support/hub-bench.ts';
import {
  AVC_720P25,
  frameNumber,
  RTMP_INFO,
  type SyntheticSource,
} from '../../test/support/stream-source.ts';
import type { PublisherInfo } from './publisher.ts';
import type { Sample } from './track.ts';

/** Frames of the first source have 100 bytes, of the second this many: they can be told apart in what comes out. */
const SECOND_BYTES = 200;
const AGAIN: PublisherInfo = { ...RTMP_INFO, session: 'session-2' };
const BACKUP: PublisherInfo = { ...AGAIN, role: 'backup' };

/** Time passes for both. */
function runBoth(first: SyntheticSource, second: SyntheticSource, durationMs: number): void {
  for (let ms = 0; ms < durationMs; ms += 5) {
    first.run(5);
    second.run(0);
  }
}

/** Time passes while only the second sends. */
function runAlone(source: SyntheticSource, durationMs: number): void {
  source.run(durationMs);
}

function sizes(samples: readonly Sample[]): number[] {
  return samples.map(({ data }) => data.byteLength);
}

/** Ticks that no frame covers, from one frame to the next. */
function largestHole(samples: readonly Sample[]): number {
  return Math.max(
    ...samples.slice(1).map((sample, index) => {
      const before = samples[index];
      return before ? sample.dts - before.dts - before.duration : 0;
    }),
  );
}

describe('a second publisher in the same role', () => {
  test('takes over with its first key frame, and nothing of the first comes out after it', () => {
    const { publish, source, sink, closedWith, hub } = running(5000);
    const second = publish({ frameBytes: SECOND_BYTES }, 'show', AGAIN);
    second.source.configure();
    runBoth(source, second.source, 3000);
    const video = sink().samples('video');
    const seam = video.findIndex(({ data }) => data.byteLength === SECOND_BYTES);
    expect(seam).toBeGreaterThan(100);
    expect(new Set(sizes(video.slice(seam)))).toEqual(new Set([SECOND_BYTES]));
    expect(video[seam]?.key).toBe(true);
    expect(closedWith).toEqual(['STREAM_TAKEN_OVER']);
    expect(sink().signals).toEqual(['begin:start', 'away', 'begin:resume']);
    expect(hub.stream('show')).toMatchObject({ switches: 1, publisher: { session: 'session-2' } });
    // The first went on until then, so viewers miss less than a fifth of a second.
    expect(largestHole(video)).toBeLessThan(90_000 / 5);
  });

  test('shows its first picture within half a second of sending it', () => {
    const { publish, source, sink, clock } = running(5000);
    const second = publish({ frameBytes: SECOND_BYTES }, 'show', AGAIN);
    second.source.configure();
    const sentMs = clock.wallMs();
    runBoth(source, second.source, 1000);
    const seen = sink().events.find(
      (event) => event.type === 'sample' && event.sample.data.byteLength === SECOND_BYTES,
    );
    expect(seen?.type === 'sample' && seen.atMs - sentMs).toBeLessThan(500);
  });

  test('that sends nothing takes nothing over', () => {
    const { publish, source, sink, closedWith } = running(5000);
    publish({}, 'show', AGAIN);
    source.run(5000);
    expect(closedWith).toEqual([]);
    expect(largestHole(sink().samples('video'))).toBe(0);
  });

  test('that sends no key frame takes nothing over', () => {
    const { publish, source, sink, closedWith } = running(5000);
    const second = publish({ frameBytes: SECOND_BYTES }, 'show', AGAIN);
    second.source.noKeys = true;
    second.source.configure();
    runBoth(source, second.source, 3000);
    expect(closedWith).toEqual([]);
    expect(sizes(sink().samples('video'))).not.toContain(SECOND_BYTES);
  });

  test('is itself replaced by a third, before anybody sees it', () => {
    const { publish, source, closedWith, hub } = running(3000);
    publish({}, 'show', AGAIN);
    publish({}, 'show', { ...AGAIN, session: 'session-3' });
    source.run(100);
    expect(closedWith).toEqual(['STREAM_TAKEN_OVER']);
    expect(hub.stream('show')?.publishers.map(({ session }) => session)).toEqual(['session-1', 'session-3']);
  });

  test('is refused where that is configured', () => {
    const { publish } = running(3000, {}, { onSecondPublisher: 'reject' });
    expect(() => publish({}, 'show', AGAIN)).toThrow(expect.objectContaining({ code: 'STREAM_BUSY' }));
    expect(() => publish({}, 'show', BACKUP)).not.toThrow();
  });

  test('does not count against the limit of publishers', () => {
    const { publish } = running(3000, {}, { maxPublishers: 1 });
    expect(() => publish({}, 'show', AGAIN)).not.toThrow();
    expect(() => publish({}, 'other')).toThrow(expect.objectContaining({ code: 'STREAM_LIMIT' }));
  });
});

describe('a backup', () => {
  function withBackup(offsetMs = 700) {
    const all = running(5000);
    const backup = all.publish({ frameBytes: SECOND_BYTES }, 'show', BACKUP);
    backup.source.configure();
    runBoth(all.source, backup.source, 6000 + offsetMs);
    return { ...all, backup };
  }

  test('stands by, and nothing of it comes out', () => {
    const { sink, hub } = withBackup();
    expect(sizes(sink().samples('video'))).not.toContain(SECOND_BYTES);
    expect(hub.stream('show')?.publishers).toMatchObject([
      { role: 'primary', onAir: true },
      { role: 'backup', onAir: false },
    ]);
  });

  test('takes over in the very moment that the primary is lost, at a key frame, without a hole', () => {
    const { publisher, backup, sink, hub } = withBackup();
    const before = sink().samples('video').length;
    publisher.close('disconnected');
    runAlone(backup.source, 100);
    const after = sink().samples('video');
    expect(after.length).toBeGreaterThan(before);
    expect(after[before]?.key).toBe(true);
    runAlone(backup.source, 3000);
    expect(sink().signals).toEqual(['begin:start', 'begin:resume']);
    expect(largestHole(sink().samples('video'))).toBeLessThan(90_000 / 5);
    expect(hub.stream('show')).toMatchObject({ state: 'live', publisher: { role: 'backup', onAir: true } });
  });

  test('takes over within half a second when the primary stalls, which then stands by itself', () => {
    const { backup, sink, hub, clock, closedWith } = withBackup();
    const stalledMs = clock.wallMs();
    runAlone(backup.source, 1000);
    const seen = sink().events.find(
      (event) => event.type === 'sample' && event.sample.data.byteLength === SECOND_BYTES,
    );
    expect(seen?.type === 'sample' && seen.atMs - stalledMs).toBeLessThanOrEqual(500);
    expect(closedWith).toEqual([]);
    expect(hub.stream('show')?.publishers).toMatchObject([
      { role: 'backup', onAir: true },
      { role: 'primary', onAir: false },
    ]);
  });

  test('stays on air when the primary comes back, and gives way to it when lost', () => {
    const { publisher, backup, publish, sink } = withBackup();
    publisher.close('disconnected');
    runAlone(backup.source, 1000);
    const again = publish({}, 'show', { ...RTMP_INFO, session: 'session-3' });
    again.source.configure();
    runBoth(backup.source, again.source, 3000);
    expect(sink().samples('video').at(-1)?.data.byteLength).toBe(SECOND_BYTES);
    backup.publisher.close('disconnected');
    runAlone(again.source, 1000);
    expect(sink().samples('video').at(-1)?.data.byteLength).toBe(100);
  });

  test('that changes its picture begins anew: nothing of the old one is shown under the new configuration', () => {
    const { source, backup, publisher, sink } = withBackup(0);
    const before = backup.source.framesSent;
    backup.source.configure(AVC_720P25);
    runBoth(source, backup.source, 3000);
    publisher.close('disconnected');
    runAlone(backup.source, 100);
    const shown = sink()
      .samples('video')
      .filter(({ data }) => data.byteLength === SECOND_BYTES);
    expect(shown.length).toBeGreaterThan(0);
    expect(Math.min(...shown.map(frameNumber))).toBeGreaterThanOrEqual(before);
    expect(sink().timelines.at(-1)?.video?.width).toBe(1280);
  });

  test('alone is a publisher like any other', () => {
    const { publish, clock, sink } = running(0);
    clock.advance(1);
    const backup = publish({ frameBytes: SECOND_BYTES }, 'other', BACKUP);
    backup.source.configure();
    backup.source.run(4000);
    expect(new Set(sizes(sink().samples('video')))).toEqual(new Set([SECOND_BYTES]));
  });

  test('that stands by for an hour holds no more than a GOP', () => {
    const { publisher, backup, source, sink } = withBackup();
    for (let minute = 0; minute < 10; minute++) runBoth(source, backup.source, 6000);
    const before = sink().samples('video').length;
    publisher.close('disconnected');
    expect(sink().samples('video').length - before).toBeLessThanOrEqual(60);
  });

  test('everybody is disconnected by a kick, and nobody goes on air for it', () => {
    const { hub, closedWith, sink } = withBackup();
    hub.kick('show');
    expect(closedWith).toEqual(['STREAM_KICKED', 'STREAM_KICKED']);
    expect(sizes(sink().samples('video'))).not.toContain(SECOND_BYTES);
    expect(hub.stream('show')?.state).toBe('away');
  });
});

describe('the clock of a stream whose publishers change', () => {
  interface Sender {
    readonly publisher: ReturnType<ReturnType<typeof running>['publish']>['publisher'];
    readonly source: SyntheticSource;
    readonly startedMs: number;
    readonly frameBytes: number;
  }

  /** A stream of which each publisher is told by the size of its frames. */
  function stage() {
    const all = running(0, { frameBytes: 300 }, {});
    all.publisher.close('disconnected');
    const senders: Sender[] = [];
    const enter = (role: 'primary' | 'backup'): Sender => {
      const frameBytes = 100 + senders.length;
      const info = { ...RTMP_INFO, role, session: `session-${senders.length}` };
      const sender = {
        ...all.publish({ frameBytes }, 'show', info),
        frameBytes,
        startedMs: all.clock.wallMs(),
      };
      sender.source.configure();
      senders.push(sender);
      return sender;
    };
    return { ...all, senders, enter };
  }

  /** Furthest that a picture which stays on the screen is from when it was captured. */
  function worstOffsetMs(samples: readonly Sample[], senders: readonly Sender[]): number {
    const offsets = samples
      .filter(({ duration }) => duration > 100)
      .map((sample) => {
        const sender = senders.find(({ frameBytes }) => frameBytes === sample.data.byteLength);
        if (!sender) throw new Error('a frame of nobody');
        const capturedMs = sender.startedMs + sender.source.videoTimeMs(frameNumber(sample));
        return Math.abs(sample.pts / 90 - capturedMs);
      });
    return Math.max(...offsets);
  }

  /** Half a frame at a seam, and what time stamps in whole milliseconds cost. */
  const OFFSET_MS = 1000 / 30 / 2 + 2;

  test('stays the same over a dozen losses, each in the middle of a GOP', () => {
    const { enter, senders, sink } = stage();
    let onAir = enter('primary');
    onAir.source.run(3000);
    for (let n = 0; n < 12; n++) {
      const standby = enter(n % 2 === 0 ? 'backup' : 'primary');
      runBoth(onAir.source, standby.source, 2700 + 130 * n);
      onAir.publisher.close('disconnected');
      onAir = standby;
    }
    onAir.source.run(1000);
    const video = sink().samples('video');
    expect(sink().timelines.filter(({ leadIn }) => leadIn).length).toBeGreaterThan(8);
    expect(worstOffsetMs(video, senders)).toBeLessThan(OFFSET_MS);
    expect(largestHole(video)).toBeLessThanOrEqual(3000);
    const sound = sink().samples('audio');
    const holes = sound.slice(1).map(({ dts }, index) => dts - (sound[index]?.dts ?? 0) - 1024);
    expect(Math.max(...holes)).toBeLessThan(2 * 1024);
  });

  test('stays the same when one after the other takes over', () => {
    const { enter, senders, sink } = stage();
    let onAir = enter('primary');
    onAir.source.run(3000);
    for (let n = 0; n < 6; n++) {
      const next = enter('primary');
      runBoth(onAir.source, next.source, 3100);
      onAir = next;
    }
    const video = sink().samples('video');
    expect(worstOffsetMs(video, senders)).toBeLessThan(OFFSET_MS);
    expect(largestHole(video)).toBeLessThan(90_000 / 5);
  });

  test('stays the same when the next one is lost before it was seen', () => {
    const { enter, senders, sink } = stage();
    const first = enter('primary');
    first.source.run(3000);
    const second = enter('backup');
    runBoth(first.source, second.source, 3100);
    const third = enter('primary');
    third.publisher.close('disconnected');
    first.publisher.close('disconnected');
    second.publisher.close('disconnected');
    const last = enter('primary');
    last.source.run(3000);
    const video = sink().samples('video');
    expect(sizes(video)).not.toContain(second.frameBytes);
    expect(worstOffsetMs(video, senders)).toBeLessThan(OFFSET_MS);
  });

  test('is put behind the old media by one who comes when our clock was set back an hour', () => {
    const { publisher, clock, publish, sink, sinks } = running(5000, {}, { graceMs: 1000 });
    publisher.close('disconnected');
    clock.advance(2000);
    const endTicks = sink().samples('video').at(-1)?.pts ?? 0;
    clock.stepWall(-3_600_000);
    const again = publish({}, 'show', AGAIN);
    again.source.configure();
    again.source.run(4000);
    const video = sinks.at(-1)?.samples('video') ?? [];
    expect(video[0]?.pts).toBeGreaterThan(endTicks);
    expect(video.length).toBeGreaterThan(90);
    expect(video.every(({ leadIn }) => leadIn !== true)).toBe(true);
  });
});

describe('a backup that joins when its sound has begun', () => {
  test('is of use from its first key frame on', () => {
    const { publisher, source, publish, sink } = running(5000);
    const backup = publish({ frameBytes: SECOND_BYTES }, 'show', BACKUP);
    backup.source.configure();
    backup.source.sends = (frame) => frame >= 60;
    runBoth(source, backup.source, 3000);
    publisher.close('disconnected');
    runAlone(backup.source, 200);
    expect(sizes(sink().samples('video'))).toContain(SECOND_BYTES);
    expect(largestHole(sink().samples('video'))).toBeLessThan(90_000 / 5);
  });
});
