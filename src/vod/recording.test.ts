import { describe, expect, it } from 'vitest';
import { archiveWindow } from '../../test/support/fake-recording-source.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { RecordedBroadcast } from '../../test/support/recorded-broadcast.ts';
import { EPOCH_MS } from '../../test/support/sample-source.ts';
import { readTitleRecord, writeTitleRecord } from '../packager/vod/title-record.ts';
import type { ArchivedStretch } from '../stream/archive.ts';
import type { TitlePeriod } from '../stream/title.ts';
import { clipStretch, type Recording, recordingOf, withoutSegments } from './recording.ts';

const WISH = { id: 'show', name: 'A show', isAutomatic: true, createdMs: EPOCH_MS + 60_000 };
const FIRST = EPOCH_MS / 2000;

function archive(broadcast: RecordedBroadcast): ArchivedStretch {
  return archiveWindow(broadcast.end().window).stretch;
}

function recorded(stretch: ArchivedStretch): Recording {
  const recording = recordingOf(stretch, WISH);
  if (!recording) throw new Error('nothing was recorded');
  return recording;
}

/** Numbers by rendition from the first of the broadcast on; a gap in brackets. */
function numbers({ tracks }: TitlePeriod): Record<string, string> {
  return Object.fromEntries(
    [...tracks].map(([id, { segments }]) => [
      id,
      segments.map(({ number, isGap }) => (isGap ? `(${number - FIRST})` : `${number - FIRST}`)).join(' '),
    ]),
  );
}

/** The segment of one rendition lost, or of all. */
function losing(stretch: ArchivedStretch, number: number, rendition?: string): ArchivedStretch {
  const missing = stretch.renditions
    .filter(({ id }) => rendition === undefined || id === rendition)
    .map(({ id }) => ({ rendition: id, number: FIRST + number, from: '', to: '' }));
  return withoutSegments(stretch, missing);
}

describe('a recording of a broadcast', () => {
  it('is a title of its segments as they are, with the numbers of live', () => {
    const stretch = archive(new RecordedBroadcast().run(0, 7));
    const { title, copies, kids } = recorded(stretch);
    expect(title.periods).toHaveLength(1);
    const [period] = title.periods;
    expect(period).toMatchObject({ startMs: 0, continues: false, liveMs: EPOCH_MS });
    expect(numbers(period as TitlePeriod)).toEqual({ video: '0 1 2 3', audio: '0 1 2 3' });
    expect(title).toMatchObject({ state: 'complete', durationMs: 7000, segmentMs: 2000 });
    expect(title.recording).toEqual({
      stream: 'cam',
      firstNumber: FIRST,
      lastNumber: FIRST + 3,
      isAutomatic: true,
    });
    expect(copies).toHaveLength(8);
    expect(copies[0]).toEqual({
      rendition: 'video',
      number: FIRST,
      from: stretch.periods[0]?.id,
      to: period?.id,
    });
    expect(kids).toEqual([]);
    const video = period?.tracks.get('video');
    const audio = period?.tracks.get('audio');
    expect(video?.offsetTicks).toBe(EPOCH_MS * 90);
    expect(audio?.offsetTicks).toBe(EPOCH_MS * 48);
    expect(
      video?.segments.every(({ keyFrameBytes, sizeBytes }) => keyFrameBytes > 0 && keyFrameBytes < sizeBytes),
    ).toBe(true);
    expect(title.renditions.map(({ id, language, isDefault }) => [id, language, isDefault])).toEqual([
      ['video', undefined, false],
      ['audio', 'und', true],
    ]);
    expect(title.renditions.every(({ peakBps, averageBps }) => peakBps >= averageBps && averageBps > 0)).toBe(
      true,
    );
  });

  it('is written down and read again as it is', () => {
    const { title } = recorded(archive(new RecordedBroadcast(new FakeKeys(4000)).run(0, 7)));
    const bytes = writeTitleRecord(title);
    const read = readTitleRecord(bytes);
    expect(read?.recording).toEqual(title.recording);
    expect(read && writeTitleRecord(read)).toEqual(bytes);
  });

  it('closes up over an outage, and tells when it was live', () => {
    const { title, copies } = recorded(
      archive(new RecordedBroadcast().run(0, 4).away(20).begin('resume').run(20, 24)),
    );
    expect(title.periods.map(numbers)).toEqual([
      { video: '0 1', audio: '0 1' },
      { video: '10 11', audio: '10 11' },
    ]);
    expect(title.periods.map(({ startMs, continues, liveMs }) => [startMs, continues, liveMs])).toEqual([
      [0, false, EPOCH_MS],
      [4000, false, EPOCH_MS + 20_000],
    ]);
    expect(title.durationMs).toBe(8000);
    expect(copies.every(({ number }) => number < FIRST + 2 || number >= FIRST + 10)).toBe(true);
  });

  it('has a gap where one rendition was lost, and nothing where all were', () => {
    const stretch = losing(losing(archive(new RecordedBroadcast().run(0, 10)), 1, 'audio'), 3);
    const { title, copies } = recorded(stretch);
    expect(title.periods.map(numbers)).toEqual([
      { video: '0 1 2', audio: '0 (1) 2' },
      { video: '4', audio: '4' },
    ]);
    expect(title.periods.map(({ startMs, liveMs }) => [startMs, liveMs])).toEqual([
      [0, EPOCH_MS],
      [6000, EPOCH_MS + 8000],
    ]);
    const [first, second] = title.periods;
    expect(new Set(title.periods.map(({ id }) => id)).size).toBe(2);
    expect(second?.id).toBe(`${first?.id}_${FIRST + 4}`);
    expect(copies).toHaveLength(7);
    const lost = first?.tracks.get('audio')?.segments[1];
    expect(lost).toMatchObject({ isGap: true, sizeBytes: 0, keyFrameBytes: 0 });
  });

  it('has no media that stopped in the middle of a segment', () => {
    const stretch = archive(new RecordedBroadcast().run(0, 6));
    const renditions = stretch.renditions.map(({ segments, ...rendition }) => ({
      ...rendition,
      segments: segments.map((segment, index) => ({
        ...segment,
        brokenOff: rendition.id === 'audio' && index === 1,
      })),
    }));
    const { title, copies } = recorded({ ...stretch, renditions });
    expect(title.periods.map(numbers)).toEqual([{ video: '0 1 2', audio: '0 (1) 2' }]);
    expect(copies).toHaveLength(5);
  });

  it('has a rung from where it joined on', () => {
    const broadcast = new RecordedBroadcast().run(0, 5).join('360p').run(5, 13, ['360p']);
    const { title } = recorded(archive(broadcast));
    expect(title.periods.map((period) => Object.keys(numbers(period)))).toEqual([
      ['video', 'audio'],
      ['video', '360p', 'audio'],
    ]);
    const [first, second] = title.periods;
    expect(second).toMatchObject({ continues: true });
    expect((second?.startMs ?? 0) + EPOCH_MS).toBe(second?.liveMs);
    const last = first?.tracks.get('video')?.segments.at(-1)?.number ?? 0;
    expect(second?.tracks.get('video')?.segments[0]?.number).toBe(last + 1);
    expect(title.renditions.map(({ id }) => id)).toEqual(['video', '360p', 'audio']);
    expect(title.durationMs).toBe(13_000);
  });

  it('keeps the keys of each of its periods, in the order of time', () => {
    const keys = new FakeKeys(4000);
    const { title, kids } = recorded(archive(new RecordedBroadcast(keys).run(0, 11)));
    expect(title.periods.map(({ continues }) => continues)).toEqual([false, true, true]);
    const kidOf = (index: number, tier: 'HD' | 'AUDIO'): Uint8Array =>
      keys.key(keys.periodAt(EPOCH_MS + index * 4000), tier).kid;
    for (const [index, { tracks }] of title.periods.entries()) {
      expect(tracks.get('video')?.protection?.kid).toEqual(kidOf(index, 'HD'));
      expect(tracks.get('audio')?.protection?.kid).toEqual(kidOf(index, 'AUDIO'));
    }
    expect(kids).toHaveLength(6);
  });

  it('begins in the middle of a period with the time that is there', () => {
    const stretch = archive(new RecordedBroadcast().run(0, 12));
    const { title } = recorded(clipStretch(stretch, { firstNumber: FIRST + 2, lastNumber: FIRST + 3 }));
    expect(title.periods.map(numbers)).toEqual([{ video: '2 3', audio: '2 3' }]);
    expect(title).toMatchObject({
      durationMs: 4000,
      recording: { firstNumber: FIRST + 2, lastNumber: FIRST + 3 },
    });
    expect(title.periods[0]).toMatchObject({ startMs: 0, liveMs: EPOCH_MS + 4000 });
    expect(title.periods[0]?.tracks.get('video')?.offsetTicks).toBe((EPOCH_MS + 4000) * 90);
  });

  it('is none when there is no media', () => {
    const stretch = archive(new RecordedBroadcast().run(0, 4));
    const empty = [0, 1].reduce((left, number) => losing(left, number), stretch);
    expect(recordingOf(empty, WISH)).toBeUndefined();
    expect(recordingOf({ ...stretch, renditions: [] }, WISH)).toBeUndefined();
  });

  it('has URLs that no recording of another stream has, though both began together', () => {
    const stretch = archive(new RecordedBroadcast().run(0, 4));
    const one = recorded(stretch).title.periods[0]?.id;
    const other = recorded({ ...stretch, stream: 'cam2' }).title.periods[0]?.id;
    expect(one).not.toBe(other);
    expect(recorded(stretch).title.periods[0]?.id).toBe(one);
  });
});
