import { describe, expect, it } from 'vitest';
import { type PieceSeek, pieceSeeks, SeekMemory } from './piece-seeks.ts';

describe('the ways to read a piece', () => {
  const video = { frameRate: { numerator: 25, denominator: 1 }, isInterlaced: false };
  const marginsOf = (seeks: readonly PieceSeek[]): (number | string)[] =>
    seeks.map((seek) => (seek.kind === 'before' ? seek.marginMs : seek.kind));

  it.each([
    { demuxer: 'mov', start: 0, kinds: ['beginning'] },
    { demuxer: 'mov', start: 20, kinds: ['beginning'] },
    { demuxer: 'mov', start: 100, kinds: [1000, 'beginning'] },
    { demuxer: 'matroska', start: 2500, kinds: [1000, 15_000, 'beginning'] },
    { demuxer: 'mpegts', start: 2500, kinds: [3000, 12_000, 40_000, 'beginning'] },
  ])('$demuxer from frame $start on: $kinds', ({ demuxer, start, kinds }) => {
    expect(marginsOf(pieceSeeks(demuxer, start, video, { isVariableRate: false }))).toEqual(kinds);
  });

  it('begin with the key frame that the piece begins with, where one is known to stand there', () => {
    const first = (demuxer: string, start: number, evenMs: number, isVariableRate = false): unknown =>
      marginsOf(
        pieceSeeks(demuxer, start, video, { isVariableRate, keyFrames: { longestMs: evenMs, evenMs } }),
      )[0];
    expect(first('mov', 100, 2000)).toBe(-20);
    // What ffmpeg goes back by itself is made up for.
    expect(first('matroska', 100, 2000)).toBe(-151);
    expect(first('matroska', 100, 200)).toBe(1000);
    expect(first('mpegts', 100, 2000)).toBe(3000);
    expect(first('mov', 125, 2000)).toBe(1000);
    expect(first('mov', 100, 2000, true)).toBe(1000);
    const fields = { ...video, isInterlaced: true };
    const even = { isVariableRate: false, keyFrames: { longestMs: 2000, evenMs: 2000 } };
    expect(marginsOf(pieceSeeks('mov', 100, fields, even))[0]).toBe(1000);
  });
});

describe('the memory of how pieces had to be read', () => {
  const film = { title: 'film', generation: 'g1' };
  const ways: PieceSeek[] = [
    { kind: 'before', marginMs: 3000 },
    { kind: 'before', marginMs: 12_000 },
    { kind: 'beginning' },
  ];

  it('leaves out what was not enough for a piece before, for that title only', () => {
    const memory = new SeekMemory();
    memory.worked(film, { kind: 'before', marginMs: 12_000 });
    memory.worked(film, { kind: 'before', marginMs: 3000 });
    expect(memory.worthTrying(film, ways)).toEqual(ways.slice(1));
    expect(memory.worthTrying({ ...film, generation: 'g2' }, ways)).toEqual(ways);
  });

  it('always has the beginning left, and learns nothing from it', () => {
    const memory = new SeekMemory();
    memory.worked(film, { kind: 'beginning' });
    expect(memory.worthTrying(film, ways)).toEqual(ways);
    memory.worked(film, { kind: 'before', marginMs: 40_000 });
    expect(memory.worthTrying(film, ways)).toEqual([{ kind: 'beginning' }]);
  });

  it('forgets the oldest title', () => {
    const memory = new SeekMemory();
    memory.worked(film, { kind: 'before', marginMs: 12_000 });
    for (let n = 0; n < 100; n++)
      memory.worked({ title: `t${n}`, generation: 'g' }, { kind: 'before', marginMs: 12_000 });
    expect(memory.worthTrying(film, ways)).toEqual(ways);
    expect(memory.worthTrying({ title: 't99', generation: 'g' }, ways)).toHaveLength(2);
  });
});
