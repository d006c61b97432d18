import { describe, expect, it } from 'vitest';
import { DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { type HistoryBlock, PlaylistHistory } from './playlist-history.ts';

const NOTHING = { map: undefined, protection: undefined };

function blockOf(text: string, more: Partial<HistoryBlock> = {}): HistoryBlock {
  return { text, before: NOTHING, after: NOTHING, borrows: false, ...more };
}

function fail(): never {
  throw new Error('rendered again');
}

describe('the history of a playlist', () => {
  const window = new WindowModel({ video: DEFAULT_VIDEO }).run(5000);
  const rendition = { ...window.rendition('video'), firstListed: 0 };

  it('has a block rendered once', () => {
    const history = new PlaylistHistory();
    history.keep(rendition, window, 0);
    expect(history.block(64, NOTHING, () => blockOf('a'))?.text).toBe('a');
    history.keep(rendition, window, 0);
    expect(history.block(64, NOTHING, fail)?.text).toBe('a');
  });

  it('asks again for what may still change', () => {
    const history = new PlaylistHistory();
    expect(history.block(64, NOTHING, () => undefined)).toBeUndefined();
    expect(history.block(64, NOTHING, () => blockOf('a'))?.text).toBe('a');
  });

  it('has it rendered anew where other tags stand before it: it may be the first of the list', () => {
    const history = new PlaylistHistory();
    const before = { map: 'video/p1/init.mp4', protection: undefined };
    history.block(64, before, () => blockOf('a', { before }));
    expect(history.block(64, NOTHING, () => blockOf('with map'))?.text).toBe('with map');
  });

  it('forgets the gaps whose map may be gone with the oldest period, and no other', () => {
    const history = new PlaylistHistory();
    history.keep(rendition, window, 0);
    history.block(64, NOTHING, () => blockOf('gaps', { borrows: true }));
    history.block(128, NOTHING, () => blockOf('media'));
    const later = new WindowModel({ video: DEFAULT_VIDEO }).run(5000);
    later.periods[0] = { ...later.period, id: 'other' };
    history.keep(rendition, later, 0);
    expect(history.block(64, NOTHING, () => blockOf('gaps anew'))?.text).toBe('gaps anew');
    expect(history.block(128, NOTHING, fail)?.text).toBe('media');
  });

  it('forgets all when dates or durations are said in another way, and what has left the list', () => {
    const history = new PlaylistHistory();
    history.keep(rendition, window, 0);
    history.block(64, NOTHING, () => blockOf('a'));
    history.keep(rendition, window, 10);
    expect(history.block(64, NOTHING, () => blockOf('b'))?.text).toBe('b');
    history.keep({ ...rendition, firstListed: 65 }, window, 10);
    expect(history.block(64, NOTHING, () => blockOf('c'))?.text).toBe('c');
  });
});
