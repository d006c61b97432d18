import { describe, expect, it } from 'vitest';
import { shiftDecodeTimes, withAnswer, withMpd } from '../../../test/support/dash-mutations.ts';
import {
  audioInit,
  audioSegment,
  box,
  concat,
  u32s,
  videoInit,
  videoSegment,
} from '../../../test/support/media-bytes.ts';
import {
  FakePresentation,
  type Mutation,
  RecordedBackend,
  type RecordedFile,
  rulesOf,
  told,
} from '../../../test/support/presentation.ts';

const SEGMENTS = 4;
/** 94 frames of AAC; the picture has 2 s. */
const AUDIO_TICKS = 94 * 1024;

/** Video by number and duration, audio by timeline, and the same video as one file with an index. */
const MPD = `<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" mediaPresentationDuration="PT8S" minBufferTime="PT2S">
 <Period id="0">
  <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
   <Representation id="v" bandwidth="40000" codecs="avc1.42c00d" width="320" height="240">
    <SegmentTemplate timescale="90000" duration="180000" initialization="$RepresentationID$-init.mp4" media="$RepresentationID$-$Number$.m4s"/>
   </Representation>
  </AdaptationSet>
  <AdaptationSet id="1" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
   <Representation id="a" bandwidth="40000" codecs="mp4a.40.2" audioSamplingRate="48000">
    <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
    <SegmentTemplate timescale="48000" initialization="a-init.mp4" media="a-$Time$.m4s">
     <SegmentTimeline><S t="0" d="${AUDIO_TICKS}" r="3"/></SegmentTimeline>
    </SegmentTemplate>
   </Representation>
  </AdaptationSet>
  <AdaptationSet id="2" contentType="video" mimeType="video/mp4">
   <Representation id="f" bandwidth="40000" codecs="avc1.42c00d" width="320" height="240">
    <BaseURL>whole.mp4</BaseURL>
    <SegmentBase indexRange="{index}"><Initialization range="0-{initEnd}"/></SegmentBase>
   </Representation>
  </AdaptationSet>
 </Period>
</MPD>`;

function wholeFile(): { bytes: Uint8Array; initEnd: number; index: string } {
  const init = videoInit();
  const segments = Array.from({ length: SEGMENTS }, (_, i) => videoSegment({ startTicks: i * 180_000 }));
  const references = segments.flatMap(({ length }) => [length, 180_000, 0x90000000]);
  const sidx = box('sidx', u32s(0, 1, 90_000, 0, 0, SEGMENTS, ...references));
  const index = `${init.length}-${init.length + sidx.length - 1}`;
  return { bytes: concat([init, sidx, ...segments]), initEnd: init.length - 1, index };
}

function files(): Map<string, RecordedFile> {
  const whole = wholeFile();
  const mpd = MPD.replace('{index}', whole.index).replace('{initEnd}', String(whole.initEnd));
  const made = new Map<string, RecordedFile>([
    ['manifest.mpd', { body: mpd, type: 'application/dash+xml' }],
    ['whole.mp4', { body: whole.bytes, type: 'video/mp4' }],
    ['v-init.mp4', { body: videoInit(), type: 'video/mp4' }],
    ['a-init.mp4', { body: audioInit(), type: 'audio/mp4' }],
  ]);
  for (let i = 0; i < SEGMENTS; i += 1) {
    made.set(`v-${i + 1}.m4s`, { body: videoSegment({ startTicks: i * 180_000 }), type: 'video/mp4' });
    made.set(`a-${i * AUDIO_TICKS}.m4s`, {
      body: audioSegment({ startTicks: i * AUDIO_TICKS }),
      type: 'audio/mp4',
    });
  }
  return made;
}

async function validate(
  mutation: Mutation = {},
  change: (all: Map<string, RecordedFile>) => void = () => {},
) {
  const all = files();
  change(all);
  return new FakePresentation(new RecordedBackend(all), mutation).validate('manifest.mpd', 20);
}

/** Gives one file under the name of another. */
const instead =
  (name: string, other: string) =>
  (all: Map<string, RecordedFile>): void => {
    const file = all.get(other);
    if (file) all.set(name, file);
  };

const BROKEN: readonly (readonly [
  string,
  readonly string[],
  Mutation,
  ((all: Map<string, RecordedFile>) => void)?,
])[] = [
  ['a segment less', ['dash-segment-missing'], {}, (all) => all.delete('v-3.m4s')],
  ['a segment twice', ['media-tfdt-order', 'dash-segment-time'], {}, instead('v-3.m4s', 'v-2.m4s')],
  [
    'a picture lost between segments',
    ['media-gap', 'media-decode-time-drift'],
    withAnswer(/^v-[34]\.m4s/, (answer) => {
      answer.body = shiftDecodeTimes(answer.body, answer.path === 'v-3.m4s' ? 3000 : 2000);
    }),
  ],
  ['audio for video', ['media-codec-mismatch', 'media-init-kind'], {}, instead('v-init.mp4', 'a-init.mp4')],
  [
    'media shorter than its Period',
    ['dash-media-short'],
    withMpd((text) =>
      text.replace('PT8S', 'PT9S').replace('duration="180000"', 'duration="180000" endNumber="4"'),
    ),
  ],
  [
    'a server without ranges',
    ['dash-range'],
    withAnswer(/^whole/, (answer) => {
      answer.status = 200;
      answer.body = Buffer.from(wholeFile().bytes);
    }),
  ],
  [
    'an index that is none',
    ['dash-media-type'],
    withMpd((text) => text.replace(/indexRange="[^"]*"/, 'indexRange="0-99"')),
  ],
  [
    'an index out of reach',
    ['dash-segment-missing'],
    withAnswer(/^whole/, (answer) => (answer.status = 404)),
  ],
  [
    'a type that changes',
    ['dash-update-type'],
    withMpd((text, nth) => (nth > 0 ? text.replace('static', 'dynamic') : text)),
  ],
  [
    'a timeline with another time',
    ['dash-timeline-time'],
    withAnswer(/^a-96256/, (answer) => {
      answer.body = shiftDecodeTimes(answer.body, 48_000);
    }),
  ],
  [
    'a timeline with another duration',
    ['dash-timeline-duration'],
    withMpd((text) => text.replace(/<S .*?\/>/, `<S t="0" d="${AUDIO_TICKS}" r="2"/><S d="48000"/>`)),
  ],
  [
    'a body that is no MPD any more',
    ['dash-mpd-unreadable'],
    withMpd((text, nth) => (nth > 0 ? '<MPD/>' : text)),
  ],
];

describe('a recorded presentation', () => {
  it('with nothing wrong has no finding, whatever its addressing', async () => {
    const report = await validate();
    expect(told(report)).toEqual([]);
    expect(report.watched).toMatchObject({ format: 'dash', live: false, lowLatency: false });
    expect(report.watched.renditions.map(({ id, segments }) => `${id} ${segments}`)).toEqual([
      'v 4',
      'a 4',
      'f 4',
    ]);
  });

  it.each(BROKEN.map(([what, rules, mutation, change]) => [what, rules, mutation, change] as const))(
    'with %s is found out: %s',
    async (_, wanted, mutation, change) => {
      const report = await validate(mutation, change);
      expect({ rules: rulesOf(report), told: told(report) }).toMatchObject({
        rules: expect.arrayContaining([...wanted]),
      });
    },
  );

  it('whose MPD cannot be read at all is only told so', async () => {
    const report = await validate(
      withMpd((text) => text.replace('urn:mpeg:dash:schema:mpd:2011', 'urn:other')),
    );
    expect(rulesOf(report)).toEqual(['dash-mpd-unreadable']);
    expect(report.watched.renditions).toEqual([]);
  });

  it('in another container is not taken for broken MP4', async () => {
    const report = await validate(
      withMpd((text) => text.replaceAll('video/mp4', 'video/webm')),
      (all) => {
        for (const name of all.keys()) {
          if (name.startsWith('v-'))
            all.set(name, { body: Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3), type: 'video/webm' });
        }
      },
    );
    expect(rulesOf(report).filter((rule) => rule.startsWith('media-') || rule === 'dash-media-type')).toEqual(
      [],
    );
  });
});
