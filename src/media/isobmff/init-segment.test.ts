import { createFile, MP4BoxBuffer } from 'mp4box';
import { describe, expect, it } from 'vitest';
import { audioTrack, videoTrack } from '../../../test/support/sample-source.ts';
import { findBox, readBoxes, walkBoxes } from './box-reader.ts';
import { readInitSegment } from './fragment-reader.ts';
import { writeInitSegment } from './init-segment.ts';

/** What an outside reader says of an initialization segment. */
function outsideInfo(init: Uint8Array): ReturnType<ReturnType<typeof createFile>['getInfo']> {
  const file = createFile();
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(init).buffer, 0));
  return file.getInfo();
}

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
});
