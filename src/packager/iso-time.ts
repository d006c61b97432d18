const MS_PER_DAY = 86_400_000;
/** Days of a 400-year cycle of the Gregorian calendar. */
const CYCLE_DAYS = 146_097;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAY = 719_468;

/**
 * `2026-11-22T12:00:00.123Z` for milliseconds since the Unix epoch (floored to whole ms; years 1970 to 9999). Plain
 * arithmetic: the same instant always gives the same text, wherever the process runs.
 */
export function isoTime(epochMs: number): string {
  const ms = Math.floor(epochMs);
  const day = Math.floor(ms / MS_PER_DAY);
  return `${isoDate(day)}T${isoTimeOfDay(ms - day * MS_PER_DAY)}Z`;
}

/** Civil date of a day number, counted in years that begin in March so that the leap day comes last. */
function isoDate(epochDay: number): string {
  const day = epochDay + EPOCH_DAY;
  const cycle = Math.floor(day / CYCLE_DAYS);
  const dayOfCycle = day - cycle * CYCLE_DAYS;
  const yearOfCycle = Math.floor(
    (dayOfCycle -
      Math.floor(dayOfCycle / 1460) +
      Math.floor(dayOfCycle / 36_524) -
      Math.floor(dayOfCycle / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfCycle - (365 * yearOfCycle + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = cycle * 400 + yearOfCycle + (month <= 2 ? 1 : 0);
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)}`;
}

function isoTimeOfDay(ms: number): string {
  const hours = pad(Math.floor(ms / 3_600_000), 2);
  const minutes = pad(Math.floor(ms / 60_000) % 60, 2);
  const seconds = pad(Math.floor(ms / 1000) % 60, 2);
  return `${hours}:${minutes}:${seconds}.${pad(ms % 1000, 3)}`;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}
