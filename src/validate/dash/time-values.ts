const DURATION = /^(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const DAY = 86_400;

/**
 * Seconds of an xs:duration. Years and months are refused: they have no fixed length, and DASH-IF forbids them.
 * Undefined when it is none.
 */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (!match || text.endsWith('P') || text.endsWith('T')) return undefined;
  const [, sign, days = '0', hours = '0', minutes = '0', seconds = '0'] = match;
  const total = Number(days) * DAY + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return sign ? -total : total;
}

const RATIO = /^(\d+)(?:\/(\d+))?$/;

/** Frames a second of `25` or `30000/1001`. Undefined when it is neither. */
export function parseFrameRate(text: string): number | undefined {
  const match = RATIO.exec(text);
  if (!match) return undefined;
  const rate = Number(match[1]) / Number(match[2] ?? 1);
  return Number.isFinite(rate) && rate > 0 ? rate : undefined;
}

/** A whole number that is not negative. */
export function parseUnsigned(text: string): number | undefined {
  return /^\+?\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** A decimal number, or `INF`. */
export function parseDecimal(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === 'INF') return Number.POSITIVE_INFINITY;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
}
