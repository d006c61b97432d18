import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  timingSafeEqual,
  X509Certificate,
} from 'node:crypto';
import {
  CPIX_ALGORITHMS,
  type CpixContentKey,
  type CpixDelivery,
  type CpixDocument,
  type CpixRefusal,
  type CpixSecret,
} from './cpix-document.ts';

const DOCUMENT_KEY_BYTES = 32;
const MAC_KEY_BYTES = 64;
const IV_BYTES = 16;
const KEY_BYTES = 16;
/** Of a recipient's certificate; SPEKE says 2048. */
const MIN_RSA_BITS = 2048;

/** A reader of encrypted documents. */
export interface CpixRecipient {
  /** DER; documents are addressed to it. */
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

type RandomBytes = (size: number) => Uint8Array;

/**
 * Encrypts all plain keys of a document for everybody whose certificate stands in it: under a document key made for
 * this document, with a MAC each. Without recipients it stays as it is.
 */
export function encryptKeys(document: CpixDocument, randomBytes: RandomBytes): CpixDocument | CpixRefusal {
  if (document.deliveries.length === 0) return document;
  const documentKey = randomBytes(DOCUMENT_KEY_BYTES);
  const macKey = randomBytes(MAC_KEY_BYTES);
  const deliveries: CpixDelivery[] = [];
  for (const delivery of document.deliveries) {
    const publicKey = recipientKey(delivery.certificate);
    if (!publicKey)
      return { refused: `a delivery certificate is none of RSA with at least ${MIN_RSA_BITS} bits` };
    const wrap = (key: Uint8Array): CpixDelivery['documentKey'] => ({
      kind: 'encrypted',
      algorithm: CPIX_ALGORITHMS.documentKey,
      cipher: publicEncrypt(
        { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
        key,
      ),
      mac: undefined,
    });
    deliveries.push({ ...delivery, documentKey: wrap(documentKey), macKey: wrap(macKey) });
  }
  const contentKeys = document.contentKeys.map((key) => ({
    ...key,
    secret:
      key.secret?.kind === 'plain'
        ? encrypted(key.secret.value, documentKey, macKey, randomBytes)
        : key.secret,
  }));
  return { ...document, deliveries, contentKeys };
}

function recipientKey(certificate: Uint8Array): KeyObject | undefined {
  try {
    const { publicKey } = new X509Certificate(certificate);
    const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
    return publicKey.asymmetricKeyType === 'rsa' && bits >= MIN_RSA_BITS ? publicKey : undefined;
  } catch {
    return undefined;
  }
}

function encrypted(
  value: Uint8Array,
  documentKey: Uint8Array,
  macKey: Uint8Array,
  randomBytes: RandomBytes,
): CpixSecret {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-cbc', documentKey, iv);
  const cipherValue = Buffer.concat([iv, cipher.update(value), cipher.final()]);
  return {
    kind: 'encrypted',
    algorithm: CPIX_ALGORITHMS.contentKey,
    cipher: cipherValue,
    mac: macOf(cipherValue, macKey),
  };
}

function macOf(cipher: Uint8Array, macKey: Uint8Array): Uint8Array {
  return createHmac('sha512', macKey).update(cipher).digest();
}

/** The key of a document entry, 16 bytes. */
export type OpenedKey = { readonly key: Uint8Array } | CpixRefusal;

/** Opens the content keys of one document. */
export type OpenKey = (entry: CpixContentKey) => OpenedKey;

/**
 * How to open the content keys of a document: as they stand, or, with a recipient, decrypted for it. With a recipient a
 * plain key is refused, so that nobody can talk us down. A MAC is verified before anything is decrypted (CPIX 7.1.2).
 */
export function keyOpener(
  document: CpixDocument,
  recipient: CpixRecipient | undefined,
): OpenKey | CpixRefusal {
  if (!recipient) return ({ secret }) => openPlain(secret);
  const delivery = document.deliveries.find(({ certificate }) =>
    Buffer.from(certificate).equals(recipient.certificate),
  );
  if (!delivery) return { refused: 'the document is not for our certificate' };
  const documentKey = unwrap(delivery.documentKey, recipient.privateKey, DOCUMENT_KEY_BYTES);
  const macKey = unwrap(delivery.macKey, recipient.privateKey);
  if (!documentKey || !macKey) return { refused: 'the keys of the document cannot be decrypted' };
  return ({ secret }) => openEncrypted(secret, documentKey, macKey);
}

function openPlain(secret: CpixSecret | undefined): OpenedKey {
  if (secret === undefined) return { refused: 'a content key is missing' };
  if (secret.kind === 'encrypted')
    return { refused: 'a content key is encrypted, and we asked for no encryption' };
  return checked(secret.value);
}

function openEncrypted(
  secret: CpixSecret | undefined,
  documentKey: Uint8Array,
  macKey: Uint8Array,
): OpenedKey {
  if (secret?.kind !== 'encrypted')
    return { refused: 'a content key is missing, or in the clear though we asked for encryption' };
  if (secret.algorithm !== CPIX_ALGORITHMS.contentKey)
    return { refused: 'a content key is encrypted with another algorithm than AES-256-CBC' };
  const { cipher, mac } = secret;
  const expected = macOf(cipher, macKey);
  if (mac?.length !== expected.length || !timingSafeEqual(mac, expected))
    return { refused: 'the MAC of a content key is missing or wrong' };
  return checked(decrypt(cipher, documentKey));
}

function decrypt(cipher: Uint8Array, documentKey: Uint8Array): Uint8Array | undefined {
  try {
    const decipher = createDecipheriv('aes-256-cbc', documentKey, cipher.subarray(0, IV_BYTES));
    return Buffer.concat([decipher.update(cipher.subarray(IV_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function checked(key: Uint8Array | undefined): OpenedKey {
  return key?.length === KEY_BYTES ? { key } : { refused: `a content key is not ${KEY_BYTES} bytes` };
}

function unwrap(
  secret: CpixDelivery['documentKey'],
  privateKey: KeyObject,
  sizeBytes?: number,
): Uint8Array | undefined {
  if (secret?.algorithm !== CPIX_ALGORITHMS.documentKey) return undefined;
  try {
    const options = { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' };
    const key = privateDecrypt(options, secret.cipher);
    return key.length > 0 && (sizeBytes === undefined || key.length === sizeBytes) ? key : undefined;
  } catch {
    return undefined;
  }
}
