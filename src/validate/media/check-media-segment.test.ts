import { describe, expect, it } from 'vitest';
import {
  audioInit,
  audioSegment,
  box,
  concat,
  editBox,
  insertBefore,
  u32s,
  videoChunks,
  videoInit,
  videoSegment,
  withoutBox,
} from '../../../test/support/media-bytes.ts';
import { readBoxes } from '../../media/isobmff/box-reader.ts';
import type { InitFacts, MediaExpectations, MediaFacts } from '../contracts.ts';
import type { Finding } from '../finding.ts';
import { checkInitSegment } from './check-init-segment.ts';
import { checkMediaSegment } from './check-media-segment.ts';

const START = 1_800_000;
const ANY = { codecs: undefined, width: undefined, height: undefined, format: 'dash' } as const;

function factsOf(bytes: Uint8Array, kind: 'video' | 'audio'): InitFacts {
  const facts = checkInitSegment(bytes, { ...ANY, kind }, () => {});
  if (!facts) throw new Error('no initialization segment');
  return facts;
}

const VIDEO: MediaExpectations = {
  format: 'dash',
  scope: 'segment',
  init: factsOf(videoInit(), 'video'),
  startsWithSync: true,
};
const AUDIO: MediaExpectations = {
  ...VIDEO,
  init: factsOf(audioInit(), 'audio'),
};

function check(bytes: Uint8Array, expectations: MediaExpectations = VIDEO) {
  const findings: Omit<Finding, 'url'>[] = [];
  const facts = checkMediaSegment(bytes, expectations, (finding) => findings.push(finding));
  return { facts, rules: [...new Set(findings.map(({ rule }) => rule))], findings };
}

const segment = (): Uint8Array => videoSegment({ startTicks: START });
const TRAF = ['moof', 'traf'];

/** The offset of the n-th box of that path, to break a later chunk. */
function editChunk(index: number, path: readonly string[], edit: Parameters<typeof editBox>[2]): Uint8Array {
  return concat(
    videoChunks({ startTicks: START }).map((chunk, i) => (i === index ? editBox(chunk, path, edit) : chunk)),
  );
}

/** Moves the tfdt of the second chunk, in ticks. */
function withShift(ticks: number): Uint8Array {
  return editChunk(1, [...TRAF, 'tfdt'], (view, { bodyStart }) =>
    view.setBigUint64(bodyStart + 4, view.getBigUint64(bodyStart + 4) + BigInt(ticks)),
  );
}

function emsg(version: number, timescale: number, scheme: string): Uint8Array {
  const text = Buffer.from(`${scheme}\0value\0`, 'latin1');
  const numbers = version === 0 ? u32s(timescale, 0, 0, 1) : u32s(timescale, 0, 0, 0, 1);
  const parts = version === 0 ? [text, numbers] : [numbers, text];
  return box('emsg', concat([u32s(version * 0x1000000), ...parts]));
}

/** A sidx over the rest of the segment, `off` bytes too many. */
function withIndex(off: number, trackId = 1): Uint8Array {
  const bytes = segment();
  const index = box('sidx', u32s(0, trackId, 90_000, 0, 0, 1, bytes.length + off, 180_000, 0x90000000));
  return concat([index, bytes]);
}

const BROKEN: readonly (readonly [string, string, () => Uint8Array])[] = [
  ['is an error page', 'media-segment-unknown', () => Buffer.from('<html>404 not found</html>')],
  ['is cut short', 'media-box-structure', () => segment().slice(0, -10)],
  [
    'has no moof',
    'media-segment-no-fragment',
    () => concat([box('styp', u32s(0x6d736468, 0)), box('mdat', u32s(1))]),
  ],
  [
    'has no sample',
    'media-segment-no-samples',
    () =>
      editBox(videoSegment({ startTicks: START, samples: 1 }), [...TRAF, 'trun'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 4, 0),
      ),
  ],
  [
    'has no mdat',
    'media-no-mdat',
    () => withoutBox(videoSegment({ startTicks: START, samples: 5 }), ['mdat']),
  ],
  [
    'begins with another box than its styp',
    'media-styp-order',
    () => concat([box('free', u32s(0)), segment()]),
  ],
  [
    'has numbers of fragments going back',
    'media-sequence-number',
    () => editChunk(2, ['moof', 'mfhd'], (view, { bodyStart }) => view.setUint32(bodyStart + 4, 1)),
  ],
  ['has no tfhd', 'media-fragment-unreadable', () => withoutBox(segment(), [...TRAF, 'tfhd'])],
  [
    'has a trun that ends too soon',
    'media-fragment-unreadable',
    () => editBox(segment(), [...TRAF, 'trun'], (view, { bodyStart }) => view.setUint32(bodyStart + 4, 900)),
  ],
  [
    'has another track than its initialization segment',
    'media-track-id',
    () => editBox(segment(), [...TRAF, 'tfhd'], (view, { bodyStart }) => view.setUint32(bodyStart + 4, 2)),
  ],
  ['has no tfdt', 'media-tfdt-missing', () => withoutBox(segment(), [...TRAF, 'tfdt'])],
  [
    'has offsets from the start of a file',
    'media-base-offset',
    () => editBox(segment(), [...TRAF, 'tfhd'], (view, { bodyStart }) => view.setUint32(bodyStart, 0x000001)),
  ],
  [
    'does not count its offsets from the moof',
    'media-base-is-moof',
    () => editBox(segment(), [...TRAF, 'tfhd'], (view, { bodyStart }) => view.setUint8(bodyStart + 1, 0)),
  ],
  [
    'has samples outside its mdat',
    'media-data-offset',
    () =>
      editBox(segment(), [...TRAF, 'trun'], (view, { bodyStart }) =>
        view.setInt32(bodyStart + 8, view.getInt32(bodyStart + 8) - 4),
      ),
  ],
  [
    'has a negative duration',
    'media-sample-duration',
    () => editBox(segment(), [...TRAF, 'tfhd'], (view, { bodyStart }) => view.setInt32(bodyStart + 8, -3000)),
  ],
  [
    'lasts no time',
    'media-duration-zero',
    () =>
      editBox(videoSegment({ startTicks: START, samples: 5 }), [...TRAF, 'tfhd'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 8, 0),
      ),
  ],
  ['goes back in time', 'media-tfdt-order', () => withShift(-40_000)],
  ['misses a picture', 'media-gap', () => withShift(3000)],
  ['has a picture twice', 'media-overlap', () => withShift(-3000)],
  ['drifts', 'media-decode-time-drift', () => withShift(300)],
  [
    'does not begin with an IDR',
    'media-not-sync',
    () => videoSegment({ startTicks: START, dependent: true }),
  ],
  [
    'begins with a sample that is a sync sample and depends on others',
    'media-sample-flags',
    () =>
      editBox(segment(), [...TRAF, 'trun'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 12, 0x01000000),
      ),
  ],
  [
    'flags pictures as sync samples that are none',
    'media-sync-flag',
    () =>
      editBox(segment(), [...TRAF, 'tfhd'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 12, 0x02000000),
      ),
  ],
  [
    'does not flag its IDR',
    'media-sync-unmarked',
    () =>
      editBox(segment(), [...TRAF, 'trun'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 12, 0x01010000),
      ),
  ],
  [
    'has NAL units longer than their sample',
    'media-nal-length',
    () => editBox(segment(), ['mdat'], (view, { bodyStart }) => view.setUint32(bodyStart, 61)),
  ],
  [
    'has a reference time of another track',
    'media-prft-track',
    () => editBox(segment(), ['prft'], (view, { bodyStart }) => view.setUint32(bodyStart + 4, 9)),
  ],
  [
    'has a reference time for nothing',
    'media-prft-order',
    () => concat([segment(), box('prft', u32s(0x01000018, 1, 0xeeee0000, 0, 0, START))]),
  ],
  [
    'has reference times that go back',
    'media-prft-time',
    () =>
      editChunk(1, ['prft'], (view, { bodyStart }) =>
        view.setUint32(bodyStart + 8, view.getUint32(bodyStart + 8) - 3),
      ),
  ],
  [
    'has a reference time in another timescale',
    'media-prft-time',
    () => editBox(segment(), ['prft'], (view, { bodyStart }) => view.setUint32(bodyStart + 20, 20_000)),
  ],
  [
    'has an event of an unknown version',
    'media-emsg',
    () => insertBefore(segment(), 'moof', emsg(2, 90_000, 'urn:x')),
  ],
  [
    'has an event without a timescale',
    'media-emsg',
    () => insertBefore(segment(), 'moof', emsg(1, 0, 'urn:x')),
  ],
  ['has an event without a scheme', 'media-emsg', () => insertBefore(segment(), 'moof', emsg(1, 90_000, ''))],
  [
    'has an event of version 0',
    'media-emsg-version',
    () => insertBefore(segment(), 'moof', emsg(0, 90_000, 'urn:x')),
  ],
  ['has an event behind all media', 'media-emsg-order', () => concat([segment(), emsg(1, 90_000, 'urn:x')])],
  ['has an index of other bytes', 'media-sidx', () => withIndex(4)],
  ['has an index of another track', 'media-sidx', () => withIndex(0, 5)],
  [
    'has an index without its references',
    'media-sidx',
    () => concat([box('sidx', u32s(0, 1, 90_000, 0, 0, 3)), segment()]),
  ],
];

describe('a media segment', () => {
  it('of ours is without a finding', () => {
    expect(check(segment()).findings).toEqual([]);
    expect(check(segment(), { ...VIDEO, format: 'hls' }).findings).toEqual([]);
    expect(check(audioSegment({ startTicks: 960_000 }), AUDIO).findings).toEqual([]);
    for (const part of videoChunks({ startTicks: START })) {
      expect(check(part, { ...VIDEO, scope: 'part', startsWithSync: undefined }).findings).toEqual([]);
    }
  });

  it.each(BROKEN)('that %s is found out: %s', (_, rule, make) => {
    expect(check(make()).rules).toContain(rule);
  });

  it('with an event or an index as they should be is without a finding', () => {
    expect(check(insertBefore(segment(), 'moof', emsg(1, 90_000, 'urn:scte:scte35:2013:bin'))).rules).toEqual(
      [],
    );
    // Only that the segment begins with something else than its styp.
    expect(check(withIndex(0)).rules).toEqual(['media-styp-order']);
  });

  it('that claims no CMAF needs msdh in DASH', () => {
    const init = { ...VIDEO.init, cmaf: false };
    const foreign = editBox(segment(), ['styp'], (view, { bodyStart }) => {
      view.setUint32(bodyStart, 0x69736f36);
      view.setUint32(bodyStart + 8, 0x69736f36);
    });
    expect(check(foreign, { ...VIDEO, init }).rules).toEqual(['media-styp-brand']);
    expect(check(foreign, { ...VIDEO, init, format: 'hls' }).rules).toEqual([]);
  });

  it('presented late against its tfdt breaks CMAF when it says trun version 1', () => {
    const late = withTrunOffsets(1, 3000);
    expect(check(late).rules).toEqual(['media-composition-origin']);
    expect(check(late, { ...VIDEO, init: { ...VIDEO.init, cmaf: false } }).rules).toEqual([]);
  });

  it('may not have negative composition offsets in a trun of version 0', () => {
    expect(check(withTrunOffsets(0, -3000)).rules).toContain('media-composition-offset');
    expect(check(withTrunOffsets(0, 3000)).rules).toEqual([]);
  });

  it('is told with its times', () => {
    const facts = check(segment()).facts as MediaFacts;
    expect(facts.tracks).toEqual([
      {
        trackId: 1,
        startTicks: START,
        durationTicks: 180_000,
        earliestPresentationTicks: START,
        endPresentationTicks: START + 180_000,
        sampleCount: 60,
        syncSampleCount: 1,
        firstSampleIsSync: true,
      },
    ]);
    expect(facts.fragmentCount).toBe(6);
    expect(facts.brands).toEqual(['msdh', 'cmfs', 'cmfl']);
    expect(facts.references).toHaveLength(6);
    expect(facts.references[0]?.wallMs).toBeCloseTo(20_000, 3);
    expect(facts.references[5]?.mediaTicks).toBe(START + 50 * 3000);
  });

  it('of several truns in one traf is read to its end', () => {
    const { bytes, init } = twoRuns();
    const { facts, rules } = check(bytes, { ...VIDEO, init });
    expect(rules).toEqual([]);
    expect(facts?.tracks[0]).toMatchObject({ sampleCount: 4, durationTicks: 12_000 });
  });

  it('of a codec not known here has no false findings', () => {
    const init: InitFacts = {
      ...VIDEO.init,
      tracks: VIDEO.init.tracks.map((track) => ({
        ...track,
        codec: 'av01.0.04M.08',
        nalLengthSize: undefined,
      })),
    };
    expect(check(segment(), { ...VIDEO, init }).rules).toEqual([]);
  });

  it('never makes the reader throw, whatever the bytes', () => {
    const bytes = videoSegment({ startTicks: START, samples: 3, chunkSamples: 1 });
    for (let at = 0; at < bytes.length; at += 1) {
      const bent = bytes.slice();
      bent[at] = (bent[at] ?? 0) ^ 0xff;
      check(bent);
      check(bytes.slice(0, at));
    }
  });
});

/** One sample whose trun has a composition offset. */
function withTrunOffsets(version: number, offset: number): Uint8Array {
  const one = videoSegment({ startTicks: START, samples: 1, withoutReference: true });
  const trun = box('trun', concat([u32s(version * 0x1000000 + 0xa01, 1, 0, 64), u32s(offset)]));
  return withTruns(one, [trun]);
}

/** A fragment of two truns, the second of which goes on where the first ended. */
function twoRuns(): { bytes: Uint8Array; init: InitFacts } {
  const bytes = videoSegment({ startTicks: START, samples: 4, withoutReference: true });
  const runs = [
    box('trun', u32s(0x01000205, 2, 0, 0x02000000, 64, 64)),
    box('trun', u32s(0x01000200, 2, 64, 64)),
  ];
  return { bytes: withTruns(bytes, runs), init: VIDEO.init };
}

/** The segment of one moof with other truns; the first trun's data offset is set to the mdat. */
function withTruns(bytes: Uint8Array, truns: readonly Uint8Array[]): Uint8Array {
  const boxes = readBoxes(bytes).boxes;
  const at = (type: string) => boxes.find((each) => each.type === type) ?? fail(type);
  const moof = at('moof');
  const [mfhd = fail('mfhd'), traf = fail('traf')] = moof.children;
  const slice = ({ start, end }: { start: number; end: number }) => bytes.subarray(start, end);
  const kept = traf.children.filter(({ type }) => type !== 'trun').map(slice);
  const grown = box('moof', concat([slice(mfhd), box('traf', concat([...kept, ...truns]))]));
  const made = concat([bytes.subarray(0, moof.start), grown, bytes.subarray(moof.end)]);
  return editBox(made, [...TRAF, 'trun'], (view, { bodyStart }) =>
    view.setInt32(bodyStart + 8, grown.length + 8),
  );
}

function fail(what: string): never {
  throw new Error(`no ${what}`);
}
