import { describe, expect, it } from 'vitest';
import {
  DEFAULT_AUDIO,
  DEFAULT_VIDEO,
  type ModelOptions,
  WindowModel,
} from '../../../test/support/window-model.ts';
import { find, parseXml, type XmlNode } from '../../../test/support/xml-tree.ts';
import { renderMpd } from './mpd.ts';

const OPTIONS = { clockUrl: '/time' };

function broadcast(options: Partial<ModelOptions> = {}): WindowModel {
  return new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 20, ...options });
}

function mpd(window: WindowModel): XmlNode {
  return parseXml(renderMpd(window, OPTIONS));
}

function values(node: XmlNode, name: string, attribute: string): (string | undefined)[] {
  return find(node, name).map((found) => found.attributes.get(attribute));
}

function seconds(duration: string | undefined): number {
  const match = /^PT(\d+(?:\.\d+)?)S$/.exec(duration ?? '');
  if (!match) throw new Error(`not in seconds only: ${duration}`);
  return Number(match[1]);
}

describe('the MPD, golden', () => {
  it('describes a live stream', async () => {
    await expect(renderMpd(broadcast().run(5000), OPTIONS)).toMatchFileSnapshot('golden/live.mpd');
  });

  it('gives a period an end while the publisher is away', async () => {
    await expect(renderMpd(broadcast().run(7300).away().run(5000), OPTIONS)).toMatchFileSnapshot(
      'golden/away.mpd',
    );
  });

  it('lists a period for each grid after an outage and a re-anchoring', async () => {
    const window = broadcast().run(7300).away().run(5000).resume(640).run(3300).reanchor(3).run(4000);
    await expect(renderMpd(window, OPTIONS)).toMatchFileSnapshot('golden/resumed.mpd');
  });

  it('has an end and asks for no update once the stream is over', async () => {
    await expect(renderMpd(broadcast().run(7300).end(), OPTIONS)).toMatchFileSnapshot('golden/ended.mpd');
  });

  it('describes audio alone, and says where patches are when told to', async () => {
    const window = new WindowModel({ audio: { sampleRate: 44_100, partFrames: 14 } }).run(5000);
    const options = { clockUrl: 'https://example.org/time', patch: { name: 'patch.mpp', ttlSeconds: 60 } };
    await expect(renderMpd(window, options)).toMatchFileSnapshot('golden/audio-patch.mpd');
  });
});

describe('the MPD', () => {
  it('lets a segment be asked for as soon as it has a chunk, which comes later for audio, on every template', () => {
    const root = mpd(broadcast().run(5000));
    // Video: one frame. Audio: two AAC frames, and up to one from the grid to where the segment begins.
    expect(values(root, 'SegmentTemplate', 'availabilityTimeOffset')).toEqual(['1.966', '1.936']);
    expect(values(root, 'SegmentTemplate', 'availabilityTimeComplete')).toEqual(['false', 'false']);
  });

  it('counts the chunks of each period in its own frames', () => {
    const window = broadcast({ video: { frameTicks: 1500, segmentFrames: 120, partFrames: 20 } }).run(5000);
    expect(values(mpd(window), 'SegmentTemplate', 'availabilityTimeOffset')).toEqual(['1.983', '1.957']);
    const alone = new WindowModel({ audio: DEFAULT_AUDIO }).run(5000);
    expect(values(mpd(alone), 'SegmentTemplate', 'availabilityTimeOffset')).toEqual(['1.957']);
  });

  it('calls its reference time by the name that the prft boxes stand for: captured', () => {
    const root = mpd(broadcast().run(5000));
    expect(values(root, 'ProducerReferenceTime', 'type')).toEqual(['captured', 'captured']);
  });

  it('maps media time to wall-clock time in every period: start less offset is 1970', () => {
    const window = broadcast({ video: { frameTicks: 1501.5, segmentFrames: 119, partFrames: 20 } });
    window.run(5000).away().run(4321).resume().run(5000);
    for (const period of find(mpd(window), 'Period')) {
      const start = seconds(period.attributes.get('start'));
      for (const template of find(period, 'SegmentTemplate')) {
        const timescale = Number(template.attributes.get('timescale'));
        const offset = Number(template.attributes.get('presentationTimeOffset'));
        expect(Number.isSafeInteger(offset)).toBe(true);
        // Half a tick, half a printed microsecond, and a double's step at epoch seconds.
        expect(Math.abs(start - offset / timescale)).toBeLessThan(7e-6);
      }
    }
  });

  it('has a whole number of ticks for a segment of fractional frames', () => {
    const window = broadcast({ video: { frameTicks: 1501.5, segmentFrames: 119, partFrames: 20 } }).run(5000);
    const [template] = find(mpd(window), 'SegmentTemplate');
    const timescale = Number(template?.attributes.get('timescale'));
    const ticks = Number(template?.attributes.get('duration'));
    expect(Number.isInteger(ticks)).toBe(true);
    expect(Math.abs(ticks / timescale - (119 * 1001) / 60_000)).toBeLessThan(1e-5);
  });

  it('puts every segment within half a segment of where its number says', () => {
    const window = broadcast().run(9000).away().run(3000).resume().run(3000).reanchor(2).run(5000);
    const root = mpd(window);
    let checked = 0;
    for (const period of find(root, 'Period')) {
      const start = seconds(period.attributes.get('start'));
      for (const set of find(period, 'AdaptationSet')) {
        const [template] = find(set, 'SegmentTemplate');
        const nominal =
          Number(template?.attributes.get('duration')) / Number(template?.attributes.get('timescale'));
        const first = Number(template?.attributes.get('startNumber'));
        const rendition = window.rendition(find(set, 'Representation')[0]?.attributes.get('id') ?? '');
        for (const segment of rendition.segments) {
          if (segment.period.id !== period.attributes.get('id') || segment.state === 'gap') continue;
          const said = start + (segment.number - first) * nominal;
          expect(Math.abs(segment.startTicks / rendition.timescale - said)).toBeLessThan(nominal / 2);
          checked++;
        }
      }
    }
    expect(checked).toBeGreaterThan(12);
  });

  it('says when all segments begin with a key frame, and only then', () => {
    const window = broadcast().run(3000);
    expect(values(mpd(window), 'AdaptationSet', 'startWithSAP')).toEqual(['1', '1']);
    window.dependentNext = true;
    window.run(2000);
    expect(values(mpd(window), 'AdaptationSet', 'startWithSAP')).toEqual([undefined, '1']);
  });

  it('names frame rates exactly, and none when it varies', () => {
    const rate = (video: ModelOptions['video']): (string | undefined)[] =>
      values(mpd(new WindowModel(video ? { video } : {}).run(5000)), 'Representation', 'frameRate');
    expect(rate(DEFAULT_VIDEO)).toEqual(['30']);
    expect(rate({ ...DEFAULT_VIDEO, frameTicks: 3003 })).toEqual(['30000/1001']);
    expect(rate({ frameTicks: 1501.5, segmentFrames: 120, partFrames: 20 })).toEqual(['60000/1001']);
    expect(rate({ ...DEFAULT_VIDEO, variable: true })).toEqual([undefined]);
  });

  it('refers to a producer reference time that exists, also without video', () => {
    for (const window of [broadcast(), new WindowModel({ audio: DEFAULT_AUDIO })]) {
      const root = mpd(window.run(5000));
      const [referenced] = values(root, 'Latency', 'referenceId');
      expect(values(root, 'ProducerReferenceTime', 'id')).toContain(referenced);
    }
  });

  it('takes latency and update period from the options', () => {
    const window = broadcast().run(5000);
    const root = parseXml(renderMpd(window, { ...OPTIONS, targetLatencyMs: 1500, minimumUpdateSeconds: 5 }));
    expect(root.attributes.get('suggestedPresentationDelay')).toBe('PT1.5S');
    expect(root.attributes.get('minimumUpdatePeriod')).toBe('PT5S');
    expect(root.attributes.get('minBufferTime')).toBe('PT0.334S');
    const [latency] = find(root, 'Latency');
    expect(Object.fromEntries(latency?.attributes ?? [])).toEqual({
      referenceId: '0',
      target: '1500',
      min: '1125',
      max: '3000',
    });
  });

  it('drops a period when none of its media is listed any more, but never the current one', () => {
    const window = broadcast().run(5000).away().run(3000).resume();
    expect(values(mpd(window), 'Period', 'id')).toEqual(['p1', 'p2']);
    window.run(25_000);
    expect(values(mpd(window), 'Period', 'id')).toEqual(['p2']);
    window.away().run(40_000);
    expect(values(mpd(window), 'Period', 'id')).toEqual(['p2']);
  });
});

describe('splices', () => {
  it('are events of the period they fall into, on its own clock, and carried in the pictures', () => {
    const window = broadcast().run(9000).splice(-3000, { durationSeconds: 1 });
    window.away().run(3000).resume(640).run(5000).splice(4000, { plannedSeconds: 30 });
    const periods = find(mpd(window), 'Period');
    expect(periods).toHaveLength(2);
    const streams = periods.map((period) => find(period, 'EventStream'));
    expect(streams.map((found) => found.length)).toEqual([1, 1]);
    for (const [index, [stream]] of streams.entries()) {
      const startMs = window.periods[index]?.startMs ?? 0;
      expect(stream?.attributes.get('presentationTimeOffset')).toBe(String(Math.round(startMs * 90)));
    }
    const [began, ended] = find(streams[0]?.[0] as XmlNode, 'Event');
    expect([began?.attributes.get('duration'), ended?.attributes.get('duration')]).toEqual([
      '90000',
      undefined,
    ]);
    const time = Number(began?.attributes.get('presentationTime'));
    expect(Number(ended?.attributes.get('presentationTime')) - time).toBe(90_000);
    const [binary] = find(began as XmlNode, 'Binary');
    expect(binary?.text).toBe(Buffer.from([0xfc, 0x30, 0x11, 0]).toString('base64'));
    const carriers = find(periods[1] as XmlNode, 'AdaptationSet').map((set) =>
      values(set, 'InbandEventStream', 'schemeIdUri'),
    );
    expect(carriers).toEqual([['urn:scte:scte35:2013:bin'], []]);
  });
});

/** The picture becomes HEVC, with an H.264 rung of it in the periods named. */
function withRung(window: WindowModel, periods: readonly string[]): WindowModel {
  window.renditions.push({ ...window.rendition('video'), id: '360p' });
  for (const [index, period] of window.periods.entries()) {
    const source = period.tracks.get('video');
    if (source?.kind !== 'video') throw new Error('no video');
    const lead = { ...source, codec: 'hvc1' as const, codecString: 'hvc1.1.6.L93.B0' };
    const tracks = new Map([...period.tracks, ['video', lead]]);
    if (periods.includes(period.id)) tracks.set('360p', source);
    window.periods[index] = { ...period, lead, tracks };
  }
  return window;
}

describe('pictures of several codecs', () => {
  it('are sets of their own, the same in every period', () => {
    const root = mpd(withRung(broadcast().run(5000), ['p1']));
    expect(values(root, 'AdaptationSet', 'id')).toEqual(['3', '1', '2']);
    expect(values(root, 'AdaptationSet', 'startWithSAP')).toEqual(['3', '1', '1']);
    const sets = find(root, 'AdaptationSet').map((set) => values(set, 'Representation', 'id'));
    expect(sets).toEqual([['video'], ['360p'], ['audio']]);
    expect(values(root, 'ProducerReferenceTime', 'id')).toEqual(['2', '0', '1']);
    expect(values(root, 'Latency', 'referenceId')).toEqual(['2']);
  });

  it('run on from a period only where it had such a set', () => {
    const window = broadcast().run(7300).reanchor(3).run(4000);
    const [first, second] = find(mpd(withRung(window, ['p2'])), 'Period');
    expect(values(first as XmlNode, 'AdaptationSet', 'id')).toEqual(['3', '2']);
    const continuity = find(second as XmlNode, 'AdaptationSet').map((set) => [
      set.attributes.get('id'),
      ...values(set, 'SupplementalProperty', 'value'),
    ]);
    expect(continuity).toEqual([['3', 'p1'], ['1'], ['2', 'p1']]);
  });
});

describe('the channels of sound', () => {
  it.each([
    ['mp4a', '1190', 'urn:mpeg:dash:23003:3:audio_channel_configuration:2011', '2'],
    ['Opus', '000201380000bb80000000', 'urn:mpeg:dash:23003:3:audio_channel_configuration:2011', '2'],
    ['ac-3', '101140', 'tag:dolby.com,2014:dash:audio_channel_configuration:2011', 'A000'],
    ['ec-3', '0800200f00', 'tag:dolby.com,2014:dash:audio_channel_configuration:2011', 'F801'],
  ] as const)('of %s are told in the scheme for it', (codec, config, scheme, value) => {
    const window = broadcast().run(5000);
    const track = window.period.tracks.get('audio');
    if (track?.kind !== 'audio') throw new Error('no audio');
    const audio = { ...track, codec, config: Uint8Array.from(Buffer.from(config, 'hex')) };
    const tracks = new Map([...window.period.tracks, ['audio', audio]]);
    window.periods.splice(-1, 1, { ...window.period, tracks });
    const root = mpd(window);
    expect(values(root, 'AudioChannelConfiguration', 'schemeIdUri')).toEqual([scheme]);
    expect(values(root, 'AudioChannelConfiguration', 'value')).toEqual([value]);
  });
});
