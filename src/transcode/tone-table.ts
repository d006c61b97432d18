import type { HdrRange } from '../media/colour.ts';

/** Points along each side of the table; between them ffmpeg interpolates. */
const SIZE = 33;
/** White of the display the picture is made for; brightest that is expected, in units of it. */
const WHITE_NITS = 100;
const PEAK = 10;

type Rgb = readonly [number, number, number];

/** BT.2020 to BT.709 in linear light (BT.2087 annex A). */
const TO_709: readonly Rgb[] = [
  [1.6605, -0.5876, -0.0728],
  [-0.1246, 1.1329, -0.0083],
  [-0.0182, -0.1006, 1.1187],
];

/** SMPTE ST 2084: a number of 0 to 1 to nits. */
function pqNits(value: number): number {
  const root = value ** (32 / 2523);
  const linear = Math.max(0, root - 0.8359375) / (18.8515625 - 18.6875 * root);
  return 10_000 * linear ** (8192 / 1305);
}

/** BT.2100 HLG on a display of 1000 nits: the numbers of a colour to nits. */
function hlgNits(values: Rgb): Rgb {
  const [a, b, c] = [0.178_832_77, 0.284_668_92, 0.559_910_73];
  const [r, g, blue] = values.map((value) =>
    value <= 0.5 ? value ** 2 / 3 : (Math.exp((value - c) / a) + b) / 12,
  ) as unknown as Rgb;
  const gain = 1000 * (0.2627 * r + 0.678 * g + 0.0593 * blue) ** 0.2;
  return [r * gain, g * gain, blue * gain];
}

/** The curve of Hable: dark tones as they are, bright ones together. */
function hable(value: number): number {
  return (value * (0.15 * value + 0.05) + 0.004) / (value * (0.15 * value + 0.5) + 0.06) - 0.004 / 0.06;
}

function toSdr(nits: Rgb): Rgb {
  const linear = TO_709.map((row) =>
    Math.max(0, (row[0] * nits[0] + row[1] * nits[1] + row[2] * nits[2]) / WHITE_NITS),
  );
  // All three by what the brightest of them is brought down by, so that the hue stays.
  const brightest = Math.max(...linear, 1e-6);
  const gain = hable(Math.min(brightest, PEAK)) / hable(PEAK) / brightest;
  // BT.1886, backwards.
  return linear.map((value) => Math.min(1, value * gain) ** (1 / 2.4)) as unknown as Rgb;
}

/**
 * A table for ffmpeg's lut3d (the text of a .cube file) that brings RGB in the colours and transfer of HDR down to SDR in
 * BT.709. For an ffmpeg that cannot reckon with linear light.
 */
export function toneTable(range: HdrRange): string {
  const lines = [`LUT_3D_SIZE ${SIZE}`];
  const at = (index: number): number => index / (SIZE - 1);
  for (let b = 0; b < SIZE; b++) {
    for (let g = 0; g < SIZE; g++) {
      for (let r = 0; r < SIZE; r++) {
        const values: Rgb = [at(r), at(g), at(b)];
        const nits: Rgb =
          range === 'pq' ? (values.map((value) => pqNits(value)) as unknown as Rgb) : hlgNits(values);
        lines.push(
          toSdr(nits)
            .map((value) => value.toFixed(5))
            .join(' '),
        );
      }
    }
  }
  return `${lines.join('\n')}\n`;
}
