import { ENCODER_PRESETS, LADDER_PRESETS, maxBitrate, qualityOf, VOD_CODECS } from './ladder-presets.ts';
import type { VodCodec, VodLadderOptions, VodRungWish } from './ladder-presets.ts';
import type { PlannedRung } from './title-plan.ts';

export interface RungSource {
  /** As it is shown, even. */
  readonly width: number;
  readonly height: number;
  /** As it is encoded. */
  readonly framesPerSecond: number;
}

export interface PlannedRungs {
  /** Best first: the size first, then the codec as configured. */
  readonly rungs: readonly PlannedRung[];
  /** Rungs of one codec, made together. */
  readonly groups: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

/** A rung nearer to the one above than this is not worth its cost. */
const MAX_SHARE_OF_NEXT = 0.85;
/** The smallest pictures that the encoders make. */
const MIN_SIDE: Readonly<Record<VodCodec, number>> = { h264: 16, hevc: 16, av1: 64 };
/** Largest shorter side and longer side: what devices decode (H.264 level 5.2, HEVC and AV1 level 6). */
const MAX_SHORTER: Readonly<Record<VodCodec, number>> = { h264: 2304, hevc: 4352, av1: 4352 };
const MAX_LONGER: Readonly<Record<VodCodec, number>> = { h264: 4096, hevc: 8192, av1: 8192 };

/**
 * The rungs of a title: never larger than the master, same shape, even sides; a portrait picture counts by its shorter
 * side, too. Always at least one for each codec, but for pictures too small for it.
 */
export function planRungs(source: RungSource, options: VodLadderOptions): PlannedRungs {
  const { ladder } = options;
  const codecs = VOD_CODECS.filter((codec) => options.codecs.includes(codec));
  const planned = codecs.map((codec) => ({
    codec,
    rungs: wishesFor(codec, source, ladder)
      .map((wish) => rungOf(wish, codec, source, options))
      .filter(({ width, height }) => Math.min(width, height) >= MIN_SIDE[codec]),
  }));
  const rungs = planned.flatMap((each) => each.rungs).sort(bySize);
  const groups = planned.map((each) => each.rungs.map(({ id }) => id)).filter((ids) => ids.length > 0);
  return { rungs, groups, notes: [...notesOn(source, ladder), ...missing(planned)] };
}

/** Stable: of one size the codecs stay in their order. */
function bySize(a: PlannedRung, b: PlannedRung): number {
  return b.width * b.height - a.width * a.height;
}

function missing(
  planned: readonly { readonly codec: VodCodec; readonly rungs: readonly PlannedRung[] }[],
): string[] {
  return planned
    .filter(({ rungs }) => rungs.length === 0)
    .map(({ codec }) => `The pictures are too small to be encoded as ${codec}.`);
}

function notesOn(source: RungSource, ladder: VodLadderOptions['ladder']): string[] {
  if (typeof ladder === 'string') return [];
  const shorter = Math.min(source.width, source.height);
  const above = [...new Set(ladder.filter(({ height }) => height > shorter).map(({ height }) => height))];
  return above.length === 0
    ? []
    : [
        `Rungs above the master's ${shorter} lines are left out: ${above.map((each) => `${each}p`).join(', ')}.`,
      ];
}

/** Largest first. */
function wishesFor(codec: VodCodec, source: RungSource, ladder: VodLadderOptions['ladder']): VodRungWish[] {
  const top = topHeight(codec, source);
  const whole: VodRungWish = { height: top, maxBitrateBps: undefined, codec };
  if (typeof ladder !== 'string') {
    const wished = ladder
      .filter((wish) => (wish.codec ?? codec) === codec && wish.height <= top)
      .toSorted((a, b) => b.height - a.height);
    const isMeant = ladder.some((wish) => (wish.codec ?? codec) === codec);
    return wished.length > 0 || !isMeant ? wished : [whole];
  }
  const steps: readonly number[] = LADDER_PRESETS[ladder];
  const highest = Math.min(top, steps[0] ?? top);
  const wishes = [{ ...whole, height: highest }];
  let above = highest;
  for (const height of steps) {
    if (height > above * MAX_SHARE_OF_NEXT) continue;
    wishes.push({ ...whole, height });
    above = height;
  }
  return wishes;
}

/** The shorter side of the largest picture that devices decode. */
function topHeight(codec: VodCodec, { width, height }: RungSource): number {
  const shorter = Math.min(width, height);
  const longer = Math.max(width, height);
  const fitting = Math.min(shorter, MAX_SHORTER[codec], (MAX_LONGER[codec] * shorter) / longer);
  return fitting === shorter ? shorter : 2 * Math.floor(fitting / 2);
}

function rungOf(
  wish: VodRungWish,
  codec: VodCodec,
  source: RungSource,
  options: VodLadderOptions,
): PlannedRung {
  const { height } = wish;
  const shorter = Math.min(source.width, source.height);
  const longer = Math.max(source.width, source.height);
  const longerSide = Math.min(longer, 2 * Math.round((longer * height) / shorter / 2));
  const isUpright = source.height > source.width;
  const size = isUpright ? { width: height, height: longerSide } : { width: longerSide, height };
  return {
    id: codec === 'h264' ? `${height}p` : `${height}p-${codec}`,
    codec,
    ...size,
    maxBitrateBps: wish.maxBitrateBps ?? maxBitrate(size.width, size.height, source.framesPerSecond, codec),
    crf: qualityOf(height, codec),
    preset: ENCODER_PRESETS[codec][options.effort],
  };
}
