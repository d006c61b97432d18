import { describe, expect, it } from 'vitest';
import { RecordedPublisher } from '../../../test/support/rtmp-hub.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import { AudioFeed } from './media-feed.ts';
import { MESSAGE } from './protocol.ts';

const INFO = { protocol: 'rtmp', session: 's', remoteAddress: 'a', timescale: 1000, wrapBits: 32 } as const;

function open() {
  const publisher = new RecordedPublisher('studio', INFO, () => {});
  /** What the encoder was told, in order. */
  const told: string[] = [];
  const encoder: ForeignAudioEncoder = {
    open: ({ stream }) => {
      told.push(`open ${stream}`);
      return {
        feed: (timestampMs, body) => told.push(`feed ${timestampMs} ${Buffer.from(body).toString('hex')}`),
        stop: () => told.push('stop'),
        close: () => told.push('close'),
      };
    },
  };
  const messageOf = (timestamp: number, hex: string) => ({
    type: MESSAGE.audio,
    streamId: 1,
    timestamp,
    payload: Buffer.from(hex, 'hex'),
  });
  return { publisher, told, encoder, messageOf };
}

describe('AudioFeed', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14])('hands codec %i to the encoder as it is', (format) => {
    const { publisher, told, encoder, messageOf } = open();
    const feed = new AudioFeed(publisher, encoder);
    const body = `${format.toString(16)}fc0ffee`;
    expect(feed.feed(messageOf(40, body))).toEqual({ kind: 'fed' });
    expect(told).toEqual(['open studio', `feed 40 ${body}`]);
  });

  it.each([
    ['Enhanced RTMP', '914f707573'],
    ['Opus', 'dfc0ffee'],
    ['what is device specific', 'ffc0ffee'],
    ['what no list has', 'cfc0ffee'],
  ])('does not take %s', (_what, body) => {
    const { publisher, told, encoder, messageOf } = open();
    const feed = new AudioFeed(publisher, encoder);
    expect(feed.feed(messageOf(0, body)).kind).toBe('unsupported');
    expect(told).toEqual([]);
  });

  it('names the codec when there is no encoder', () => {
    const { publisher, messageOf } = open();
    const feed = new AudioFeed(publisher, undefined);
    expect(feed.feed(messageOf(0, '2ffffb90'))).toEqual({ kind: 'unsupported', codec: 'MP3' });
    feed.close();
  });

  it('passes over a message that has a head and no audio', () => {
    const { publisher, told, encoder, messageOf } = open();
    const feed = new AudioFeed(publisher, encoder);
    expect(feed.feed(messageOf(0, '2f'))).toEqual({ kind: 'ignored' });
    expect(told).toEqual([]);
  });

  it('stops the encoder before AAC goes to the publisher, and closes it in the end', () => {
    const { publisher, told, encoder, messageOf } = open();
    const feed = new AudioFeed(publisher, encoder);
    feed.feed(messageOf(0, '8eaa'));
    feed.feed(messageOf(20, 'af001210'));
    feed.feed(messageOf(40, 'af01ff'));
    feed.feed(messageOf(60, '8ebb'));
    feed.close();
    expect(told).toEqual(['open studio', 'feed 0 8eaa', 'stop', 'stop', 'feed 60 8ebb', 'close']);
    expect(publisher.audioConfigs.length).toBe(1);
    expect(publisher.samples.map(({ dts }) => dts)).toEqual([40]);
  });
});
