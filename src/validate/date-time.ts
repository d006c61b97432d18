const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;
const MS_PER_DAY = 86_400_000;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAY = 719_468;

/**
 * Milliseconds since 1970 of an ISO 8601 or xs:dateTime text, fraction kept; undefined for anything else. Without a
 * zone it is read as UTC.
 */
export function parseDateTime(text: string): number | undefined {
  const match = DATE_TIME.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hours, minutes, seconds = '0', fraction = '.0', zone = 'Z'] = match;
  const days = epochDay(Number(year), Number(month), Number(day));
  const ofDayMs = (Number(hours) * 60 + Number(minutes)) * 60_000 + Number(seconds) * 1000;
  return days * MS_PER_DAY + ofDayMs + Number(`0${fraction}`) * 1000 - zoneMs(zone);
}

/** Days since 1970 of a civil date; years counted from March, so that the leap day comes last. */
function epochDay(year: number, month: number, day: number): number {
  const marchYear = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfYear - EPOCH_DAY;
}

function zoneMs(zone: string): number {
  if (zone === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const ms = (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
  return zone.startsWith('-') ? -ms : ms;
}

const HTTP_DATE = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) GMT$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Milliseconds since 1970 of an HTTP date (RFC 9110 5.6.7, the form in use); undefined for anything else. */
export function parseHttpDate(text: string): number | undefined {
  const match = HTTP_DATE.exec(text);
  const month = MONTHS.indexOf(match?.[2] ?? '') + 1;
  if (!match || month === 0) return undefined;
  const [, day, , year, time] = match;
  return parseDateTime(`${year}-${String(month).padStart(2, '0')}-${day}T${time}Z`);
}
