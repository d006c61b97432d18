import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countByRemoteAddress } from './tcp-table.ts';

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:22B8 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:22B8 0100007F:C351 08 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C350 0100007F:22B8 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
   4: 0100007F:22B8 0200000A:C352 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0 20 4 30 10 -1
   5: 0100007F:22B8 0300000A:C353 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   6: 0100007F:22B9 0300000A:C354 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
`;
const TCP6 = `  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:22B8 00000000000000000000000000000000:0000 0A
   1: 0000000000000000FFFF00000100007F:22B8 0000000000000000FFFF00000200000A:C350 01
   2: B80D0120000000000000000001000000:22B8 B80D0120000000000000000002000000:C350 01
`;

describe('countByRemoteAddress', () => {
  it('counts what is connected to the port, and nothing else', () => {
    expect([...countByRemoteAddress(TCP, 8888)]).toEqual([
      ['127.0.0.1', 2],
      ['10.0.0.2', 1],
    ]);
  });

  it('adds the IPv6 table by /64, where IPv4 peers appear mapped', () => {
    const counts = countByRemoteAddress(TCP, 8888);
    expect([...countByRemoteAddress(TCP6, 8888, counts)]).toEqual([
      ['127.0.0.1', 2],
      ['10.0.0.2', 2],
      ['2001:db8:0:0', 1],
    ]);
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (table) => void countByRemoteAddress(table, 8888)));
    expect(countByRemoteAddress('0: 0:22B8 0:0 01\n1: x:22B8 zz:1 01', 8888).size).toBe(0);
  });
});
