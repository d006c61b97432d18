/** Bytes of general_constraint_indicator_flags in hvcC. */
const CONSTRAINTS_START = 6;
const CONSTRAINTS_END = 12;

/**
 * What stands behind `hvc1.` (ISO/IEC 14496-15 E.3): profile space and profile, compatibility flags in reverse bit
 * order, tier and level, constraint bytes without the zeros at their end. Undefined when hvcC is too short.
 */
export function hevcCodecString(hvcC: Uint8Array): string | undefined {
  if (hvcC.length < 23) return undefined;
  const [, profileByte = 0] = hvcC;
  const space = ['', 'A', 'B', 'C'][profileByte >> 6] ?? '';
  const tier = profileByte & 0x20 ? 'H' : 'L';
  const constraints = trimZeros(hvcC.subarray(CONSTRAINTS_START, CONSTRAINTS_END));
  return [
    `${space}${profileByte & 0x1f}`,
    reversedBits(hvcC.subarray(2, 6)).toString(16).toUpperCase(),
    `${tier}${hvcC[12] ?? 0}`,
    ...[...constraints].map((byte) => byte.toString(16).toUpperCase()),
  ].join('.');
}

function trimZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

function reversedBits(bytes: Uint8Array): number {
  let value = 0;
  for (let bit = 31; bit >= 0; bit--) {
    const set = ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
    value = value * 2 + set;
  }
  return value;
}
