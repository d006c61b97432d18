import { describe, expect, it } from 'vitest';
import {
  exVideo,
  exVideoTracks,
  FRAME,
  MULTITRACK,
  nanoOffset,
  VIDEO_PACKET,
  withComposition,
} from '../../../test/support/ertmp.ts';
import { RecordedPublisher } from '../../../test/support/rtmp-hub.ts';
import type { PublisherInfo } from '../../stream/publisher.ts';
import { MESSAGE } from './protocol.ts';
import { VideoFeed } from './video-feed.ts';

const INFO: PublisherInfo = {
  ...{ protocol: 'rtmp', role: 'primary', session: 's', remoteAddress: 'a' },
  ...{ timescale: 1000, wrapBits: 32 },
};

function open(maxTracks = 4) {
  const publisher = new RecordedPublisher('studio', INFO, () => {});
  const ignored: string[] = [];
  const feed = new VideoFeed(publisher, { maxTracks, ignored: (reason) => ignored.push(reason) });
  return {
    publisher,
    ignored,
    send: (payload: Buffer, timestamp = 0) =>
      feed.feed({ type: MESSAGE.video, streamId: 1, timestamp, payload }).kind,
    /** What the hub was told, in order: configurations as `track=codec:bytes`, samples as `track@dts:bytes`. */
    told: () => [
      ...publisher.videoTracks.map(
        (each) => `${each.track}=${each.codec}:${Buffer.from(each.config).toString('hex')}`,
      ),
      ...publisher.samples.map(
        ({ track, dts, data }) => `${track}@${dts}:${Buffer.from(data).toString('hex')}`,
      ),
    ],
  };
}

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

function config(track: number, data = 'c0', fourCc = 'hvc1'): Buffer {
  return exVideoTracks(MULTITRACK.oneTrack, VIDEO_PACKET.sequenceStart, [{ track, fourCc, data: hex(data) }]);
}

function frame(track: number, data = 'f0', fourCc = 'hvc1'): Buffer {
  return exVideoTracks(MULTITRACK.oneTrack, VIDEO_PACKET.codedFramesX, [{ track, fourCc, data: hex(data) }]);
}

describe('VideoFeed', () => {
  it('gives video without a track number as track 0, with its times', () => {
    const { send, told, publisher } = open();
    send(exVideo(VIDEO_PACKET.sequenceStart, 'hvc1', hex('aa')));
    send(
      exVideo(VIDEO_PACKET.codedFrames, 'hvc1', withComposition(-40, hex('bb')), { frame: FRAME.inter }),
      100,
    );
    expect(told()).toEqual(['0=hvc1:aa', '0@100:bb']);
    expect(publisher.samples[0]).toMatchObject({ key: false, compositionOffset: -40 });
  });

  it('adds nanoseconds to the time', () => {
    const { send, told } = open();
    send(exVideo(VIDEO_PACKET.sequenceStart, 'av01', hex('aa')));
    send(exVideo(VIDEO_PACKET.codedFrames, 'av01', hex('bb'), { modEx: [nanoOffset(250_000)] }), 33);
    expect(told()).toEqual(['0=av01:aa', '0@33.25:bb']);
  });

  it('gives VP9 the version that vpcC has and Enhanced RTMP leaves out, once', () => {
    const { send, told } = open();
    send(exVideo(VIDEO_PACKET.sequenceStart, 'vp09', hex('001f820101010000')));
    send(exVideo(VIDEO_PACKET.sequenceStart, 'vp09', hex('01000000001f820101010000')));
    expect(told()).toEqual(['0=vp09:01000000001f820101010000', '0=vp09:01000000001f820101010000']);
  });

  it('takes the ladder of an encoder that sends track 0 without a number, as OBS does', () => {
    const { send, told } = open();
    send(hex('170000000001'));
    send(config(1, 'c1', 'avc1'));
    send(config(2, 'c2', 'avc1'));
    send(hex('1701000000f0'), 40);
    send(frame(1, 'f1', 'avc1'), 40);
    send(frame(2, 'f2', 'avc1'), 40);
    expect(told()).toEqual(['0=avc1:01', '1=avc1:c1', '2=avc1:c2', '0@40:f0', '1@40:f1', '2@40:f2']);
  });

  it('puts the lowest number in the place of 0 where 0 is never used, and keeps the others at their distance', () => {
    const { send, told } = open();
    send(config(5, 'c5'));
    send(config(3, 'c3'));
    expect(told()).toEqual([]);
    send(frame(3, 'f3'), 40);
    send(frame(5, 'f5'), 40);
    expect(told()).toEqual(['0=hvc1:c3', '2=hvc1:c5', '0@40:f3', '2@40:f5']);
  });

  it('reads all tracks of one message', () => {
    const { send, told } = open();
    const parts = [0, 1].map((track) => ({ track, fourCc: 'av01', data: hex(`a${track}`) }));
    send(exVideoTracks(MULTITRACK.manyTracks, VIDEO_PACKET.sequenceStart, parts));
    send(exVideoTracks(MULTITRACK.manyTracksManyCodecs, VIDEO_PACKET.codedFrames, parts), 7);
    expect(told()).toEqual(['0=av01:a0', '1=av01:a1', '0@7:a0', '1@7:a1']);
  });

  it('passes over tracks past the limit, below the source or without a configuration, and counts them', () => {
    const { send, told, ignored } = open(2);
    expect([0, 1, 2].map((track) => send(config(track)))).toEqual(['fed', 'fed', 'ignored']);
    expect([frame(2), frame(9)].map((body) => send(body))).toEqual(['ignored', 'ignored']);
    expect(send(frame(1), 1)).toBe('fed');
    expect(told()).toEqual(['0=hvc1:c0', '1=hvc1:c0', '1@1:f0']);
    expect(ignored).toEqual(['video_track', 'video_track', 'video_track']);
    const late = open();
    late.send(config(4));
    late.send(frame(4));
    expect([late.send(config(2)), late.send(frame(2))]).toEqual(['ignored', 'ignored']);
  });

  it('refuses a codec it does not have on the source, and does without it on a lesser track', () => {
    const { send, ignored } = open();
    expect(send(exVideo(VIDEO_PACKET.sequenceStart, 'vvc1', hex('aa')))).toBe('unsupported');
    expect(send(config(1, 'aa', 'vvc1'))).toBe('ignored');
    expect(ignored).toEqual(['video_track']);
  });

  it('takes a frame in another codec than its configuration for damage', () => {
    const { send, told } = open();
    send(config(0, 'c0', 'hvc1'));
    expect(send(frame(0, 'f0', 'avc1'))).toBe('malformed');
    expect(told()).toEqual(['0=hvc1:c0']);
  });

  it('leaves it to the hub to wait for the configuration of the source', () => {
    const { send, told } = open();
    expect(send(hex('1701000000f0'), 5)).toBe('fed');
    expect(told()).toEqual(['0@5:f0']);
  });
});
