import { describe, expect, it } from 'vitest';
import {
  asAnnexB,
  asSoundFile,
  AVC,
  AVC_B_FRAMES,
  AVC_INTERLACED,
  AVC_OPEN_GOP,
  AVC_SLICES,
  decodedHashes,
  HEVC,
  makeTs,
  probePackets,
  type TsFile,
} from '../support/ts-files.ts';
import { demux, inPieces, type TsRecorder } from '../support/ts-recorder.ts';

const WRAP = 2 ** 33;
const AAC = ['-c:a', 'aac', '-b:a', '96k'];
/** An SRT payload. */
const DATAGRAM = 1316;

function times(out: TsRecorder) {
  return out.video.map(({ dts, compositionOffset, key }) => ({
    pts: (dts + compositionOffset + WRAP) % WRAP,
    dts,
    key,
  }));
}

function noFaults(counters: ReturnType<typeof demux>['demuxer']['counters']): void {
  for (const count of Object.values(counters.faults)) expect(count).toBe(0);
  for (const causes of Object.values(counters.dropped)) {
    for (const count of Object.values(causes)) expect(count).toBe(0);
  }
}

describe.each<[string, TsFile, string]>([
  ['H.264 without B-frames', { video: AVC }, 'h264'],
  ['H.264 with B-frames', { video: AVC_B_FRAMES, audio: AAC }, 'h264'],
  ['H.264 with an open GOP', { video: AVC_OPEN_GOP }, 'h264'],
  ['H.264 interlaced', { video: AVC_INTERLACED }, 'h264'],
  ['H.264 in slices', { video: AVC_SLICES }, 'h264'],
  ['HEVC with open GOPs', { video: HEVC, audio: AAC }, 'hevc'],
  ['H.264 over the wrap of the clock', { video: AVC_B_FRAMES, mux: ['-output_ts_offset', '95440'] }, 'h264'],
  ['H.264 with PES lengths', { video: AVC_B_FRAMES, mux: ['-omit_video_pes_length', '0'] }, 'h264'],
  ['H.264 in M2TS packets', { video: AVC_B_FRAMES, mux: ['-mpegts_m2ts_mode', '1'] }, 'h264'],
])('%s', (_, file, format) => {
  it('has the times, keys and pictures that ffmpeg finds, and nothing is lost', async () => {
    const bytes = await makeTs(file);
    const { out, demuxer } = demux(inPieces(bytes, DATAGRAM));
    expect(out.video).toHaveLength(90);
    expect(times(out)).toEqual(await probePackets(bytes, 'v:0'));
    const decoded = await decodedHashes(asAnnexB(out), format, '0:v:0');
    expect(decoded).toHaveLength(90);
    expect(decoded).toEqual(await decodedHashes(bytes, 'mpegts', '0:v:0'));
    expect(out.videoConfigs).toHaveLength(1);
    noFaults(demuxer.counters);
    expect(demuxer.counters.earlyAccessUnits).toBeGreaterThan(75);
  });
});

describe.each<[string, readonly string[], readonly string[], string]>([
  ['AAC in ADTS', AAC, [], 'aac'],
  ['AAC in LATM', AAC, ['-mpegts_flags', 'latm'], 'aac'],
  ['AC-3', ['-c:a', 'ac3', '-b:a', '192k'], [], 'ac3'],
  ['E-AC-3', ['-c:a', 'eac3', '-b:a', '96k'], [], 'eac3'],
  ['AC-3 as DVB has it', ['-c:a', 'ac3', '-b:a', '192k'], ['-mpegts_flags', 'system_b'], 'ac3'],
  ['AAC in small PES packets', AAC, ['-pes_payload_size', '200'], 'aac'],
  ['AAC over the wrap of the clock', AAC, ['-output_ts_offset', '95441'], 'aac'],
])('%s', (_, audio, mux, format) => {
  it('has the times and the sound that ffmpeg finds, and nothing is lost', async () => {
    const bytes = await makeTs({ video: AVC, audio, mux });
    const { out, demuxer } = demux(inPieces(bytes, DATAGRAM));
    const probed = await probePackets(bytes, 'a:0');
    expect(out.audio).toHaveLength(probed.length);
    out.audio.forEach(({ dts }, index) => {
      // ffmpeg rounds the time of each frame down from the one before.
      const difference = (dts - (probed[index]?.pts ?? 0) + WRAP + WRAP / 2) % WRAP;
      expect(Math.abs(difference - WRAP / 2)).toBeLessThanOrEqual(mux.includes('-pes_payload_size') ? 3 : 10);
    });
    const decoded = await decodedHashes(asSoundFile(out), format, '0:a:0');
    expect(decoded.length).toBeGreaterThan(80);
    expect(decoded).toEqual(await decodedHashes(bytes, 'mpegts', '0:a:0'));
    expect(out.audioConfigs).toHaveLength(1);
    noFaults(demuxer.counters);
  });
});

describe('a transport stream made by ffmpeg', () => {
  it('carries Opus packets as Ogg would', async () => {
    const bytes = await makeTs({ video: AVC, audio: ['-c:a', 'libopus', '-ac', '2', '-b:a', '96k'] });
    const { out, demuxer } = demux(bytes);
    const probed = await probePackets(bytes, 'a:0');
    expect(out.audio.map(({ dts }) => dts)).toEqual(probed.map(({ pts }) => pts));
    expect(out.audioConfigs.map(({ codec, config }) => [codec, config[1]])).toEqual([['Opus', 2]]);
    noFaults(demuxer.counters);
  });

  it('with several sounds gives the first', async () => {
    const bytes = await makeTs({ video: AVC, audio: AAC, audios: 2 });
    const { out } = demux(bytes);
    expect(await decodedHashes(asSoundFile(out), 'aac', '0:a:0')).toEqual(
      await decodedHashes(bytes, 'mpegts', '0:a:0'),
    );
  });

  it('with packets lost loses the pictures and frames they were of, and no others are touched', async () => {
    const bytes = await makeTs({ video: AVC_B_FRAMES, audio: AAC });
    const packets = inPieces(bytes, 188);
    const whole = demux(bytes).out;
    const hit = packets.map((_, index) => index).filter((index) => index > 5 && index % 97 === 0);
    const { out, demuxer } = demux(Buffer.concat(packets.filter((_, index) => !hit.includes(index))));
    const sent = new Set(whole.log);
    for (const line of out.log) expect(sent.has(line)).toBe(true);
    // A packet that ends one picture and the one that begins the next may both be of one loss.
    expect(out.video.length).toBeGreaterThanOrEqual(whole.video.length - 2 * hit.length);
    expect(out.video.length).toBeLessThan(whole.video.length);
    expect(demuxer.counters.faults.continuity).toBeGreaterThan(hit.length / 2);
  });

  it('with flipped bits keeps all that they did not touch', async () => {
    const bytes = await makeTs({ video: AVC, audio: AAC });
    const whole = demux(bytes).out;
    const flipped = bytes.slice();
    for (let at = 3001; at < flipped.length; at += 7919) flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
    const flips = Math.ceil((flipped.length - 3001) / 7919);
    const { out } = demux(flipped);
    const got = new Set(out.log);
    const missing = whole.log.filter((line) => !got.has(line));
    expect(missing.length).toBeGreaterThan(0);
    expect(missing.length).toBeLessThanOrEqual(4 * flips);
    expect(out.videoConfigs.length).toBeLessThanOrEqual(2);
  });
});
