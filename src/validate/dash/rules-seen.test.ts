import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MEDIA_RULES } from '../media/media-rules.ts';
import { BEHAVIOUR_RULES } from './behaviour-rules.ts';

/** All that the tests of a folder say, this file apart. */
function testsOf(folder: string): string {
  const names = readdirSync(folder).filter(
    (name) => name.endsWith('.test.ts') && name !== 'rules-seen.test.ts',
  );
  return names.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
}

describe('a rule', () => {
  it('is in the table only when a test has seen it fire', () => {
    const media = testsOf(join(import.meta.dirname, '..', 'media'));
    expect(Object.keys(MEDIA_RULES).filter((rule) => !media.includes(`'${rule}'`))).toEqual([]);
    const dash = testsOf(import.meta.dirname);
    expect(Object.keys(BEHAVIOUR_RULES).filter((rule) => !dash.includes(`'${rule}'`))).toEqual([]);
  });
});
