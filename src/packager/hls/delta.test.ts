import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeDelta, parsePlaylist } from '../../../test/support/playlist.ts';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { renderMediaPlaylist } from './media-playlist.ts';

const EVENT = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('run' as const), ms: fc.integer({ min: 200, max: 15_000 }) }),
  },
  fc.record({ kind: fc.constant('outage' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
  fc.record({
    kind: fc.constantFrom('reanchor' as const, 'retrack' as const, 'dependent' as const),
    ms: fc.constant(0),
  }),
);

function apply(window: WindowModel, event: { kind: string; ms: number }): void {
  if (event.kind === 'run') window.run(event.ms);
  else if (event.kind === 'outage') window.away().run(event.ms).resume();
  else if (event.kind === 'reanchor') window.reanchor(1).run(4500);
  else if (event.kind === 'retrack') window.retrack(800).run(4500);
  else window.dependentNext = true;
}

describe('a delta update', () => {
  it('merged with a full playlist under half the boundary old is the current full playlist, line by line', () => {
    let deltas = 0;
    fc.assert(
      fc.property(
        fc.array(EVENT, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 15, max: 90 }),
        fc.integer({ min: 100, max: 5900 }),
        fc.integer({ min: 0, max: 900 }),
        fc.boolean(),
        (events, windowSeconds, ageMs, audioLateMs, skipV2) => {
          const window = new WindowModel({
            video: DEFAULT_VIDEO,
            audio: DEFAULT_AUDIO,
            windowSeconds,
            audioLateMs,
          });
          window.run(9000);
          for (const event of events) apply(window, event);
          const previous = window.renditions.map((rendition) => renderMediaPlaylist(window, rendition));
          window.run(ageMs);
          window.renditions.forEach((rendition, i) => {
            const full = renderMediaPlaylist(window, rendition);
            const delta = renderMediaPlaylist(window, rendition, { skip: skipV2 ? 'v2' : 'YES' });
            if (parsePlaylist(delta).skipped > 0) deltas++;
            expect(mergeDelta(previous[i] ?? '', delta)).toBe(full);
          });
        },
      ),
      { numRuns: 500 },
    );
    // Two renditions each: a thousand windows, most of them long enough to skip something.
    expect(deltas).toBeGreaterThan(500);
  });

  it('has the version that its tags need, and the numbers of the full playlist', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO, windowSeconds: 40 }).run(39_000);
    const rendition = window.rendition('video');
    const full = parsePlaylist(renderMediaPlaylist(window, rendition));
    const yes = parsePlaylist(renderMediaPlaylist(window, rendition, { skip: 'YES' }));
    const v2 = parsePlaylist(renderMediaPlaylist(window, rendition, { skip: 'v2' }));
    expect([full.version, yes.version, v2.version]).toEqual([6, 9, 10]);
    expect(yes.mediaSequence).toBe(full.mediaSequence);
    expect(yes.discontinuitySequence).toBe(full.discontinuitySequence);
    expect(yes.skipAttributes.has('RECENTLY-REMOVED-DATERANGES')).toBe(false);
    expect(v2.skipAttributes.get('RECENTLY-REMOVED-DATERANGES')).toBe('');
  });
});
