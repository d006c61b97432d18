import { parseSpliceInfo, spliceTime } from '../scte35.ts';
import { Ac3Framer } from './ac3-framer.ts';
import { AdtsFramer } from './adts.ts';
import { LatmFramer } from './latm.ts';
import { MetadataTrack } from './metadata-track.ts';
import { OpusFramer } from './opus-framer.ts';
import { TsPacketReader } from './packet-reader.ts';
import { PesReader } from './pes-reader.ts';
import { PidReader, readPcr } from './pid-reader.ts';
import { ProgramSelector } from './program-selector.ts';
import { parsePat, parsePmt, type PmtSection, type PmtStream } from './psi.ts';
import { SectionReader } from './section-reader.ts';
import type { SoundFramer } from './sound-framer.ts';
import { SoundTrack } from './sound-track.ts';
import { streamKind, type StreamKind } from './stream-kind.ts';
import { TsCounters } from './ts-counters.ts';
import type { TsSink } from './ts-sink.ts';
import { VideoTrack } from './video-track.ts';

export interface TsDemuxerOptions {
  /** The program to take; left out, the first with a picture that is carried, else the first with sound. */
  readonly program?: number;
  /** Bytes of video that may be held: the PES packets and access unit under way. At the limit they are dropped. */
  readonly maxVideoBytes: number;
  /** The same of sound and of each stream of timed metadata. */
  readonly maxOtherBytes: number;
}

export const DEFAULT_TS_OPTIONS: TsDemuxerOptions = {
  maxVideoBytes: 8 * 1024 * 1024,
  maxOtherBytes: 256 * 1024,
};

/** Streams of the program that are read: one picture, one sound, and timed metadata. Further ones are counted. */
export const MAX_STREAMS = 16;

const PAT_PID = 0;
const NULL_PID = 0x1fff;
const TRANSPORT_ERROR = 0x80;
/** Values of a continuity counter. */
const COUNTER_CYCLE = 16;

/** One elementary stream that is read. */
interface Stream {
  readonly pid: number;
  /** What it is. A stream that becomes something else is another stream. */
  readonly identity: string;
  readonly kind: StreamKind['kind'];
  readonly packets: PidReader;
  /** Undefined for sections. */
  readonly pes: PesReader | undefined;
  heldBytes(): number;
}

/**
 * An MPEG transport stream (ISO/IEC 13818-1), in pieces of any size → configurations, samples and events. Pure and
 * total: whatever the bytes are, it neither throws nor holds more than its options allow; what cannot be used is
 * counted. The output does not depend on how the bytes are split.
 */
export class TsDemuxer {
  readonly counters = new TsCounters();
  readonly #sink: TsSink;
  readonly #options: TsDemuxerOptions;
  readonly #packets: TsPacketReader;
  readonly #selector: ProgramSelector;
  readonly #association: PidReader;
  #maps = new Map<number, PidReader>();
  #streams = new Map<number, Stream>();
  #pcrPid = NULL_PID;
  #pcr: number | undefined;
  #tracks = { video: false, audio: false };
  readonly #unsupported = new Set<string>();

  constructor(sink: TsSink, options: TsDemuxerOptions = DEFAULT_TS_OPTIONS) {
    this.#sink = sink;
    this.#options = options;
    this.#packets = new TsPacketReader(this.counters, (bytes, at) => this.#packet(bytes, at));
    this.#selector = new ProgramSelector(options.program, this.counters);
    this.#association = this.#sectionPid((section) => this.#associate(section));
  }

  /** The last program clock reference, ticks of 27 MHz modulo 2^33 × 300. */
  get pcr(): number | undefined {
    return this.#pcr;
  }

  /** Media bytes held now. */
  get heldBytes(): number {
    let bytes = 0;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes();
    return bytes;
  }

  push(bytes: Uint8Array): void {
    this.#packets.push(bytes);
  }

  /**
   * Packets are missing before those that come next. Continuity counters tell which streams they were of, but not when
   * a stream lost a multiple of sixteen: when that many may be missing, what is under way is dropped in all of them.
   * @param lostPackets at most so many transport packets; left out, any number
   */
  gap(lostPackets = Number.POSITIVE_INFINITY): void {
    this.counters.fault('gap');
    if (lostPackets < COUNTER_CYCLE) return;
    this.#association.gap();
    for (const map of this.#maps.values()) map.gap();
    for (const { packets } of this.#streams.values()) packets.gap();
  }

  /** The stream is over: hands on what is whole. More bytes may come all the same, as of a stream that begins. */
  flush(): void {
    this.#packets.flush();
    for (const { pes } of this.#streams.values()) pes?.close();
  }

  #packet(bytes: Buffer, at: number): void {
    const second = bytes[at + 1] ?? 0;
    if ((second & TRANSPORT_ERROR) !== 0) {
      this.counters.fault('transport_error');
      return;
    }
    const pid = ((second & 0x1f) << 8) | (bytes[at + 2] ?? 0);
    if (pid === NULL_PID) return;
    if (pid === this.#pcrPid) this.#pcr = readPcr(bytes, at) ?? this.#pcr;
    const reader =
      pid === PAT_PID ? this.#association : (this.#maps.get(pid) ?? this.#streams.get(pid)?.packets);
    reader?.packet(bytes, at);
  }

  #sectionPid(onSection: (section: Uint8Array) => void): PidReader {
    return new PidReader(new SectionReader(this.counters, onSection), this.counters);
  }

  #associate(section: Uint8Array): void {
    const pat = parsePat(section);
    if (pat === 'malformed') this.counters.fault('section_syntax');
    if (typeof pat === 'string' || !this.#selector.associate(pat)) return;
    const maps = new Map<number, PidReader>();
    for (const pid of this.#selector.mapPids) {
      maps.set(pid, this.#maps.get(pid) ?? this.#sectionPid((map) => this.#map(pid, map)));
    }
    this.#maps = maps;
    this.#applyMap();
  }

  #map(pid: number, section: Uint8Array): void {
    const map = parsePmt(section);
    if (map === 'malformed') this.counters.fault('section_syntax');
    if (typeof map !== 'string' && this.#selector.map(pid, map, section)) this.#applyMap();
    for (const passedOver of this.#selector.passedOver) this.#tellUnsupported(passedOver);
  }

  /** Opens and closes streams so that they are those of the map in force; what goes on, goes on untouched. */
  #applyMap(): void {
    const map = this.#selector.selected;
    this.#pcrPid = map?.pcrPid ?? NULL_PID;
    const before = this.#streams;
    const streams = new Map<number, Stream>();
    for (const stream of map ? this.#wanted(map) : []) {
      const identity = JSON.stringify(streamKind(stream));
      const known = before.get(stream.pid);
      const opened = known?.identity === identity ? known : this.#open(stream, identity);
      if (opened) streams.set(stream.pid, opened);
    }
    for (const [pid, stream] of before) if (streams.get(pid) !== stream) stream.pes?.close();
    this.#streams = streams;
    if (map) this.#tell(map);
  }

  /** The first picture and the first sound that are carried, and all timed metadata. */
  #wanted(map: PmtSection): PmtStream[] {
    const taken = new Set<string>();
    const wanted = map.streams.filter((stream) => {
      const { kind } = streamKind(stream);
      if (kind === 'ignored' || kind === 'unsupported' || taken.has(kind)) return false;
      if (kind === 'video' || kind === 'audio') taken.add(kind);
      return true;
    });
    if (wanted.length > MAX_STREAMS) this.counters.fault('stream_limit');
    return wanted.slice(0, MAX_STREAMS);
  }

  #open(stream: PmtStream, identity: string): Stream | undefined {
    const kind = streamKind(stream);
    const { pid } = stream;
    const { counters } = this;
    if (kind.kind === 'scte35') {
      const packets = this.#sectionPid((section) => this.#splice(section));
      return { pid, identity, kind: kind.kind, packets, pes: undefined, heldBytes: () => 0 };
    }
    const es = this.#openEs(kind);
    if (!es) return undefined;
    const pes = new PesReader(es, kind.kind === 'video', counters);
    const packets = new PidReader(pes, counters);
    return { pid, identity, kind: kind.kind, packets, pes, heldBytes: () => es.heldBytes };
  }

  #openEs(kind: StreamKind): VideoTrack | SoundTrack | MetadataTrack | undefined {
    const { maxVideoBytes, maxOtherBytes: maxBytes } = this.#options;
    if (kind.kind === 'video') {
      return new VideoTrack({ codec: kind.codec, maxBytes: maxVideoBytes }, this.#sink, this.counters);
    }
    if (kind.kind === 'audio') {
      return new SoundTrack(framerOf(kind), maxBytes, this.#sink, this.counters);
    }
    if (kind.kind !== 'id3' && kind.kind !== 'klv') return undefined;
    const cells = kind.kind === 'klv' && kind.cells;
    return new MetadataTrack({ kind: kind.kind, cells, maxBytes }, this.#sink, this.counters);
  }

  #splice(section: Uint8Array): void {
    const info = parseSpliceInfo(section);
    if (!info) {
      this.counters.fault('section_syntax');
      return;
    }
    this.#sink.event({ kind: 'scte35', pts: spliceTime(info), data: Uint8Array.from(section) });
  }

  #tell(map: PmtSection): void {
    const kinds = [...this.#streams.values()].map(({ kind }) => kind);
    const tracks = { video: kinds.includes('video'), audio: kinds.includes('audio') };
    if (tracks.video !== this.#tracks.video || tracks.audio !== this.#tracks.audio) {
      this.#tracks = tracks;
      this.#sink.tracks(tracks);
    }
    this.#tellUnsupported(map);
  }

  #tellUnsupported(map: PmtSection): void {
    for (const stream of map.streams) {
      const kind = streamKind(stream);
      if (kind.kind !== 'unsupported' || this.#unsupported.has(kind.codec)) continue;
      this.#unsupported.add(kind.codec);
      this.#sink.unsupported(kind.media, kind.codec);
    }
  }
}

function framerOf(kind: StreamKind & { readonly kind: 'audio' }): SoundFramer {
  if (kind.codec === 'opus') return new OpusFramer(kind.channelConfig);
  if (kind.codec === 'ac3') return new Ac3Framer();
  return kind.codec === 'adts' ? new AdtsFramer() : new LatmFramer();
}
