import { AppError, type ErrorCode } from '../../src/base/errors.ts';
import type { PublishTarget } from '../../src/ingest/publish-target.ts';
import type { Publisher, PublisherInfo, RawEvent, RawSample } from '../../src/stream/publisher.ts';
import type { AudioCodec, VideoCodec } from '../../src/stream/track.ts';

type ClosedReason = Parameters<Publisher['close']>[0];

/** Everything one publisher was given. */
export class RecordedPublisher implements Publisher {
  readonly stream: string;
  readonly info: PublisherInfo;
  readonly samples: RawSample[] = [];
  readonly videoConfigs: Uint8Array[] = [];
  readonly audioConfigs: Uint8Array[] = [];
  /** The same, with what they are of. */
  readonly videoTracks: { codec: VideoCodec; config: Uint8Array; track: number }[] = [];
  readonly audioTracks: { codec: AudioCodec; config: Uint8Array }[] = [];
  readonly announcements: { video: boolean; audio: boolean }[] = [];
  readonly events: RawEvent[] = [];
  readonly closes: ClosedReason[] = [];
  /** What the hub calls to end it. */
  readonly kick: (code: ErrorCode) => void;

  constructor(stream: string, info: PublisherInfo, kick: (code: ErrorCode) => void) {
    this.stream = stream;
    this.info = info;
    this.kick = kick;
  }

  videoConfig(codec: VideoCodec, config: Uint8Array, track = 0): void {
    this.videoConfigs.push(config);
    this.videoTracks.push({ codec, config, track });
  }

  audioConfig(codec: AudioCodec, config: Uint8Array): void {
    this.audioConfigs.push(config);
    this.audioTracks.push({ codec, config });
  }

  announce(kinds: { video: boolean; audio: boolean }): void {
    this.announcements.push(kinds);
  }

  write(sample: RawSample): void {
    this.samples.push(sample);
  }

  event(event: RawEvent): void {
    this.events.push(event);
  }

  close(reason: ClosedReason): void {
    this.closes.push(reason);
  }

  /** Sample data as text, for tests that send text. */
  get texts(): string[] {
    return this.samples.map(({ data }) => Buffer.from(data).toString());
  }
}

/** A hub that only remembers, with one publisher a stream. */
export class RecordingHub implements PublishTarget {
  readonly publishers: RecordedPublisher[] = [];
  /** When set, publish throws it. */
  failure: Error | undefined;

  publish(stream: string, info: PublisherInfo, onClosed: (code: ErrorCode) => void): Publisher {
    if (this.failure) throw this.failure;
    if (this.publishers.some((publisher) => publisher.stream === stream && publisher.closes.length === 0)) {
      throw new AppError('STREAM_BUSY');
    }
    const publisher = new RecordedPublisher(stream, info, onClosed);
    this.publishers.push(publisher);
    return publisher;
  }

  /** All sample data there is, as one text. */
  get everything(): string {
    return this.publishers.flatMap((publisher) => publisher.texts).join(' ');
  }
}
