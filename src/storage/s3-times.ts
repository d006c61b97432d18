/** `20261123T040500Z`, as requests are signed with. */
export function amzTime(wallMs: number): string {
  // oxlint-disable-next-line no-restricted-globals -- writes a time that was given
  return new Date(wallMs).toISOString().replace(/[:-]|\.\d{3}/g, '');
}

/** Ms since the Unix epoch of a time in a header or in XML; NaN when it is none. */
export function parseTime(text: string | undefined): number {
  // oxlint-disable-next-line no-restricted-globals -- reads a time, does not ask for it
  return Date.parse(text ?? '');
}
