import { allocate } from './allocate.ts';
import { EsBuffer } from './es-buffer.ts';
import type { EsReader } from './pes-reader.ts';
import type { SoundFrame, SoundFramer } from './sound-framer.ts';
import type { TsCounters } from './ts-counters.ts';
import { TS_TIMESCALE, type TsAudioCodec, type TsSink } from './ts-sink.ts';
import { addTicks } from './unit-clock.ts';

/** PES packets whose times are remembered until a frame begins in them; the oldest is forgotten. */
const MAX_MARKS = 64;

interface Mark {
  readonly place: number;
  readonly pts: number;
}

interface Form {
  readonly codec: TsAudioCodec;
  readonly config: Uint8Array;
}

/**
 * Sound in PES packets → one sample a frame. Frames may cross from one packet into the next. The first that begins in
 * a packet has its time; the others follow by their exact length, so that nothing drifts.
 */
export class SoundTrack implements EsReader {
  readonly #framer: SoundFramer;
  readonly #sink: TsSink;
  readonly #counters: TsCounters;
  readonly #es: EsBuffer;
  readonly #marks: Mark[] = [];
  /** The last time a PES packet told, and the samples since. */
  #anchor: number | undefined;
  #samples = 0;
  #sampleRate = 0;
  #form: Form | undefined;
  /** What the last frame said when it said something new. */
  #unconfirmed: Form | undefined;
  /** In a stretch of bytes that are no frames; counted once. */
  #searching = false;

  constructor(framer: SoundFramer, maxBytes: number, sink: TsSink, counters: TsCounters) {
    this.#framer = framer;
    this.#sink = sink;
    this.#counters = counters;
    this.#es = new EsBuffer(maxBytes);
  }

  get heldBytes(): number {
    return this.#es.heldBytes;
  }

  begin(pts: number | undefined): void {
    if (pts === undefined) return;
    const place = this.#es.end;
    if (this.#marks.at(-1)?.place === place) this.#marks.pop();
    else if (this.#marks.length >= MAX_MARKS) this.#marks.shift();
    this.#marks.push({ place, pts });
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    return this.#es.append(bytes, start, end);
  }

  end(): void {
    const origin = this.#es.start;
    const bytes = this.#es.view(origin, this.#es.end);
    let at = 0;
    while (at < bytes.length) {
      const next = this.#frameAt(bytes, at, origin);
      if (next === undefined) break;
      at = next;
    }
    this.#es.discardTo(origin + at);
  }

  lost(): void {
    if (this.#es.heldBytes > 0) this.#counters.drop('audio', 'damaged');
    this.#es.discardTo(this.#es.end);
    this.#marks.length = 0;
    this.#anchor = undefined;
    this.#searching = false;
  }

  close(): void {
    this.#es.discardTo(this.#es.end);
  }

  /** Where to look next; undefined when more bytes are needed. */
  #frameAt(bytes: Buffer, at: number, origin: number): number | undefined {
    const result = this.#framer.frame(bytes, at);
    if (result.kind === 'more' && bytes.length - at <= this.#framer.maxFrameBytes) return undefined;
    if (result.kind === 'more' || result.kind === 'damaged') return this.#search(bytes, at);
    if (result.kind === 'skip') return result.end;
    this.#searching = false;
    this.#takeTime(origin + at);
    if (result.kind === 'unsupported') {
      this.#counters.drop('audio', 'unsupported_form');
      this.#anchor = undefined;
    } else {
      this.#frame(bytes, result);
    }
    return result.end;
  }

  #search(bytes: Buffer, at: number): number {
    if (!this.#searching) this.#counters.drop('audio', 'damaged');
    this.#searching = true;
    // Until a PES packet tells the time again nobody knows how much sound is missing.
    this.#anchor = undefined;
    const next = bytes.indexOf(this.#framer.firstByte, at + 1);
    return next < 0 ? bytes.length : next;
  }

  /** Of the PES packet in which the frame begins; each packet's is for the first that does. */
  #takeTime(place: number): void {
    while (this.#marks[0] && this.#marks[0].place <= place) {
      this.#anchor = this.#marks.shift()?.pts;
      this.#samples = 0;
    }
  }

  #frame(bytes: Buffer, frame: SoundFrame): void {
    if (this.#anchor !== undefined && frame.sampleRate !== this.#sampleRate) {
      this.#anchor = this.#now();
      this.#samples = 0;
    }
    this.#sampleRate = frame.sampleRate;
    const dts = this.#now();
    this.#samples += frame.samples;
    if (!this.#accept(frame)) this.#counters.drop('audio', 'unconfirmed_config');
    else if (dts === undefined) this.#counters.drop('audio', 'no_timestamp');
    else {
      const data = join(bytes, frame.data);
      this.#sink.sample({ kind: 'audio', dts, compositionOffset: 0, key: true, data });
    }
  }

  #now(): number | undefined {
    if (this.#anchor === undefined) return undefined;
    if (this.#samples === 0) return this.#anchor;
    return addTicks(this.#anchor, Math.round((this.#samples * TS_TIMESCALE) / this.#sampleRate));
  }

  /** A header with a wrong bit must not look like another sound: a change takes two frames that say the same. */
  #accept({ codec, config, confirmed }: SoundFrame): boolean {
    if (isForm(this.#form, codec, config)) {
      this.#unconfirmed = undefined;
      return true;
    }
    const form = { codec, config };
    if (this.#form && !confirmed && !isForm(this.#unconfirmed, codec, config)) {
      this.#unconfirmed = form;
      return false;
    }
    this.#form = form;
    this.#unconfirmed = undefined;
    this.#sink.audioConfig(codec, config);
    return true;
  }
}

function isForm(form: Form | undefined, codec: TsAudioCodec, config: Uint8Array): boolean {
  return form?.codec === codec && Buffer.compare(form.config, config) === 0;
}

function join(bytes: Buffer, data: SoundFrame['data']): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const out = allocate(data.reduce((sum, [start, end]) => sum + end - start, 0));
  let at = 0;
  for (const [start, end] of data) {
    out.set(bytes.subarray(start, end), at);
    at += end - start;
  }
  return out;
}
