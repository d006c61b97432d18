import { parse } from 'yaml';

/** Aliases inside each other are how a small file becomes a large one. */
const MAX_ALIASES = 100;

/** Reads YAML 1.2, in which times are text and `NO` is a country. Undefined when it is no YAML. */
export function readPlainYaml(source: string): unknown {
  try {
    return parse(source, { maxAliasCount: MAX_ALIASES, merge: false, logLevel: 'silent' }) ?? null;
  } catch {
    return undefined;
  }
}
