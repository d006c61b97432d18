import { AudioFeed } from '../../src/ingest/rtmp/audio-feed.ts';
import type { FeedResult } from '../../src/ingest/rtmp/feed-result.ts';
import { VideoFeed } from '../../src/ingest/rtmp/video-feed.ts';
import type { Publisher } from '../../src/stream/publisher.ts';

/** Gives audio and video messages to a publisher, as an RTMP session does. */
export function openMediaFeed(publisher: Publisher) {
  const ignored = (): void => {};
  const video = new VideoFeed(publisher, { maxTracks: 4, ignored });
  const audio = new AudioFeed(publisher, { encoder: undefined, ignored });
  return (kind: 'video' | 'audio', timestamp: number, body: Uint8Array): FeedResult => {
    const message = { type: 0, streamId: 1, timestamp, payload: Buffer.from(body) };
    return kind === 'video' ? video.feed(message) : audio.feed(message);
  };
}
