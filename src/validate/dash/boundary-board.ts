/** Where one Representation's segment was found to begin. */
export interface Boundary {
  /** Period and AdaptationSet. */
  readonly set: string;
  readonly representation: string;
  /** Place of the segment on the MPD's time line, seconds in the Period. */
  readonly nominalStart: number;
  /** Where its first sample is decoded, seconds of media time less presentationTimeOffset. */
  readonly actualStart: number;
  readonly sampleSeconds: number;
}

/** Sets and moments remembered; older ones are forgotten first. */
const MAX_MOMENTS = 2000;

/** Compares the segment boundaries of the Representations that players switch between. */
export class BoundaryBoard {
  readonly #first = new Map<string, Boundary>();

  /** Notes a segment; what is wrong with it beside those of the other Representations, if anything. */
  note(boundary: Boundary): string | undefined {
    const key = `${boundary.set} ${boundary.nominalStart.toFixed(3)}`;
    const first = this.#first.get(key);
    if (!first) {
      this.#first.set(key, boundary);
      const [oldest] = this.#first.keys();
      if (this.#first.size > MAX_MOMENTS && oldest !== undefined) this.#first.delete(oldest);
      return undefined;
    }
    if (first.representation === boundary.representation) return undefined;
    const distance = boundary.actualStart - first.actualStart;
    // Half a sample apart, a switch shows or leaves out another one.
    if (Math.abs(distance) < Math.min(first.sampleSeconds, boundary.sampleSeconds) / 2) return undefined;
    const ms = (distance * 1000).toFixed(1);
    return `begins ${ms} ms after the segment of ${first.representation} at the same place`;
  }
}
