import { gunzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { Metrics } from '../base/metrics.ts';
import { OriginMetrics } from './origin-metrics.ts';
import { TextCache } from './text-cache.ts';

let cache: TextCache;
let renders: number;

function get(name: string, version: number): string {
  return cache
    .get('playlist', name, version, () => {
      renders += 1;
      return `${name} of ${version}`;
    })
    .identity.toString();
}

beforeEach(() => {
  cache = new TextCache(new OriginMetrics(new Metrics()).renders);
  renders = 0;
});

describe('TextCache', () => {
  it('renders each text once per version, and never gives an old one', () => {
    expect([get('video', 1), get('video', 1), get('audio', 1)]).toEqual([
      'video of 1',
      'video of 1',
      'audio of 1',
    ]);
    expect(renders).toBe(2);
    expect([get('video', 2), get('video', 2)]).toEqual(['video of 2', 'video of 2']);
    expect(renders).toBe(3);
    expect(cache.find('playlist', 'video', 1)).toBeUndefined();
    expect(cache.find('mpd', 'video', 2)).toBeUndefined();
  });

  it('packs a text once, when first asked', () => {
    const text = cache.get('mpd', '', 1, () => 'text '.repeat(100));
    expect(text.gzip).toBe(text.gzip);
    expect(gunzipSync(text.gzip).toString()).toBe('text '.repeat(100));
  });

  it('does not grow with names that were asked for in other versions', () => {
    for (let version = 0; version < 1_000; version += 1) get(`patch from ${version}`, version);
    get('video', 5_000);
    for (let version = 0; version < 800; version += 1) {
      expect(cache.find('playlist', `patch from ${version}`, version)).toBeUndefined();
    }
    expect(cache.find('playlist', 'video', 5_000)).toBeDefined();
  });
});
