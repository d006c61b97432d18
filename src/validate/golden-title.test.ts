import { describe, expect, it } from 'vitest';
import { shiftDecodeTimes, withAnswer } from '../../test/support/dash-mutations.ts';
import { audioInit, audioSegment, concat, videoChunks, videoInit } from '../../test/support/media-bytes.ts';
import {
  FakePresentation,
  type Mutation,
  RecordedBackend,
  type RecordedFile,
  rewriting,
  rulesOf,
  told,
} from '../../test/support/presentation.ts';

const SEGMENTS = 3;
const SEGMENT_TICKS = 180_000;
const AUDIO_TICKS = 94 * 1024;
const SUBTITLES = 'WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n';

const INDEX = `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,URI="text.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=90000,CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x240,FRAME-RATE=30.000,VIDEO-RANGE=SDR,AUDIO="audio",SUBTITLES="text",CLOSED-CAPTIONS=NONE
video.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,AVERAGE-BANDWIDTH=9000,CODECS="avc1.42c00d",RESOLUTION=320x240,VIDEO-RANGE=SDR,URI="iframes.m3u8"
`;

/** Each frame is a chunk of its own, the first a key frame. */
function chunksOf(index: number): Uint8Array[] {
  return videoChunks({ startTicks: index * SEGMENT_TICKS, chunkSamples: 1, withoutReference: true });
}

const KEY_BYTES = chunksOf(0)[0]?.length ?? 0;
const numbers = Array.from({ length: SEGMENTS }, (_, index) => index);

function playlist(target: number, tags: readonly string[], segments: readonly string[]): string {
  const head = ['#EXTM3U', '#EXT-X-VERSION:6', `#EXT-X-TARGETDURATION:${target}`, '#EXT-X-PLAYLIST-TYPE:VOD'];
  return [...head, ...tags, ...segments, '#EXT-X-ENDLIST', ''].join('\n');
}

const MAP = '#EXT-X-MAP:URI="v-init.mp4"';
const VIDEO = playlist(
  2,
  [MAP],
  numbers.map((n) => `#EXTINF:2.00000,\nv-${n}.m4s`),
);
const AUDIO = playlist(
  2,
  ['#EXT-X-MAP:URI="a-init.mp4"'],
  numbers.map((n) => `#EXTINF:${(AUDIO_TICKS / 48_000).toFixed(5)},\na-${n}.m4s`),
);
const TEXT = playlist(6, [], ['#EXTINF:6.00000,\ntext.vtt']).replace('VERSION:6', 'VERSION:3');
const IFRAMES = playlist(
  2,
  ['#EXT-X-I-FRAMES-ONLY', MAP],
  numbers.map((n) => `#EXTINF:2.00000,\n#EXT-X-BYTERANGE:${KEY_BYTES}@0\nv-${n}.m4s`),
).replace('VERSION:6', 'VERSION:5');

const MPD = `<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" mediaPresentationDuration="PT6S" minBufferTime="PT2S">
 <Period id="0">
  <AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
   <SegmentTemplate timescale="90000" startNumber="0" initialization="v-init.mp4" media="v-$Number$.m4s">
    <SegmentTimeline><S t="0" d="180000" r="2"/></SegmentTimeline>
   </SegmentTemplate>
   <Representation id="v" bandwidth="90000" codecs="avc1.42c00d" width="320" height="240"/>
  </AdaptationSet>
  <AdaptationSet id="2" contentType="video" mimeType="video/mp4" startWithSAP="1">
   <EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/>
   <Representation id="t" bandwidth="9000" codecs="avc1.42c00d" width="320" height="240" maxPlayoutRate="32" codingDependency="false">
    <SegmentList timescale="90000">
     <Initialization sourceURL="v-init.mp4"/>
     <SegmentTimeline><S t="0" d="180000" r="2"/></SegmentTimeline>
${numbers.map((n) => `     <SegmentURL media="v-${n}.m4s" mediaRange="0-${KEY_BYTES - 1}"/>`).join('\n')}
    </SegmentList>
   </Representation>
  </AdaptationSet>
  <AdaptationSet id="3" contentType="text" mimeType="text/vtt" lang="en">
   <Representation id="s" bandwidth="100"><BaseURL>text.vtt</BaseURL></Representation>
  </AdaptationSet>
 </Period>
</MPD>`;

const HLS_TYPE = 'application/vnd.apple.mpegurl';

function files(): Map<string, RecordedFile> {
  const made = new Map<string, RecordedFile>([
    ['index.m3u8', { body: INDEX, type: HLS_TYPE }],
    ['video.m3u8', { body: VIDEO, type: HLS_TYPE }],
    ['audio.m3u8', { body: AUDIO, type: HLS_TYPE }],
    ['text.m3u8', { body: TEXT, type: HLS_TYPE }],
    ['iframes.m3u8', { body: IFRAMES, type: HLS_TYPE }],
    ['index.mpd', { body: MPD, type: 'application/dash+xml' }],
    ['text.vtt', { body: SUBTITLES, type: 'text/vtt' }],
    ['v-init.mp4', { body: videoInit(), type: 'video/mp4' }],
    ['a-init.mp4', { body: audioInit(), type: 'video/mp4' }],
  ]);
  for (const n of numbers) {
    made.set(`v-${n}.m4s`, { body: concat(chunksOf(n)), type: 'video/mp4' });
    made.set(`a-${n}.m4s`, { body: audioSegment({ startTicks: n * AUDIO_TICKS }), type: 'video/mp4' });
  }
  return made;
}

async function validate(
  manifest: string,
  mutation: Mutation = {},
  change: (all: Map<string, RecordedFile>) => void = () => {},
) {
  const all = files();
  change(all);
  return new FakePresentation(new RecordedBackend(all), mutation).validate(manifest, 20);
}

const iframes = (change: (text: string) => string): Mutation => rewriting(change, /^iframes\.m3u8$/);
const mpd = (change: (text: string) => string): Mutation => rewriting(change, /^index\.mpd$/);
const subtitles = withAnswer(/^text\.vtt/, (answer) => {
  answer.body = Buffer.from(SUBTITLES.replace('00:02.000', '00:00.500'));
});
/** Requests for a media playlist before it is followed: what is it, is it a multivariant playlist, and the first of all. */
const FIRST_REQUESTS = 3;
/** From then on the playlist is another one. */
const later = (before: (text: string) => string, after: (text: string) => string): Mutation => {
  let asked = 0;
  return rewriting((text) => (asked++ < FIRST_REQUESTS ? before(text) : after(text)), /^video\.m3u8$/);
};
const same = (text: string): string => text;

/** What is wrong, in which manifest it is to be found, by which rules, and how it is made. */
const BROKEN: readonly (readonly [
  string,
  string,
  readonly string[],
  Mutation,
  ((all: Map<string, RecordedFile>) => void)?,
])[] = [
  [
    'a byte range that ends inside the key frame',
    'index.m3u8',
    ['media-key-frame-incomplete'],
    iframes((text) => text.replace(`:${KEY_BYTES}@0`, `:${KEY_BYTES - 1}@0`)),
  ],
  [
    'a byte range of two frames',
    'index.m3u8',
    ['media-key-frame-surplus'],
    iframes((text) => text.replace(`:${KEY_BYTES}@0`, `:${6 * KEY_BYTES}@0`)),
  ],
  [
    'I-frames that last longer than they stand',
    'index.m3u8',
    ['hls-i-frame-span-wrong'],
    iframes((text) => text.replace('2.00000', '1.00000')),
  ],
  [
    'an I-frame that is none',
    'index.m3u8',
    ['media-key-frame-not-sync'],
    {},
    (all) =>
      all.set('v-1.m4s', {
        body: concat(videoChunks({ startTicks: SEGMENT_TICKS, chunkSamples: 1, dependent: true })),
        type: 'video/mp4',
      }),
  ],
  [
    'a playlist that never ends',
    'index.m3u8',
    ['hls-vod-without-end'],
    rewriting((text) => text.replace('#EXT-X-ENDLIST\n', ''), /^text\.m3u8$/),
  ],
  ['subtitles that end before they begin', 'index.m3u8', ['media-webvtt-timing'], subtitles],
  ['subtitles that end before they begin', 'index.mpd', ['media-webvtt-timing'], subtitles],
  [
    'subtitles that are no WebVTT',
    'index.mpd',
    ['dash-media-type'],
    withAnswer(/^text\.vtt/, (answer) => (answer.body = Buffer.from('<tt/>'))),
  ],
  [
    'key frames that are cut off',
    'index.mpd',
    ['media-key-frame-incomplete'],
    mpd((text) => text.replace(`0-${KEY_BYTES - 1}`, `0-${KEY_BYTES - 9}`)),
  ],
  [
    'a key frame of another time',
    'index.mpd',
    ['dash-timeline-time'],
    mpd((text) => text.replace(/(<SegmentList[\s\S]*?t=")0(")/, '$190000$2')),
  ],
  [
    'a timeline that is not that of the segments',
    'index.mpd',
    ['dash-timeline-time'],
    withAnswer(/^v-2/, (answer) => {
      answer.body = shiftDecodeTimes(answer.body, 90_000);
    }),
  ],
];

describe('a title on demand', () => {
  it('with nothing wrong has no finding in HLS, and its key frames and subtitles are read', async () => {
    const report = await validate('index.m3u8');
    expect(told(report)).toEqual([]);
    const watched = report.watched.renditions.map(
      ({ id, kind, segments }) => `${id.replace(/.*\//, '')} ${kind} ${segments}`,
    );
    expect(watched).toEqual([
      ...['video.m3u8 video 3', 'iframes.m3u8 video 3', 'audio.m3u8 audio 3', 'text.m3u8 text 1'],
    ]);
  });

  it('with nothing wrong has no finding in DASH, with a set for fast-forward', async () => {
    const report = await validate('index.mpd');
    expect(told(report)).toEqual([]);
    expect(report.watched.renditions.map(({ id, segments }) => `${id} ${segments}`)).toEqual([
      'v 3',
      't 3',
      's 1',
    ]);
  });

  it.each(
    BROKEN.map(
      ([what, manifest, rules, mutation, change]) => [what, manifest, rules, mutation, change] as const,
    ),
  )('with %s is found out in %s: %s', async (_, manifest, rules, mutation, change) => {
    const report = await validate(manifest, mutation, change);
    expect({ rules: rulesOf(report), told: told(report) }).toMatchObject({
      rules: expect.arrayContaining([...rules]),
    });
  });

  it('may have been an event until it was whole, which is only remarked upon', async () => {
    const growing = (text: string): string =>
      text
        .replace('TYPE:VOD', 'TYPE:EVENT')
        .replace(/#EXTINF[^#]*v-2.m4s\n/, '')
        .replace('#EXT-X-ENDLIST\n', '');
    const report = await validate('video.m3u8', later(growing, same));
    expect(report.findings.filter(({ severity }) => severity !== 'info').map(({ rule }) => rule)).toEqual([]);
    expect(rulesOf(report)).toContain('hls-event-became-vod');
  });

  it('may not become an event again, nor VOD before its end', async () => {
    const asEvent = (text: string): string => text.replace('TYPE:VOD', 'TYPE:EVENT');
    const open = (text: string): string => text.replace('#EXT-X-ENDLIST\n', '');
    expect(rulesOf(await validate('video.m3u8', later(same, asEvent)))).toContain(
      'hls-playlist-type-changed',
    );
    const early = await validate(
      'video.m3u8',
      later((text) => open(asEvent(text)), open),
    );
    expect(rulesOf(early)).toContain('hls-playlist-type-changed');
  });
});
