import { parseAc3Frame } from '../../media/ac3.ts';
import { parseAudioTag } from '../../media/flv.ts';
import { MP3_FORMAT } from '../../media/flv-codecs.ts';
import type { AudioConfigTag, AudioFrameTag, AudioTrackTag } from '../../media/flv-tag.ts';
import type { ForeignAudioEncoder, ForeignAudioFeed } from '../../stream/foreign-audio.ts';
import type { Publisher } from '../../stream/publisher.ts';
import { audioBoxBody } from './codec-box.ts';
import { FED, type FeedResult, gravest, IGNORED, MALFORMED } from './feed-result.ts';
import type { RtmpMessage } from './protocol.ts';
import type { IgnoredReason } from './rtmp-metrics.ts';

/** SoundFormat (FLV annex E.4.2.1) of the codecs beside AAC that FLV itself has. */
const FOREIGN_FORMATS: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14]);
/** Head of an MP3 tag as FLV has it: 44 kHz, 16 bit, stereo. The frame's own header says how it really is. */
const MP3_HEAD = (MP3_FORMAT << 4) | 0x0f;
const NS_PER_MS = 1_000_000;

export interface AudioFeedOptions {
  readonly encoder: ForeignAudioEncoder | undefined;
  /** Told of everything that is passed over. */
  readonly ignored: (reason: IgnoredReason) => void;
}

/**
 * Gives one publisher's audio messages to it: what CMAF carries as it is, other codecs through an encoder where there is
 * one. The publisher may change between them. Of several tracks only number 0 is taken. Whoever makes it closes it.
 */
export class AudioFeed {
  readonly #publisher: Publisher;
  readonly #options: AudioFeedOptions;
  #foreign: ForeignAudioFeed | undefined;

  constructor(publisher: Publisher, options: AudioFeedOptions) {
    this.#publisher = publisher;
    this.#options = options;
  }

  feed(message: RtmpMessage): FeedResult {
    const tag = parseAudioTag(message.payload);
    if (tag.kind !== 'tracks') return this.#feedTrack(tag, message);
    return gravest(tag.tags.map((each) => this.#feedTrack(each, message)));
  }

  close(): void {
    this.#foreign?.close();
  }

  #feedTrack(tag: AudioTrackTag, message: RtmpMessage): FeedResult {
    if (tag.kind === 'ignored') return this.#passOver('empty_media');
    if (tag.kind === 'malformed') return tag;
    if (tag.track !== 0) return this.#passOver('audio_track');
    if (tag.kind === 'unsupported') return this.#feedForeign(message) ?? tag;
    return tag.kind === 'config' ? this.#config(tag) : this.#frame(tag, message.timestamp);
  }

  #config({ codec, config }: AudioConfigTag): FeedResult {
    // MP3 and the AC-3 family need none.
    if (codec === '.mp3' || codec === 'ac-3' || codec === 'ec-3') return this.#passOver('empty_media');
    this.#foreign?.stop();
    this.#publisher.audioConfig(codec, audioBoxBody(codec, config));
    return FED;
  }

  #frame(tag: AudioFrameTag, timestamp: number): FeedResult {
    const dts = tag.offsetNs === 0 ? timestamp : timestamp + tag.offsetNs / NS_PER_MS;
    if (tag.codec === '.mp3') return this.#feedMp3(tag.data, timestamp);
    this.#foreign?.stop();
    if (tag.codec === 'ac-3' || tag.codec === 'ec-3') return this.#feedAc3(tag.data, dts);
    this.#write(tag.data, dts);
    return FED;
  }

  #write(data: Uint8Array, dts: number): void {
    this.#publisher.write({ kind: 'audio', dts, compositionOffset: 0, key: true, data });
  }

  /** The frames say themselves what they are, and where the next begins: a message may hold several. */
  #feedAc3(data: Uint8Array, dts: number): FeedResult {
    let atMs = dts;
    for (let start = 0; start < data.length; ) {
      const unit = ac3AccessUnit(data, start);
      if (unit === undefined) return MALFORMED;
      this.#publisher.audioConfig(unit.codec, unit.config);
      this.#write(data.subarray(start, unit.end), atMs);
      start = unit.end;
      atMs += unit.durationMs;
    }
    return FED;
  }

  /** Undefined when nobody can encode it. */
  #feedForeign({ payload, timestamp }: RtmpMessage): FeedResult | undefined {
    const format = (payload[0] ?? 0) >> 4;
    const { encoder } = this.#options;
    if (!encoder || !FOREIGN_FORMATS.has(format)) return undefined;
    if (payload.length < 2) return this.#passOver('empty_media');
    this.#encode(encoder, timestamp, payload);
    return FED;
  }

  /** In the form the encoder knows. */
  #feedMp3(data: Uint8Array, timestamp: number): FeedResult {
    const { encoder } = this.#options;
    if (!encoder) return { kind: 'unsupported', codec: 'MP3' };
    const body = new Uint8Array(1 + data.length);
    body[0] = MP3_HEAD;
    body.set(data, 1);
    this.#encode(encoder, timestamp, body);
    return FED;
  }

  #passOver(reason: IgnoredReason): FeedResult {
    this.#options.ignored(reason);
    return IGNORED;
  }

  #encode(encoder: ForeignAudioEncoder, timestamp: number, body: Uint8Array): void {
    this.#foreign ??= encoder.open(this.#publisher);
    this.#foreign.feed(timestamp, body);
  }
}

interface Ac3AccessUnit {
  readonly codec: 'ac-3' | 'ec-3';
  /** Body of the codec's box. */
  readonly config: Uint8Array;
  /** Behind its last byte. */
  readonly end: number;
  readonly durationMs: number;
}

/** The access unit at `start`: a syncframe, and those that only add channels or programmes to it. */
function ac3AccessUnit(data: Uint8Array, start: number): Ac3AccessUnit | undefined {
  const first = parseAc3Frame(data.subarray(start));
  if (first === undefined || first.frameBytes === 0) return undefined;
  let end = start + first.frameBytes;
  while (end < data.length) {
    const next = parseAc3Frame(data.subarray(end));
    if (next === undefined || next.frameBytes === 0) return undefined;
    if (!next.dependent && next.substream === 0) break;
    end += next.frameBytes;
  }
  if (end > data.length) return undefined;
  const { codec, config, frameSamples, sampleRate } = first;
  return { codec, config, end, durationMs: (frameSamples * 1000) / sampleRate };
}
