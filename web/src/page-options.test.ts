import { describe, expect, it } from 'vitest';
import { formatPageOptions, parsePageOptions, contentOf } from './page-options.ts';

const DEFAULTS = { player: 'hls', mode: 'low', targetMs: undefined, rendition: 'auto' };

describe('the options in the page address', () => {
  it('are hls.js at low latency when nothing is said', () => {
    expect(parsePageOptions('')).toEqual(DEFAULTS);
  });

  it('name player, mode, target and rendition', () => {
    expect(parsePageOptions('?player=shaka&mode=stock&target=400&rendition=480p')).toEqual({
      player: 'shaka',
      mode: 'stock',
      targetMs: 400,
      rendition: '480p',
    });
  });

  it.each([
    '?player=vlc',
    '?mode=turbo',
    '?target=soon',
    '?target=-5',
    '?target=1e9',
    '?target=',
    '?rendition=',
    '?rendition=../video',
  ])('fall back to the defaults for %s', (query) => {
    expect(parsePageOptions(query)).toEqual(DEFAULTS);
  });

  it('keep the target within what a player can do', () => {
    expect(parsePageOptions('?target=1').targetMs).toBe(50);
    expect(parsePageOptions('?target=999999').targetMs).toBe(30_000);
  });

  it('survive the way into the address and back, beside foreign parameters', () => {
    const options = { player: 'dash', mode: 'stock', targetMs: 700, rendition: '240p' } as const;
    const query = formatPageOptions(options, '?token=a%2Fb&player=hls');
    expect(parsePageOptions(query)).toEqual(options);
    expect(new URLSearchParams(query).get('token')).toBe('a/b');
  });
});

describe('what is watched', () => {
  it('is the folder below /live/ or /vod/', () => {
    expect(contentOf('/live/concert-2/')).toEqual({ kind: 'live', id: 'concert-2' });
    expect(contentOf('/vod/film/')).toEqual({ kind: 'vod', id: 'film' });
  });

  it('is nothing anywhere else', () => {
    expect(contentOf('/watch.html').id).toBe('');
  });
});
