import { parse } from 'yaml';

/** Aliases inside each other are how a small file becomes a large one. */
const MAX_ALIASES = 100;

/**
 * Reads the YAML of another program, with the yes and no of YAML 1.1. Undefined when it is no YAML.
 */
export function readForeignYaml(source: string): unknown {
  try {
    return parse(source, { version: '1.1', maxAliasCount: MAX_ALIASES, merge: false, logLevel: 'silent' });
  } catch {
    return undefined;
  }
}
