const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNITS_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

/** A duration as Go programs write it (`1s`, `200ms`, `1h30m`), in milliseconds. */
export function parseDurationMs(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sumMs += Number(amount) * (UNITS_MS[unit] ?? 0);
  }
  return Math.round(sumMs);
}

/** A size as `50M`, in bytes. */
export function parseSizeBytes(text: unknown): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)B?$/.exec(String(text)) ?? [];
  return amount === undefined ? undefined : Math.round(Number(amount) * (UNITS_BYTES[unit] ?? 1));
}

/** `:8888`, `127.0.0.1:8888` or `[::1]:8888`; no host is every address. */
export function parseAddress(
  text: unknown,
): { readonly host: string | undefined; readonly port: number } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(String(text)) ?? [];
  if (port === undefined) return undefined;
  const host = bracketed ?? plain ?? '';
  return { host: host === '' ? undefined : host, port: Number(port) };
}
