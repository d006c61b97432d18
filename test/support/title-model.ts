import type { TrackProtection } from '../../src/media/protection.ts';
import type { Title, TitlePeriod, TitleRendition, TitleSegment, TitleTrack } from '../../src/stream/title.ts';
import type { AudioTrack, Track, VideoTrack } from '../../src/stream/track.ts';

/** Titles made up without media, for what only reads them. */

export function videoTrack(height: number, more: Partial<VideoTrack> = {}): VideoTrack {
  return {
    kind: 'video',
    codec: 'avc1',
    codecString: height > 720 ? 'avc1.640028' : 'avc1.64001f',
    timescale: 90_000,
    config: new Uint8Array([1, 100, 0, 31]),
    width: (height * 16) / 9,
    height,
    cadence: { frameTicks: 3600, gopTicks: 180_000 },
    ...more,
  };
}

export function audioTrack(more: Partial<AudioTrack> = {}): AudioTrack {
  return {
    kind: 'audio',
    codec: 'mp4a',
    codecString: 'mp4a.40.2',
    timescale: 48_000,
    config: new Uint8Array([0x11, 0x90]),
    channels: 2,
    frameTicks: 1024,
    ...more,
  };
}

export interface ModelRendition {
  readonly id: string;
  readonly track: Track;
  readonly protection?: TrackProtection;
  readonly language?: string;
  readonly label?: string;
  readonly isDefault?: boolean;
}

export interface ModelPeriod {
  readonly id: string;
  readonly startMs?: number;
  readonly continues?: boolean;
  readonly liveMs?: number;
  readonly segments: number;
  /** Of the first segment; default 0. */
  readonly firstNumber?: number;
  /** Renditions that are in it; default: all. */
  readonly only?: readonly string[];
  /** By rendition: numbers of segments that are gaps. */
  readonly gaps?: Readonly<Record<string, readonly number[]>>;
  /** By rendition: so many segments fewer. */
  readonly behind?: Readonly<Record<string, number>>;
  /** Other keys than the renditions'. */
  readonly protection?: TrackProtection;
}

export const SEGMENT_SECONDS = 4;

/** A title of segments of four seconds; the last of each period has one and a half. */
export function modelTitle(
  renditions: readonly ModelRendition[],
  periods: readonly ModelPeriod[],
  more: Partial<Title> = {},
): Title {
  const built = periods.map((period) => buildPeriod(renditions, period));
  const last = periods.at(-1);
  const lengthSeconds = last ? (last.segments - 1) * SEGMENT_SECONDS + 1.5 : 0;
  return {
    id: 'film',
    name: 'A film',
    state: 'complete',
    durationMs: (last?.startMs ?? 0) + lengthSeconds * 1000,
    segmentMs: SEGMENT_SECONDS * 1000,
    renditions: renditions.map(({ id, track, language, label, isDefault }): TitleRendition => {
      const rate = track.kind === 'video' ? track.height * 4000 : track.channels * 64_000;
      return {
        id,
        kind: track.kind,
        language,
        label,
        isDefault: isDefault ?? false,
        peakBps: rate + 1,
        averageBps: rate / 2,
      };
    }),
    periods: built,
    texts: [],
    thumbnails: undefined,
    chapters: [],
    createdMs: Date.UTC(2026, 10, 23, 12),
    updatedMs: Date.UTC(2026, 10, 23, 12, 5),
    ...more,
  };
}

function buildPeriod(renditions: readonly ModelRendition[], period: ModelPeriod): TitlePeriod {
  const tracks = new Map<string, TitleTrack>();
  for (const { id, track, protection } of renditions) {
    if (period.only && !period.only.includes(id)) continue;
    const offsetTicks = Math.round(((period.liveMs ?? 0) * track.timescale) / 1000);
    tracks.set(id, {
      track,
      init: new Uint8Array([0, 0, 0, 8]),
      protection:
        protection && (period.protection ? { ...period.protection, tier: protection.tier } : protection),
      offsetTicks,
      segments: buildSegments(id, track, period, offsetTicks),
    });
  }
  const { id, startMs = 0, continues = false, liveMs } = period;
  return { id, startMs, continues, ...(liveMs === undefined ? {} : { liveMs }), tracks };
}

function buildSegments(id: string, track: Track, period: ModelPeriod, offsetTicks: number): TitleSegment[] {
  const first = period.firstNumber ?? 0;
  const count = period.segments - (period.behind?.[id] ?? 0);
  const frame = track.kind === 'audio' ? track.frameTicks : 1;
  const at = (seconds: number): number =>
    offsetTicks + Math.round((seconds * track.timescale) / frame) * frame;
  return Array.from({ length: count }, (_, index): TitleSegment => {
    const isLast = index === period.segments - 1;
    const startTicks = at(index * SEGMENT_SECONDS);
    const endTicks = at(index * SEGMENT_SECONDS + (isLast ? 1.5 : SEGMENT_SECONDS));
    const isGap = period.gaps?.[id]?.includes(first + index) ?? false;
    return {
      number: first + index,
      startTicks,
      durationTicks: endTicks - startTicks,
      sizeBytes: isGap ? 0 : 100_000 + index,
      keyFrameBytes: isGap || track.kind === 'audio' ? 0 : 9000 + index,
      isGap,
    };
  });
}

const STEREO = audioTrack();
const SURROUND = audioTrack({
  codec: 'ac-3',
  codecString: 'ac-3',
  channels: 6,
  frameTicks: 1536,
  config: new Uint8Array([0x10, 0x3d, 0xc0]),
});

/** Two rungs, two languages of which one is there in 5.1, too. */
export const FILM: readonly ModelRendition[] = [
  { id: '1080p', track: videoTrack(1080) },
  { id: '360p', track: videoTrack(360) },
  { id: 'audio-en', track: STEREO, language: 'en', label: 'English', isDefault: true },
  { id: 'audio-de', track: STEREO, language: 'de', label: 'Deutsch' },
  { id: 'audio-en-surround', track: SURROUND, language: 'en', label: 'English (5.1)' },
];

/** With subtitles, small pictures and chapters. */
export const FILM_EXTRAS: Partial<Title> = {
  texts: [
    { id: 'text-en', language: 'en', label: 'English', isDefault: true, isForced: false, sizeBytes: 2000 },
    { id: 'text-de', language: 'de', label: 'Deutsch', isDefault: false, isForced: true, sizeBytes: 500 },
  ],
  thumbnails: { columns: 2, rows: 1, width: 160, height: 90, intervalMs: 2500, sheetBytes: [4000, 3000] },
  chapters: [
    { startMs: 0, name: 'Opening' },
    { startMs: 4000, name: 'The "end"' },
  ],
};
