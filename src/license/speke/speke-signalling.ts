import { contentProtection, type ProtectionElement } from '../../drm/content-protection.ts';
import type { ContentKey } from '../../drm/content-key.ts';
import type { CpixDrmSystem } from '../../drm/cpix/cpix-document.ts';
import { hlsKeyAttributes } from '../../drm/hls-key-tags.ts';
import { signalledSystems, type SignallingOptions } from '../../drm/signalling.ts';
import type { OrderedSystem } from './speke-contract.ts';

/** Of a system's descriptor, the one element that a packager is to put into its ContentProtection. */
const DESCRIPTOR_CHILD: Readonly<Record<OrderedSystem['system'], string | undefined>> = {
  clearkey: 'dashif:laurl',
  widevine: 'cenc:pssh',
  playready: 'mspr:pro',
  fairplay: undefined,
};

/** Fills in what was asked for of a system, and nothing else. FairPlay has neither box nor descriptor. */
export function filledIn(
  { entry, system }: OrderedSystem,
  key: ContentKey,
  contentId: string,
  signalling: Pick<SignallingOptions, 'licenseUrls' | 'widevineProvider'>,
): CpixDrmSystem {
  const { kid, scheme, tier } = key;
  const systems = signalledSystems({ kid, scheme, contentId }, { ...signalling, systems: [system] });
  const constantIv = scheme === 'cbcs' ? key.constantIv : undefined;
  const protection = { scheme, tier, kid, constantIv, systems };
  const [data] = systems;
  const descriptor = contentProtection(protection)[1]?.children.find(
    ({ name }) => name === DESCRIPTOR_CHILD[system],
  );
  const { pssh, contentProtectionData, hls, smoothStreaming, ...rest } = entry;
  return {
    ...rest,
    pssh: system === 'fairplay' ? undefined : pssh && (data?.pssh ?? empty()),
    contentProtectionData:
      system === 'fairplay'
        ? undefined
        : contentProtectionData && (descriptor ? utf8(write(descriptor)) : empty()),
    hls: hls.map(({ playlist }) => {
      const tag = playlist === undefined || playlist === 'media' ? '#EXT-X-KEY' : '#EXT-X-SESSION-KEY';
      const lines = hlsKeyAttributes(protection).map((attributes) => `${tag}:${attributes}`);
      return { playlist, data: utf8(lines.join('\n')) };
    }),
    smoothStreaming:
      smoothStreaming === undefined ? undefined : Buffer.from(data?.playReadyObject ?? []).toString('base64'),
  };
}

function write({ name, attributes, children, text }: ProtectionElement): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(value)}"`);
  return `<${name}${written.join('')}>${escape(text)}${children.map(write).join('')}</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text);
}

function empty(): Uint8Array {
  return new Uint8Array();
}
