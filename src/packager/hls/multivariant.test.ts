import { describe, expect, it } from 'vitest';
import { attributes } from '../../../test/support/playlist.ts';
import {
  DEFAULT_AUDIO,
  DEFAULT_VIDEO,
  type ModelOptions,
  WindowModel,
} from '../../../test/support/window-model.ts';
import { renderMultivariant } from './multivariant.ts';

function playlist(options: ModelOptions, ms = 20_000): string {
  return renderMultivariant(new WindowModel(options).run(ms));
}

function variant(text: string): Map<string, string> {
  const line = text.split('\n').find((candidate) => candidate.startsWith('#EXT-X-STREAM-INF:'));
  return attributes(line?.slice('#EXT-X-STREAM-INF:'.length) ?? '');
}

describe('the multivariant playlist', () => {
  it('puts audio in a group of its own beside video', () => {
    expect(playlist({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO })).toBe(
      `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=4400000,AVERAGE-BANDWIDTH=4000000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="audio",CLOSED-CAPTIONS=NONE
video.m3u8
`,
    );
  });

  it('is video alone', () => {
    expect(playlist({ video: { ...DEFAULT_VIDEO, frameTicks: 3003 } })).toBe(
      `#EXTM3U
#EXT-X-VERSION:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=2300000,AVERAGE-BANDWIDTH=2100000,CODECS="avc1.64001f",RESOLUTION=1280x720,FRAME-RATE=29.970,CLOSED-CAPTIONS=NONE
video.m3u8
`,
    );
  });

  it('is audio alone, with the audio playlist as the variant', () => {
    expect(playlist({ audio: { ...DEFAULT_AUDIO, channels: 1 }, bitsPerSecond: 128_000 })).toBe(
      `#EXTM3U
#EXT-X-VERSION:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=150000,AVERAGE-BANDWIDTH=130000,CODECS="mp4a.40.2",CLOSED-CAPTIONS=NONE
audio.m3u8
`,
    );
  });

  it('leaves FRAME-RATE out when it varies', () => {
    const text = playlist({ video: { ...DEFAULT_VIDEO, variable: true } });
    expect(variant(text).has('FRAME-RATE')).toBe(false);
    expect(variant(text).get('RESOLUTION')).toBe('1280x720');
  });

  it('promises independent segments only while every listed video segment is', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 10 }).run(
      4100,
    );
    window.dependentNext = true;
    expect(renderMultivariant(window)).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
    window.run(400);
    expect(renderMultivariant(window)).not.toContain('#EXT-X-INDEPENDENT-SEGMENTS');
    window.run(14_000);
    expect(renderMultivariant(window)).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
  });

  it('does not count a gap as a segment without a key frame', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO }).run(5000).away().run(9000).resume().run(5000);
    expect(renderMultivariant(window)).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
  });

  it('does not take a segment that has just been opened for one without a key frame', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO, eagerOpen: true }).run(6000);
    expect(window.rendition('video').segments.at(-1)?.independent).toBe(false);
    expect(renderMultivariant(window)).toContain('#EXT-X-INDEPENDENT-SEGMENTS');
  });

  it('does not offer audio that has gone', () => {
    const model = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).run(5000);
    const { stream, plan, state, renditions, version, mpdChangedMs, published, period } = model;
    const { splices, inbandEvents } = model;
    const periods = [period, { ...period, id: 'p2', tracks: new Map([['video', period.lead]]) }];
    const subscribe = (): (() => void) => () => {};
    const text = renderMultivariant({
      stream,
      plan,
      state,
      renditions,
      version,
      mpdChangedMs,
      published,
      periods,
      upcoming: undefined,
      splices,
      inbandEvents,
      subscribe,
    });
    expect(text).not.toContain('EXT-X-MEDIA');
    expect(variant(text).get('CODECS')).toBe('avc1.64001f');
  });

  it('describes the newest tracks, and declares at least the measured peak', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).run(5000);
    window.away().run(3000).resume(640).run(3000);
    const attrs = variant(renderMultivariant(window));
    expect(attrs.get('RESOLUTION')).toBe('640x720');
    const measured = window.rendition('video').peakBps + window.rendition('audio').peakBps;
    expect(Number(attrs.get('BANDWIDTH'))).toBeGreaterThanOrEqual(measured);
    expect(Number(attrs.get('AVERAGE-BANDWIDTH'))).toBeLessThanOrEqual(Number(attrs.get('BANDWIDTH')));
  });

  it.each([
    [16, 'PQ'],
    [18, 'HLG'],
    [1, undefined],
  ])('says of pictures whose transfer is %i that their range is %s', (transfer, range) => {
    const config = Uint8Array.of(1, 0, 0, 0, 2, 41, 0xa2, 9, transfer, 9, 0, 0);
    const window = new WindowModel({ video: DEFAULT_VIDEO }).run(5000);
    const [id, track] = [...window.period.tracks].find(([, each]) => each.kind === 'video') ?? [];
    if (!id || track?.kind !== 'video') throw new Error('no video');
    const tracks = new Map([
      [id, { ...track, codec: 'vp09' as const, codecString: 'vp09.02.41.10', config }],
    ]);
    window.periods.splice(-1, 1, { ...window.period, tracks });
    expect(variant(renderMultivariant(window)).get('VIDEO-RANGE')).toBe(range);
  });

  it('says of rungs beside a source of high dynamic range that they are SDR', () => {
    const config = Uint8Array.of(1, 0, 0, 0, 2, 41, 0xa2, 9, 16, 9, 0, 0);
    const window = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).run(5000);
    const { renditions, period } = window;
    const [source] = renditions;
    const track = source && period.tracks.get(source.id);
    if (!source || track?.kind !== 'video') throw new Error('no video');
    const hdr = { ...track, codec: 'vp09' as const, codecString: 'vp09.02.41.10', config };
    const tracks = new Map([...period.tracks, [source.id, hdr], ['480p', { ...track, height: 480 }]]);
    window.periods.splice(-1, 1, { ...period, tracks });
    renditions.push({ ...source, id: '480p' });
    const said = [...renderMultivariant(window).matchAll(/RESOLUTION=([^,]+).*VIDEO-RANGE=(\w+)/g)];
    expect(said.map(([, size, range]) => `${size} ${range}`)).toEqual(['1280x720 PQ', '1280x480 SDR']);
  });
});
