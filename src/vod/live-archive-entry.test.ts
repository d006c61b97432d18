import { describe, expect, it } from 'vitest';
import { PackagedStream } from '../../test/support/packaged-stream.ts';
import { readFragments } from '../media/isobmff/fragment-reader.ts';
import { asLost, indexedSegment } from './live-archive-entry.ts';

describe('the entry of a segment', () => {
  it('knows where its key frame ends: it is the first chunk, when that holds nothing else', () => {
    const stream = new PackagedStream(8);
    stream.step();
    stream.stepUntil(() => stream.rendition('video').segments.length > 2);
    const [video, audio] = (['video', 'audio'] as const).map((id) => stream.rendition(id));
    const [segment] = video?.segments ?? [];
    const [sound] = audio?.segments ?? [];
    if (!video || !audio || !segment || !sound) throw new Error('there is no segment');
    const entry = indexedSegment(video, segment);
    const keyFrame = Buffer.concat(segment.chunks.map(({ bytes }) => bytes)).subarray(0, entry.keyFrameBytes);
    const samples = readFragments(keyFrame)?.flatMap(({ tracks }) =>
      tracks.flatMap((track) => track.samples),
    );
    expect(samples).toHaveLength(1);
    expect(samples?.[0]?.key).toBe(true);
    expect(entry).toMatchObject({ state: 'kept', sizeBytes: segment.sizeBytes, timescale: 90_000 });
    expect(indexedSegment(audio, sound).keyFrameBytes).toBe(0);
    const [first, second, ...others] = segment.chunks;
    const bytes = Buffer.concat([first?.bytes ?? Buffer.of(), second?.bytes ?? Buffer.of()]);
    const chunked = { ...segment, chunks: [{ bytes, independent: true }, ...others] };
    expect(indexedSegment(video, chunked).keyFrameBytes).toBe(0);
    expect(indexedSegment(video, { ...segment, independent: false }).keyFrameBytes).toBe(0);
    expect(asLost(entry)).toMatchObject({
      number: segment.number,
      state: 'lost',
      sizeBytes: 0,
      keyFrameBytes: 0,
    });
    stream.close();
  });
});
