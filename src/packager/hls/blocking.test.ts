import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePlaylist } from '../../../test/support/playlist.ts';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { decideReload, parseDirectives, type ReloadDecision } from './blocking.ts';
import { renderMediaPlaylist } from './media-playlist.ts';

/**
 * The rows of 6.2.5.2 as the checklist has them. In the window: L = last complete segment, 6 parts each; L+1 is open
 * with parts 0 to 2 (p = 2); the advance part limit is ceil(3 / 0.334) = 9.
 */
function atEdge(): { window: WindowModel; last: number } {
  const window = new WindowModel({ video: DEFAULT_VIDEO, windowSeconds: 10 }).run(21_100);
  const last = window.rendition('video').segments.at(-2)?.number ?? 0;
  return { window, last };
}

function decide(window: WindowModel, query: string): ReloadDecision {
  return decideReload(window, window.rendition('video'), parseDirectives(query));
}

const NOW = { kind: 'now' };
const bad = { kind: 'badRequest', reason: expect.any(String) };

describe('decideReload', () => {
  it('has the edge that the rows below assume', () => {
    const { window, last } = atEdge();
    const playlist = parsePlaylist(renderMediaPlaylist(window, window.rendition('video')));
    expect(playlist.segments.at(-1)?.msn).toBe(last);
    expect(playlist.open?.parts.length).toBe(3);
    expect(last - playlist.mediaSequence).toBeGreaterThan(3);
  });

  it.each<[query: (last: number) => string, expected: (last: number) => object]>([
    [() => '', () => NOW],
    [() => 'foo=bar&_HLS_skip=YES', () => NOW],
    // Malformed.
    [() => '_HLS_part=0', () => bad],
    [() => '_HLS_msn=abc', () => bad],
    [() => '_HLS_msn=-1', () => bad],
    [() => '_HLS_msn=', () => bad],
    [() => '_HLS_msn=1.5', () => bad],
    [() => '_HLS_msn=0x10', () => bad],
    [() => '_HLS_msn=99999999999999999999', () => bad],
    [(last) => `_HLS_msn=${last}&_HLS_part=-1`, () => bad],
    [(last) => `_HLS_msn=${last}&_HLS_part=`, () => bad],
    // Complete segments, also those that left the window.
    [(last) => `_HLS_msn=${last}`, () => NOW],
    [() => '_HLS_msn=0', () => NOW],
    [() => '_HLS_msn=0&_HLS_part=500', () => NOW],
    [(last) => `_HLS_msn=${last - 1}&_HLS_part=99`, () => NOW],
    [(last) => `_HLS_msn=${last}&_HLS_part=5`, () => NOW],
    // Past the final part of a closed segment is part 0 of the next, which is listed.
    [(last) => `_HLS_msn=${last}&_HLS_part=6`, () => NOW],
    [(last) => `_HLS_msn=${last}&_HLS_part=1000`, () => NOW],
    // The open segment.
    [(last) => `_HLS_msn=${last + 1}&_HLS_part=0`, () => NOW],
    [(last) => `_HLS_msn=${last + 1}&_HLS_part=2`, () => NOW],
    [(last) => `_HLS_msn=${last + 1}&_HLS_part=3`, (last) => ({ kind: 'wait', msn: last + 1, part: 3 })],
    [(last) => `_HLS_part=3&x=1&_HLS_msn=${last + 1}`, (last) => ({ kind: 'wait', msn: last + 1, part: 3 })],
    [(last) => `_HLS_msn=${last + 1}&_HLS_part=11`, (last) => ({ kind: 'wait', msn: last + 1, part: 11 })],
    [(last) => `_HLS_msn=${last + 1}&_HLS_part=12`, () => bad],
    [(last) => `_HLS_msn=${last + 1}`, (last) => ({ kind: 'wait', msn: last + 1, part: undefined })],
    // One further: hls.js tunes in there.
    [(last) => `_HLS_msn=${last + 2}`, (last) => ({ kind: 'wait', msn: last + 2, part: undefined })],
    [(last) => `_HLS_msn=${last + 2}&_HLS_part=0`, (last) => ({ kind: 'wait', msn: last + 2, part: 0 })],
    [(last) => `_HLS_msn=${last + 2}&_HLS_part=8`, (last) => ({ kind: 'wait', msn: last + 2, part: 8 })],
    [(last) => `_HLS_msn=${last + 2}&_HLS_part=9`, () => bad],
    [(last) => `_HLS_msn=${last + 3}`, () => bad],
    [(last) => `_HLS_msn=${last + 3}&_HLS_part=0`, () => bad],
  ])('row %#', (query, expected) => {
    const { window, last } = atEdge();
    expect(decide(window, query(last))).toEqual(expected(last));
  });

  it('holds a request past the final part when nothing of the next segment is listed yet', () => {
    const { window } = atEdge();
    window.run(900);
    const last = window.rendition('video').segments.at(-1)?.number ?? 0;
    expect(window.rendition('video').segments.at(-1)?.state).toBe('closed');
    expect(decide(window, `_HLS_msn=${last}&_HLS_part=6`)).toEqual({ kind: 'wait', msn: last + 1, part: 0 });
    expect(decide(window, `_HLS_msn=${last}&_HLS_part=1000`)).toEqual({
      kind: 'wait',
      msn: last + 1,
      part: 0,
    });
  });

  it('allows three parts ahead when a part lasts a second or more', () => {
    const window = new WindowModel({
      video: { frameTicks: 3000, segmentFrames: 180, partFrames: 30 },
      windowSeconds: 20,
    }).run(13_100);
    const open = window.rendition('video').segments.at(-1)?.number ?? 0;
    expect(decide(window, `_HLS_msn=${open}&_HLS_part=3`)).toMatchObject({ kind: 'wait' });
    expect(decide(window, `_HLS_msn=${open}&_HLS_part=4`)).toMatchObject({ kind: 'badRequest' });
  });

  it('ignores every directive once the stream has ended, well formed or not', () => {
    const { window, last } = atEdge();
    window.end();
    for (const query of [`_HLS_msn=${last + 9}`, '_HLS_part=3', '_HLS_msn=x']) {
      expect(decide(window, query)).toEqual(NOW);
    }
  });

  it('answers a request about a segment that became a gap', () => {
    const { window, last } = atEdge();
    window.away();
    const query = `_HLS_msn=${last + 2}&_HLS_part=0`;
    expect(decide(window, query)).toMatchObject({ kind: 'wait' });
    window.run(2500);
    expect(window.rendition('video').segments.at(-1)?.state).toBe('gap');
    expect(decide(window, query)).toEqual(NOW);
  });

  it('turns a wait into an answer that lists what was asked for, and never into a refusal', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3000, max: 30_000 }),
        fc.integer({ min: 0, max: 2 }),
        fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
        fc.boolean(),
        fc.constantFrom('video' as const, 'audio' as const),
        (warmUpMs, ahead, part, outage, id) => {
          const window = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, audioLateMs: 300 });
          window.run(warmUpMs);
          const rendition = window.rendition(id);
          const complete = rendition.segments.filter((segment) => segment.state !== 'open');
          const msn = (complete.at(-1)?.number ?? 0) + ahead;
          const directives = { msn, part, skip: undefined, malformed: undefined };
          const before = decideReload(window, rendition, directives);
          if (before.kind === 'badRequest') return;
          if (outage) window.away().run(700).resume();
          for (let ms = 0; ms < 7000; ms += 50) {
            const decision = decideReload(window, rendition, directives);
            expect(decision.kind).not.toBe('badRequest');
            if (decision.kind === 'now') {
              const playlist = parsePlaylist(renderMediaPlaylist(window, rendition));
              expectListed(playlist, msn, part);
              return;
            }
            window.run(50);
          }
          throw new Error('held for more than three target durations');
        },
      ),
      { numRuns: 300 },
    );
  });
});

function expectListed(
  playlist: ReturnType<typeof parsePlaylist>,
  msn: number,
  part: number | undefined,
): void {
  const lastComplete = playlist.segments.at(-1)?.msn ?? 0;
  if (part === undefined) {
    expect(lastComplete).toBeGreaterThanOrEqual(msn);
    return;
  }
  const openParts = playlist.open?.msn === msn ? playlist.open.parts.length : 0;
  const listed = lastComplete > msn || openParts > part || playlist.open?.msn === msn + 1;
  const inLast = lastComplete === msn && (playlist.segments.at(-1)?.parts.length ?? 0) > part;
  expect(listed || inLast || playlist.segments.at(-1)?.gap).toBe(true);
}

describe('parseDirectives', () => {
  it.each([
    ['', { msn: undefined, part: undefined, skip: undefined }],
    ['_HLS_msn=7', { msn: 7, part: undefined, skip: undefined }],
    ['_HLS_skip=v2&_HLS_part=0&_HLS_msn=7', { msn: 7, part: 0, skip: 'v2' }],
    ['_HLS_skip=YES', { msn: undefined, part: undefined, skip: 'YES' }],
    ['_HLS_skip=maybe', { msn: undefined, part: undefined, skip: undefined }],
    ['_HLS_pathway=a&_HLS_primary_id=b&token=c', { msn: undefined, part: undefined, skip: undefined }],
    ['_HLS_msn=7&_HLS_msn=9', { msn: 7, part: undefined, skip: undefined }],
    ['%5FHLS_msn=%37', { msn: 7, part: undefined, skip: undefined }],
  ])('reads %j', (query, expected) => {
    expect(parseDirectives(query)).toEqual({ ...expected, malformed: undefined });
  });

  it('takes any text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const { msn, part } = parseDirectives(`_HLS_msn=${a}&_HLS_part=${b}&${a}=%${b}`);
        for (const value of [msn, part])
          if (value !== undefined) expect(Number.isSafeInteger(value)).toBe(true);
      }),
    );
  });
});
