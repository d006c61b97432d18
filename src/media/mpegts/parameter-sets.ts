import type { NalFormat, ParameterSetKind } from './nal-format.ts';

/** A parameter set longer than this is damage: real ones are below 1 kB. */
export const MAX_PARAMETER_SET_BYTES = 8192;
/** Sets of one kind that are kept (ISO/IEC 14496-15 has room for 31 SPS); further ones are not. */
const MAX_SETS = 31;

interface ParameterSet {
  readonly kind: ParameterSetKind;
  readonly id: number;
  readonly bytes: Uint8Array;
}

/**
 * The parameter sets of a video stream: those that came, and those that the configuration handed on has. An SPS that
 * was not there before begins anew: what was there belongs to an earlier encoding and is forgotten.
 */
export class ParameterSets {
  readonly #format: NalFormat;
  #sets: ParameterSet[] = [];
  #configured: readonly ParameterSet[] = [];
  /** Sets came that the configuration does not have. */
  #changed = false;

  constructor(format: NalFormat) {
    this.#format = format;
  }

  /** The first SPS in force. */
  get sps(): Uint8Array | undefined {
    return this.#sets.find(({ kind }) => kind === 'sps')?.bytes;
  }

  get configured(): boolean {
    return this.#configured.length > 0;
  }

  /** Is this set, byte for byte, in the configuration handed on? */
  isConfigured(unit: Uint8Array): boolean {
    return this.#configured.some(({ bytes }) => same(bytes, unit));
  }

  /** Takes the parameter sets of one access unit, in their order. */
  take(units: readonly Uint8Array[]): void {
    let anew = false;
    for (const unit of units) {
      if (unit.length > MAX_PARAMETER_SET_BYTES || this.#sets.some(({ bytes }) => same(bytes, unit)))
        continue;
      const kind = this.#format.setKind(this.#format.type(unit, 0));
      const id = this.#format.setId(kind, unit);
      if (id < 0) continue;
      if (kind === 'sps' && !anew && this.#sets.some((set) => set.kind === 'sps')) {
        anew = true;
        this.#forgetEarlier(units);
      }
      this.#replace({ kind, id, bytes: new Uint8Array(unit) });
    }
  }

  /** Keeps what is in `units`, and kinds of which nothing is. */
  #forgetEarlier(units: readonly Uint8Array[]): void {
    const kinds = new Set(units.map((unit) => this.#format.setKind(this.#format.type(unit, 0))));
    this.#sets = this.#sets.filter(
      ({ kind, bytes }) => !kinds.has(kind) || units.some((unit) => same(unit, bytes)),
    );
  }

  #replace(set: ParameterSet): void {
    const others = this.#sets.filter(({ kind, id }) => kind !== set.kind || id !== set.id);
    if (others.filter(({ kind }) => kind === set.kind).length >= MAX_SETS) return;
    this.#sets = [...others, set];
    this.#changed = true;
  }

  /** The configuration to hand on now, or undefined when the one handed on is right or none can be made. */
  nextConfig(): Uint8Array | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    if (this.#isAsConfigured()) return undefined;
    const of = (wanted: ParameterSetKind): Uint8Array[] =>
      this.#sets.filter(({ kind }) => kind === wanted).map(({ bytes }) => bytes);
    const config = this.#format.config(of('vps'), of('sps'), of('pps'));
    if (config) this.#configured = this.#sets;
    return config;
  }

  #isAsConfigured(): boolean {
    return (
      this.#sets.length === this.#configured.length &&
      this.#sets.every(({ bytes }) => this.isConfigured(bytes))
    );
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
