import { BlockList, isIP } from 'node:net';

/** Blocks of IP addresses to look one up in. */
export interface AddressBlocks {
  /** Whether the address lies in one of them; false for what is no address. */
  has(address: string): boolean;
  readonly size: number;
}

/** Blocks in one list; more are refused. */
const MAX_BLOCKS = 1000;

/**
 * Reads addresses and blocks in CIDR form (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`) with spaces or commas between
 * them. A sentence says what is wrong.
 */
export function parseAddressBlocks(
  text: string,
): { readonly blocks: AddressBlocks } | { readonly problem: string } {
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  if (items.length > MAX_BLOCKS) return { problem: `expected at most ${MAX_BLOCKS} address blocks` };
  const list = new BlockList();
  for (const item of items) {
    const slash = item.indexOf('/');
    const address = slash < 0 ? item : item.slice(0, slash);
    const family = isIP(address);
    const maxBits = family === 4 ? 32 : 128;
    const bits = slash < 0 ? maxBits : Number(/^\d{1,3}$/.exec(item.slice(slash + 1))?.[0] ?? Number.NaN);
    if (family === 0 || !(bits <= maxBits)) {
      return { problem: 'expected IP addresses or blocks such as 10.0.0.0/8 with spaces between' };
    }
    list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  }
  return {
    blocks: {
      size: items.length,
      has(address) {
        if (items.length === 0) return false;
        const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
        const family = isIP(plain);
        return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
      },
    },
  };
}

/**
 * The blocks of a text that was checked.
 * @throws RangeError on text that {@link parseAddressBlocks} finds wrong
 */
export function addressBlocks(text: string): AddressBlocks {
  const parsed = parseAddressBlocks(text);
  if ('problem' in parsed) throw new RangeError(parsed.problem);
  return parsed.blocks;
}
