import { parseXml, type XmlElement } from '../../base/xml.ts';
import { kidOfText } from '../kid.ts';
import {
  CPIX_NAMESPACES,
  type CpixContentKey,
  type CpixDelivery,
  type CpixDocument,
  type CpixDrmSystem,
  type CpixKeyPeriod,
  type CpixPlaylist,
  type CpixRange,
  type CpixRefusal,
  type CpixSecret,
  type CpixUsageRule,
  type CpixVideoFilter,
} from './cpix-document.ts';

const XML_LIMITS = { maxCharacters: 1024 * 1024, maxElements: 20_000, maxDepth: 24 };
/** Content keys, systems, periods or rules of one document; more are refused. */
const MAX_ENTRIES = 512;
const MAX_TEXT = 256;

const WITHOUT_QUOTES = /^(longer than|has a DOCTYPE|has no root|nested deeper|more than) ?[\w ,]*$/;

/** Thrown within this file alone, where a document is left. */
class Unusable extends Error {}

/**
 * Reads a document of a peer. It is taken whole or refused: what is malformed, ambiguous or too much ends it. Text is
 * bounded, a DOCTYPE refused. Never throws.
 */
export function readCpix(text: string): CpixDocument | CpixRefusal {
  const outcome = parseXml(text, XML_LIMITS);
  if (outcome.kind === 'unreadable') {
    // The parser's own words may quote the text, and so a key.
    const reason = WITHOUT_QUOTES.test(outcome.reason) ? outcome.reason : 'is not well-formed';
    return { refused: `not usable as XML: ${reason}` };
  }
  try {
    return readDocument(outcome.root);
  } catch (error) {
    if (error instanceof Unusable) return { refused: error.message };
    throw error;
  }
}

function readDocument(root: XmlElement): CpixDocument {
  if (root.name !== 'CPIX' || root.namespace !== CPIX_NAMESPACES.cpix)
    throw new Unusable(`the root element must be CPIX of the namespace ${CPIX_NAMESPACES.cpix}`);
  return {
    contentId: attribute(root, 'contentId'),
    version: attribute(root, 'version'),
    deliveries: entries(root, 'DeliveryDataList', 'DeliveryData').map(readDelivery),
    contentKeys: entries(root, 'ContentKeyList', 'ContentKey').map(readContentKey),
    drmSystems: entries(root, 'DRMSystemList', 'DRMSystem').map(readDrmSystem),
    periods: entries(root, 'ContentKeyPeriodList', 'ContentKeyPeriod').map(readPeriod),
    usageRules: entries(root, 'ContentKeyUsageRuleList', 'ContentKeyUsageRule').map(readRule),
  };
}

function entries(root: XmlElement, list: string, name: string): readonly XmlElement[] {
  const lists = childrenOf(root, list);
  if (lists.length > 1) throw new Unusable(`${list} may be there only once`);
  const found = lists.flatMap((element) => childrenOf(element, name));
  if (found.length > MAX_ENTRIES) throw new Unusable(`${list} has more than ${MAX_ENTRIES} entries`);
  return found;
}

function readDelivery(element: XmlElement): CpixDelivery {
  const data = descend(element, ['DeliveryKey', 'X509Data', 'X509Certificate']);
  if (!data) throw new Unusable('DeliveryKey must have an X509Certificate');
  const method = childOf(element, 'MACMethod');
  // The schema says MACKey, the text of SPEKE Key.
  const macKey = method && (childOf(method, 'MACKey') ?? childOf(method, 'Key'));
  return {
    id: attribute(element, 'id'),
    name: attribute(element, 'name'),
    certificate: base64(data.text, 'X509Certificate'),
    documentKey: encryptedOnly(readSecret(descend(element, ['DocumentKey', 'Data', 'Secret']))),
    macKey: macKey && readEncrypted(childOf(macKey, 'EncryptedValue') ?? macKey, undefined),
  };
}

function encryptedOnly(
  secret: CpixSecret | undefined,
): Extract<CpixSecret, { kind: 'encrypted' }> | undefined {
  if (secret?.kind === 'plain') throw new Unusable('DocumentKey must not be in the clear');
  return secret;
}

function readContentKey(element: XmlElement): CpixContentKey {
  const iv = attribute(element, 'explicitIV');
  const explicitIv = iv === undefined || iv === '' ? undefined : base64(iv, 'explicitIV');
  if (explicitIv && explicitIv.length !== 16) throw new Unusable('explicitIV must be 16 bytes');
  if (attribute(element, 'dependsOnKey') !== undefined)
    throw new Unusable('key hierarchies are not supported');
  return {
    kid: kidOf(element),
    scheme: attribute(element, 'commonEncryptionScheme'),
    explicitIv,
    secret: readSecret(descend(element, ['Data', 'Secret'])),
  };
}

function readSecret(secret: XmlElement | undefined): CpixSecret | undefined {
  if (!secret) return undefined;
  const plain = childOf(secret, 'PlainValue');
  const encrypted = childOf(secret, 'EncryptedValue');
  if (plain && encrypted) throw new Unusable('a Secret has PlainValue or EncryptedValue, not both');
  if (plain) return { kind: 'plain', value: base64(plain.text, 'PlainValue') };
  return encrypted && readEncrypted(encrypted, childOf(secret, 'ValueMAC'));
}

function readEncrypted(
  element: XmlElement,
  mac: XmlElement | undefined,
): Extract<CpixSecret, { kind: 'encrypted' }> {
  const value = descend(element, ['CipherData', 'CipherValue']);
  if (!value) throw new Unusable('an encrypted value has no CipherValue');
  const method = childOf(element, 'EncryptionMethod');
  return {
    kind: 'encrypted',
    algorithm: (method && attribute(method, 'Algorithm')) ?? '',
    cipher: base64(value.text, 'CipherValue'),
    mac: mac && base64(mac.text, 'ValueMAC'),
  };
}

function readDrmSystem(element: XmlElement): CpixDrmSystem {
  const systemId = attribute(element, 'systemId')?.toLowerCase();
  if (!kidOfText(systemId) || systemId === undefined) throw new Unusable('DRMSystem@systemId must be a UUID');
  for (const name of ['URIExtXKey', 'HDSSignalingData'])
    if (childOf(element, name)) throw new Unusable(`${name} is not supported: it is not part of SPEKE 2.0`);
  const optional = (name: string): Uint8Array | undefined => {
    const child = childOf(element, name);
    return child && base64(child.text, name);
  };
  return {
    kid: kidOf(element),
    systemId,
    name: attribute(element, 'name'),
    pssh: optional('PSSH'),
    contentProtectionData: optional('ContentProtectionData'),
    hls: childrenOf(element, 'HLSSignalingData').map((child) => ({
      playlist: playlistOf(attribute(child, 'playlist')),
      data: base64(child.text, 'HLSSignalingData'),
    })),
    smoothStreaming: childOf(element, 'SmoothStreamingProtectionHeaderData')?.text,
  };
}

function playlistOf(text: string | undefined): CpixPlaylist | undefined {
  if (text === undefined || text === 'media' || text === 'master' || text === 'multiVariant') return text;
  throw new Unusable('HLSSignalingData@playlist must be media or master');
}

function readPeriod(element: XmlElement): CpixKeyPeriod {
  const id = attribute(element, 'id');
  if (id === undefined || id === '') throw new Unusable('ContentKeyPeriod must have an id');
  const startMs = time(element, 'start');
  const endMs = time(element, 'end');
  if (
    (startMs === undefined) !== (endMs === undefined) ||
    (startMs ?? 0) >= (endMs ?? Number.POSITIVE_INFINITY)
  )
    throw new Unusable('ContentKeyPeriod@start and @end belong together, in that order');
  return { id, index: whole(element, 'index'), startMs, endMs };
}

const FILTERS = ['KeyPeriodFilter', 'LabelFilter', 'VideoFilter', 'AudioFilter', 'BitrateFilter'];

function readRule(element: XmlElement): CpixUsageRule {
  return {
    kid: kidOf(element),
    intendedTrackType: attribute(element, 'intendedTrackType'),
    periodIds: childrenOf(element, 'KeyPeriodFilter').map((child) => required(child, 'periodId')),
    labels: childrenOf(element, 'LabelFilter').map((child) => required(child, 'label')),
    video: childrenOf(element, 'VideoFilter').map(readVideoFilter),
    audio: childrenOf(element, 'AudioFilter').map((child) => range(child, 'minChannels', 'maxChannels')),
    bitrate: childrenOf(element, 'BitrateFilter').map((child) => range(child, 'minBitrate', 'maxBitrate')),
    unknownFilters: element.children
      .filter(({ name, namespace }) => namespace !== CPIX_NAMESPACES.cpix || !FILTERS.includes(name))
      .map(({ name }) => name),
  };
}

const VIDEO_ATTRIBUTES = ['minPixels', 'maxPixels', 'minFps', 'maxFps', 'hdr', 'wcg'];

function readVideoFilter(element: XmlElement): CpixVideoFilter {
  for (const name of element.attributes.keys())
    if (!VIDEO_ATTRIBUTES.includes(name))
      throw new Unusable('VideoFilter has an attribute that is not known');
  return {
    pixels: range(element, 'minPixels', 'maxPixels'),
    framesPerSecond: range(element, 'minFps', 'maxFps'),
    hdr: truth(element, 'hdr'),
    wcg: truth(element, 'wcg'),
  };
}

function range(element: XmlElement, min: string, max: string): CpixRange {
  return { min: whole(element, min), max: whole(element, max) };
}

const NAMESPACES: readonly string[] = Object.values(CPIX_NAMESPACES);

/** Elements of other namespaces are nobody's, whatever their names. */
function childrenOf(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.filter((child) => child.name === name && NAMESPACES.includes(child.namespace));
}

/** What may be there once may not be there twice: who read the other one would read another document. */
function childOf(element: XmlElement, name: string): XmlElement | undefined {
  const found = childrenOf(element, name);
  if (found.length > 1) throw new Unusable(`${element.name} has more than one ${name}`);
  return found[0];
}

function descend(from: XmlElement, names: readonly string[]): XmlElement | undefined {
  let at: XmlElement | undefined = from;
  for (const name of names) at = at && childOf(at, name);
  return at;
}

function attribute(element: XmlElement, name: string): string | undefined {
  const value = element.attributes.get(name);
  if (value !== undefined && value.length > MAX_TEXT)
    throw new Unusable(`${element.name}@${name} is too long`);
  return value;
}

function required(element: XmlElement, name: string): string {
  const value = attribute(element, name);
  if (value === undefined || value === '') throw new Unusable(`${element.name} must have ${name}`);
  return value;
}

function kidOf(element: XmlElement): Uint8Array {
  const kid = kidOfText(attribute(element, 'kid')?.toLowerCase());
  if (!kid) throw new Unusable(`${element.name}@kid must be a UUID`);
  return kid;
}

function whole(element: XmlElement, name: string): number | undefined {
  const text = attribute(element, name)?.trim();
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Unusable(`${element.name}@${name} must be a whole number`);
  return Number(text);
}

function truth(element: XmlElement, name: string): boolean | undefined {
  const text = attribute(element, name)?.trim();
  if (text === undefined) return undefined;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new Unusable(`${element.name}@${name} must be true or false`);
}

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?<zone>Z|[+-]\d\d:\d\d)?$/;

/** Without a zone it is UTC, as SPEKE reads it. */
function time(element: XmlElement, name: string): number | undefined {
  const text = attribute(element, name)?.trim();
  if (text === undefined) return undefined;
  const zone = DATE_TIME.exec(text)?.groups?.['zone'];
  const timeMs = DATE_TIME.test(text) ? parseTime(zone === undefined ? `${text}Z` : text) : Number.NaN;
  if (!Number.isFinite(timeMs)) throw new Unusable(`${element.name}@${name} must be a date and time`);
  return timeMs;
}

// oxlint-disable-next-line no-restricted-globals -- reads a given time, not the clock
const parseTime = Date.parse;

function base64(text: string, what: string): Uint8Array {
  const joined = text.replaceAll(/\s+/g, '');
  if (!/^[0-9A-Za-z+/]*={0,2}$/.test(joined) || joined.length % 4 !== 0)
    throw new Unusable(`${what} must be base64`);
  return Buffer.from(joined, 'base64');
}
