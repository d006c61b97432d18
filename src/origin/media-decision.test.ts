import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OriginFixture } from '../../test/support/origin-fixture.ts';
import type { LiveRendition } from '../packager/live-rendition.ts';
import { decidePart, decideSegment, findSegment, isAhead } from './media-decision.ts';

/** The open segment of a fresh fixture, with three parts. */
const OPEN = 110;

let live: OriginFixture;

beforeEach(() => {
  live = new OriginFixture().start();
});

afterEach(() => live.origin.close());

function rendition(id: 'video' | 'audio'): LiveRendition {
  const found = live.window.rendition(id);
  if (!found) throw new Error('no rendition');
  return found;
}

function segmentKind(id: 'video' | 'audio', period: string, number: number): string {
  return decideSegment(live.window, rendition(id), { period, number }).kind;
}

function partKind(id: 'video' | 'audio', period: string, number: number, index: number): string {
  return decidePart(live.window, rendition(id), { period, number }, index).kind;
}

describe('findSegment', () => {
  it('finds each segment by its number, and nothing outside the window', () => {
    rendition('video').segments.shift();
    for (let number = 101; number <= OPEN; number += 1) {
      expect(findSegment(rendition('video'), number)?.number).toBe(number);
    }
    expect(findSegment(rendition('video'), 100)).toBeUndefined();
    expect(findSegment(rendition('video'), OPEN + 1)).toBeUndefined();
    expect([isAhead(rendition('video'), OPEN), isAhead(rendition('video'), OPEN + 1)]).toEqual([false, true]);
  });
});

describe('decideSegment', () => {
  it('holds a segment that is open without a chunk: it may yet turn out to be a gap', () => {
    live.closeSegment();
    const empty = live.window.openSegment(rendition('video'), {
      number: OPEN + 1,
      period: live.window.periods[0] ?? live.beginPeriod(),
      startTicks: 0,
      discontinuity: false,
    });
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('not-yet');
    live.window.closeSegment(rendition('video'), empty, 180_000);
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('missing');
  });

  it('finds a segment of a period that only continues another under the other one as well', () => {
    live.closeSegment();
    live.beginPeriod('p1');
    live.publishPart();
    expect(segmentKind('video', 'p2', OPEN + 1)).toBe('growing');
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('growing');
    expect(partKind('video', 'p1', OPEN + 1, 0)).toBe('part');
    expect(segmentKind('video', 'p2', OPEN)).toBe('missing');
  });

  it('finds a segment with other keys only under its own period: it could not be played under the old one', () => {
    live.closeSegment();
    live.beginPeriod('p1', true);
    live.publishPart();
    expect(segmentKind('video', 'p2', OPEN + 1)).toBe('growing');
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('past-end');
    expect(segmentKind('video', 'p1', OPEN + 2)).toBe('past-end');
    expect(segmentKind('video', 'p1', OPEN + 3)).toBe('missing');
    expect(partKind('video', 'p1', OPEN + 1, 0)).toBe('missing');
  });

  it('holds the first segments of an announced period, under its name only', () => {
    const coming = live.beginPeriod('p1', true);
    live.window.periods.pop();
    live.window.announce(coming);
    live.closeSegment();
    expect(coming.startNumber).toBe(OPEN + 1);
    expect(segmentKind('video', 'p2', OPEN + 1)).toBe('not-yet');
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('past-end');
    expect(partKind('video', 'p2', OPEN + 1, 0)).toBe('not-yet');
  });

  it('expects of a rendition that lags what another one has already begun', () => {
    for (const id of ['video', 'audio'] as const) {
      const open = rendition(id).open;
      if (open && id === 'video') live.window.closeSegment(rendition(id), open, 180_000);
    }
    live.addChunk('video');
    live.beginPeriod();
    expect(segmentKind('audio', 'p1', OPEN)).toBe('growing');
    expect(segmentKind('audio', 'p1', OPEN + 1)).toBe('not-yet');
    expect(segmentKind('audio', 'p2', OPEN + 1)).toBe('missing');
    expect(segmentKind('audio', 'p2', OPEN + 2)).toBe('not-yet');
    expect(segmentKind('audio', 'p1', OPEN + 2)).toBe('missing');
  });
});

describe('decidePart', () => {
  it('goes on holding a part of an open segment whose period is not the newest any more', () => {
    live.beginPeriod();
    expect(partKind('audio', 'p1', OPEN, 3)).toBe('not-yet');
    expect(partKind('audio', 'p2', OPEN, 3)).toBe('missing');
    expect(partKind('audio', 'p2', OPEN, 0)).toBe('missing');
  });

  it('holds nothing when nobody publishes', () => {
    live.closeSegment();
    expect(partKind('video', 'p1', OPEN + 1, 0)).toBe('not-yet');
    live.window.setState('away');
    expect(partKind('video', 'p1', OPEN + 1, 0)).toBe('missing');
    expect(segmentKind('video', 'p1', OPEN + 1)).toBe('missing');
    expect(partKind('video', 'p1', OPEN, 0)).toBe('part');
  });
});
