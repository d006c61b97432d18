import { type Amf0Value, isAmf0Object } from '../../media/amf0.ts';
import { parseAudioTag, parseVideoTag } from '../../media/flv.ts';
import type { ForeignAudioEncoder, ForeignAudioFeed } from '../../stream/foreign-audio.ts';
import type { Publisher } from '../../stream/publisher.ts';
import type { RtmpMessage } from './protocol.ts';

/** What became of one media message. */
export type FeedResult =
  | { readonly kind: 'fed' }
  /** Nothing in it to use, and nothing wrong with it. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unsupported'; readonly codec: string }
  | { readonly kind: 'malformed' };

const FED: FeedResult = { kind: 'fed' };

/** Gives a video message to the publisher. */
export function feedVideo(publisher: Publisher, message: RtmpMessage): FeedResult {
  const tag = parseVideoTag(message.payload);
  if (tag.kind === 'config') publisher.videoConfig(tag.config);
  else if (tag.kind === 'frame') {
    publisher.write({
      kind: 'video',
      dts: message.timestamp,
      compositionOffset: tag.compositionOffsetMs,
      key: tag.key,
      data: tag.data,
    });
  } else return tag;
  return FED;
}

/** SoundFormat (FLV annex E.4.2.1) of the codecs beside AAC that FLV itself has. */
const FOREIGN_FORMATS: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14]);

/**
 * Gives one publisher's audio messages to it: AAC as it is, other codecs through an encoder where there is one. The
 * publisher may change between them. Whoever makes it closes it.
 */
export class AudioFeed {
  readonly #publisher: Publisher;
  readonly #encoder: ForeignAudioEncoder | undefined;
  #foreign: ForeignAudioFeed | undefined;

  constructor(publisher: Publisher, encoder: ForeignAudioEncoder | undefined) {
    this.#publisher = publisher;
    this.#encoder = encoder;
  }

  feed(message: RtmpMessage): FeedResult {
    const { payload, timestamp } = message;
    const tag = parseAudioTag(payload);
    if (tag.kind === 'unsupported') return this.#feedForeign(message) ?? tag;
    if (tag.kind !== 'config' && tag.kind !== 'frame') return tag;
    this.#foreign?.stop();
    if (tag.kind === 'config') this.#publisher.audioConfig(tag.config);
    else {
      this.#publisher.write({
        kind: 'audio',
        dts: timestamp,
        compositionOffset: 0,
        key: true,
        data: tag.data,
      });
    }
    return FED;
  }

  close(): void {
    this.#foreign?.close();
  }

  /** Undefined when nobody can encode it. */
  #feedForeign({ payload, timestamp }: RtmpMessage): FeedResult | undefined {
    const format = (payload[0] ?? 0) >> 4;
    if (!this.#encoder || !FOREIGN_FORMATS.has(format)) return undefined;
    if (payload.length < 2) return { kind: 'ignored' };
    this.#foreign ??= this.#encoder.open(this.#publisher);
    this.#foreign.feed(timestamp, payload);
    return FED;
  }
}

/**
 * Gives metadata to the publisher: `@setDataFrame, onMetaData, {…}` or the last two alone. Other handlers, and metadata
 * that names no codec, say nothing about what will come.
 */
export function feedData(publisher: Publisher, values: readonly Amf0Value[]): void {
  const [name, properties] = values[0] === '@setDataFrame' ? values.slice(1) : values;
  if (name !== 'onMetaData' || !isAmf0Object(properties)) return;
  const video = announces(properties.get('videocodecid'));
  const audio = announces(properties.get('audiocodecid'));
  if (video || audio) publisher.announce({ video, audio });
}

/** Codec ids come as numbers or as FourCC text; 0 and the empty text are what some encoders send for "none". */
function announces(codecId: Amf0Value): boolean {
  return (typeof codecId === 'number' && codecId > 0) || (typeof codecId === 'string' && codecId !== '');
}
