import { describe, expect, it } from 'vitest';
import { CONFIG_SCHEMA, type Config } from '../config.ts';
import { buildConfig } from '../config/schema.ts';
import { prepareKeys, renderBanner } from './demo.ts';

const CONFIG: Config = buildConfig(CONFIG_SCHEMA, new Map());

describe('prepareKeys', () => {
  it('makes both keys at the first start, and later only a new one for the test broadcast', async () => {
    const made: string[] = [];
    const keys = {
      list: async () =>
        made.filter((each) => each.startsWith('create')).map((each) => ({ stream: each.slice(7) })),
      create: async (stream: string) => `key${made.push(`create ${stream}`)}`,
      rotate: async (stream: string) => `key${made.push(`rotate ${stream}`)}`,
    };
    expect(await prepareKeys(keys)).toEqual({ demo: 'key1', own: 'key2' });
    expect(await prepareKeys(keys)).toEqual({ demo: 'key3', own: undefined });
    expect(made).toEqual(['create demo', 'create my-stream', 'rotate demo']);
  });
});

describe('the banner', () => {
  const ports = { rtmp: 11935, http: 18888 };

  it('names the watch page, both manifests, and where to publish with the key', () => {
    const text = renderBanner({ config: CONFIG, ports, ownKey: 'hw_abc' }).join('\n');
    expect(text).toContain('http://127.0.0.1:18888/live/demo/\n');
    expect(text).toContain('http://127.0.0.1:18888/live/demo/index.m3u8\n');
    expect(text).toContain('http://127.0.0.1:18888/live/demo/index.mpd\n');
    expect(text).toContain('rtmp://127.0.0.1:11935/live/hw_abc\n');
    expect(text).toContain('http://127.0.0.1:18888/live/my-stream/\n');
  });

  it('names the page of an encrypted demo on the port of licences, with the login in the fragment', () => {
    const login = { controlPort: 18889, token: 'aaa.bbb.ccc' };
    const text = renderBanner({ config: CONFIG, ports, ownKey: 'hw_abc', login }).join('\n');
    expect(text).toContain('http://127.0.0.1:18889/live/demo/#login=aaa.bbb.ccc\n');
  });

  it('says how to get a new key when the key was shown at an earlier start', () => {
    const text = renderBanner({ config: CONFIG, ports, ownKey: undefined }).join('\n');
    expect(text).toContain('stream rotate-key my-stream');
  });
});
