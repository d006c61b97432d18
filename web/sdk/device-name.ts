/** In the order in which they hide behind each other's names. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg/, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bFirefox\//, 'Firefox'],
  [/Chrom(e|ium)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'Mac'],
  [/Linux|X11/, 'Linux'],
];

/** A name that tells a person which of several devices it is: `Firefox-Linux-k3f9`. */
export function deviceNameFrom(userAgent: string, random: number): string {
  const nameIn = (table: typeof BROWSERS, other: string): string =>
    table.find(([pattern]) => pattern.test(userAgent))?.[1] ?? other;
  const mark = Math.floor(random * 36 ** 4)
    .toString(36)
    .padStart(4, '0');
  return `${nameIn(BROWSERS, 'Browser')}-${nameIn(SYSTEMS, 'Device')}-${mark}`;
}
