import { allocate } from './allocate.ts';
import { AccessUnitCutter, type CutUnit, type NalPlace } from './access-unit-cutter.ts';
import { AVC_FORMAT, HEVC_FORMAT, type NalFormat } from './nal-format.ts';
import { ParameterSets } from './parameter-sets.ts';
import type { EsReader } from './pes-reader.ts';
import {
  areOneFrame,
  AvcInspector,
  HevcInspector,
  type PictureFacts,
  type PictureInspector,
} from './picture.ts';
import type { TsCounters } from './ts-counters.ts';
import type { TsSink } from './ts-sink.ts';
import { ticksBetween, UnitClock, type UnitTimes } from './unit-clock.ts';

/** Parameter sets of one access unit that are looked at; real ones have 2 to 6. */
const MAX_SETS_IN_UNIT = 64;
/** PES packets in a row that began with an access unit, before one is believed to end with it. */
const ALIGNED_TO_TRUST = 6;
/** By so much that trust gets dearer each time it was betrayed. */
const BETRAYAL_FACTOR = 16;
const MAX_TRUST_PRICE = 1e6;
/** Zero bytes that a start code may have before it at the beginning of a PES packet. */
const LEADING_ZEROS = 2;
const LENGTH_BYTES = 4;

interface Picture {
  readonly times: UnitTimes;
  readonly facts: PictureFacts;
  readonly data: Uint8Array;
}

export interface VideoTrackOptions {
  readonly codec: 'h264' | 'hevc';
  /** Bytes of access units and PES packets under way. */
  readonly maxBytes: number;
}

/**
 * H.264 or HEVC in PES packets → samples. An access unit is handed on as soon as its PES packet is known to be over
 * and the stream is one that begins an access unit with each PES packet, else when the next access unit begins. The
 * two fields of a frame make one sample (H.264 only).
 */
export class VideoTrack implements EsReader {
  readonly #format: NalFormat;
  readonly #sink: TsSink;
  readonly #counters: TsCounters;
  readonly #cutter: AccessUnitCutter;
  readonly #sets: ParameterSets;
  readonly #inspector: PictureInspector;
  readonly #clock = new UnitClock();
  /** The first field of a frame, waiting for the second. */
  #field: Picture | undefined;
  /** What came before the next picture was dropped. */
  #afterDamage = false;
  #early = false;
  /** Where the PES packet under way begins, until it is known what it begins with. */
  #pesStart: number | undefined;
  #pesTimed = false;
  /** The PES packet before was full: that this one goes on with its access unit says nothing of the others. */
  #mayGoOn = false;
  #aligned = 0;
  #trustPrice = ALIGNED_TO_TRUST;
  /** A key picture has been handed on. */
  #started = false;
  /** Presentation time of the open-GOP key picture whose leading pictures cannot be decoded. */
  #leadingUntil: number | undefined;

  constructor(options: VideoTrackOptions, sink: TsSink, counters: TsCounters) {
    const avc = options.codec === 'h264';
    this.#format = avc ? AVC_FORMAT : HEVC_FORMAT;
    this.#inspector = avc ? new AvcInspector() : new HevcInspector();
    this.#sink = sink;
    this.#counters = counters;
    this.#sets = new ParameterSets(this.#format);
    this.#cutter = new AccessUnitCutter(this.#format, options.maxBytes, (unit) => this.#unit(unit));
  }

  get heldBytes(): number {
    return this.#cutter.es.heldBytes + (this.#field?.data.length ?? 0);
  }

  begin(pts: number | undefined, dts: number | undefined, randomAccess: boolean): void {
    const times = pts === undefined || dts === undefined ? undefined : { pts, dts };
    this.#judgeBeginning();
    this.#pesStart = this.#cutter.es.end;
    this.#pesTimed = times !== undefined;
    this.#cutter.mark(times, randomAccess);
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    if (!this.#cutter.es.append(bytes, start, end)) return false;
    // The access unit before may end where this packet begins: no need to wait for all of it.
    if (this.#pesStart !== undefined) this.#scanBeginning();
    return true;
  }

  end(early: boolean, full: boolean): void {
    this.#cutter.scan();
    this.#judgeBeginning();
    this.#mayGoOn = full;
    if (!early || full || this.#aligned < this.#trustPrice) return;
    this.#early = true;
    this.#cutter.finish();
    this.#early = false;
  }

  lost(): void {
    this.#cutter.scan();
    this.#pesStart = undefined;
    const field = this.#field !== undefined;
    this.#field = undefined;
    if (this.#cutter.drop() || field) this.#damaged();
  }

  close(): void {
    this.#cutter.finish();
    if (this.#field) this.#deliver(this.#field);
    this.#field = undefined;
  }

  #scanBeginning(): void {
    this.#cutter.scan();
    if (this.#beginsHere()) this.#judgeBeginning();
  }

  /** An access unit begins where the PES packet under way does. */
  #beginsHere(): boolean {
    const { firstSinceMark: first } = this.#cutter;
    const start = this.#pesStart;
    return first !== undefined && start !== undefined && first >= start && first <= start + LEADING_ZEROS;
  }

  /** Learns whether PES packets of this stream begin with an access unit and its time. */
  #judgeBeginning(): void {
    if (this.#pesStart === undefined) return;
    if (this.#beginsHere() && this.#pesTimed) this.#aligned++;
    else if (!this.#mayGoOn) {
      if (this.#aligned >= this.#trustPrice) {
        this.#trustPrice = Math.min(MAX_TRUST_PRICE, this.#trustPrice * BETRAYAL_FACTOR);
      }
      this.#aligned = 0;
    }
    this.#pesStart = undefined;
  }

  #drop(cause: 'no_timestamp' | 'no_picture' | 'leading' | 'too_many_units'): void {
    this.#counters.drop('video', cause);
  }

  #damaged(): void {
    this.#counters.drop('video', 'damaged');
    this.#clock.reset();
    this.#afterDamage = true;
  }

  #unit(unit: CutUnit): void {
    if (unit.tooMany) {
      this.#drop('too_many_units');
      return;
    }
    if (!unit.whole) {
      this.#damaged();
      return;
    }
    const slices = this.#views(unit, 'slice');
    const facts = this.#inspect(unit, slices);
    if (this.#field && !(facts && areOneFrame(this.#field.facts, facts))) this.#loneField(this.#field);
    if (slices.length === 0) {
      if (unit.nals.some(({ role }) => role !== 'parameter')) this.#drop('no_picture');
      return;
    }
    this.#configure(facts.key);
    const times = this.#clock.next(unit.mark?.times, () => this.#frameRate());
    const data = this.#assemble(unit);
    if (times) this.#picture({ times, facts, data });
    else this.#drop('no_timestamp');
  }

  #inspect(unit: CutUnit, slices: readonly Uint8Array[]): PictureFacts {
    this.#sets.take(this.#views(unit, 'parameter').slice(0, MAX_SETS_IN_UNIT));
    return this.#inspector.inspect({
      slices,
      prefixes: this.#views(unit, 'prefix'),
      randomAccess: unit.mark?.randomAccess ?? false,
      sps: this.#sets.sps,
    });
  }

  /** The first configuration comes as soon as it can be made, a changed one only with a key picture. */
  #configure(key: boolean): void {
    if (!key && this.#sets.configured) return;
    const config = this.#sets.nextConfig();
    if (config) this.#sink.videoConfig(this.#format.codec, config);
  }

  #frameRate(): number | undefined {
    const { sps } = this.#sets;
    return sps && this.#format.frameRate(sps);
  }

  #views({ nals }: CutUnit, wanted: NalPlace['role']): Uint8Array[] {
    return nals
      .filter(({ role, start, end }) => role === wanted && end > start)
      .map(({ start, end }) => this.#cutter.es.view(start, end));
  }

  /** The one copy of an access unit: NAL units with their lengths before them. */
  #assemble({ nals }: CutUnit): Uint8Array {
    const kept = nals.filter((nal) => this.#isKept(nal));
    const sizeBytes = kept.reduce((sum, { start, end }) => sum + LENGTH_BYTES + end - start, 0);
    const out = allocate(sizeBytes);
    let at = 0;
    for (const { start, end } of kept) {
      writeLength(out, at, end - start);
      out.set(this.#cutter.es.view(start, end), at + LENGTH_BYTES);
      at += LENGTH_BYTES + end - start;
    }
    return out;
  }

  /** Parameter sets that the configuration does not have stay where they are: decoders find them there. */
  #isKept({ role, start, end }: NalPlace): boolean {
    if (end === start || role === 'discard') return false;
    if (role !== 'parameter') return true;
    if (!this.#sets.configured || this.#sets.isConfigured(this.#cutter.es.view(start, end))) return false;
    this.#counters.inBandParameterSets++;
    return true;
  }

  #picture(picture: Picture): void {
    if (this.#field) {
      const first = this.#field;
      this.#field = undefined;
      this.#deliver({ ...first, data: joinFields(first.data, picture.data) });
    } else if (picture.facts.field) {
      this.#field = picture;
    } else {
      this.#deliver(picture);
    }
  }

  /** A field without its other one. After damage the other is what is missing. */
  #loneField(field: Picture): void {
    this.#field = undefined;
    if (this.#afterDamage) this.#damaged();
    else this.#deliver(field);
  }

  #deliver({ times, facts, data }: Picture): void {
    this.#afterDamage = false;
    if (this.#isLeading(times, facts)) {
      this.#drop('leading');
      return;
    }
    if (this.#early) this.#counters.earlyAccessUnits++;
    else this.#counters.lateAccessUnits++;
    const compositionOffset = ticksBetween(times.pts, times.dts);
    this.#sink.sample({ kind: 'video', dts: times.dts, compositionOffset, key: facts.key, data });
  }

  /** Pictures that belong before the first key picture of the stream and need what was never received. */
  #isLeading(times: UnitTimes, facts: PictureFacts): boolean {
    if (facts.key) {
      this.#leadingUntil = facts.openGop && !this.#started ? times.pts : undefined;
      this.#started = true;
      return false;
    }
    if (this.#leadingUntil === undefined) return false;
    if (this.#format === HEVC_FORMAT ? facts.skipped : ticksBetween(times.pts, this.#leadingUntil) < 0)
      return true;
    // HEVC lets decodable leading pictures lie among the others.
    if (ticksBetween(times.pts, this.#leadingUntil) > 0) this.#leadingUntil = undefined;
    return false;
  }
}

function writeLength(out: Uint8Array, at: number, length: number): void {
  out[at] = length >>> 24;
  out[at + 1] = length >>> 16;
  out[at + 2] = length >>> 8;
  out[at + 3] = length;
}

function joinFields(first: Uint8Array, second: Uint8Array): Uint8Array {
  const frame = allocate(first.length + second.length);
  frame.set(first);
  frame.set(second, first.length);
  return frame;
}
