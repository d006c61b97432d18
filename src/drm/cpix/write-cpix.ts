import { kidText } from '../kid.ts';
import {
  CPIX_ALGORITHMS,
  CPIX_NAMESPACES,
  type CpixContentKey,
  type CpixDelivery,
  type CpixDocument,
  type CpixDrmSystem,
  type CpixKeyPeriod,
  type CpixRange,
  type CpixSecret,
  type CpixUsageRule,
} from './cpix-document.ts';

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes a document: what is undefined is left out, what is empty is an empty element. */
export function writeCpix(document: CpixDocument): string {
  const { contentId, version, deliveries, contentKeys, drmSystems, periods, usageRules } = document;
  const namespaces = Object.fromEntries(
    Object.entries(CPIX_NAMESPACES).map(([prefix, uri]) => [`xmlns:${prefix}`, uri]),
  );
  const content = [
    ...list('cpix:DeliveryDataList', deliveries.map(writeDelivery)),
    ...list('cpix:ContentKeyList', contentKeys.map(writeContentKey)),
    ...list('cpix:DRMSystemList', drmSystems.map(writeDrmSystem)),
    ...list('cpix:ContentKeyPeriodList', periods.map(writePeriod)),
    ...list('cpix:ContentKeyUsageRuleList', usageRules.map(writeRule)),
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('cpix:CPIX', { ...namespaces, contentId, version }, content)}\n`;
}

function list(name: string, children: readonly string[]): string[] {
  return children.length === 0 ? [] : [element(name, {}, children)];
}

function writeDelivery({ id, name, certificate, documentKey, macKey }: CpixDelivery): string {
  const x509 = element('ds:X509Data', {}, [element('ds:X509Certificate', {}, base64(certificate))]);
  return element('cpix:DeliveryData', { id, name }, [
    element('cpix:DeliveryKey', {}, [x509]),
    documentKey
      ? element('cpix:DocumentKey', { Algorithm: CPIX_ALGORITHMS.contentKey }, [writeData(documentKey)])
      : '',
    macKey
      ? element('cpix:MACMethod', { Algorithm: CPIX_ALGORITHMS.mac }, [
          element('pskc:MACKey', {}, encryptedParts(macKey)),
        ])
      : '',
  ]);
}

function writeContentKey({ kid, scheme, explicitIv, secret }: CpixContentKey): string {
  const attributes = {
    kid: kidText(kid),
    explicitIV: explicitIv && base64(explicitIv),
    commonEncryptionScheme: scheme,
  };
  return element('cpix:ContentKey', attributes, secret ? [writeData(secret)] : []);
}

function writeData(secret: CpixSecret): string {
  const inside =
    secret.kind === 'plain'
      ? [element('pskc:PlainValue', {}, base64(secret.value))]
      : [
          element('pskc:EncryptedValue', {}, encryptedParts(secret)),
          secret.mac ? element('pskc:ValueMAC', {}, base64(secret.mac)) : '',
        ];
  return element('cpix:Data', {}, [element('pskc:Secret', {}, inside)]);
}

function encryptedParts({
  algorithm,
  cipher,
}: Extract<CpixSecret, { kind: 'encrypted' }>): readonly string[] {
  return [
    element('enc:EncryptionMethod', { Algorithm: algorithm }),
    element('enc:CipherData', {}, [element('enc:CipherValue', {}, base64(cipher))]),
  ];
}

function writeDrmSystem(system: CpixDrmSystem): string {
  const { kid, systemId, name, pssh, contentProtectionData, hls, smoothStreaming } = system;
  return element('cpix:DRMSystem', { kid: kidText(kid), systemId, name }, [
    pssh ? element('cpix:PSSH', {}, base64(pssh)) : '',
    contentProtectionData ? element('cpix:ContentProtectionData', {}, base64(contentProtectionData)) : '',
    ...hls.map(({ playlist, data }) => element('cpix:HLSSignalingData', { playlist }, base64(data))),
    smoothStreaming === undefined
      ? ''
      : element('cpix:SmoothStreamingProtectionHeaderData', {}, escape(smoothStreaming)),
  ]);
}

function writePeriod({ id, index, startMs, endMs }: CpixKeyPeriod): string {
  return element('cpix:ContentKeyPeriod', { id, index, start: dateTime(startMs), end: dateTime(endMs) });
}

function writeRule(rule: CpixUsageRule): string {
  const { kid, intendedTrackType, periodIds, labels, video, audio, bitrate } = rule;
  return element('cpix:ContentKeyUsageRule', { kid: kidText(kid), intendedTrackType }, [
    ...periodIds.map((periodId) => element('cpix:KeyPeriodFilter', { periodId })),
    ...labels.map((label) => element('cpix:LabelFilter', { label })),
    ...video.map(({ pixels, framesPerSecond, hdr, wcg }) =>
      element('cpix:VideoFilter', {
        ...bounds(pixels, 'minPixels', 'maxPixels'),
        hdr,
        wcg,
        ...bounds(framesPerSecond, 'minFps', 'maxFps'),
      }),
    ),
    ...audio.map((channels) => element('cpix:AudioFilter', bounds(channels, 'minChannels', 'maxChannels'))),
    ...bitrate.map((mbps) => element('cpix:BitrateFilter', bounds(mbps, 'minBitrate', 'maxBitrate'))),
  ]);
}

function bounds({ min, max }: CpixRange, minName: string, maxName: string): Attributes {
  return { [minName]: min, [maxName]: max };
}

/** `content` is text that is escaped already, or elements. */
function element(name: string, attributes: Attributes, content: string | readonly string[] = ''): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escape(String(value))}"`)
    .join('');
  const inside = typeof content === 'string' ? content : content.join('');
  return inside === '' ? `<${name}${written}/>` : `<${name}${written}>${inside}</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function dateTime(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : isoTime(timeMs);
}

// oxlint-disable-next-line no-restricted-globals -- writes a given time, not the clock's
const isoTime = (timeMs: number): string => new Date(timeMs).toISOString();
