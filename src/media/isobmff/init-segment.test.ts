import { createFile, MP4BoxBuffer } from 'mp4box';
import { describe, expect, it } from 'vitest';
import { audioTrack, videoTrack } from '../../../test/support/sample-source.ts';
import { findBox, readBoxes, walkBoxes } from './box-reader.ts';
import { readInitSegment } from './fragment-reader.ts';
import { type TrackInit, writeInitSegment } from './init-segment.ts';

/** What an outside reader says of an initialization segment. */
function outsideInfo(init: Uint8Array): ReturnType<ReturnType<typeof createFile>['getInfo']> {
  const file = createFile();
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(init).buffer, 0));
  return file.getInfo();
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** High tier, 10 bits, BT.2020 PQ. */
const HVCC =
  '0122200000009000000000007bf000fcfdfafa00000f03a00001001840010c01ffff22200000030090000003000003007b959409' +
  'a10001002f42010122200000030090000003000003007ba00a080c1f3b65959529385e02d424402410000003001000000301e080' +
  'a2000100074401c073c18927';
const DFLA = '00000000800000221200120000025800051b0bb802f00000bb80a316b305f13b13fe767b3d0d068f95bc';
const STEREO_48K = { audio: { channel_count: 2, sample_rate: 48_000, sample_size: 16 } };
const video = { kind: 'video', timescale: 90_000, width: 320, height: 180 } as const;
const audio = { kind: 'audio', timescale: 48_000, channels: 2 } as const;

describe('writeInitSegment', () => {
  it('holds ftyp and a moov without samples, and nothing is left over', () => {
    for (const track of [videoTrack(), audioTrack()]) {
      const { boxes, fault } = readBoxes(writeInitSegment(track));
      expect(fault).toBeUndefined();
      expect(boxes.map((box) => box.type)).toEqual(['ftyp', 'moov']);
      const seen: string[] = [];
      walkBoxes(boxes, (box) => seen.push(box.type));
      for (const type of [
        'mvhd',
        'tkhd',
        'mdhd',
        'hdlr',
        'dref',
        'url ',
        'stsd',
        'stts',
        'stsc',
        'stsz',
        'stco',
        'trex',
      ]) {
        expect(seen).toContain(type);
      }
      expect(seen).toContain(track.kind === 'video' ? 'vmhd' : 'smhd');
    }
  });

  it('reads back as the track it was written from', () => {
    expect(readInitSegment(writeInitSegment(videoTrack()))).toEqual([
      {
        id: 1,
        handler: 'vide',
        timescale: 90_000,
        entry: 'avc1',
        config: videoTrack().config,
        width: 320,
        height: 240,
        channels: 0,
        defaults: { duration: 0, size: 0, flags: 0 },
      },
    ]);
    expect(readInitSegment(writeInitSegment(audioTrack(44_100)))).toMatchObject([
      { handler: 'soun', timescale: 44_100, entry: 'mp4a', config: audioTrack(44_100).config, channels: 2 },
    ]);
  });

  it('takes a decoder configuration longer than 127 bytes', () => {
    const config = new Uint8Array(200).fill(7);
    expect(readInitSegment(writeInitSegment({ ...audioTrack(), config }))?.[0]?.config).toEqual(config);
  });

  it('is what mp4box reads as a fragmented file of one H.264 track', () => {
    const info = outsideInfo(writeInitSegment(videoTrack()));
    expect(info).toMatchObject({ isFragmented: true, brands: ['cmf2', 'cmf2', 'iso6', 'dash'] });
    expect(info.tracks[0]).toMatchObject({
      codec: 'avc1.42c00d',
      timescale: 90_000,
      nb_samples: 0,
      video: { width: 320, height: 240 },
    });
  });

  it('is what mp4box reads as AAC with the channels and rate of the track', () => {
    const [track] = outsideInfo(writeInitSegment(audioTrack())).tracks;
    expect(track).toMatchObject({
      codec: 'mp4a.40.2',
      timescale: 48_000,
      audio: { channel_count: 2, sample_rate: 48_000, sample_size: 16 },
    });
  });

  it('says nothing of the rate in the sample entry when 16 bits cannot hold it', () => {
    const init = writeInitSegment({ ...audioTrack(), timescale: 96_000 });
    const entry = findBox(readBoxes(init).boxes, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'mp4a']);
    const view = new DataView(init.buffer);
    expect(view.getUint32((entry?.bodyStart ?? 0) + 24)).toBe(0);
  });

  const entries: [TrackInit, string, string, Record<string, unknown>][] = [
    [
      { ...video, codec: 'hvc1', config: bytes(HVCC) },
      'hvcC',
      'hvc1.2.4.H123.90',
      { video: { width: 320, height: 180 } },
    ],
    [
      { ...video, codec: 'av01', config: bytes('81004c000a0e000000043cfeccdaf95091009040') },
      'av1C',
      'av01.0.00M.10',
      {},
    ],
    [{ ...video, codec: 'vp09', config: bytes('01000000000b820210020000') }, 'vpcC', 'vp09.00.11.08', {}],
    [{ ...audio, codec: 'Opus', config: bytes('000201380000bb80000000') }, 'dOps', 'Opus', STEREO_48K],
    [{ ...audio, codec: 'fLaC', config: bytes(DFLA) }, 'dfLa', 'fLaC', STEREO_48K],
    [{ ...audio, codec: 'ac-3', config: bytes('101140') }, 'dac3', 'ac-3', STEREO_48K],
    [{ ...audio, codec: 'ec-3', config: bytes('0800200f00') }, 'dec3', 'ec-3', STEREO_48K],
  ];

  it.each(entries)(
    'writes the sample entry of $codec with its box, as mp4box reads it',
    (track, box, codec, facts) => {
      const init = writeInitSegment(track);
      const { boxes, fault } = readBoxes(init);
      expect(fault).toBeUndefined();
      const stsd = ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', track.codec];
      const found = findBox(boxes, [...stsd, box]);
      expect(found && init.subarray(found.bodyStart, found.end)).toEqual(track.config);
      expect(readInitSegment(init)).toMatchObject([{ entry: track.codec, config: track.config }]);
      expect(outsideInfo(init).tracks[0]).toMatchObject({ codec, ...facts });
      // Only where there is something to say of colour.
      const colr = findBox(boxes, [...stsd, 'colr']);
      expect(colr !== undefined).toBe(track.kind === 'video');
      if (colr) {
        const nclx = Buffer.from(init.subarray(colr.bodyStart, colr.end));
        expect(nclx.toString('latin1', 0, 4)).toBe('nclx');
        expect(nclx.readUInt16BE(6)).toBe(16);
      }
    },
  );

  it.each([
    [96_000, 48_000],
    [88_200, 44_100],
    [192_000, 48_000],
  ])('gives FLAC of %i Hz the greatest regular division in its sample entry', (timescale, rate) => {
    const init = writeInitSegment({ ...audio, codec: 'fLaC', config: bytes(DFLA), timescale });
    const entry = findBox(readBoxes(init).boxes, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'fLaC']);
    const view = new DataView(init.buffer);
    expect(view.getUint32((entry?.bodyStart ?? 0) + 24)).toBe(rate * 0x10000);
  });
});
