/** Packets of unbroken order that lower the tolerance by one. */
const CALM_PACKETS = 50;

/**
 * How many later packets a missing one may be overtaken by before it counts as lost. It learns from packets that came
 * late without having been sent again, as libsrt's does.
 */
export class ReorderTolerance {
  readonly #max: number;
  #packets = 0;
  #calm = 0;

  constructor(maxPackets: number) {
    this.#max = maxPackets;
  }

  get packets(): number {
    return this.#packets;
  }

  /** A packet came that `distance` later ones had overtaken, by its first sending. */
  overtaken(distance: number): void {
    this.#packets = Math.min(this.#max, Math.max(this.#packets, distance));
    this.#calm = 0;
  }

  inOrder(): void {
    if (this.#packets === 0) return;
    this.#calm += 1;
    if (this.#calm < CALM_PACKETS) return;
    this.#calm = 0;
    this.#packets -= 1;
  }
}
