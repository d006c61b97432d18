/**
 * What counts as one peer in limits by address: an IPv4 address (mapped ones too), or the /64 of an IPv6 address, which
 * a single host can fill at will. The group of a group is the same group.
 */
export function addressGroup(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail = ''] = plain.toLowerCase().split('::');
  const high = head === '' ? [] : head.split(':');
  const low = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - high.length - low.length) }, () => '0');
  return [...high, ...zeros, ...low].slice(0, 4).join(':');
}
