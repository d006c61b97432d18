import { parseVideoTag } from '../../media/flv.ts';
import type { FlvVideoCodec } from '../../media/flv-codecs.ts';
import type { VideoConfigTag, VideoFrameTag, VideoTrackTag } from '../../media/flv-tag.ts';
import type { Publisher } from '../../stream/publisher.ts';
import { videoBoxBody } from './codec-box.ts';
import { FED, type FeedResult, gravest, IGNORED, MALFORMED } from './feed-result.ts';
import type { RtmpMessage } from './protocol.ts';
import type { IgnoredReason } from './rtmp-metrics.ts';

const NS_PER_MS = 1_000_000;

export interface VideoFeedOptions {
  /** Video tracks of one publisher. */
  readonly maxTracks: number;
  /** Told of everything that is passed over. */
  readonly ignored: (reason: IgnoredReason) => void;
}

/**
 * Gives one publisher's video messages to it. Track 0 of Enhanced RTMP, and all video without a track number, is the
 * hub's track 0, the source. A sender that never uses 0 has its lowest number in that place, and the others keep their
 * distance from it. Tracks over the limit, and ones that no configuration announced, are passed over.
 */
export class VideoFeed {
  readonly #publisher: Publisher;
  readonly #options: VideoFeedOptions;
  /** What each track that may come through is coded in. */
  readonly #codecs = new Map<number, FlvVideoCodec>();
  /** Configurations of tracks with numbers, until the first frame shows that no lower one comes. */
  readonly #early = new Map<number, VideoConfigTag>();
  /** The sender's number of the hub's track 0. */
  #lowest: number | undefined;

  constructor(publisher: Publisher, options: VideoFeedOptions) {
    this.#publisher = publisher;
    this.#options = options;
  }

  feed({ payload, timestamp }: RtmpMessage): FeedResult {
    const tag = parseVideoTag(payload);
    if (tag.kind !== 'tracks') return this.#feedTrack(tag, timestamp);
    return gravest(tag.tags.map((each) => this.#feedTrack(each, timestamp)));
  }

  #feedTrack(tag: VideoTrackTag, timestamp: number): FeedResult {
    if (tag.kind === 'ignored') return this.#passOver('empty_media');
    if (tag.kind === 'malformed') return tag;
    if (tag.kind === 'config') return this.#config(tag);
    if (tag.kind === 'frame') return this.#frame(tag, timestamp);
    // Of a lesser encoding it is no loss that its codec is not understood.
    return tag.track > (this.#lowest ?? 0) ? this.#passOver('video_track') : tag;
  }

  #config(tag: VideoConfigTag): FeedResult {
    const { track, codec } = tag;
    const full = !this.#codecs.has(track) && this.#codecs.size >= this.#options.maxTracks;
    if (full || track < (this.#lowest ?? 0)) return this.#passOver('video_track');
    this.#codecs.set(track, codec);
    if (track === 0) this.#begin(0);
    if (this.#lowest === undefined) this.#early.set(track, tag);
    else this.#declare(tag, this.#lowest);
    return FED;
  }

  #frame(tag: VideoFrameTag, timestamp: number): FeedResult {
    const { track, codec } = tag;
    const lowest = this.#lowest ?? this.#begin(Math.min(track, ...this.#early.keys()));
    const configured = this.#codecs.get(track);
    // Of the source the hub itself sees that the configuration is missing, and for how long.
    if (track < lowest || (configured === undefined && track > lowest)) return this.#passOver('video_track');
    if (configured !== undefined && configured !== codec) return MALFORMED;
    this.#publisher.write({
      kind: 'video',
      track: track - lowest,
      dts: tag.offsetNs === 0 ? timestamp : timestamp + tag.offsetNs / NS_PER_MS,
      compositionOffset: tag.compositionOffsetMs,
      key: tag.key,
      data: tag.data,
    });
    return FED;
  }

  #passOver(reason: IgnoredReason): FeedResult {
    this.#options.ignored(reason);
    return IGNORED;
  }

  /** From here on it is known which track is the source. */
  #begin(lowest: number): number {
    if (this.#lowest !== undefined) return this.#lowest;
    this.#lowest = lowest;
    const early = [...this.#early.values()].sort((a, b) => a.track - b.track);
    this.#early.clear();
    for (const tag of early) this.#declare(tag, lowest);
    return lowest;
  }

  #declare({ track, codec, config }: VideoConfigTag, lowest: number): void {
    this.#publisher.videoConfig(codec, videoBoxBody(codec, config), track - lowest);
  }
}
