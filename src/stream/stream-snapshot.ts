import type { PublisherInfo } from './publisher.ts';
import type { PublisherSession } from './publisher-session.ts';
import type { Timeline, TrackKind } from './track.ts';

const VIDEO_TIMESCALE = 90_000;

/**
 * `offline`: never live yet. `warming`: a publisher is there, its media is not on the timeline yet. `live`. `away`: the
 * publisher is gone and may return within the grace time. `ended`: it did not.
 */
export type StreamState = 'offline' | 'warming' | 'live' | 'away' | 'ended';

/** What the control API shows of a track. */
export interface TrackSnapshot {
  readonly kind: TrackKind;
  readonly codec: string;
  /** Bits a second received over the last seconds. */
  readonly bitrateBps: number;
  readonly width?: number;
  readonly height?: number;
  /** Frames a second; absent when they vary. */
  readonly frameRate?: number;
  /** Seconds from key frame to key frame; absent when not known or not regular. */
  readonly gopSeconds?: number;
  readonly sampleRate?: number;
  readonly channels?: number;
}

/** What the control API shows of a publisher. */
export interface PublisherSnapshot {
  readonly protocol: PublisherInfo['protocol'];
  readonly role: PublisherInfo['role'];
  /** Whether viewers get what it sends; else it warms up or stands by. */
  readonly onAir: boolean;
  readonly session: string;
  readonly remoteAddress: string;
  /** When it was accepted, milliseconds since the Unix epoch. */
  readonly sinceMs: number;
}

/** What the control API shows of a stream. */
export interface StreamSnapshot {
  readonly stream: string;
  readonly state: StreamState;
  /** The one on air, or the first of those who wait. */
  readonly publisher: PublisherSnapshot | undefined;
  /** All of them, the one on air first. */
  readonly publishers: readonly PublisherSnapshot[];
  /** Of the current timeline, or of the last one. */
  readonly tracks: readonly TrackSnapshot[];
  readonly droppedSamples: number;
  readonly resyncs: number;
  /** Times that a publisher gave way to another without having gone. */
  readonly switches: number;
  readonly clockDriftMs: number;
  readonly subscribers: number;
}

/** @param session who sends them, for the bit rates */
export function trackSnapshots(timeline: Timeline, session: PublisherSession | undefined): TrackSnapshot[] {
  const tracks: TrackSnapshot[] = [];
  const { video, audio } = timeline;
  if (video) {
    const { frameTicks, gopTicks } = video.cadence;
    tracks.push({
      kind: 'video',
      codec: video.codecString,
      bitrateBps: session?.bitrateBps('video') ?? 0,
      width: video.width,
      height: video.height,
      ...(frameTicks !== undefined && { frameRate: VIDEO_TIMESCALE / frameTicks }),
      ...(gopTicks !== undefined && { gopSeconds: gopTicks / VIDEO_TIMESCALE }),
    });
  }
  if (audio) {
    tracks.push({
      kind: 'audio',
      codec: audio.codecString,
      bitrateBps: session?.bitrateBps('audio') ?? 0,
      sampleRate: audio.timescale,
      channels: audio.channels,
    });
  }
  return tracks;
}
