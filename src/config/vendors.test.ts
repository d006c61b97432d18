import { describe, expect, it } from 'vitest';
import { formatIssue, loadConfig } from './load.ts';

function problems(...flags: string[]): string[] {
  const loaded = loadConfig({ cwd: '/nonexistent', env: {}, flags });
  return 'issues' in loaded ? loaded.issues.map(formatIssue) : [];
}

const WIDEVINE = [
  'license.widevine.url=https://license.example/cenc/getlicense/acme',
  'license.widevine.provider=acme',
  'license.widevine.signingKeyPath=key',
  'license.widevine.signingIvPath=iv',
];

describe('the configuration of DRM services', () => {
  it('takes each service with all that it needs', () => {
    const others = ['playready', 'fairplay'].flatMap((name) => [
      `license.${name}.url=http://ksm:8080/`,
      `license.${name}.entitlementKeyPath=key`,
    ]);
    const speke = ['drm.speke.url=https://keys.example/', 'drm.speke.certPath=a', 'drm.speke.keyPath=b'];
    expect(problems(...WIDEVINE, ...others, ...speke)).toEqual([]);
  });

  it.each(WIDEVINE.slice(1))('refuses Widevine without %s', (left) => {
    const path = left.split('=')[0] ?? '';
    const complaints = problems(...WIDEVINE.filter((flag) => flag !== left));
    expect(complaints).toEqual([expect.stringContaining(`${path}: license.widevine.url is set`)]);
  });

  it.each(['playready', 'fairplay'])('refuses %s without the key of its tokens', (name) => {
    expect(problems(`license.${name}.url=https://a.example/`)).toEqual([
      expect.stringContaining(`license.${name}.entitlementKeyPath: `),
    ]);
  });

  it.each([
    ['http://license.example/', 1],
    ['http://127.0.0.1:9000/', 0],
    ['http://[::1]:9000/', 0],
    ['http://localhost/', 0],
    ['http://127.0.0.1.evil.example/', 1],
  ])('lets content keys go to %s or not: %i complaints each', (url, complaints) => {
    expect(problems(...WIDEVINE, `license.widevine.url=${url}`)).toHaveLength(complaints);
    expect(problems(`drm.speke.url=${url}`)).toHaveLength(complaints);
  });

  it('lets encrypted keys come over any line', () => {
    const speke = ['drm.speke.url=http://keys.example/', 'drm.speke.certPath=a'];
    expect(problems(...speke, 'drm.speke.keyPath=b')).toEqual([]);
    expect(problems(...speke)).toEqual([expect.stringContaining('drm.speke.keyPath: ')]);
  });
});
