import { describe, expect, it } from 'vitest';
import type { DrmSystem, ProtectionScheme, TrackProtection } from '../media/protection.ts';
import { contentProtection, type ProtectionElement } from './content-protection.ts';
import { hlsKeyAttributes, hlsSessionKeyAttributes } from './hls-key-tags.ts';
import { kidOfText, kidText } from './kid.ts';
import { MAX_PLAYREADY_OBJECT_BYTES, playReadyObject, wrmHeader } from './playready-header.ts';
import { writeCommonPssh, writePssh } from './pssh.ts';
import { signalledSystems, type SignallingOptions } from './signalling.ts';
import { SYSTEM_IDS } from './drm-system-ids.ts';
import { widevineData } from './widevine-header.ts';

const KID = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex');
const KID_TEXT = '10111213-1415-1617-1819-1a1b1c1d1e1f';
const ALL: readonly DrmSystem[] = ['clearkey', 'widevine', 'playready', 'fairplay'];
const URLS = {
  clearkey: '/license/clearkey',
  widevine: 'https://lic.example/wv',
  playready: 'https://lic.example/pr',
};

const base64 = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('base64');

function protectionOf(scheme: ProtectionScheme, over: Partial<SignallingOptions> = {}): TrackProtection {
  const options = { systems: ALL, licenseUrls: URLS, widevineProvider: 'widevine_test', ...over };
  const systems = signalledSystems({ scheme, kid: KID, contentId: 'title-1' }, options);
  return { scheme, tier: 'HD', kid: KID, constantIv: undefined, systems };
}

/** Known answers: made apart from this code and played in a browser. */
const WIDEVINE_DATA = {
  cenc: '1210101112131415161718191a1b1c1d1e1f1a0d7769646576696e655f7465737422077469746c652d3148e3dc959b06',
  cbcs: '1210101112131415161718191a1b1c1d1e1f1a0d7769646576696e655f7465737422077469746c652d3148f3c6899b06',
};
const WIDEVINE_PSSH = {
  cenc: 'AAAAUHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAADASEBAREhMUFRYXGBkaGxwdHh8aDXdpZGV2aW5lX3Rlc3QiB3RpdGxlLTFI49yVmwY=',
  cbcs: 'AAAAUHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAADASEBAREhMUFRYXGBkaGxwdHh8aDXdpZGV2aW5lX3Rlc3QiB3RpdGxlLTFI88aJmwY=',
};
const HEADER = {
  cenc: '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.3.0.0"><DATA><PROTECTINFO><KIDS><KID ALGID="AESCTR" VALUE="ExIREBUUFxYYGRobHB0eHw=="></KID></KIDS></PROTECTINFO><LA_URL>https://lic.example/pr</LA_URL></DATA></WRMHEADER>',
  cbcs: '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.3.0.0"><DATA><PROTECTINFO><KIDS><KID ALGID="AESCBC" VALUE="ExIREBUUFxYYGRobHB0eHw=="></KID></KIDS></PROTECTINFO><LA_URL>https://lic.example/pr</LA_URL></DATA></WRMHEADER>',
};
/** The first bytes: sizes and record header; the rest is the header's text. */
const OBJECT_START = '0c020000010001000202';

describe('signalling data', () => {
  it.each(['cenc', 'cbcs'] as const)('gives the known Widevine box for %s', (scheme) => {
    const data = widevineData({
      kids: [KID],
      scheme,
      provider: 'widevine_test',
      contentId: Buffer.from('title-1'),
    });
    expect(Buffer.from(data).toString('hex')).toBe(WIDEVINE_DATA[scheme]);
    expect(base64(writePssh(SYSTEM_IDS.widevine, data))).toBe(WIDEVINE_PSSH[scheme]);
    expect(base64(protectionOf(scheme).systems[1]?.pssh)).toBe(WIDEVINE_PSSH[scheme]);
  });

  it.each(['cenc', 'cbcs'] as const)('gives the known PlayReady header and object for %s', (scheme) => {
    const header = { kid: KID, scheme, licenseUrl: URLS.playready, version: '4.3.0.0' } as const;
    expect(wrmHeader(header)).toBe(HEADER[scheme]);
    const object = Buffer.from(playReadyObject(header));
    expect(object.subarray(0, 10).toString('hex')).toBe(OBJECT_START);
    expect(object.subarray(10).toString('utf16le')).toBe(HEADER[scheme]);
    const box = Buffer.from(writePssh(SYSTEM_IDS.playready, object));
    expect(box.subarray(0, 32).toString('hex')).toBe(
      '0000022c70737368000000009a04f07998404286ab92e65be0885f950000020c',
    );
    expect(box.subarray(32).equals(object)).toBe(true);
  });

  it('asks no more of PlayReady clients than the scheme needs', () => {
    expect(wrmHeader({ kid: KID, scheme: 'cenc', licenseUrl: undefined })).toContain('version="4.2.0.0"');
    expect(wrmHeader({ kid: KID, scheme: 'cbcs', licenseUrl: undefined })).toContain('version="4.3.0.0"');
  });

  it('escapes the licence URL, and refuses one that no PlayReady Object holds', () => {
    const header = { kid: KID, scheme: 'cbcs' } as const;
    expect(wrmHeader({ ...header, licenseUrl: 'https://x/?a=1&b=<2>' })).toContain(
      '<LA_URL>https://x/?a=1&amp;b=&lt;2&gt;</LA_URL>',
    );
    const licenseUrl = `https://x/${'a'.repeat(MAX_PLAYREADY_OBJECT_BYTES / 2)}`;
    expect(() => playReadyObject({ ...header, licenseUrl })).toThrow(RangeError);
  });

  it('gives the known common box, version 1, for Clear Key', () => {
    expect(base64(writeCommonPssh([KID]))).toBe(
      'AAAANHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAEQERITFBUWFxgZGhscHR4fAAAAAA==',
    );
  });

  it('describes the configured systems in their order, and FairPlay only with cbcs', () => {
    const names = (scheme: ProtectionScheme): string[] =>
      protectionOf(scheme, { systems: ['fairplay', 'playready', 'clearkey'] }).systems.map(
        ({ system }) => system,
      );
    expect(names('cbcs')).toEqual(['fairplay', 'playready', 'clearkey']);
    expect(names('cenc')).toEqual(['playready', 'clearkey']);
  });

  it('puts the KID where a URL asks for it, and in the skd URI without being asked', () => {
    const urls = { clearkey: 'https://a/{kid}/x', fairplay: 'skd://my/{kid}' };
    const [clearkey, , , fairplay] = protectionOf('cbcs', { licenseUrls: urls }).systems;
    expect(clearkey?.licenseUrl).toBe('https://a/101112131415161718191a1b1c1d1e1f/x');
    expect(fairplay?.licenseUrl).toBe('skd://my/101112131415161718191a1b1c1d1e1f');
    expect(protectionOf('cbcs').systems[3]?.licenseUrl).toBe('skd://101112131415161718191a1b1c1d1e1f');
  });

  it('tells PlayReady clients no URL without a host, which means nothing outside a page', () => {
    const { playReadyObject: object, licenseUrl } =
      protectionOf('cbcs', { licenseUrls: { playready: '/license/playready' } }).systems[2] ?? {};
    expect(licenseUrl).toBe('/license/playready');
    expect(Buffer.from(object ?? []).toString('utf16le')).not.toContain('LA_URL');
  });

  it('reads and writes KIDs as UUIDs', () => {
    expect(kidText(KID)).toBe(KID_TEXT);
    expect(kidOfText(KID_TEXT)).toEqual(KID);
    for (const wrong of ['', KID_TEXT.slice(1), `${KID_TEXT}0`, KID_TEXT.replace('-', ''), 5, undefined]) {
      expect(kidOfText(wrong)).toBeUndefined();
    }
  });
});

describe('EXT-X-KEY attributes', () => {
  it('are one line a system, SAMPLE-AES for cbcs, without an IV', () => {
    expect(hlsKeyAttributes(protectionOf('cbcs'))).toEqual([
      'METHOD=SAMPLE-AES,URI="data:text/plain;base64,EBESExQVFhcYGRobHB0eHw==",KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1",KEYID=0x101112131415161718191a1b1c1d1e1f',
      `METHOD=SAMPLE-AES,URI="data:text/plain;base64,${WIDEVINE_PSSH.cbcs}",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",KEYFORMATVERSIONS="1",KEYID=0x101112131415161718191a1b1c1d1e1f`,
      `METHOD=SAMPLE-AES,URI="data:text/plain;charset=UTF-16;base64,${base64(
        playReadyObject({ kid: KID, scheme: 'cbcs', licenseUrl: URLS.playready }),
      )}",KEYFORMAT="com.microsoft.playready",KEYFORMATVERSIONS="1",KEYID=0x101112131415161718191a1b1c1d1e1f`,
      'METHOD=SAMPLE-AES,URI="skd://101112131415161718191a1b1c1d1e1f",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"',
    ]);
  });

  it('are SAMPLE-AES-CTR for cenc', () => {
    const lines = hlsKeyAttributes(protectionOf('cenc'));
    expect(lines.map((line) => line.split(',')[0])).toEqual(
      Array.from({ length: 3 }, () => 'METHOD=SAMPLE-AES-CTR'),
    );
  });

  it('have the identity line when it is asked for, and then no other', () => {
    const options = {
      keyFormat: 'identity',
      identityKeyUrl: (kid: string) => `/license/key/${kid}?a="b"`,
    } as const;
    expect(hlsKeyAttributes(protectionOf('cbcs'), options)).toEqual([
      'METHOD=SAMPLE-AES,URI="/license/key/101112131415161718191a1b1c1d1e1f?a=%22b%22",KEYFORMAT="identity"',
    ]);
    expect(hlsKeyAttributes(protectionOf('cbcs')).join('\n')).not.toContain('identity');
    expect(hlsKeyAttributes(protectionOf('cbcs'), { keyFormat: 'identity' })).toEqual([]);
  });

  it('stand once for renditions that share a key', () => {
    const one = protectionOf('cbcs', { systems: ['clearkey'] });
    const other = { ...one, kid: Buffer.from(KID).toReversed() };
    expect(hlsSessionKeyAttributes([one, one, other])).toHaveLength(2);
  });
});

/** For reading: `name@attribute=value…(children or text)`. */
function outline({ name, attributes, children, text }: ProtectionElement): string {
  const inside = children.map(outline).join(' ') || (text.length > 40 ? 'base64' : text);
  const named = Object.entries(attributes)
    .filter(([key]) => !key.startsWith('xmlns:'))
    .map(([key, value]) => `@${key}=${value}`);
  return `${name}${named.join('')}(${inside})`;
}

describe('ContentProtection elements', () => {
  it('say what players need to know, and for Clear Key only where licences are', () => {
    expect(contentProtection(protectionOf('cbcs')).map(outline)).toEqual([
      `ContentProtection@schemeIdUri=urn:mpeg:dash:mp4protection:2011@value=cbcs@cenc:default_KID=${KID_TEXT}()`,
      'ContentProtection@schemeIdUri=urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e@value=ClearKey1.0(dashif:laurl(/license/clearkey) dashif:Laurl(/license/clearkey))',
      'ContentProtection@schemeIdUri=urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed@value=Widevine(cenc:pssh(base64) dashif:laurl(https://lic.example/wv) dashif:Laurl(https://lic.example/wv))',
      'ContentProtection@schemeIdUri=urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95@value=MSPR 2.0(cenc:pssh(base64) mspr:pro(base64) dashif:laurl(https://lic.example/pr) dashif:Laurl(https://lic.example/pr))',
    ]);
  });

  it('never name the common system, nor give Clear Key a pssh', () => {
    const text = JSON.stringify(contentProtection(protectionOf('cenc')));
    expect(text).not.toContain('1077efec');
    const [, clearkey] = contentProtection(protectionOf('cenc'));
    expect(JSON.stringify(clearkey)).not.toContain('pssh');
  });

  it('declare each namespace that they use', () => {
    const check = (node: ProtectionElement, declared: readonly string[]): void => {
      const here = [...declared, ...Object.keys(node.attributes)];
      const used = [node.name, ...Object.keys(node.attributes).filter((key) => !key.startsWith('xmlns:'))];
      for (const name of used) {
        const [prefix, local] = name.split(':');
        if (local !== undefined) expect(here, name).toContain(`xmlns:${prefix}`);
      }
      for (const child of node.children) check(child, here);
    };
    for (const node of contentProtection(protectionOf('cbcs'))) check(node, []);
  });
});
