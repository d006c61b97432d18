/** Fewer different values among 32 random bytes happen once in 10^9 secrets; in patterns always. */
const MIN_DISTINCT_BYTES = 17;
/** Long enough that no random text has one by chance. */
const DEFAULT_WORDS =
  /change.?me|password|passphrase|headwater|example|placeholder|replace.?me|01234567|abcdefg/i;
const PRINTABLE_FROM = 0x20;
const PRINTABLE_TO = 0x7e;

/** What is wrong with a secret of 32 bytes or more that should be random; undefined when nothing can be seen. */
export function weaknessOf(secret: Uint8Array): string | undefined {
  if (secret.every((byte) => byte === secret[0])) return 'all its bytes are equal';
  if (isProgression(secret)) return 'its bytes count up or down';
  if (isText(secret)) return 'it is text, not random bytes';
  if (new Set(secret).size < MIN_DISTINCT_BYTES) return 'its bytes are a pattern';
  return undefined;
}

/** Whether a secret, as it was written by people, looks like one out of a manual. */
export function looksLikeDefault(given: string): boolean {
  return DEFAULT_WORDS.test(given);
}

function isProgression(bytes: Uint8Array): boolean {
  const step = ((bytes[1] ?? 0) - (bytes[0] ?? 0)) & 0xff;
  return bytes.every((byte, i) => i === 0 || ((byte - (bytes[i - 1] ?? 0)) & 0xff) === step);
}

function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= PRINTABLE_FROM && byte <= PRINTABLE_TO);
}
