import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { exampleProtection } from '../../../test/support/protection.ts';
import {
  audioTrack,
  FILM,
  FILM_EXTRAS,
  modelTitle,
  type ModelRendition,
  videoTrack,
} from '../../../test/support/title-model.ts';
import { tierOf } from '../../media/protection.ts';
import type { Title } from '../../stream/title.ts';
import { renderChapters } from './title-chapters.ts';
import { renderKeyFramesPlaylist } from './title-iframes.ts';
import { renderTitleMultivariant } from './title-multivariant.ts';
import { renderTitlePlaylist } from './title-playlist.ts';
import { renderThumbnailsVtt } from './title-thumbnails.ts';

const WHOLE = modelTitle(FILM, [{ id: 'g1', segments: 5 }], FILM_EXTRAS);
const GROWING = modelTitle(FILM, [{ id: 'g1', segments: 4, behind: { '360p': 1, 'audio-de': 2 } }], {
  ...FILM_EXTRAS,
  state: 'growing',
  durationMs: 60_000,
});
const SEALED: readonly ModelRendition[] = FILM.map((rendition) => ({
  ...rendition,
  protection: exampleProtection(tierOf(rendition.track)),
}));
/** Noon of 22 November 2026. */
const LIVE_MS = 1_795_348_800_000;
/** What was live: an outage in a rung, another track list that runs on, then a hole. */
const RECORDING = modelTitle(FILM, [
  { id: 'p1', segments: 4, firstNumber: 100, liveMs: LIVE_MS, gaps: { '360p': [101, 102] } },
  {
    id: 'p2',
    startMs: 13_500,
    continues: true,
    segments: 2,
    firstNumber: 104,
    liveMs: LIVE_MS + 13_500,
    only: ['1080p', 'audio-en', 'audio-de'],
  },
  { id: 'p3', startMs: 40_000, segments: 2, firstNumber: 111, liveMs: LIVE_MS + 40_000 },
]);

function playlist(title: Title, id: string): string {
  return renderTitlePlaylist(title, id) ?? 'none';
}

describe('the playlists of a title, golden', () => {
  it.each<readonly [string, string]>([
    ['title-index.m3u8', renderTitleMultivariant(WHOLE)],
    ['title-video.m3u8', playlist(WHOLE, '1080p')],
    ['title-audio.m3u8', playlist(WHOLE, 'audio-en')],
    ['title-text.m3u8', playlist(WHOLE, 'text-en')],
    ['title-thumbnails.m3u8', playlist(WHOLE, 'thumbnails')],
    ['title-thumbnails.vtt', renderThumbnailsVtt(WHOLE)],
    ['title-chapters.txt', renderChapters(WHOLE)],
    ['title-iframes.m3u8', renderKeyFramesPlaylist(WHOLE, '360p') ?? 'none'],
    ['title-growing-index.m3u8', renderTitleMultivariant(GROWING)],
    ['title-growing-video.m3u8', playlist(GROWING, '1080p')],
    ['title-growing-iframes.m3u8', renderKeyFramesPlaylist(GROWING, '1080p') ?? 'none'],
    ['title-sealed-index.m3u8', renderTitleMultivariant(modelTitle(SEALED, [{ id: 'g1', segments: 2 }]))],
    ['title-sealed-video.m3u8', playlist(modelTitle(SEALED, [{ id: 'g1', segments: 2 }]), '1080p')],
    ['title-recording-360p.m3u8', playlist(RECORDING, '360p')],
    ['title-recording-1080p.m3u8', playlist(RECORDING, '1080p')],
    ['title-recording-audio.m3u8', playlist(RECORDING, 'audio-en')],
    ['title-recording-iframes.m3u8', renderKeyFramesPlaylist(RECORDING, '360p') ?? 'none'],
  ])('%s', async (name, text) => {
    await expect(text).toMatchFileSnapshot(`golden/${name}`);
  });
});

describe('a media playlist', () => {
  it('of a title that grows lists only what all pictures have', () => {
    const segments = (id: string) => playlist(GROWING, id).match(/^.*\.m4s$/gm)?.length;
    expect(['1080p', '360p', 'audio-en', 'audio-de'].map(segments)).toEqual([3, 3, 3, 2]);
  });

  it('has one target duration in all of them, that of the longest segment', () => {
    const texts = ['1080p', '360p', 'audio-en'].map((id) => playlist(WHOLE, id));
    expect(texts.map((text) => /TARGETDURATION:(\d+)/.exec(text)?.[1])).toEqual(['4', '4', '4']);
  });

  it('is none of what there is not', () => {
    expect(renderTitlePlaylist(WHOLE, '720p')).toBeUndefined();
    expect(renderTitlePlaylist(GROWING, 'text-en')).toBeUndefined();
    expect(renderTitlePlaylist(modelTitle(FILM, [{ id: 'g1', segments: 1 }]), 'thumbnails')).toBeUndefined();
    expect(renderKeyFramesPlaylist(WHOLE, 'audio-en')).toBeUndefined();
  });

  it('says its keys again after each change of them, and where they end', () => {
    const title = modelTitle(SEALED, [
      { id: 'p1', segments: 1 },
      { id: 'p2', startMs: 1500, continues: true, segments: 1, protection: exampleProtection('SD', 1) },
    ]);
    const keys = playlist(title, '1080p').match(/^#EXT-X-(KEY|MAP).*/gm) ?? [];
    expect(keys.map((line) => line.replace(/:.*/, ''))).toEqual([
      '#EXT-X-KEY',
      '#EXT-X-MAP',
      '#EXT-X-KEY',
      '#EXT-X-MAP',
    ]);
    expect(keys[0]).not.toBe(keys[2]);
  });
});

describe('the multivariant playlist', () => {
  const lines = (title: Title, options = {}) => renderTitleMultivariant(title, options).split('\n');

  it('names only what the keys of a viewer open', () => {
    const title = modelTitle(SEALED, [{ id: 'g1', segments: 2 }]);
    const text = renderTitleMultivariant(title, { tiers: new Set(['SD', 'AUDIO']) });
    expect(text).toContain('360p.m3u8');
    expect(text).not.toContain('1080p');
    const silent = renderTitleMultivariant(title, { tiers: new Set(['HD']) });
    expect(silent).not.toContain('audio');
  });

  it('asks for the one key format again in every address', () => {
    const title = modelTitle(SEALED, [{ id: 'g1', segments: 2 }]);
    const uris =
      lines(title, { keyFormat: 'identity' })
        .join('\n')
        .match(/[\w.-]+\.m3u8[^",\n]*/g) ?? [];
    expect(uris.length).toBeGreaterThan(8);
    expect(uris.filter((uri) => !uri.endsWith('?kf=identity'))).toEqual([]);
  });

  it('of sound alone has it as its only variant', () => {
    const sound = { id: 'audio', track: audioTrack(), language: 'en', label: 'English' };
    const text = renderTitleMultivariant(modelTitle([sound], [{ id: 'g1', segments: 2 }]));
    expect(text).toMatch(/#EXT-X-STREAM-INF:[^\n]*CODECS="mp4a.40.2",CLOSED-CAPTIONS=NONE\naudio.m3u8\n/);
    expect(text).not.toContain('#EXT-X-MEDIA');
  });

  it('of sound in two languages has the main one as variant and both in a group', () => {
    const text = renderTitleMultivariant(modelTitle(FILM.slice(2, 4), [{ id: 'g1', segments: 2 }]));
    expect(text.match(/#EXT-X-MEDIA:TYPE=AUDIO/g)?.length).toBe(2);
    expect(text).toMatch(/CODECS="mp4a.40.2",AUDIO="audio",CLOSED-CAPTIONS=NONE\naudio-en.m3u8\n/);
  });

  it('gives every group the same members, whichever encodings there are', () => {
    const text = renderTitleMultivariant(WHOLE);
    const members = (group: string) =>
      [...text.matchAll(/GROUP-ID="([^"]*)",NAME="([^"]*)",LANGUAGE="([^"]*)",DEFAULT=(\w+)/g)]
        .filter(([, id]) => id === group)
        .map((match) => match.slice(2).join(' '));
    expect(members('audio')).toEqual(['English en YES', 'Deutsch de NO']);
    expect(members('audio-ac3-surround')).toEqual(members('audio'));
  });

  it('gives two sounds of one name two names, and plays the first when none is the default', () => {
    const twins = ['a', 'b'].map((id) => ({ id, track: audioTrack(), language: 'en', label: 'English' }));
    const text = renderTitleMultivariant(
      modelTitle([FILM[0] as ModelRendition, ...twins], [{ id: 'g1', segments: 1 }]),
    );
    expect(
      [...text.matchAll(/NAME="([^"]*)".*DEFAULT=(\w+)/g)].map(([, name, is]) => `${name} ${is}`),
    ).toEqual(['English YES', 'English 2 NO']);
  });

  it('lets nobody break out of a quoted name', () => {
    const evil = { id: 'a', track: audioTrack(), language: 'en', label: 'A",URI="x"\n#EXT-X-ENDLIST' };
    const text = renderTitleMultivariant(
      modelTitle([FILM[0] as ModelRendition, evil], [{ id: 'g1', segments: 1 }]),
    );
    expect(text).toContain(`NAME="A',URI='x' #EXT-X-ENDLIST"`);
  });

  it.each([
    [16, 'PQ'],
    [18, 'HLG'],
    [1, 'SDR'],
  ])('says of pictures whose transfer is %i that their range is %s', (transfer, range) => {
    const config = Uint8Array.of(1, 0, 0, 0, 2, 41, 0xa2, 9, transfer, 9, 0, 0);
    const track = videoTrack(360, { codec: 'vp09', codecString: 'vp09.02.41.10', config });
    const text = renderTitleMultivariant(modelTitle([{ id: 'v', track }], [{ id: 'g1', segments: 1 }]));
    expect([...text.matchAll(/VIDEO-RANGE=(\w+)/g)].map(([, found]) => found)).toEqual([range, range]);
  });

  it('promises key frames only while every segment begins with one', () => {
    const [first] = WHOLE.periods;
    const own = first?.tracks.get('1080p');
    if (!first || !own) throw new Error('no such track');
    const segments = own.segments.map((segment, index) =>
      index === 2 ? { ...segment, keyFrameBytes: 0 } : segment,
    );
    const tracks = new Map([...first.tracks, ['1080p', { ...own, segments }] as const]);
    const uneven = { ...WHOLE, periods: [{ ...first, tracks }] };
    expect(renderTitleMultivariant(WHOLE)).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
    expect(renderTitleMultivariant(uneven)).not.toContain('#EXT-X-INDEPENDENT-SEGMENTS');
    expect(renderKeyFramesPlaylist(uneven, '1080p')).toContain('#EXTINF:8.00000,');
  });
});

interface Judge {
  on(event: 'warn', listener: (warning: { message: string }) => void): void;
  push(text: string): void;
  end(): void;
  readonly manifest: {
    readonly playlistType?: string;
    readonly endList?: boolean;
    readonly targetDuration: number;
    readonly segments: readonly {
      readonly uri: string;
      readonly duration: number;
      readonly gap?: boolean;
      readonly byterange?: { readonly length: number; readonly offset: number };
    }[];
    readonly playlists?: readonly { readonly uri: string }[];
    readonly iFramePlaylists?: readonly { readonly uri: string }[];
    readonly mediaGroups: Readonly<Record<string, Readonly<Record<string, object>>>>;
  };
}

const { Parser } = createRequire(import.meta.url)('m3u8-parser') as { Parser: new () => Judge };

function judged(text: string): { manifest: Judge['manifest']; warnings: string[] } {
  const parser = new Parser();
  const warnings: string[] = [];
  parser.on('warn', ({ message }) => warnings.push(message));
  parser.push(text);
  parser.end();
  return { manifest: parser.manifest, warnings };
}

describe('another reader of playlists', () => {
  it('reads the media playlists as they are meant', () => {
    const whole = judged(playlist(WHOLE, '1080p'));
    expect(whole.warnings).toEqual([]);
    expect(whole.manifest).toMatchObject({ playlistType: 'VOD', endList: true, targetDuration: 4 });
    expect(whole.manifest.segments.map(({ uri, duration }) => `${uri} ${duration}`)).toEqual([
      ...[0, 1, 2, 3].map((number) => `1080p/g1/${number}.m4s 4`),
      '1080p/g1/4.m4s 1.5',
    ]);
    expect(judged(playlist(GROWING, '1080p')).manifest.endList).toBeUndefined();
  });

  it('reads the byte ranges of key frames', () => {
    const { manifest } = judged(renderKeyFramesPlaylist(WHOLE, '360p') ?? '');
    expect(manifest.segments.map(({ byterange }) => byterange)).toEqual(
      [0, 1, 2, 3, 4].map((number) => ({ length: 9000 + number, offset: 0 })),
    );
  });

  it('reads the groups and variants', () => {
    const { manifest } = judged(renderTitleMultivariant(WHOLE));
    expect(manifest.playlists?.map(({ uri }) => uri)).toEqual([
      '1080p.m3u8',
      '360p.m3u8',
      '1080p.m3u8',
      '360p.m3u8',
    ]);
    expect(Object.keys(manifest.mediaGroups['AUDIO'] ?? {})).toEqual(['audio', 'audio-ac3-surround']);
    expect(Object.keys(manifest.mediaGroups['SUBTITLES'] ?? {})).toEqual(['text']);
  });
});
