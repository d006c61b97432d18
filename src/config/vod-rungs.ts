import { Field } from './field.ts';

/** One configured rung of titles. */
export interface ConfiguredVodRung {
  /** The picture's shorter side, pixels. */
  readonly height: number;
  /** Undefined: by the size of the picture. */
  readonly maxBitrateBps: number | undefined;
  /** Undefined: in every codec. */
  readonly codec: 'h264' | 'hevc' | 'av1' | undefined;
}

/** The ladders that have a name. */
const NAMES = ['standard', 'full', 'small'] as const;

export type ConfiguredVodLadder = (typeof NAMES)[number] | readonly ConfiguredVodRung[];

const MAX_RUNGS = 12;
const MIN_HEIGHT = 64;
const MAX_HEIGHT = 4320;
const MIN_BITRATE_BPS = 50_000;
const MAX_BITRATE_BPS = 200_000_000;
const RUNG = /^(\d{1,5})p(?:-(h264|hevc|av1))?(?::(\d{1,6})k)?$/;
const EXPECTED = `expected ${NAMES.join(', ')}, or rungs such as 1080p,720p:2500k,720p-hevc`;

/** Reads the name of a ladder, or `1080p,720p:2500k,720p-hevc`; a sentence says what is wrong. */
export function parseVodLadder(
  given: string,
): { readonly ladder: ConfiguredVodLadder } | { readonly problem: string } {
  const text = given.trim();
  const name = NAMES.find((each) => each === text);
  if (name !== undefined) return { ladder: name };
  const rungs: ConfiguredVodRung[] = [];
  for (const item of text.split(',')) {
    const [, height, codec, kilobits] = RUNG.exec(item.trim()) ?? [];
    if (height === undefined) return { problem: EXPECTED };
    const rung: ConfiguredVodRung = {
      height: Number(height),
      maxBitrateBps: kilobits === undefined ? undefined : Number(kilobits) * 1000,
      codec: codec as ConfiguredVodRung['codec'],
    };
    const problem = problemOf(rung, rungs);
    if (problem !== undefined) return { problem };
    rungs.push(rung);
  }
  return { ladder: rungs };
}

/**
 * The ladder of a configuration that was read.
 * @throws RangeError on text that {@link parseVodLadder} finds wrong: no configuration holds such
 */
export function configuredVodLadder(text: string): ConfiguredVodLadder {
  const parsed = parseVodLadder(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed.ladder;
}

/** The codecs of `vod.codecs`, which was read as a list of them. */
export function configuredVodCodecs(text: string): NonNullable<ConfiguredVodRung['codec']>[] {
  const given = text.split(',').map((word) => word.trim());
  return (['h264', 'hevc', 'av1'] as const).filter((codec) => given.includes(codec));
}

function problemOf(rung: ConfiguredVodRung, others: readonly ConfiguredVodRung[]): string | undefined {
  const { height, maxBitrateBps = MIN_BITRATE_BPS, codec } = rung;
  if (height % 2 !== 0 || height < MIN_HEIGHT || height > MAX_HEIGHT) {
    return `expected even heights from ${MIN_HEIGHT}p to ${MAX_HEIGHT}p`;
  }
  if (maxBitrateBps < MIN_BITRATE_BPS || maxBitrateBps > MAX_BITRATE_BPS) {
    return `expected bit rates from ${MIN_BITRATE_BPS / 1000}k to ${MAX_BITRATE_BPS / 1000}k`;
  }
  const isTwice = others.some(
    (other) =>
      other.height === height && (other.codec === codec || other.codec === undefined || codec === undefined),
  );
  if (isTwice) return `expected each height once in a codec (${height}p)`;
  return others.length === MAX_RUNGS ? `expected at most ${MAX_RUNGS} rungs` : undefined;
}

/** The ladder of titles, as text; see {@link parseVodLadder}. */
export function vodLadder(defaultValue: string, doc: string): Field<string> {
  return new Field<string>({
    type: 'text',
    allowed: `${NAMES.join(', ')}, or a list`,
    default: defaultValue,
    doc,
    read(raw) {
      if (typeof raw !== 'string') return { problem: EXPECTED };
      const parsed = parseVodLadder(raw);
      return 'problem' in parsed ? parsed : { value: raw.trim() };
    },
  });
}
