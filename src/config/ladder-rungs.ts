import { Field } from './field.ts';

/** One configured rendition. */
export interface ConfiguredRung {
  /** The picture's shorter side, pixels. */
  readonly height: number;
  readonly bitrateBps: number;
}

export type ConfiguredRungs = 'auto' | 'none' | readonly ConfiguredRung[];

const MAX_RUNGS = 6;
const MIN_HEIGHT = 64;
const MAX_HEIGHT = 4320;
const MIN_BITRATE_BPS = 50_000;
const MAX_BITRATE_BPS = 100_000_000;
const RUNG = /^(\d{1,5})p:(\d{1,6})k$/;

/** Reads `auto`, `none`, or `720p:2500k,480p:1000k`; a sentence says what is wrong. */
export function parseLadderRungs(
  given: string,
): { readonly rungs: ConfiguredRungs } | { readonly problem: string } {
  const text = given.trim();
  if (text === 'auto' || text === 'none') return { rungs: text };
  const rungs: ConfiguredRung[] = [];
  for (const item of text.split(',')) {
    const [, height, kilobits] = RUNG.exec(item.trim()) ?? [];
    if (height === undefined || kilobits === undefined) {
      return { problem: 'expected auto, none, or rungs such as 720p:2500k,480p:1000k' };
    }
    const rung = { height: Number(height), bitrateBps: Number(kilobits) * 1000 };
    const problem = problemOf(rung, rungs);
    if (problem !== undefined) return { problem };
    rungs.push(rung);
  }
  return { rungs };
}

/**
 * The rungs of a configuration that was read.
 * @throws RangeError on text that {@link parseLadderRungs} finds wrong: no configuration holds such
 */
export function configuredRungs(text: string): ConfiguredRungs {
  const parsed = parseLadderRungs(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed.rungs;
}

function problemOf(rung: ConfiguredRung, others: readonly ConfiguredRung[]): string | undefined {
  const { height, bitrateBps } = rung;
  if (height % 2 !== 0 || height < MIN_HEIGHT || height > MAX_HEIGHT) {
    return `expected even heights from ${MIN_HEIGHT}p to ${MAX_HEIGHT}p`;
  }
  if (bitrateBps < MIN_BITRATE_BPS || bitrateBps > MAX_BITRATE_BPS) {
    return `expected bit rates from ${MIN_BITRATE_BPS / 1000}k to ${MAX_BITRATE_BPS / 1000}k`;
  }
  if (others.some((other) => other.height === height)) return `expected each height once (${height}p)`;
  return others.length === MAX_RUNGS ? `expected at most ${MAX_RUNGS} rungs` : undefined;
}

/** The ladder, as text; see {@link parseLadderRungs}. */
export function ladderRungs(defaultValue: string, doc: string): Field<string> {
  return new Field<string>({
    type: 'text',
    allowed: 'auto, none, or a list',
    default: defaultValue,
    doc,
    read(raw) {
      if (typeof raw !== 'string') {
        return { problem: 'expected auto, none, or rungs such as 720p:2500k,480p:1000k' };
      }
      const parsed = parseLadderRungs(raw);
      return 'problem' in parsed ? parsed : { value: raw.trim() };
    },
  });
}
