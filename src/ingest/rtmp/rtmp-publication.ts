import type { Clock } from '../../base/clock.ts';
import { type ErrorCode, errorCode } from '../../base/errors.ts';
import type { Amf0Limits } from '../../media/amf0.ts';
import type { ForeignAudioEncoder } from '../../stream/foreign-audio.ts';
import type { Publisher, PublisherInfo, PublishRole } from '../../stream/publisher.ts';
import type { PublishTarget } from '../publish-target.ts';
import { splitAggregate } from './aggregate.ts';
import { AudioFeed } from './audio-feed.ts';
import type { CLOSE_REASONS, CloseReason } from './close-reason.ts';
import { parseData } from './command.ts';
import type { FeedResult } from './feed-result.ts';
import { feedMetadata } from './metadata.ts';
import { MESSAGE, type RtmpMessage } from './protocol.ts';
import type { IgnoredReason, RtmpMetrics } from './rtmp-metrics.ts';
import { VideoFeed } from './video-feed.ts';

export interface RtmpPublicationDeps {
  readonly hub: PublishTarget;
  readonly clock: Clock;
  readonly metrics: RtmpMetrics;
  readonly foreignAudio: ForeignAudioEncoder | undefined;
  readonly amfLimits: Amf0Limits;
  readonly options: { readonly maxVideoTracks: number };
}

/** Who publishes what. */
export interface RtmpPublicationInfo {
  readonly stream: string;
  readonly protocol: 'rtmp' | 'rtmps';
  readonly role: PublishRole;
  readonly session: string;
  readonly remoteAddress: string;
}

/** Why a connection has to end, and what for the log. */
export interface PublicationFault {
  readonly reason: CloseReason;
  readonly fields: Record<string, unknown>;
  /** For the people at the other end; undefined when nothing is to be said. */
  readonly words: string | undefined;
}

/** For people who read why their encoder was disconnected. */
const SUPPORTED = 'send H.264, HEVC, AV1 or VP9, and AAC, Opus, FLAC, AC-3 or E-AC-3';

const HUB_REFUSALS = new Map<ErrorCode, CloseReason>([
  ['STREAM_BUSY', 'stream_busy'],
  ['STREAM_LIMIT', 'stream_limit'],
  ['STREAM_NAME_INVALID', 'stream_invalid'],
  ['STREAM_CLOSING', 'stream_closing'],
]);

const MEDIA_INVALID: PublicationFault = { reason: 'media_invalid', fields: {}, words: undefined };
const AMF_INVALID: PublicationFault = { reason: 'amf_invalid', fields: {}, words: undefined };

/**
 * What one RTMP connection publishes, from the hub's yes to its end: messages of media and metadata go in, a publisher
 * gets samples. It says when the connection has to end; whoever made it ends that, and closes it.
 */
export class RtmpPublication {
  readonly #publisher: Publisher;
  readonly #deps: RtmpPublicationDeps;
  readonly #video: VideoFeed;
  readonly #audio: AudioFeed;
  #lastMediaMs: number;
  #open = true;

  /** `onClosed` is told when the hub ends it. */
  static open(
    info: RtmpPublicationInfo,
    deps: RtmpPublicationDeps,
    onClosed: (code: ErrorCode) => void,
  ): RtmpPublication | PublicationFault {
    const { stream, ...peer } = info;
    const publisherInfo: PublisherInfo = { ...peer, timescale: 1000, wrapBits: 32 };
    try {
      return new RtmpPublication(deps.hub.publish(stream, publisherInfo, onClosed), deps);
    } catch (error) {
      const reason = HUB_REFUSALS.get(errorCode(error)) ?? 'internal';
      const fields = reason === 'internal' ? { stream, err: error } : { stream };
      return { reason, fields, words: undefined };
    }
  }

  private constructor(publisher: Publisher, deps: RtmpPublicationDeps) {
    const { clock, foreignAudio: encoder, metrics, options } = deps;
    const ignored = (reason: IgnoredReason): void => metrics.ignored(reason);
    this.#publisher = publisher;
    this.#deps = deps;
    this.#video = new VideoFeed(publisher, { maxTracks: options.maxVideoTracks, ignored });
    this.#audio = new AudioFeed(publisher, { encoder, ignored });
    this.#lastMediaMs = clock.monotonicMs();
  }

  get stream(): string {
    return this.#publisher.stream;
  }

  /** When media came last, or it began; monotonic. */
  get lastMediaMs(): number {
    return this.#lastMediaMs;
  }

  /** Takes a message of audio, video or data, or an aggregate of them; undefined when it may go on. */
  take(message: RtmpMessage): PublicationFault | undefined {
    switch (message.type) {
      case MESSAGE.video:
        return this.#judge(this.#video.feed(message));
      case MESSAGE.data:
      case MESSAGE.dataAmf3:
        return this.#takeMetadata(message);
      case MESSAGE.aggregate:
        return this.#takeAggregate(message);
      default:
        return this.#judge(this.#audio.feed(message));
    }
  }

  /** `end` is what the hub is told; undefined when the hub ended it. Idempotent. */
  close(end: (typeof CLOSE_REASONS)[CloseReason] | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.#audio.close();
    if (end !== undefined) this.#publisher.close(end);
  }

  #judge(fed: FeedResult): PublicationFault | undefined {
    if (fed.kind === 'malformed') return MEDIA_INVALID;
    if (fed.kind === 'unsupported') {
      const words = `The codec ${fed.codec} is not supported: ${SUPPORTED}.`;
      return { reason: 'codec_unsupported', fields: { codec: fed.codec }, words };
    }
    if (fed.kind === 'fed') this.#lastMediaMs = this.#deps.clock.monotonicMs();
    return undefined;
  }

  #takeAggregate(message: RtmpMessage): PublicationFault | undefined {
    const parts = splitAggregate(message);
    if (parts === undefined) return MEDIA_INVALID;
    for (const part of parts) {
      const fault = this.take(part);
      if (fault !== undefined) return fault;
      // The hub may have ended it.
      if (!this.#open) return undefined;
    }
    return undefined;
  }

  #takeMetadata(message: RtmpMessage): PublicationFault | undefined {
    const parsed = parseData(message, this.#deps.amfLimits);
    if (parsed.ok) feedMetadata(this.#publisher, parsed.values);
    // Long metadata (key frame indexes of files) is lawful and of no use to us.
    else if (parsed.fault === 'limit') this.#deps.metrics.ignored('metadata_limit');
    else return AMF_INVALID;
    return undefined;
  }
}
