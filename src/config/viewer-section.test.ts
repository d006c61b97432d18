import { describe, expect, it } from 'vitest';
import { loadConfig } from './load.ts';

/** Paths and sentences of what is wrong with flags. */
function issuesOf(...flags: string[]): string[] {
  const loaded = loadConfig({ cwd: import.meta.dirname, env: {}, flags });
  return 'issues' in loaded ? loaded.issues.map(({ path }) => path) : [];
}

describe('the configuration of viewers', () => {
  it('is right as it comes', () => {
    expect(issuesOf()).toEqual([]);
  });

  it('asks for the secret that calls to a back end are signed with', () => {
    const url = 'viewers.entitlement.url=https://shop.example/entitle';
    expect(issuesOf(url)).toEqual(['viewers.entitlement.secretPath']);
    expect(issuesOf(url, 'viewers.entitlement.secretPath=secret')).toEqual([]);
  });

  it('gives no user more streams than there are', () => {
    expect(issuesOf('viewers.maxStreams=10')).toEqual(['viewers.maxStreamsPerViewer']);
  });
});
