import { describe, expect, it } from 'vitest';
import { AudioBacklog, type FedTag } from './audio-backlog.ts';

const tag = (sourceMs: number, sizeBytes = 10): FedTag => ({
  sourceMs,
  body: new Uint8Array(sizeBytes),
  receivedAtMs: sourceMs + 1000,
});

function filled(count: number): AudioBacklog {
  const backlog = new AudioBacklog({ maxMs: 1000, maxBytes: 500, maxTags: 40 });
  for (let i = 0; i < count; i++) backlog.add(tag(i * 20));
  return backlog;
}

function rest(backlog: AudioBacklog): number[] {
  const times: number[] = [];
  for (let next = backlog.take(); next; next = backlog.take()) times.push(next.sourceMs);
  return times;
}

describe('AudioBacklog', () => {
  it('gives each tag once, and all of them again to the next encoder', () => {
    const backlog = filled(3);
    expect([rest(backlog), rest(backlog)]).toEqual([[0, 20, 40], []]);
    backlog.rewind();
    expect(rest(backlog)).toEqual([0, 20, 40]);
  });

  it.each([
    ['time', [...Array.from({ length: 3 }, (_, i) => tag(i * 20)), tag(1030)], [0, 20]],
    ['bytes', [tag(0, 200), tag(20, 200), tag(40, 200)], [0]],
    ['tags', Array.from({ length: 42 }, (_, i) => tag(i, 1)), [0, 1]],
  ])('gives up the oldest over its limit of %s', (_what, tags, lost) => {
    const backlog = filled(0);
    const gone = tags.flatMap((each) => backlog.add(each));
    expect(gone.map(({ sourceMs }) => sourceMs)).toEqual(lost);
    expect(backlog.sizeBytes).toBeLessThanOrEqual(500);
    expect(rest(backlog).length).toBe(tags.length - lost.length);
  });

  it('forgets what was answered, but neither what reaches past that time nor what was not taken', () => {
    const backlog = filled(6);
    for (let i = 0; i < 4; i++) backlog.take();
    backlog.settle(50);
    expect(backlog.first?.sourceMs).toBe(40);
    backlog.settle(1000);
    expect(backlog.first?.sourceMs).toBe(80);
    expect(rest(backlog)).toEqual([80, 100]);
  });

  it('tells since when audio is owed: when enough behind it was taken', () => {
    const backlog = filled(12);
    const held = { ms: 100, tags: 4 };
    for (let i = 0; i < 7; i++) backlog.take();
    expect(backlog.owedSince(-1, held)).toBe(1100);
    expect(backlog.owedSince(0, held)).toBe(1120);
    expect(backlog.owedSince(20, held)).toBeUndefined();
  });

  it('owes nothing because of one tag after a long silence', () => {
    const backlog = filled(2);
    backlog.add(tag(900));
    rest(backlog);
    expect(backlog.owedSince(-1, { ms: 100, tags: 4 })).toBeUndefined();
  });
});
