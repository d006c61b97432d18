/** Sample entries (ISO/IEC 14496-15, AV1 and VP9 bindings) of the video that is carried. */
export type VideoCodec = 'avc1' | 'hvc1' | 'av01' | 'vp09';

/** Sample entries of the audio that is carried as it comes. */
export type AudioCodec = 'mp4a' | 'ac-3' | 'ec-3' | 'Opus' | 'fLaC';

/** What a video track is, as its codec configuration says. Times of its samples are in {@link timescale} ticks. */
export interface VideoTrack {
  readonly kind: 'video';
  readonly codec: VideoCodec;
  /** RFC 6381, e.g. `avc1.64001f`. */
  readonly codecString: string;
  /** Ticks a second: always 90000 for video. */
  readonly timescale: number;
  /** Body of the codec's box: `avcC`, `hvcC`, `av1C`, or `vpcC` with its version and flags. */
  readonly config: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** How frames are spaced; see {@link Cadence}. */
  readonly cadence: Cadence;
}

/** What an audio track is. Its timescale is its sample rate, so that one tick is one audio sample. */
export interface AudioTrack {
  readonly kind: 'audio';
  readonly codec: AudioCodec;
  /** RFC 6381, e.g. `mp4a.40.2`. */
  readonly codecString: string;
  readonly timescale: number;
  /** AudioSpecificConfig for `mp4a`; else body of `dac3`, `dec3`, `dOps`, or `dfLa` with its version and flags. */
  readonly config: Uint8Array;
  readonly channels: number;
  /** Ticks a frame, e.g. 1024 for AAC-LC, 2048 for HE-AAC at its output rate, 1536 for AC-3, 960 for 20 ms of Opus. */
  readonly frameTicks: number;
}

export type Track = VideoTrack | AudioTrack;
export type TrackKind = Track['kind'];

/** How a video track's frames are spaced, found out while the stream warms up. */
export interface Cadence {
  /** Ticks a frame when the rate is constant (may be fractional, e.g. 1501.5 at 59.94 fps); undefined when variable. */
  readonly frameTicks: number | undefined;
  /** Ticks from key frame to key frame when that is regular, exact (frames × frameTicks); else undefined. */
  readonly gopTicks: number | undefined;
}

/**
 * One access unit, in decode order, on the stream's own timeline: ticks of `track.timescale` since the Unix epoch.
 * NAL units are length-prefixed (4 bytes), never Annex B. `data` is owned by the sample and never written again.
 */
export interface Sample {
  readonly kind: TrackKind;
  /** Decode time. Strictly grows within a track. The first key frame of a timeline has dts = pts. */
  readonly dts: number;
  /** Presentation time; may lie before dts (negative composition offset) when the source has B-frames. */
  readonly pts: number;
  /** dts of the next sample minus this one's: exact on a constant cadence, predicted there one frame ahead. */
  readonly duration: number;
  /** True for an IDR picture; always true for audio. */
  readonly key: boolean;
  readonly data: Uint8Array;
  /** Whether the next sample is a key frame, where that is known because it has come: at a variable frame rate. */
  readonly nextKey?: boolean | undefined;
  /** The picture's time was shown already, by a publisher before: it lasts a tick, only to decode what comes after. */
  readonly leadIn?: boolean;
}

/** Why a new timeline began: it decides whether players are told of a discontinuity. */
export type TimelineReason =
  /** First publish since the server started or since the stream ended. */
  | 'start'
  /** The publisher was away and came back within the grace time. */
  | 'resume'
  /** The source's clock jumped, or drifted too far from ours. */
  | 'jump'
  /** Codec configuration or the set of tracks changed. */
  | 'tracks';

/** A stretch of media with one set of tracks on one continuous clock. */
export interface Timeline {
  readonly reason: TimelineReason;
  readonly video: VideoTrack | undefined;
  readonly audio: AudioTrack | undefined;
  /** Epoch time of the first sample's presentation, milliseconds, fractional. */
  readonly startMs: number;
  /** The video begins with pictures of a time before `startMs`; see {@link Sample.leadIn}. */
  readonly leadIn?: LeadInFacts | undefined;
}

export interface LeadInFacts {
  /** The true time of the first key frame, which tells the phase of those that follow; ticks of the video. */
  readonly keyTicks: number;
}

export type EventKind = 'scte35' | 'id3' | 'klv';

/** Something that belongs to a moment of the stream but is neither picture nor sound. */
export interface TimedEvent {
  /** `scte35`: a whole splice_info_section. `id3`: an ID3v2 tag. `klv`: one KLV packet (SMPTE 336M). */
  readonly kind: EventKind;
  /** The presentation time it is for, which may lie ahead: 90 kHz ticks since the Unix epoch. */
  readonly atTicks: number;
  readonly data: Uint8Array;
}

/**
 * What eats a stream: the packager, the encoder. Calls come in order: begin, sample…, then begin again (a new
 * timeline), or away, or end; events come between samples. Calls are synchronous and must not throw or block.
 */
export interface StreamSink {
  begin(timeline: Timeline): void;
  sample(sample: Sample): void;
  event(event: TimedEvent): void;
  /** The publisher is gone but may come back within the grace time: flush what is held. */
  away(): void;
  /** The stream is over. */
  end(): void;
}
