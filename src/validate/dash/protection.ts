import { readEncodedHeader, type SystemHeader } from '../media/system-header.ts';
import type { AdaptationSet, Representation } from './mpd-model.ts';
import { childrenOf, type XmlElement } from './xml.ts';

export const COMMON_SCHEME = 'urn:mpeg:dash:mp4protection:2011';
const CENC_NAMESPACE = 'urn:mpeg:cenc:2013';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SYSTEM_SCHEME = /^urn:uuid:(.*)$/i;
/** Longest list of key ids that is read. */
const MAX_KIDS = 64;

/** One ContentProtection (ISO/IEC 23009-1 5.8.4.1, ISO/IEC 23001-7 11.2). */
export interface ContentProtection {
  /** schemeIdUri in lower case. */
  readonly scheme: string;
  readonly value: string | undefined;
  /** cenc:default_KID as written. */
  readonly defaultKid: string | undefined;
  /** Its key ids, 32 hex digits each; undefined when it is absent or not made of UUIDs. */
  readonly kids: readonly string[] | undefined;
  /** System of a `urn:uuid:` scheme, 32 hex digits when it is a UUID. */
  readonly systemId: string | undefined;
  /** Contents of cenc:pssh, without white space. */
  readonly data: readonly string[];
  /** The same, read; what is wrong with one as a text. */
  readonly headers: readonly (SystemHeader | string)[];
  /** Said elsewhere in the MPD and only referred to here, which is not followed. */
  readonly isReference: boolean;
}

/** ContentProtection of one level only. */
export function protectionsOf({ element }: AdaptationSet | Representation): ContentProtection[] {
  return childrenOf(element, 'ContentProtection').map(readProtection);
}

/** All that holds for a Representation: its own and its set's. */
export function protectionsFor(set: AdaptationSet, representation: Representation): ContentProtection[] {
  return [...protectionsOf(representation), ...protectionsOf(set)];
}

/** The descriptor that names the scheme and the key; the Representation's before its set's. */
export function commonOf(protections: readonly ContentProtection[]): ContentProtection | undefined {
  return protections.find(({ scheme }) => scheme === COMMON_SCHEME);
}

function readProtection(element: XmlElement): ContentProtection {
  const scheme = (element.attributes.get('schemeIdUri') ?? '').trim().toLowerCase();
  const data = element.children
    .filter(({ name, namespace }) => name === 'pssh' && namespace === CENC_NAMESPACE)
    .map(({ text }) => text.replaceAll(/\s+/g, ''));
  const defaultKid = prefixed(element, 'default_KID');
  return {
    scheme,
    value: element.attributes.get('value'),
    defaultKid,
    kids: defaultKid === undefined ? undefined : kidsOf(defaultKid),
    systemId: SYSTEM_SCHEME.exec(scheme)?.[1]?.replaceAll('-', ''),
    data,
    headers: data.map(readEncodedHeader),
    isReference: element.attributes.has('ref'),
  };
}

/** An attribute of another namespace, whatever its prefix. */
function prefixed({ attributes }: XmlElement, name: string): string | undefined {
  for (const [key, value] of attributes) if (key.endsWith(`:${name}`)) return value;
  return undefined;
}

function kidsOf(text: string): readonly string[] | undefined {
  const uuids = text.trim().split(/\s+/).slice(0, MAX_KIDS);
  if (!uuids.every((uuid) => UUID.test(uuid))) return undefined;
  return uuids.map((uuid) => uuid.replaceAll('-', '').toLowerCase());
}
