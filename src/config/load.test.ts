import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG_SCHEMA } from '../config.ts';
import { formatIssue, loadConfig, type ConfigSources } from './load.ts';
import { listKeys } from './schema.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Given extends Partial<ConfigSources> {
  readonly yaml?: string;
}

function load({ yaml, ...sources }: Given) {
  if (yaml !== undefined) writeFileSync(join(folder, 'headwater.yaml'), yaml);
  return loadConfig({ cwd: folder, env: {}, ...sources });
}

function config(given: Given) {
  const loaded = load(given);
  if ('issues' in loaded) throw new Error(loaded.issues.map(formatIssue).join('\n'));
  return loaded.config;
}

function problems(given: Given): string[] {
  const loaded = load(given);
  return 'issues' in loaded ? loaded.issues.map(formatIssue) : [];
}

describe('where values come from', () => {
  it('takes every default when nothing is given', () => {
    const all = config({});
    expect(all.rtmp.port).toBe(1935);
    expect(all.http.maxHeaderBytes).toBe(16_384);
    expect(all.live).toMatchObject({ segmentMs: 2000, partMs: 200, windowSeconds: 60 });
    expect(all.control).toEqual({ host: '0.0.0.0', port: 8889 });
    expect(all.metrics).toEqual({ host: '127.0.0.1', port: 9998 });
  });

  it('lets the file override defaults, the environment the file, and flags the environment', () => {
    const yaml = 'http: { port: 1 }\ncontrol: { port: 1001 }\nmetrics: { port: 1002 }\n';
    const env = { HEADWATER_HTTP__PORT: '2', HEADWATER_CONTROL__PORT: '2001' };
    const all = config({ yaml, env, flags: ['http.port=3'] });
    expect([all.http.port, all.control.port, all.metrics.port, all.rtmp.port]).toEqual([3, 2001, 1002, 1935]);
  });

  it('names each variable after the path, with _ between words and __ between levels', () => {
    const names = new Map(listKeys(CONFIG_SCHEMA).map(({ path, env }) => [path, env]));
    expect(names.get('dataDir')).toBe('HEADWATER_DATA_DIR');
    expect(names.get('live.segmentMs')).toBe('HEADWATER_LIVE__SEGMENT_MS');
    expect(names.get('http.port')).toBe('HEADWATER_HTTP__PORT');
    expect(new Set(names.values()).size).toBe(names.size);
    expect([...names.values()].filter((name) => name.endsWith('_FILE'))).toEqual([]);
  });

  it('reads a value from the file a _FILE variable names, without its last newline', () => {
    const file = join(folder, 'dir.txt');
    writeFileSync(file, '/srv/headwater \n');
    expect(config({ env: { HEADWATER_DATA_DIR_FILE: file } }).dataDir).toBe('/srv/headwater ');
  });

  it('reads the file named by --config instead of headwater.yaml', () => {
    writeFileSync(join(folder, 'other.yaml'), 'http: { port: 7 }');
    expect(config({ yaml: 'http: { port: 6 }', file: 'other.yaml' }).http.port).toBe(7);
  });

  it('takes an empty file and empty sections as all defaults', () => {
    expect(config({ yaml: '' }).http.port).toBe(8888);
    expect(config({ yaml: '# nothing\nhttp:\n  # port: 1\n' }).http.port).toBe(8888);
  });

  it('follows YAML anchors', () => {
    expect(config({ yaml: 'http: { port: &p 81 }\nlive: { graceMs: *p }' }).live.graceMs).toBe(81);
  });

  it('ignores variables of other programs', () => {
    expect(problems({ env: { PATH: '/bin', HEADWATERS: 'x' } })).toEqual([]);
  });

  it('gives a frozen object', () => {
    expect(Object.isFrozen(config({}).http)).toBe(true);
  });
});

describe('what is refused', () => {
  const cases: readonly (readonly [string, Given, readonly string[]])[] = [
    [
      'an unknown key, with the one that was meant',
      { yaml: 'http:\n  prot: 80\n' },
      ['headwater.yaml:2:3 http.prot: unknown key; did you mean http.port?'],
    ],
    [
      'a key on the wrong level',
      { yaml: 'segmentMs: 2000\n' },
      ['headwater.yaml:1:1 segmentMs: unknown key; did you mean live.segmentMs?'],
    ],
    [
      'a key that nothing resembles',
      { yaml: 'zzzzzzzzzzzz: 1\n' },
      ['headwater.yaml:1:1 zzzzzzzzzzzz: unknown key'],
    ],
    [
      'a value of the wrong type',
      { yaml: 'http:\n  port: "80"\n' },
      ['headwater.yaml:2:9 http.port: expected a whole number from 0 to 65535, not "80"'],
    ],
    [
      'a value out of range',
      { yaml: 'http: {port: 65536}' },
      ['headwater.yaml:1:14 http.port: expected a whole number from 0 to 65535, not 65536'],
    ],
    [
      'a fraction where a whole number belongs',
      { yaml: 'live: {partMs: 200.5}' },
      ['headwater.yaml:1:16 live.partMs: expected a whole number from 50 to 2000, not 200.5'],
    ],
    [
      'a word outside the choices',
      { yaml: 'log: {level: loud}' },
      ['headwater.yaml:1:14 log.level: expected one of debug, info, warn, error, silent, not "loud"'],
    ],
    [
      'a server that works on no titles, with nobody else to do it',
      { yaml: 'vod:\n  work: false\n' },
      [
        'headwater.yaml:2:9 vod.work: nobody else could do the work: leave it true, or set vod.queue to redis',
      ],
    ],
    [
      'a key without a value',
      { yaml: 'http:\n  port:\n' },
      ['headwater.yaml:2:8 http.port: expected a whole number from 0 to 65535, not nothing'],
    ],
    [
      'a mapping where a value belongs',
      { yaml: 'http:\n  port:\n    x: 1\n' },
      ['headwater.yaml:3:5 http.port: expected a whole number from 0 to 65535, not a mapping'],
    ],
    [
      'a value where keys belong',
      { yaml: 'metrics: 9998' },
      ['headwater.yaml:1:10 metrics: expected keys below it: host, port'],
    ],
    ['a list at the top', { yaml: '- a' }, ['headwater.yaml:1:1: expected keys and values (`key: value`)']],
    [
      'a broken address',
      { yaml: 'http: {host: 1.2.3.400}' },
      ['headwater.yaml:1:14 http.host: expected an IP address or host name, not "1.2.3.400"'],
    ],
    [
      'a key given twice',
      { yaml: 'dataDir: a\ndataDir: b\n' },
      ['headwater.yaml:2:1: Map keys must be unique'],
    ],
    [
      '__proto__, without touching any prototype',
      { yaml: '__proto__: {polluted: 1}\nconstructor: 1' },
      ['headwater.yaml:1:1 __proto__: unknown key', 'headwater.yaml:2:1 constructor: unknown key'],
    ],
    [
      'every problem at once',
      { yaml: 'http:\n  port: x\nrtmp:\n  port: -1\n', env: { HEADWATER_LOG__LEVEL: 'x' }, flags: ['a=b'] },
      [
        'headwater.yaml:2:9 http.port: expected a whole number from 0 to 65535, not "x"',
        'headwater.yaml:4:9 rtmp.port: expected a whole number from 0 to 65535, not -1',
        'HEADWATER_LOG__LEVEL log.level: expected one of debug, info, warn, error, silent, not "x"',
        '--set a: unknown key',
      ],
    ],
    [
      'an unknown variable',
      { env: { HEADWATER_HTTP_PORT: '1' } },
      ['HEADWATER_HTTP_PORT: unknown variable; did you mean HEADWATER_HTTP__PORT?'],
    ],
    [
      'a variable that is no number',
      { env: { HEADWATER_HTTP__PORT: '80 ' } },
      ['HEADWATER_HTTP__PORT http.port: expected a whole number from 0 to 65535, not "80 "'],
    ],
    [
      'a value file that is not there',
      { env: { HEADWATER_DATA_DIR_FILE: '/nonexistent/x' } },
      ['HEADWATER_DATA_DIR_FILE dataDir: cannot read /nonexistent/x (ENOENT)'],
    ],
    [
      'a value and a value file for one key',
      { env: { HEADWATER_DATA_DIR_FILE: '/x', HEADWATER_DATA_DIR: 'y' } },
      ['HEADWATER_DATA_DIR_FILE dataDir: HEADWATER_DATA_DIR is set as well'],
    ],
    ['a flag without a value', { flags: ['http.port'] }, ['--set http.port: expected path=value']],
    ['a named file that is not there', { file: 'no.yaml' }, ['no.yaml: cannot be read (ENOENT)']],
    [
      'a webhook without a URL and a secret, or with more patience than publishers have',
      { flags: ['ingest.auth=webhook', 'ingest.webhook.timeoutMs=2500'] },
      [
        'default ingest.webhook.url: ingest.auth is webhook: set the URL to ask',
        expect.stringMatching(
          /^default ingest\.webhook\.secretPath: the format headwater signs its calls: name a file/,
        ),
        '--set ingest.webhook.timeoutMs: must be below rtmp.authTimeoutMs (2500)',
        '--set ingest.webhook.timeoutMs: must be below srt.authTimeoutMs (2500)',
        '--set ingest.webhook.timeoutMs: must be below cmaf.authTimeoutMs (2500)',
      ],
    ],
    [
      'a webhook URL with a password in it',
      { flags: ['ingest.webhook.url=http://u:p@host/'] },
      [expect.stringMatching(/^--set ingest\.webhook\.url: expected a URL that begins with http/)],
    ],
    [
      'tokens without a key, or with two',
      { flags: ['ingest.auth=keys+jwt', 'ingest.jwt.jwksUrl=https://id/jwks', 'ingest.jwt.keyPath=x'] },
      [expect.stringMatching(/^--set ingest\.jwt\.jwksUrl: publish tokens need either/)],
    ],
    [
      'tokens signed by a public key or with a secret, whichever the sender likes',
      { flags: ['ingest.auth=jwt', 'ingest.jwt.keyPath=x', 'ingest.jwt.algorithms=RS256,HS256'] },
      [expect.stringMatching(/^--set ingest\.jwt\.algorithms: HS256 and the like .* cannot be mixed/)],
    ],
    [
      'a shared secret from a URL',
      { flags: ['ingest.auth=jwt', 'ingest.jwt.jwksUrl=https://id/jwks', 'ingest.jwt.algorithms=HS256'] },
      [expect.stringMatching(/^--set ingest\.jwt\.algorithms: HS256 and the like need ingest\.jwt\.keyPath/)],
    ],
    [
      'an algorithm that nobody has, and one twice',
      { flags: ['ingest.jwt.algorithms=none'], yaml: 'ingest: {jwt: {algorithms: "ES256,ES256"}}' },
      [
        expect.stringMatching(/^headwater\.yaml:1:28 ingest\.jwt\.algorithms: expected a list of /),
        expect.stringMatching(/^--set ingest\.jwt\.algorithms: expected a list of /),
      ],
    ],
    [
      'publishing without keys on an address others can reach',
      { yaml: 'ingest:\n  auth: none\n' },
      [
        'headwater.yaml:2:9 ingest.auth: none lets anybody publish: set rtmp.host to 127.0.0.1 (it is 0.0.0.0) or use keys',
      ],
    ],
    [
      'a certificate without a key, or a key without a certificate',
      { flags: ['rtmps.certPath=x.pem'], env: { HEADWATER_RTMPS__KEY_PATH: '' } },
      ['HEADWATER_RTMPS__KEY_PATH rtmps.keyPath: RTMP over TLS needs both rtmps.certPath and rtmps.keyPath'],
    ],
    [
      'publishing without keys over TLS on an address others can reach',
      { flags: ['ingest.auth=none', 'rtmp.host=::1', 'rtmps.certPath=x', 'rtmps.keyPath=y'] },
      [
        expect.stringMatching(
          /^--set ingest\.auth: none lets anybody publish: set rtmps\.host to 127\.0\.0\.1/,
        ),
      ],
    ],
    [
      'RTMP over TLS on the port of another',
      { flags: ['rtmps.certPath=x', 'rtmps.keyPath=y', 'rtmps.port=1935'] },
      ['--set rtmps.port: 1935 is also rtmp.port'],
    ],
    [
      'two servers on one port',
      { flags: ['http.port=9000', 'control.port=9000'] },
      ['--set control.port: 9000 is also http.port'],
    ],
    [
      'parts that do not fit a segment twice',
      { flags: ['live.partMs=1500'] },
      ['--set live.partMs: must be at most half of live.segmentMs (2000)'],
    ],
    [
      'a window below three segments',
      { flags: ['live.segmentMs=10000', 'live.windowSeconds=20'] },
      ['--set live.windowSeconds: must hold at least three segments of 10000 ms'],
    ],
    [
      'keys that are kept for longer than short segments allow',
      { flags: ['live.segmentMs=500', 'live.partMs=200', 'drm.rotationSeconds=20000'] },
      ['--set drm.rotationSeconds: must be at most 12500 with segments of 500 ms'],
    ],
    [
      'an encoder that has less time to start than to pause',
      { flags: ['ladder.watchdogMs=6000'] },
      ['default ladder.startTimeoutMs: must not be below ladder.watchdogMs (6000)'],
    ],
    [
      'an encoder queue that the cached GOPs would overflow',
      { flags: ['ladder.maxQueueBytes=1048576'] },
      ['--set ladder.maxQueueBytes: must not be below live.gopCacheBytes (33554432)'],
    ],
    [
      'rungs that are none',
      { flags: ['ladder.rungs=720p'] },
      ['--set ladder.rungs: expected auto, none, or rungs such as 720p:2500k,480p:1000k, not "720p"'],
    ],
  ];

  it.each(cases)('%s', (_name, given, expected) => {
    expect(problems(given)).toEqual(expected);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('allows publishing without keys on loopback, and port 0 any number of times', () => {
    const flags = ['ingest.auth=none', 'http.port=0', 'rtmp.port=0', 'control.port=0'];
    for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost']) {
      expect(problems({ flags: [...flags, `rtmp.host=${host}`] })).toEqual([]);
    }
    expect(problems({ flags: [...flags, 'rtmp.host=127.0.0.1.example.org'] })).toHaveLength(1);
  });

  it('points at the line of a YAML syntax error', () => {
    expect(problems({ yaml: 'http:\n  port: [1\n' })[0]).toMatch(/^headwater\.yaml:[23]:\d+: /);
  });
});
