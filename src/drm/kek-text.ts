import { createHash } from 'node:crypto';
import type { Kek } from './key-wrapper.ts';
import { looksLikeDefault, weaknessOf } from './secret-strength.ts';

export const KEK_BYTES = 32;
/** More were not retired for years: rotation takes away those that nothing is wrapped under. */
export const MAX_KEKS = 64;

const ID_HEX_DIGITS = 16;
const HEX = /^[0-9A-Fa-f]{64}$/;
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/;

/** KEKs that were read well, or the sentence (without any value) that says why not. */
export type KekReading = { readonly keks: readonly Kek[] } | { readonly problem: string };

/**
 * Reads KEKs: 32 bytes each as hex or base64, the newest last, with spaces, commas or line breaks between them; what
 * follows a `#` on a line is a comment.
 */
export function parseKeks(given: string): KekReading {
  const words = given
    .replace(/#[^\n]*/g, '')
    .split(/[\s,]+/)
    .filter((word) => word !== '');
  if (words.length === 0) return { problem: 'holds no key' };
  if (words.length > MAX_KEKS) return { problem: `holds more than ${MAX_KEKS} keys` };
  const keks: Kek[] = [];
  for (const [i, word] of words.entries()) {
    const which = words.length === 1 ? 'its key' : `key ${i + 1}`;
    const key = keyOf(word);
    if (key === undefined)
      return { problem: `holds something else: ${which} must be 32 bytes in hex or base64` };
    const weakness = looksLikeDefault(word) ? 'it looks like one out of a manual' : weaknessOf(key);
    if (weakness !== undefined) return { problem: `is not safe: ${which} is not random, ${weakness}` };
    const kek = { id: kekIdOf(key), key };
    if (keks.some(({ id }) => id === kek.id)) return { problem: `has ${which} twice` };
    keks.push(kek);
  }
  return { keks };
}

/** As {@link parseKeks} reads it, one a line. */
export function renderKeks(keks: readonly Kek[]): string {
  const lines = keks.map(({ key }) => Buffer.from(key).toString('base64url'));
  return `# Keys that content keys are encrypted with at rest. The last one is used for new keys.\n${lines.join('\n')}\n`;
}

/** A KEK's id follows from its value, so that no two files can disagree about it; the value does not from the id. */
export function kekIdOf(key: Uint8Array): string {
  return createHash('sha256').update('headwater kek id\0').update(key).digest('hex').slice(0, ID_HEX_DIGITS);
}

function keyOf(word: string): Uint8Array | undefined {
  if (HEX.test(word)) return Buffer.from(word, 'hex');
  if (!BASE64.test(word)) return undefined;
  const key = Buffer.from(word, 'base64');
  return key.length === KEK_BYTES ? key : undefined;
}
