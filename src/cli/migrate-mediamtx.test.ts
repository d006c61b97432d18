import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG_SCHEMA } from '../config.ts';
import { renderSettings } from '../config/describe.ts';
import { readForeignYaml } from '../config/foreign-yaml.ts';
import { loadConfig } from '../config/load.ts';
import { migrateMediamtx } from './migrate-mediamtx.ts';
import { parseAddress, parseDurationMs, parseSizeBytes } from './migrate-values.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-migrate-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Migrates, and has our own loader judge the outcome. */
function migrate(yaml: string) {
  const migration = migrateMediamtx(readForeignYaml(yaml));
  if (migration === undefined) throw new Error('not a mediamtx.yml');
  writeFileSync(join(folder, 'headwater.yaml'), renderSettings(CONFIG_SCHEMA, migration.settings));
  const loaded = loadConfig({ cwd: folder, env: {} });
  if (!('config' in loaded)) throw new Error(JSON.stringify(loaded.issues));
  return {
    config: loaded.config,
    settings: Object.fromEntries([...migration.settings].map(([path, { value }]) => [path, value])),
    notes: Object.fromEntries(migration.notes.map(({ key, reason }) => [key, reason])),
    streams: migration.streams,
  };
}

describe('migrateMediamtx', () => {
  it('carries ports, certificates and HLS timing', () => {
    const { settings, notes } = migrate(`
logLevel: debug
readTimeout: 7s
rtsp: no
webrtc: no
rtmp: yes
rtmpAddress: 10.0.0.1:1940
rtmpEncryption: "optional"
rtmpsAddress: :1941
rtmpServerKey: /etc/key.pem
rtmpServerCert: /etc/cert.pem
srt: no
hlsAddress: :8080
hlsVariant: lowLatency
hlsSegmentCount: 10
hlsSegmentDuration: 4s
hlsPartDuration: 500ms
hlsSegmentMaxSize: 20M
metrics: yes
metricsAddress: 127.0.0.1:9000
api: yes
apiAddress: :9001
authInternalUsers: []
`);
    expect(settings).toMatchObject({
      'log.level': 'debug',
      'rtmp.host': '10.0.0.1',
      'rtmp.port': 1940,
      'rtmp.silenceTimeoutMs': 7000,
      'rtmps.port': 1941,
      'http.port': 8080,
      'live.segmentMs': 4000,
      'live.partMs': 500,
      'live.windowSeconds': 40,
      'live.maxSegmentBytes': 20 * 1024 * 1024,
      'metrics.host': '127.0.0.1',
      'metrics.port': 9000,
      'control.port': 9001,
    });
    expect(Object.values(settings)).toEqual(expect.arrayContaining(['/etc/key.pem', '/etc/cert.pem']));
    expect(settings['srt.enabled']).toBe(false);
    expect(Object.keys(notes)).toEqual(['api']);
  });

  it('keeps to the rules between our keys', () => {
    const { config } = migrate('hlsSegmentCount: 2\nhlsSegmentDuration: 1500ms\nhlsPartDuration: 900ms\n');
    expect(config.live).toMatchObject({ segmentMs: 1500, partMs: 750, windowSeconds: 6 });
  });

  it('leaves at our default what MediaMTX has at its own', () => {
    const yaml =
      'hlsSegmentCount: 7\nhlsSegmentDuration: 1s\nhlsPartDuration: 200ms\nreadTimeout: 10s\nhlsSegmentMaxSize: 50M\n';
    expect(migrate(yaml).settings).toEqual({});
  });

  it('says what has no counterpart, once for each feature, and nothing of what stands at its default', () => {
    const { notes, settings } = migrate(`
rtspAddress: :8554
rtspTransports: [udp, multicast, tcp]
webrtcAddress: :8889
playback: yes
runOnConnect: ./notify.sh
runOnDisconnect:
writeQueueSize: 512
udpMaxPayloadSize: 1472
hlsEncryption: yes
hlsAllowOrigins: ['*']
hlsDirectory: ''
logFile: mediamtx.log
somethingNew: 1
pathDefaults:
  record: yes
  overridePublisher: no
  runOnReady: ./x
`);
    expect(Object.keys(notes).sort()).toEqual([
      'authInternalUsers',
      'hlsEncryption',
      'pathDefaults.record',
      'pathDefaults.runOnReady',
      'playback',
      'rtsp',
      'runOnConnect',
      'somethingNew',
      'webrtc',
    ]);
    expect(settings).toEqual({ 'live.onSecondPublisher': 'reject' });
  });

  it('turns users and paths into streams to make keys for', () => {
    const { streams, notes, config } = migrate(`
authInternalUsers:
- user: any
  permissions:
  - action: read
- user: obs
  pass: s3cret
  ips: [10.0.0.0/8]
  permissions:
  - { action: publish, path: studio }
  - { action: publish, path: live/second }
  - { action: publish, path: ~^cam }
  - { action: publish, path: a/b }
paths:
  studio:
  stage:
    source: publisher
    srtPublishPassphrase: longpassphrase
  camera:
    source: rtsp://user:s3cret@10.0.0.2/stream
  far:
    source: srt://10.0.0.3:7001?passphrase=s3cret
  near:
    source: srt://10.0.0.4:7001?streamid=publish:x&latency=200
  nearer:
    source: srt://[fd00::5]:7001
  odd:
    source: srt://10.0.0.6:7001?fancy=1
  ~^old_(.+)$:
    source: redirect
  all_others:
`);
    expect(streams).toEqual(['studio', 'second', 'stage', 'camera', 'far', 'near', 'nearer', 'odd']);
    expect(config.ingest.auth).toBe('keys');
    expect(config.srt.pull).toBe(
      'near=srt://10.0.0.4:7001?streamid=publish:x&latency=200 nearer=srt://[fd00::5]:7001',
    );
    expect(Object.keys(notes)).toEqual([
      'rtsp',
      'webrtc',
      'authInternalUsers[1]',
      'authInternalUsers[1].ips',
      'authInternalUsers[1].permissions',
      'paths.stage.srtPublishPassphrase',
      'paths.camera.source',
      'paths.far.source',
      'paths.odd.source',
      'paths.~^old_(.+)$',
      'paths.~^old_(.+)$.source',
    ]);
    expect(JSON.stringify(notes)).not.toContain('s3cret');
  });

  it('carries authMethod http', () => {
    const { config, notes } = migrate(`
authMethod: http
authHTTPAddress: http://10.0.0.1:3000/auth
authHTTPFingerprint: 33949e05fffb5ff3e8aa16f8213a6251b4d9363804ba53233c4da9a46d6f2739
authHTTPExclude:
- action: publish
`);
    expect(config.ingest).toMatchObject({
      auth: 'webhook',
      webhook: { url: 'http://10.0.0.1:3000/auth', format: 'mediamtx' },
    });
    expect(Object.keys(notes)).toEqual([
      'rtsp',
      'webrtc',
      'authHTTPAddress',
      'authHTTPFingerprint',
      'authHTTPExclude',
    ]);
    expect(migrate('externalAuthenticationURL: https://h/auth').config.ingest.webhook.url).toBe(
      'https://h/auth',
    );
  });

  it('carries authMethod jwt', () => {
    const { config } = migrate(`
authMethod: jwt
authJWTJWKS: https://id.example/jwks.json
authJWTClaimKey: my_permissions
authJWTIssuer: https://id.example
authJWTAudience: media
`);
    expect(config.ingest).toMatchObject({
      auth: 'jwt',
      jwt: {
        jwksUrl: 'https://id.example/jwks.json',
        permissionsClaim: 'my_permissions',
        issuer: 'https://id.example',
        audience: 'media',
      },
    });
  });

  it.each([
    'authMethod: http\n',
    'authMethod: http\nauthHTTPAddress: ftp://x\n',
    'authMethod: jwt\n',
    'authMethod: jwt\nauthJWTJWKS: 7\n',
    'hlsSegmentDuration: 1h\n',
    'hlsSegmentDuration: {}\nhlsSegmentCount: x\n',
    'rtmpAddress: nonsense\nhlsAddress: :99999\n',
    'hlsSegmentMaxSize: 900G\n',
    'logLevel: 5\nmetrics: [1]\napi: {}\nsrt: []\n',
    'paths: 7\npathDefaults: []\nauthInternalUsers: {}\n',
    'paths: { "a b": { source: 7 } }\nauthInternalUsers: [7, {permissions: 3}, {permissions: [{action: publish, path: 3}]}]\n',
  ])('prints nothing that our loader refuses, nor throws, for %j', (yaml) => {
    expect(() => migrate(yaml)).not.toThrow();
  });

  it.each(['', '[]', '7', 'http:\n  port: 80\n', 'a: [', 'services:\n  db: {}\n'])(
    'knows that %j is none',
    (yaml) => {
      expect(migrateMediamtx(readForeignYaml(yaml))).toBeUndefined();
    },
  );
});

describe('values', () => {
  it.each([
    ['10s', 10_000],
    ['200ms', 200],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['1d', 86_400_000],
    ['', undefined],
    ['10', undefined],
    ['-1s', undefined],
    [10, undefined],
  ])('reads the duration %j as %j', (text, ms) => expect(parseDurationMs(text)).toBe(ms));

  it.each([
    ['50M', 52_428_800],
    ['1KB', 1024],
    ['7', 7],
    [7, 7],
    ['x', undefined],
    [undefined, undefined],
  ])('reads the size %j as %j', (text, bytes) => expect(parseSizeBytes(text)).toBe(bytes));

  it.each([
    [':8888', { host: undefined, port: 8888 }],
    ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['80', undefined],
    ['', undefined],
    ['::1:80', undefined],
  ])('reads the address %j as %j', (text, address) => expect(parseAddress(text)).toEqual(address));
});
