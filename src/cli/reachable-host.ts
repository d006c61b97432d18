const EVERY_ADDRESS = new Set(['0.0.0.0', '::', 'localhost']);

/** What to put in a URL, on this machine, for something that listens on `host`. */
export function reachableHost(host: string): string {
  if (EVERY_ADDRESS.has(host)) return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
