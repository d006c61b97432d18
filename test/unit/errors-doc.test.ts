import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppError, ERRORS, errorCode } from '../../src/base/errors.ts';

/** The part of the server each code belongs to, by its first word. */
const AREAS = [
  'INTERNAL',
  'CLI',
  'CONFIG',
  'TOOL',
  'SECRET',
  'TOKEN',
  'DRM',
  'LICENSE',
  'SESSION',
  'RESUME',
  'PUBSUB',
  'LEASE',
  'REGISTRY',
  'TRANSCODE',
  'VALIDATE',
  'VOD',
  'HTTP',
  'STREAM',
  'INGEST',
  'PACKAGER',
  'ORIGIN',
  'STATE',
  'STORAGE',
  'JOB',
  'CONTROL',
];

const document = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8');

describe('the error table', () => {
  it('is what docs/errors.md says, code by code', () => {
    const documented = [...document.matchAll(/^\| `(\w+)` \| (\d+) \| (.*) \|$/gm)].map((row) => [
      row[1],
      { status: Number(row[2]), meaning: row[3] },
    ]);
    expect(Object.fromEntries(documented)).toEqual(ERRORS);
  });

  it.each(Object.entries(ERRORS))(
    '%s is a code of a known area, an HTTP status and a sentence',
    (code, entry) => {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
      expect(AREAS).toContain(code.split('_')[0]);
      expect(entry.status).toBeGreaterThanOrEqual(400);
      expect(entry.status).toBeLessThan(600);
      expect(entry.meaning).toMatch(/^\S.*\.$/);
      expect(entry.meaning).not.toContain('|');
    },
  );
});

describe('AppError', () => {
  it('has the status and the sentence of its code, and keeps the cause', () => {
    const cause = new Error('below');
    const error = new AppError('STREAM_BUSY', undefined, { cause });
    expect([error.status, error.message, error.cause]).toEqual([409, ERRORS.STREAM_BUSY.meaning, cause]);
    expect(errorCode(error)).toBe('STREAM_BUSY');
    expect(errorCode(cause)).toBe('INTERNAL');
  });
});
