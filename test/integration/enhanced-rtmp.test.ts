import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { amf0Object, isAmf0Object } from '../../src/media/amf0.ts';
import {
  AUDIO_PACKET,
  exAudio,
  exAudioTracks,
  exVideo,
  exVideoTracks,
  FRAME,
  MULTITRACK,
  VIDEO_PACKET,
  withComposition,
} from '../support/ertmp.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { type ProbedPacket, type ProbedTrack, probeFile } from '../support/probed-file.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { type RtmpFixture, startRtmp } from '../support/rtmp-fixture.ts';
import type { RecordedPublisher } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/**
 * Enhanced RTMP, pushed by a client of our own whose bodies are built to the published text: no program of Debian 12
 * sends it. What is in them was encoded by ffmpeg and taken apart by ffprobe, and must arrive to the byte.
 */

let folder: string;
let rtmp: RtmpFixture;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-ertmp-'));
});

afterAll(() => rm(folder, { recursive: true }));

beforeEach(async () => {
  rtmp = await startRtmp();
});

afterEach(() => rtmp.server.close());

const ENHANCED = { properties: { fourCcList: ['hvc1', 'av01', 'Opus'], capsEx: 2 } };

/** A second of picture and sound. */
async function encode(
  name: string,
  video: readonly string[],
  audio: readonly string[],
): Promise<ProbedTrack[]> {
  const path = join(folder, `${name}.mp4`);
  await ffmpeg([
    ...['-f', 'lavfi', '-i', 'testsrc2=size=160x96:rate=25', '-f', 'lavfi', '-i', 'sine=sample_rate=48000'],
    ...[
      '-t',
      '1',
      '-pix_fmt',
      'yuv420p',
      '-b:v',
      '200k',
      '-strict',
      '-2',
      ...video,
      ...audio,
      '-ac',
      '2',
      path,
    ],
  ]);
  return probeFile(path);
}

/** FourCC and, for those whose frames have one, the composition time. */
function videoBody(fourCc: string, { key, dts, pts, data }: ProbedPacket): Buffer {
  const frame = key ? FRAME.key : FRAME.inter;
  const reorders = fourCc === 'avc1' || fourCc === 'hvc1';
  if (reorders && pts === dts) return exVideo(VIDEO_PACKET.codedFramesX, fourCc, data, { frame });
  return exVideo(VIDEO_PACKET.codedFrames, fourCc, reorders ? withComposition(pts - dts, data) : data, {
    frame,
  });
}

/** Sends whole tracks in the order of their times, as an encoder would. */
function sendAll(
  client: RtmpTestClient,
  parts: readonly { track: ProbedTrack; body: (packet: ProbedPacket) => Buffer }[],
): void {
  const messages = parts.flatMap(({ track, body }) =>
    track.packets.map((packet) => ({
      type: track.kind === 'video' ? MESSAGE.video : MESSAGE.audio,
      timestamp: packet.dts >>> 0,
      payload: body(packet),
    })),
  );
  messages.sort((a, b) => (a.timestamp | 0) - (b.timestamp | 0));
  for (const message of messages) client.send(message, message.type === MESSAGE.video ? 6 : 4);
}

function line(dts: number, compositionOffset: number, data: Uint8Array): string {
  return `${dts >>> 0} ${compositionOffset} ${createHash('sha256').update(data).digest('hex')}`;
}

function lines(packets: readonly ProbedPacket[]): string[] {
  return packets.map(({ dts, pts, data }) => line(dts, pts - dts, data));
}

function received(publisher: RecordedPublisher, kind: 'video' | 'audio', track = 0): string[] {
  return publisher.samples
    .filter((sample) => sample.kind === kind && (sample.track ?? 0) === track)
    .map(({ dts, compositionOffset, data }) => line(dts, compositionOffset, data));
}

async function only(): Promise<RecordedPublisher> {
  return until(() => rtmp.hub.publishers[0], 'a publisher');
}

const CASES = [
  {
    ...{
      name: 'HEVC with B-frames and AAC',
      video: ['-c:v', 'libx265', '-x265-params', 'bframes=2:log-level=none'],
    },
    ...{ audio: ['-c:a', 'aac'], videoFourCc: 'hvc1', audioFourCc: 'mp4a' },
  },
  {
    ...{ name: 'AV1 and Opus', video: ['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime'] },
    ...{ audio: ['-c:a', 'libopus'], videoFourCc: 'av01', audioFourCc: 'Opus' },
  },
  {
    ...{ name: 'VP9 and FLAC', video: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'] },
    ...{ audio: ['-c:a', 'flac'], videoFourCc: 'vp09', audioFourCc: 'fLaC' },
  },
  {
    ...{ name: 'H.264 in the new form and AC-3', video: ['-c:v', 'libx264', '-bf', '2'] },
    ...{ audio: ['-c:a', 'ac3'], videoFourCc: 'avc1', audioFourCc: 'ac-3' },
  },
  {
    ...{ name: 'H.264 and E-AC-3', video: ['-c:v', 'libx264'], audio: ['-c:a', 'eac3'] },
    ...{ videoFourCc: 'avc1', audioFourCc: 'ec-3' },
  },
] as const;

/** VPCodecConfigurationRecord, of which ffprobe tells nothing: profile 0, level 1.0, 8 bits, 4:2:0. */
const VP9_RECORD = Buffer.from('000a820101010000', 'hex');

describe.each(CASES)('$name', ({ name, video, audio, videoFourCc, audioFourCc }) => {
  it('arrives to the byte, with its times', async () => {
    const tracks = await encode(name.replaceAll(/\W/g, ''), video, audio);
    const [picture, sound] = [
      tracks.find(({ kind }) => kind === 'video'),
      tracks.find(({ kind }) => kind === 'audio'),
    ];
    if (!picture || !sound) throw new Error('the file lacks a track');
    expect(picture.packets.length).toBe(25);
    const client = await RtmpTestClient.publishing(rtmp.port, 'good', ENHANCED);
    const config = videoFourCc === 'vp09' ? VP9_RECORD : picture.config;
    client.send({ payload: exVideo(VIDEO_PACKET.sequenceStart, videoFourCc, config) });
    if (sound.config.length > 0) {
      client.send(
        { type: MESSAGE.audio, payload: exAudio(AUDIO_PACKET.sequenceStart, audioFourCc, sound.config) },
        4,
      );
    }
    sendAll(client, [
      { track: picture, body: (packet) => videoBody(videoFourCc, packet) },
      { track: sound, body: ({ data }) => exAudio(AUDIO_PACKET.codedFrames, audioFourCc, data) },
    ]);
    client.command('deleteStream', 0, null, 1);
    const publisher = await only();
    await until(() => publisher.closes.length > 0, 'the goodbye');
    expect(publisher.closes).toEqual(['unpublished']);
    expect(received(publisher, 'video')).toEqual(lines(picture.packets));
    expect(received(publisher, 'audio')).toEqual(lines(sound.packets));
    expect(publisher.samples.filter(({ kind, key }) => kind === 'video' && key).length).toBe(
      picture.packets.filter(({ key }) => key).length,
    );
    expect(publisher.videoTracks.map(({ codec, track }) => [codec, track])).toEqual([[videoFourCc, 0]]);
    const sent =
      videoFourCc === 'vp09' ? Buffer.concat([Buffer.from([1, 0, 0, 0]), VP9_RECORD]) : picture.config;
    expect(Buffer.from(publisher.videoConfigs[0] ?? []).toString('hex')).toBe(sent.toString('hex'));
    expect(new Set(publisher.audioTracks.map(({ codec }) => codec))).toEqual(new Set([audioFourCc]));
    expect(publisher.audioConfigs.every((each) => each.length > 0)).toBe(true);
    client.end();
  });
});

describe('several tracks', () => {
  /** The picture as it is, and a lesser one. */
  async function ladder(): Promise<[ProbedTrack, ProbedTrack, ProbedTrack]> {
    const [high, sound] = await encode('high', ['-c:v', 'libx264', '-g', '25'], ['-c:a', 'aac']);
    const [low] = await encode('low', ['-c:v', 'libx264', '-g', '25', '-s', '80x48'], ['-c:a', 'aac']);
    if (!high || !low || !sound) throw new Error('a file lacks a track');
    return [high, low, sound];
  }

  function one(packetType: number, track: number, fourCc: string, data: Uint8Array, frame: number): Buffer {
    return exVideoTracks(MULTITRACK.oneTrack, packetType, [{ track, fourCc, data }], { frame });
  }

  it('come as OBS sends them: the first without a number in the old form, the others each with theirs', async () => {
    const [high, low, sound] = await ladder();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good', ENHANCED);
    const head = Buffer.from([0x17, 0, 0, 0, 0]);
    client.send({ payload: Buffer.concat([head, high.config]) });
    client.send({ payload: one(VIDEO_PACKET.sequenceStart, 1, 'avc1', low.config, FRAME.key) });
    client.send({ type: MESSAGE.audio, payload: Buffer.concat([Buffer.from([0xaf, 0]), sound.config]) }, 4);
    const old = ({ key, dts, pts, data }: ProbedPacket) =>
      Buffer.concat([Buffer.from([key ? 0x17 : 0x27, 1]), withComposition(pts - dts, data)]);
    sendAll(client, [
      { track: high, body: old },
      {
        track: low,
        body: ({ key, dts, pts, data }) =>
          one(
            VIDEO_PACKET.codedFrames,
            1,
            'avc1',
            withComposition(pts - dts, data),
            key ? FRAME.key : FRAME.inter,
          ),
      },
      { track: sound, body: ({ data }) => Buffer.concat([Buffer.from([0xaf, 1]), data]) },
    ]);
    client.command('deleteStream', 0, null, 1);
    const publisher = await only();
    await until(() => publisher.closes.length > 0, 'the goodbye');
    expect(publisher.videoTracks.map(({ codec, track }) => [codec, track])).toEqual([
      ['avc1', 0],
      ['avc1', 1],
    ]);
    expect(received(publisher, 'video', 0)).toEqual(lines(high.packets));
    expect(received(publisher, 'video', 1)).toEqual(lines(low.packets));
    expect(received(publisher, 'audio')).toEqual(lines(sound.packets));
    client.end();
  });

  it('come all in one message, and of audio the first is taken', async () => {
    const [high, low, sound] = await ladder();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good', ENHANCED);
    const { manyTracks, manyTracksManyCodecs } = MULTITRACK;
    const both = (a: Uint8Array, b: Uint8Array) => [
      { track: 0, fourCc: 'avc1', data: a },
      { track: 1, fourCc: 'avc1', data: b },
    ];
    client.send({
      payload: exVideoTracks(manyTracks, VIDEO_PACKET.sequenceStart, both(high.config, low.config)),
    });
    const languages = (data: Uint8Array) => [0, 1].map((track) => ({ track, fourCc: 'mp4a', data }));
    const audioOf = (type: number, data: Uint8Array) => exAudioTracks(manyTracks, type, languages(data));
    client.send({ type: MESSAGE.audio, payload: audioOf(AUDIO_PACKET.sequenceStart, sound.config) }, 4);
    high.packets.forEach((packet, i) => {
      const other = low.packets[i];
      if (!other) throw new Error('the tracks are not alike');
      const frame = packet.key ? FRAME.key : FRAME.inter;
      const times = withComposition(packet.pts - packet.dts, packet.data);
      const parts = both(times, withComposition(other.pts - other.dts, other.data));
      const payload = exVideoTracks(manyTracksManyCodecs, VIDEO_PACKET.codedFrames, parts, { frame });
      client.send({ timestamp: packet.dts >>> 0, payload });
    });
    sendAll(client, [{ track: sound, body: ({ data }) => audioOf(AUDIO_PACKET.codedFrames, data) }]);
    client.command('deleteStream', 0, null, 1);
    const publisher = await only();
    await until(() => publisher.closes.length > 0, 'the goodbye');
    expect(received(publisher, 'video', 0)).toEqual(lines(high.packets));
    expect(received(publisher, 'video', 1)).toEqual(lines(low.packets));
    expect(received(publisher, 'audio')).toEqual(lines(sound.packets));
    expect(await rtmp.labelled('ingest_rtmp_ignored_messages_total', 'reason')).toEqual({
      audio_track: sound.packets.length + 1,
    });
    client.end();
  });
});

describe('the connect reply', () => {
  async function reply(properties: Parameters<typeof amf0Object>[0]) {
    const client = await RtmpTestClient.ready(rtmp.port, 'live', { properties });
    const { args } = await client.untilCommand('_result', 1);
    client.end();
    if (!isAmf0Object(args[0])) throw new Error('no properties');
    return args[0];
  }

  it('says what is understood, in the words of both versions', async () => {
    const said = await reply({ fourCcList: ['hvc1'] });
    const video = { avc1: 4, hvc1: 4, av01: 4, vp09: 4 };
    const audio = { mp4a: 4, Opus: 4, fLaC: 4, 'ac-3': 4, 'ec-3': 4 };
    expect(said.get('fourCcList')).toEqual([...Object.keys(video), ...Object.keys(audio)]);
    expect(said.get('videoFourCcInfoMap')).toEqual(amf0Object(video));
    expect(said.get('audioFourCcInfoMap')).toEqual(amf0Object(audio));
    // Multitrack, ModEx, TimestampNanoOffset.
    expect(said.get('capsEx')).toBe(0x0e);
  });

  it('says nothing of it to whom does not ask', async () => {
    expect([...(await reply({})).keys()]).toEqual(['fmsVer', 'capabilities']);
  });
});

it('a codec that is not supported ends the publisher with the reason in words', async () => {
  const client = await RtmpTestClient.publishing(rtmp.port, 'good', ENHANCED);
  client.send({ payload: exVideo(VIDEO_PACKET.sequenceStart, 'vvc1', Buffer.from([1])) });
  expect(await client.untilStatus('NetStream.Publish.Failed')).toBe(
    'NetStream.Publish.Failed: The codec VVC is not supported: send H.264, HEVC, AV1 or VP9, and AAC, Opus, FLAC, AC-3 or E-AC-3.',
  );
  await client.untilClosed();
});
