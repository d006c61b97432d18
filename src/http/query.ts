/** Parameters past this many are ignored. */
const MAX_PARAMETERS = 64;

/**
 * The parameters of a query string, percent-decoded, `+` as a space. The first value of a repeated name counts.
 * Total: a parameter that does not decode is left out.
 */
export function parseQuery(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  if (query === '') return parameters;
  for (const pair of query.split('&', MAX_PARAMETERS)) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1));
    if (name && value !== undefined && !parameters.has(name)) parameters.set(name, value);
  }
  return parameters;
}

function decode(text: string): string | undefined {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
