import type { DrmSystem, SystemData, TrackProtection } from '../media/protection.ts';
import { SYSTEM_IDS } from './drm-system-ids.ts';
import { kidText } from './kid.ts';

/** An XML element as plain data; it has text or children, not both. Names are prefixed, namespaces are attributes. */
export interface ProtectionElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly ProtectionElement[];
  readonly text: string;
}

const MP4_PROTECTION = 'urn:mpeg:dash:mp4protection:2011';
const CENC_NAMESPACE = 'urn:mpeg:cenc:2013';
const DASHIF_NAMESPACE = 'https://dashif.org/CPS';
const PLAYREADY_NAMESPACE = 'urn:microsoft:playready';

/**
 * The ContentProtection elements of an AdaptationSet (ISO/IEC 23009-1 5.8.4.1, DASH-IF IOP 7.7): what is encrypted and
 * how, then each DRM system that has a place in an MPD. The same for everything with one key.
 */
export function contentProtection({ scheme, kid, systems }: TrackProtection): readonly ProtectionElement[] {
  const mp4 = element('ContentProtection', {
    schemeIdUri: MP4_PROTECTION,
    value: scheme,
    'cenc:default_KID': kidText(kid),
    'xmlns:cenc': CENC_NAMESPACE,
  });
  return [mp4, ...systems.map((data) => DESCRIPTORS[data.system](data)).filter((each) => each !== undefined)];
}

type Describe = (data: SystemData) => ProtectionElement | undefined;

const DESCRIPTORS: Readonly<Record<DrmSystem, Describe>> = {
  // No cenc:pssh here, and no descriptor of the common system: dash.js would hand the box over as if it were key ids.
  clearkey: ({ licenseUrl }) => descriptor('clearkey', 'ClearKey1.0', licenseElements(licenseUrl)),
  widevine: ({ pssh, licenseUrl }) =>
    descriptor('widevine', 'Widevine', [...psshElements(pssh), ...licenseElements(licenseUrl)]),
  playready: ({ pssh, playReadyObject, licenseUrl }) =>
    descriptor('playready', 'MSPR 2.0', [
      ...psshElements(pssh),
      ...(playReadyObject
        ? [element('mspr:pro', { 'xmlns:mspr': PLAYREADY_NAMESPACE }, base64(playReadyObject))]
        : []),
      ...licenseElements(licenseUrl),
    ]),
  // FairPlay is HLS only.
  fairplay: () => undefined,
};

function descriptor(
  system: Exclude<DrmSystem, 'fairplay'>,
  value: string,
  children: readonly ProtectionElement[],
): ProtectionElement {
  return element('ContentProtection', { schemeIdUri: `urn:uuid:${SYSTEM_IDS[system]}`, value }, children);
}

function psshElements(pssh: Uint8Array | undefined): readonly ProtectionElement[] {
  return pssh ? [element('cenc:pssh', { 'xmlns:cenc': CENC_NAMESPACE }, base64(pssh))] : [];
}

/**
 * One URL in two spellings: `laurl` is the standard's, `Laurl` the one that Shaka reads. A third element whose name is
 * Laurl as well, as that of older guidelines, would make dash.js find none.
 */
function licenseElements(licenseUrl: string | undefined): readonly ProtectionElement[] {
  if (licenseUrl === undefined) return [];
  const namespace = { 'xmlns:dashif': DASHIF_NAMESPACE };
  return [element('dashif:laurl', namespace, licenseUrl), element('dashif:Laurl', namespace, licenseUrl)];
}

function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  content: string | readonly ProtectionElement[] = [],
): ProtectionElement {
  return typeof content === 'string'
    ? { name, attributes, children: [], text: content }
    : { name, attributes, children: content, text: '' };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
