import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CONFIG_SCHEMA } from '../config.ts';
import { printConfig, renderConfigDoc, renderExample } from './describe.ts';
import { integer, text } from './field.ts';
import { buildConfig, listKeys } from './schema.ts';
import { ConfigDraft, readEnvironment, readYaml } from './sources.ts';

const SMALL = {
  name: text('x', 'A name.'),
  peer: {
    port: integer(1, { min: 0, max: 9 }, 'A | port.'),
    password: text('none', 'A password.', { secret: true }),
  },
};

describe('printConfig', () => {
  it('prints YAML with the origin of what is not a default, and no secret', () => {
    const draft = new ConfigDraft();
    readYaml(SMALL, 'name: "yes"\npeer: { password: hunter2 }', 'h.yaml', draft);
    const printed = printConfig(SMALL, buildConfig(SMALL, draft.values), (path) => draft.origin(path));
    expect(printed).toBe(
      'name: yes # h.yaml:1:7\npeer:\n  port: 1\n  password: "[redacted]" # h.yaml:2:19\n',
    );
  });

  it('gives back the same configuration when it is read again', () => {
    const config = buildConfig(CONFIG_SCHEMA, new Map());
    expect(parse(printConfig(CONFIG_SCHEMA, config, () => 'default'))).toEqual(config);
  });
});

describe('a secret key', () => {
  it('never shows its value in an error', () => {
    const draft = new ConfigDraft();
    readEnvironment(SMALL, { HEADWATER_PEER__PASSWORD: 'hunter2\u0007' }, draft);
    expect(draft.issues).toHaveLength(1);
    expect(JSON.stringify(draft.issues)).not.toContain('hunter2');
  });
});

describe('the documents', () => {
  it('have every key with its default and environment name', () => {
    const doc = renderConfigDoc(CONFIG_SCHEMA);
    for (const { path, env, field } of listKeys(CONFIG_SCHEMA)) {
      const shown = field.default === '' ? '(none)' : `\`${field.default}\``;
      expect(doc).toContain(`| \`${path}\` | ${shown} |`);
      expect(doc).toContain(`\`${env}\` |`);
    }
    expect(renderConfigDoc(SMALL)).toContain('A \\| port.');
  });

  it('have an example file that is the defaults', () => {
    expect(parse(renderExample(CONFIG_SCHEMA))).toEqual(buildConfig(CONFIG_SCHEMA, new Map()));
  });

  it('give every key a sentence', () => {
    for (const { path, field } of listKeys(CONFIG_SCHEMA)) expect(field.doc, path).toMatch(/^[A-Z`].*\.$/);
  });

  it('have defaults that the keys themselves accept', () => {
    for (const { path, field } of listKeys(CONFIG_SCHEMA)) {
      expect(field.read(field.default), path).toEqual({ value: field.default });
    }
  });
});
