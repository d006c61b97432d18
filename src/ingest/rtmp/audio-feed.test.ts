import { describe, expect, it } from 'vitest';
import { AUDIO_PACKET, exAudio, exAudioTracks, MULTITRACK, nanoOffset } from '../../../test/support/ertmp.ts';
import { RecordedPublisher } from '../../../test/support/rtmp-hub.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import { AudioFeed, type AudioFeedOptions } from './audio-feed.ts';
import { MESSAGE } from './protocol.ts';

const INFO = {
  protocol: 'rtmp',
  role: 'primary',
  session: 's',
  remoteAddress: 'a',
  timescale: 1000,
  wrapBits: 32,
} as const;

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
  const ignored: string[] = [];
  const options = (each?: ForeignAudioEncoder): AudioFeedOptions => ({
    encoder: each,
    ignored: (reason) => ignored.push(reason),
  });
  return { publisher, told, encoder, messageOf, ignored, options };
}

describe('AudioFeed', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14])('hands codec %i to the encoder as it is', (format) => {
    const { publisher, told, encoder, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options(encoder));
    const body = `${format.toString(16)}fc0ffee`;
    expect(feed.feed(messageOf(40, body))).toEqual({ kind: 'fed' });
    expect(told).toEqual(['open studio', `feed 40 ${body}`]);
  });

  it.each([
    ['a FourCC that nobody has', '9161616161c0ffee'],
    ['Opus', 'dfc0ffee'],
    ['what is device specific', 'ffc0ffee'],
    ['what no list has', 'cfc0ffee'],
  ])('does not take %s', (_what, body) => {
    const { publisher, told, encoder, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options(encoder));
    expect(feed.feed(messageOf(0, body)).kind).toBe('unsupported');
    expect(told).toEqual([]);
  });

  it('names the codec when there is no encoder', () => {
    const { publisher, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options());
    expect(feed.feed(messageOf(0, '2ffffb90'))).toMatchObject({ kind: 'unsupported', codec: 'MP3' });
    feed.close();
  });

  it('passes over a message that has a head and no audio', () => {
    const { publisher, told, encoder, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options(encoder));
    expect(feed.feed(messageOf(0, '2f'))).toEqual({ kind: 'ignored' });
    expect(told).toEqual([]);
  });

  it('stops the encoder before AAC goes to the publisher, and closes it in the end', () => {
    const { publisher, told, encoder, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options(encoder));
    feed.feed(messageOf(0, '8eaa'));
    feed.feed(messageOf(20, 'af001210'));
    feed.feed(messageOf(40, 'af01ff'));
    feed.feed(messageOf(60, '8ebb'));
    feed.close();
    expect(told).toEqual(['open studio', 'feed 0 8eaa', 'stop', 'stop', 'feed 60 8ebb', 'close']);
    expect(publisher.audioConfigs.length).toBe(1);
    expect(publisher.samples.map(({ dts }) => dts)).toEqual([40]);
  });

  it('hands MP3 with a FourCC to the encoder in the form FLV has it in', () => {
    const { publisher, told, encoder, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options(encoder));
    const body = exAudio(AUDIO_PACKET.codedFrames, '.mp3', Buffer.from('fffb90', 'hex')).toString('hex');
    expect(feed.feed(messageOf(40, body))).toEqual({ kind: 'fed' });
    expect(told).toEqual(['open studio', 'feed 40 2ffffb90']);
    expect(new AudioFeed(publisher, options()).feed(messageOf(40, body))).toEqual({
      kind: 'unsupported',
      codec: 'MP3',
    });
  });

  it('gives Opus with its configuration as the box has it, and stereo where the sender left it empty', () => {
    const { publisher, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options());
    const head = Buffer.concat([Buffer.from('OpusHead'), Buffer.from('0101380180bb0000000000', 'hex')]);
    for (const config of [head, Buffer.alloc(0)]) {
      feed.feed(messageOf(0, exAudio(AUDIO_PACKET.sequenceStart, 'Opus', config).toString('hex')));
    }
    const sent = exAudio(AUDIO_PACKET.codedFrames, 'Opus', Buffer.from('fc01', 'hex'), {
      modEx: [nanoOffset(500_000)],
    });
    feed.feed(messageOf(20, sent.toString('hex')));
    expect(
      publisher.audioTracks.map(({ codec, config }) => `${codec}:${Buffer.from(config).toString('hex')}`),
    ).toEqual(['Opus:000101380000bb80000000', 'Opus:000200000000bb80000000']);
    expect(publisher.samples.map(({ dts, data }) => [dts, Buffer.from(data).toString('hex')])).toEqual([
      [20.5, 'fc01'],
    ]);
  });

  it('gives FLAC with STREAMINFO as the box has it', () => {
    const { publisher, messageOf, options } = open();
    // RFC 9639 8.2: blocks of 4096, 48 kHz, two channels of 16 bits.
    const info = Buffer.from(`100010000000000000000bb802f000000000${'00'.repeat(16)}`, 'hex');
    const config = Buffer.concat([Buffer.from('fLaC'), Buffer.from('80000022', 'hex'), info]);
    new AudioFeed(publisher, options()).feed(
      messageOf(0, exAudio(AUDIO_PACKET.sequenceStart, 'fLaC', config).toString('hex')),
    );
    expect(publisher.audioTracks.map((each) => Buffer.from(each.config).toString('hex'))).toEqual([
      `0000000080000022${info.toString('hex')}`,
    ]);
  });

  it('finds the configuration of AC-3 in its frames, and gives each frame of a message its time', () => {
    const { publisher, messageOf, options } = open();
    const feed = new AudioFeed(publisher, options());
    const frames = Buffer.concat([ac3Frame(1), ac3Frame(2)]);
    expect(
      feed.feed(messageOf(100, exAudio(AUDIO_PACKET.codedFrames, 'ac-3', frames).toString('hex'))),
    ).toEqual({
      kind: 'fed',
    });
    expect(publisher.audioTracks[0]?.codec).toBe('ac-3');
    // fscod 0, bsid 8, bsmod 0, acmod 2, lfeon 0, bit_rate_code 10 (192 kb/s): ETSI TS 102 366 F.4.
    expect(Buffer.from(publisher.audioTracks[0]?.config ?? []).toString('hex')).toBe('101140');
    expect(publisher.samples.map(({ dts, data }) => [dts, data.length, data.at(-1)])).toEqual([
      [100, 768, 1],
      [132, 768, 2],
    ]);
    expect(feed.feed(messageOf(200, exAudio(1, 'ac-3', frames.subarray(0, 1000)).toString('hex'))).kind).toBe(
      'malformed',
    );
  });

  it('takes track 0 of several and counts the others', () => {
    const { publisher, messageOf, ignored, options } = open();
    const feed = new AudioFeed(publisher, options());
    const parts = [0, 1, 2].map((track) => ({ track, fourCc: 'mp4a', data: Uint8Array.of(track + 1) }));
    const many = (type: number) => exAudioTracks(MULTITRACK.manyTracks, type, parts).toString('hex');
    feed.feed(messageOf(0, many(AUDIO_PACKET.sequenceStart)));
    expect(feed.feed(messageOf(5, many(AUDIO_PACKET.codedFrames)))).toEqual({ kind: 'fed' });
    expect(publisher.samples.map(({ data }) => [...data])).toEqual([[1]]);
    expect(publisher.audioConfigs.map((config) => [...config])).toEqual([[1]]);
    expect(ignored).toEqual(Array(4).fill('audio_track'));
  });
});

/** A syncframe of 192 kb/s stereo AC-3 at 48 kHz (ETSI TS 102 366 4.3), 768 bytes, with a mark in the last one. */
function ac3Frame(mark: number): Buffer {
  const frame = Buffer.alloc(768);
  // syncword, crc1, fscod 0 and frmsizecod 20, bsid 8 and bsmod 0, acmod 2 with dsurmod 0, lfeon 0.
  frame.set([0x0b, 0x77, 0, 0, 20, 8 << 3, 2 << 5]);
  frame[767] = mark;
  return frame;
}
