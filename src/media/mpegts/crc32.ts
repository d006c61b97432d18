const POLYNOMIAL = 0x04c11db7;

/**
 * CRC-32/MPEG-2 (ISO/IEC 13818-1 annex A). Over a section with its CRC at the end it is 0. Bit by bit: sections are
 * few and small.
 */
export function crc32Mpeg(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  }
  return crc >>> 0;
}
