import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CONFIG_SCHEMA, type Config } from '../config.ts';
import { checkConfig } from './check-config.ts';
import { buildConfig } from './schema.ts';
import { ConfigDraft, readEnvironment, readFlags, readYaml, type ConfigIssue } from './sources.ts';

/** The file that is read when none is named, if it is there. */
export const DEFAULT_CONFIG_FILE = 'headwater.yaml';

/** Where a configuration is looked for. */
export interface ConfigSources {
  /** `--config`; must exist. Without it `headwater.yaml` in `cwd` is read if it is there. */
  readonly file?: string | undefined;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--set path=value`, in order. */
  readonly flags?: readonly string[];
}

/** A configuration that may be used, or every reason why not. */
export type LoadedConfig =
  | { readonly config: Config; readonly file: string | undefined; readonly origin: (path: string) => string }
  | { readonly issues: readonly ConfigIssue[] };

/** Reads defaults < file < environment < flags and checks the whole. All problems are found at once. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const draft = new ConfigDraft();
  const file = readFile(sources, draft);
  readEnvironment(CONFIG_SCHEMA, sources.env, draft);
  readFlags(CONFIG_SCHEMA, sources.flags ?? [], draft);
  const config: Config = buildConfig(CONFIG_SCHEMA, draft.values);
  if (draft.issues.length === 0) checkConfig(config, draft);
  if (draft.issues.length > 0) return { issues: draft.issues };
  return { config, file, origin: (path) => draft.origin(path) };
}

/** One line as people and editors read it: `file:line:col path: what`. */
export function formatIssue(issue: ConfigIssue): string {
  return issue.path === '' ? `${issue.where}: ${issue.what}` : `${issue.where} ${issue.path}: ${issue.what}`;
}

function readFile(sources: ConfigSources, draft: ConfigDraft): string | undefined {
  const name = sources.file ?? DEFAULT_CONFIG_FILE;
  let source: string;
  try {
    source = readFileSync(resolve(sources.cwd, name), 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    if (sources.file !== undefined || code !== 'ENOENT') draft.refuse(name, '', `cannot be read (${code})`);
    return undefined;
  }
  readYaml(CONFIG_SCHEMA, source, name, draft);
  return name;
}
