import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exampleProtection } from '../../../test/support/protection.ts';
import {
  audioTrack,
  FILM,
  FILM_EXTRAS,
  modelTitle,
  videoTrack,
  type ModelRendition,
} from '../../../test/support/title-model.ts';
import type { Title } from '../../stream/title.ts';
import { readTitleRecord, writeTitleRecord } from './title-record.ts';

const SEALED: readonly ModelRendition[] = FILM.map((rendition) => ({
  ...rendition,
  protection: exampleProtection(rendition.track.kind === 'audio' ? 'AUDIO' : 'HD', 3, {
    scheme: 'cenc',
    constantIv: undefined,
    systems: [
      { system: 'widevine', pssh: Uint8Array.of(1, 2), playReadyObject: undefined, licenseUrl: undefined },
      { system: 'fairplay', pssh: undefined, playReadyObject: undefined, licenseUrl: 'skd://a' },
    ],
  }),
}));

const TITLES: readonly (readonly [string, Title])[] = [
  ['with everything', modelTitle(FILM, [{ id: 'g1', segments: 5 }], FILM_EXTRAS)],
  ['that grows', modelTitle(FILM, [{ id: 'g1', segments: 2, behind: { '360p': 1 } }], { state: 'growing' })],
  ['that is for download', { ...modelTitle(FILM, [{ id: 'g1', segments: 1 }]), isDownloadable: true }],
  ['that is encrypted', modelTitle(SEALED, [{ id: 'g1', segments: 3 }])],
  [
    'that was live, with gaps and several periods',
    modelTitle(FILM, [
      { id: 'p1', segments: 6, firstNumber: 442, liveMs: 1_795_435_200_000, gaps: { '360p': [443, 444] } },
      { id: 'p2', startMs: 24_500, continues: true, segments: 2, only: ['1080p', 'audio-en'] },
    ]),
  ],
  [
    'of a variable frame rate',
    modelTitle(
      [{ id: 'v', track: videoTrack(720, { cadence: { frameTicks: undefined, gopTicks: undefined } }) }],
      [{ id: 'g1', segments: 1 }],
    ),
  ],
];

describe('the record of a title', () => {
  it.each(TITLES)('%s gives it back', (_, title) => {
    expect(readTitleRecord(writeTitleRecord(title))).toEqual(title);
  });

  it('of two hours with ten renditions is about half a megabyte at most', () => {
    const renditions = Array.from({ length: 10 }, (_, index) =>
      index < 6
        ? { id: `v${index}`, track: videoTrack(360) }
        : { id: `a${index}`, track: audioTrack(), language: 'en', label: 'English' },
    );
    const bytes = writeTitleRecord(modelTitle(renditions, [{ id: 'g1', segments: 1800 }]));
    expect(bytes.length).toBeLessThan(600_000);
  });

  it.each<readonly [string, (record: Record<string, unknown>) => void]>([
    ['of another version', (record) => (record['version'] = 2)],
    ['without renditions', (record) => (record['renditions'] = [])],
    ['without periods', (record) => (record['periods'] = [])],
    ['with an id that is no part of a URL', (record) => (record['id'] = '../x')],
    ['with a length that is no number', (record) => (record['durationMs'] = 'long')],
    ['with a negative time', (record) => (record['createdMs'] = -1)],
    ['in an unknown state', (record) => (record['state'] = 'gone')],
    [
      'with two renditions of one name',
      (record) => (record['renditions'] as unknown[]).push(...(record['renditions'] as unknown[])),
    ],
    [
      'with a track of no rendition',
      (record) => (record['renditions'] = (record['renditions'] as unknown[]).slice(1)),
    ],
    ['with a size that is missing', (record) => (segmentsOf(record)['sizes'] as unknown[]).pop()],
    ['with a run that never ends', (record) => (segmentsOf(record)['durations'] = [[1, 9e15]])],
    ['with a run of half a segment', (record) => (segmentsOf(record)['durations'] = [[360_000, 1.5]])],
  ])('%s is none', (_, change) => {
    const record = JSON.parse(Buffer.from(writeTitleRecord(TITLES[0]?.[1] as Title)).toString()) as Record<
      string,
      unknown
    >;
    change(record);
    expect(readTitleRecord(Buffer.from(JSON.stringify(record)))).toBeUndefined();
  });

  it('is none of what anybody else wrote, and reading it never throws', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(readTitleRecord(bytes)).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        expect(readTitleRecord(Buffer.from(text))).toBeUndefined();
      }),
    );
  });

  it('is none or whole when any value in it is another', { timeout: 60_000 }, () => {
    const text = Buffer.from(writeTitleRecord(TITLES[2]?.[1] as Title)).toString();
    fc.assert(
      fc.property(fc.nat(), fc.jsonValue({ maxDepth: 1 }), (at, value) => {
        const record: unknown = JSON.parse(text);
        const places = placesIn(record);
        const place = places[at % places.length];
        if (!place) return;
        place.holder[place.key] = value;
        const read = readTitleRecord(Buffer.from(JSON.stringify(record)));
        if (read) expect(readTitleRecord(writeTitleRecord(read))).toEqual(read);
      }),
      { numRuns: 500 },
    );
  });
});

function segmentsOf(record: Record<string, unknown>): Record<string, unknown> {
  const [period] = record['periods'] as { tracks: Record<string, { segments: Record<string, unknown> }> }[];
  const track = period?.tracks['1080p'];
  if (!track) throw new Error('no such track');
  return track.segments;
}

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** Every place of a value in a JSON text. */
function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}
