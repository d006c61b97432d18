import { childOf, parseXml, type XmlElement } from '../../base/xml.ts';
import type { Challenge } from './proxy.ts';

const XML_LIMITS = { maxCharacters: 256 * 1024, maxElements: 4096, maxDepth: 32 };
/** As tokens are: longer ones are none. */
const MAX_TOKEN_LENGTH = 5000;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * A licence challenge: the SOAP envelope (AcquireLicense), or the UTF-16 message that browsers wrap it in when the
 * player has not unwrapped it. The envelope goes on byte for byte, for the device has signed it. Undefined: neither.
 */
export function readPlayReadyChallenge(body: Uint8Array): Challenge | undefined {
  if (looksLikeUtf16(body)) return unwrap(body);
  return readEnvelope(body);
}

function readEnvelope(bytes: Uint8Array): Challenge | undefined {
  const root = parse(Buffer.from(bytes).toString('utf8'));
  const acquire = root && path(root, ['Body', 'AcquireLicense']);
  if (!acquire || root.name !== 'Envelope') return undefined;
  const challenge = path(acquire, ['challenge', 'Challenge', 'LA']);
  const custom = challenge && childOf(challenge, 'CustomData')?.text;
  return { bytes, token: tokenIn(custom) };
}

/** Custom data is the app's own; a playback token in it counts where no header has one. */
function tokenIn(custom: string | undefined): string | undefined {
  if (custom === undefined || custom.length > MAX_TOKEN_LENGTH) return undefined;
  return TOKEN.test(custom) ? custom : undefined;
}

function looksLikeUtf16(body: Uint8Array): boolean {
  return (body[0] === 0xff && body[1] === 0xfe) || (body[0] === 0x3c && body[1] === 0);
}

/** PlayReadyKeyMessage/LicenseAcquisition/Challenge: base64 of the envelope. */
function unwrap(body: Uint8Array): Challenge | undefined {
  const root = parse(Buffer.from(body).toString('utf16le'));
  const inner = root && path(root, ['LicenseAcquisition', 'Challenge'])?.text;
  return root?.name === 'PlayReadyKeyMessage' && inner
    ? readEnvelope(Buffer.from(inner, 'base64'))
    : undefined;
}

/** What a fault says, where the answer is one (SOAP 1.1): the code that PlayReady gives it. */
export interface PlayReadyFault {
  /** Eight hexadecimal digits, upper case; '' when the server gave none. */
  readonly code: string;
}

/** Undefined: the answer is no SOAP fault. */
export function readPlayReadyFault(body: string): PlayReadyFault | undefined {
  const root = parse(body);
  const fault = root && path(root, ['Body', 'Fault']);
  if (!fault) return undefined;
  const code = path(fault, ['detail', 'Exception', 'StatusCode'])?.text ?? '';
  return { code: /^(?:0x)?([0-9a-f]{8})$/i.exec(code)?.[1]?.toUpperCase() ?? '' };
}

/** Whether the answer has a licence in it. */
export function isPlayReadyLicense(body: string): boolean {
  const root = parse(body);
  return root !== undefined && path(root, ['Body', 'AcquireLicenseResponse']) !== undefined;
}

function parse(text: string): XmlElement | undefined {
  const outcome = parseXml(text, XML_LIMITS);
  return outcome.kind === 'document' ? outcome.root : undefined;
}

function path(from: XmlElement, names: readonly string[]): XmlElement | undefined {
  let at: XmlElement | undefined = from;
  for (const name of names) at = at && childOf(at, name);
  return at;
}
