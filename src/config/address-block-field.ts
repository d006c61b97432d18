import { parseAddressBlocks } from '../base/address-blocks.ts';
import { Field } from './field.ts';

/** IP addresses and blocks in CIDR form, spaces or commas between them, or none. */
export function addressBlockList(doc: string): Field<string> {
  return new Field<string>({
    type: 'list',
    allowed: 'IP addresses and blocks such as 10.0.0.0/8, or none',
    default: '',
    doc,
    read(raw) {
      if (typeof raw !== 'string') return { problem: 'expected text' };
      const parsed = parseAddressBlocks(raw);
      return 'problem' in parsed ? parsed : { value: raw.trim() };
    },
  });
}

/** Country codes of two letters (ISO 3166-1), spaces or commas between them, or none. */
export function countryList(doc: string): Field<string> {
  return new Field<string>({
    type: 'list',
    allowed: 'country codes such as DE, AT, or none',
    default: '',
    doc,
    read(raw) {
      const fits = typeof raw === 'string' && /^\s*([A-Za-z]{2}([\s,]+|$))*$/.test(raw);
      return fits ? { value: raw.trim() } : { problem: 'expected country codes of two letters' };
    },
  });
}
