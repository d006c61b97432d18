import { describe, expect, test } from 'vitest';
import { running, setUp } from '../../test/support/hub-bench.ts';
import {
  AAC_48K,
  AVC_360P30,
  AVC_720P25,
  accessUnit,
  frameNumber,
  RTMP_INFO,
} from '../../test/support/stream-source.ts';
import type { Publisher } from './publisher.ts';

const FRAME_MS = 1000 / 30;

/** A source of two encodings of the same picture, in step. */
function twoTracks(publisher: Publisher, options: { readonly lateMs?: number } = {}) {
  publisher.videoConfig('avc1', AVC_720P25);
  publisher.videoConfig('avc1', AVC_360P30, 1);
  publisher.audioConfig('mp4a', AAC_48K);
  let frame = 0;
  return (
    count: number,
    advance: (ms: number) => void,
    leaveOut: (frame: number) => boolean = () => false,
  ) => {
    for (let i = 0; i < count; i++, frame++) {
      const at = Math.floor(frame * FRAME_MS);
      const key = frame % 60 === 0;
      const base = { kind: 'video', compositionOffset: 0, key } as const;
      const write = (track: number, number: number): void =>
        publisher.write({
          ...base,
          track,
          dts: Math.floor(number * FRAME_MS),
          key: number % 60 === 0,
          data: accessUnit(number % 60 === 0, number, 100 - track),
        });
      write(0, frame);
      const behind = Math.round((options.lateMs ?? 0) / FRAME_MS);
      const rung = frame - behind;
      if (rung >= 0 && !leaveOut(rung)) write(1, rung);
      const audio = new Uint8Array(8);
      publisher.write({ kind: 'audio', dts: at, compositionOffset: 0, key: true, data: audio });
      advance(FRAME_MS);
    }
  };
}

describe('rungs that the source makes', () => {
  test.each([0, 100])('have the very times of the source when they come %i ms behind it', (lateMs) => {
    const { publish, clock, sink, ladder } = setUp();
    const { publisher } = publish();
    const send = twoTracks(publisher, { lateMs });
    send(240, (ms) => clock.advance(ms));
    expect(ladder.expected).toEqual([['360p']]);
    const source = sink().samples('video');
    const rung = ladder.rung('360p');
    expect(rung.tracks).toMatchObject([{ width: 640, height: 360, cadence: { frameTicks: 3000 } }]);
    expect(rung.arrivals.length).toBeGreaterThan(source.length - 6);
    for (const [index, { dts, pts, duration, key, data }] of rung.arrivals.entries()) {
      const lead = source[index];
      expect({ dts, pts, duration, key }).toEqual({
        dts: lead?.dts,
        pts: lead?.pts,
        duration: lead?.duration,
        key: lead?.key,
      });
      expect(data.byteLength).toBe(99);
    }
    expect(rung.arrivals.map(frameNumber)).toEqual(source.slice(0, rung.arrivals.length).map(frameNumber));
  });

  test('leave a hole where the source of them has one', () => {
    const { publish, clock, ladder } = setUp();
    const { publisher } = publish();
    twoTracks(publisher)(
      200,
      (ms) => clock.advance(ms),
      (frame) => frame === 70,
    );
    const numbers = ladder.rung('360p').arrivals.map(frameNumber);
    expect(numbers).not.toContain(70);
    expect(numbers).toContain(71);
  });

  test('go when a publisher comes back without them', () => {
    const { publish, clock, ladder, sink } = setUp();
    const first = publish();
    twoTracks(first.publisher)(200, (ms) => clock.advance(ms));
    first.publisher.close('disconnected');
    expect(ladder.rung('360p').flushes).toBe(1);
    const again = publish();
    again.source.configure();
    again.source.run(2000);
    expect(sink().signals).toEqual(['begin:start', 'away', 'begin:resume']);
    expect(ladder.expected.at(-1)).toEqual([]);
  });
});

describe('timed events', () => {
  const data = Uint8Array.of(0xfc, 0x30, 0x11);

  test('come out at the wall-clock time of the picture they belong to', () => {
    const { publisher, sink, source } = running(4000);
    const frame = source.framesSent + 30;
    publisher.event({ kind: 'scte35', pts: Math.floor(source.videoTimeMs(frame)), data });
    source.run(2000);
    const event = sink().events.find(({ type }) => type === 'event');
    const picture = sink()
      .samples('video')
      .find((sample) => frameNumber(sample) === frame);
    expect(
      event?.type === 'event' && Math.abs(event.event.atTicks - (picture?.pts ?? 0)),
    ).toBeLessThanOrEqual(90);
    expect(event).toMatchObject({ event: { kind: 'scte35', data } });
  });

  test('without a time of their own belong to the next picture', () => {
    const { publisher, sink, source } = running(4000);
    const frame = source.framesSent;
    publisher.event({ kind: 'id3', pts: undefined, data });
    source.run(100);
    const picture = sink()
      .samples('video')
      .find((sample) => frameNumber(sample) === frame);
    expect(sink().events.find(({ type }) => type === 'event')).toMatchObject({
      event: { atTicks: picture?.pts },
    });
  });

  test('that come during the warm-up are not lost, up to 64 of them', () => {
    const { publish, sink } = setUp();
    const { publisher, source } = publish();
    source.configure();
    source.run(100);
    for (let i = 0; i < 70; i++) publisher.event({ kind: 'klv', pts: i, data });
    source.run(4000);
    expect(sink().events.filter(({ type }) => type === 'event')).toHaveLength(64);
  });
});

describe('rungs of a source that takes over from another', () => {
  test('begin with its lead-in, at the very times of the source', () => {
    const { publish, clock, sink, ladder } = setUp();
    const first = publish();
    const sendFirst = twoTracks(first.publisher);
    const advance = (ms: number): void => clock.advance(ms);
    sendFirst(150, advance);
    const second = publish({}, 'show', { ...RTMP_INFO, role: 'backup', session: 'session-2' });
    const sendSecond = twoTracks(second.publisher);
    for (let n = 0; n < 100; n++) {
      sendFirst(1, () => {});
      sendSecond(1, advance);
    }
    first.publisher.close('disconnected');
    sendSecond(30, advance);
    const source = sink().samples('video');
    const leadIn = source.filter((sample) => sample.leadIn);
    expect(leadIn.length).toBeGreaterThan(20);
    const pts = (samples: readonly { readonly pts: number }[]): number[] =>
      samples.map((sample) => sample.pts);
    expect(pts(ladder.rung('360p').arrivals)).toEqual(
      pts(source).slice(0, ladder.rung('360p').arrivals.length),
    );
    expect(ladder.pts('360p')).toEqual(expect.arrayContaining(pts(leadIn)));
  });
});
