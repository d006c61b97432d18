/** Requests as packagers make them for the contract cases of SPEKE 2.0; written apart from the code that reads them. */

export const SYSTEM_UUIDS = {
  widevine: 'edef8ba9-79d6-4ace-a3c8-27dcd51d21ed',
  playready: '9a04f079-9840-4286-ab92-e65be0885f95',
  fairplay: '94ce86fb-07ff-4f43-adb8-93d2fa968ca2',
} as const;

type Preset = keyof typeof SYSTEM_UUIDS;

interface TrackRule {
  readonly type: string;
  readonly filter: string;
  /** What it is to us. */
  readonly tier: string;
}

const audio = (type: string, attributes: string): TrackRule => ({
  type,
  filter: `<cpix:AudioFilter${attributes}/>`,
  tier: 'AUDIO',
});
const video = (type: string, attributes: string, tier: string): TrackRule => ({
  type,
  filter: `<cpix:VideoFilter${attributes}/>`,
  tier,
});

const VIDEO_2 = [video('SD', ' maxPixels="589824"', 'SD'), video('HD', ' minPixels="589825"', 'HD')];
const AUDIO_2 = [audio('STEREO_AUDIO', ' maxChannels="2"'), audio('MULTICHANNEL_AUDIO', ' minChannels="3"')];

export interface SpekeCase {
  readonly name: string;
  readonly rules: readonly TrackRule[];
}

/** Presets for pictures and sound, as the SPEKE test suite numbers its cases. */
export const SPEKE_CASES: readonly SpekeCase[] = [
  { name: 'case 1: one video key, one audio key', rules: [video('VIDEO', '', 'UHD'), audio('AUDIO', '')] },
  {
    name: 'case 2: video preset 3, audio preset 2',
    rules: [
      video('SD', ' maxPixels="589824"', 'SD'),
      video('HD', ' minPixels="589825" maxPixels="2073600"', 'HD'),
      video('UHD', ' minPixels="2073601"', 'UHD'),
      ...AUDIO_2,
    ],
  },
  {
    name: 'case 3: video preset 5, audio preset 3',
    rules: [
      video('SD', ' maxPixels="589824"', 'SD'),
      video('HD1', ' minPixels="589825" maxPixels="921600"', 'HD'),
      video('HD2', ' minPixels="921601" maxPixels="2073600"', 'HD'),
      video('UHD1', ' minPixels="2073601" maxPixels="8847360"', 'UHD'),
      video('UHD2', ' minPixels="8847361"', 'UHD'),
      audio('STEREO_AUDIO', ' maxChannels="2"'),
      audio('MULTICHANNEL_AUDIO_3_6', ' minChannels="3" maxChannels="6"'),
      audio('MULTICHANNEL_AUDIO_7', ' minChannels="7"'),
    ],
  },
  {
    name: 'case 4: video preset 8, audio preset 2',
    rules: [
      video('SD+HD1', ' maxPixels="921600"', 'HD'),
      video('HD2', ' minPixels="921601" maxPixels="2073600"', 'HD'),
      video('UHD1', ' minPixels="2073601" maxPixels="8847360"', 'UHD'),
      video('UHD2', ' minPixels="8847361"', 'UHD'),
      ...AUDIO_2,
    ],
  },
  { name: 'case 5: video preset 2, audio in the clear', rules: VIDEO_2 },
  { name: 'case 6: video in the clear, audio preset 2', rules: AUDIO_2 },
];

/** All combinations of the three systems. */
export const SPEKE_PRESETS: readonly (readonly Preset[])[] = [
  ['widevine'],
  ['playready'],
  ['fairplay'],
  ['widevine', 'playready'],
  ['widevine', 'fairplay'],
  ['playready', 'fairplay'],
  ['widevine', 'playready', 'fairplay'],
];

export interface SpekeRequestOptions {
  readonly contentId?: string;
  readonly presets?: readonly Preset[];
  /** A `ContentKeyPeriod`, with its id `p1`. */
  readonly period?: string;
  /** X.509 certificate to encrypt for, base64. */
  readonly certificate?: string;
  /** Told apart from those of other requests. */
  readonly seed?: number;
}

/** The KID of a rule of a case: the same request has the same ones. */
export function caseKid(at: number, seed = 0): string {
  return `93f5fb58-1df7-4752-acb2-${(0x1000 + seed).toString(16)}${at.toString(16).padStart(8, '0')}`;
}

export function schemeOf(presets: readonly Preset[]): 'cbcs' | 'cenc' {
  return presets.includes('fairplay') ? 'cbcs' : 'cenc';
}

/** The request of a case, in the layout that packagers send it in. */
export function spekeCaseRequest({ rules }: SpekeCase, options: SpekeRequestOptions = {}): string {
  const { contentId = 'vod/film', presets = ['widevine'], period, certificate, seed } = options;
  const kids = rules.map((_, at) => caseKid(at, seed));
  const keys = kids.map(
    (kid) => `
        <cpix:ContentKey kid="${kid}"
                         commonEncryptionScheme="${schemeOf(presets)}">
        </cpix:ContentKey>`,
  );
  const systems = presets.flatMap((preset) => kids.map((kid) => systemXml(kid, preset)));
  const ruleXml = rules.map(
    ({ type, filter }, at) => `
        <cpix:ContentKeyUsageRule kid="${kids[at] ?? ''}" intendedTrackType="${type}">${period ? '<cpix:KeyPeriodFilter periodId="p1"/>' : ''}${filter}</cpix:ContentKeyUsageRule>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<cpix:CPIX contentId="${contentId}" version="2.3" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">${deliveryXml(certificate)}
    <cpix:ContentKeyList>${keys.join('')}
    </cpix:ContentKeyList>
    <cpix:DRMSystemList>${systems.join('')}
    </cpix:DRMSystemList>${period ? `<cpix:ContentKeyPeriodList>${period}</cpix:ContentKeyPeriodList>` : ''}
    <cpix:ContentKeyUsageRuleList>${ruleXml.join('')}
    </cpix:ContentKeyUsageRuleList>
</cpix:CPIX>`;
}

function deliveryXml(certificate: string | undefined): string {
  if (certificate === undefined) return '';
  return `
    <cpix:DeliveryDataList><cpix:DeliveryData id="packager-1"><cpix:DeliveryKey>
        <ds:X509Data xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Certificate>${certificate}</ds:X509Certificate></ds:X509Data>
    </cpix:DeliveryKey></cpix:DeliveryData></cpix:DeliveryDataList>`;
}

function systemXml(kid: string, preset: Preset): string {
  const dash = '<cpix:PSSH/><cpix:ContentProtectionData/>';
  return `
        <cpix:DRMSystem kid="${kid}" systemId="${SYSTEM_UUIDS[preset]}">${preset === 'fairplay' ? '<cpix:PSSH />' : dash}
            <cpix:HLSSignalingData playlist="media">
            </cpix:HLSSignalingData>
            <cpix:HLSSignalingData playlist="master"></cpix:HLSSignalingData>
        </cpix:DRMSystem>`;
}
