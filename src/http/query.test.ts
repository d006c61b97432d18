import { describe, expect, it } from 'vitest';
import { parseQuery } from './query.ts';

describe('parseQuery', () => {
  it.each<[string, [string, string][]]>([
    ['', []],
    [
      '_HLS_msn=12&_HLS_part=3',
      [
        ['_HLS_msn', '12'],
        ['_HLS_part', '3'],
      ],
    ],
    ['a=1&a=2', [['a', '1']]],
    ['a', [['a', '']]],
    ['a=b=c', [['a', 'b=c']]],
    ['q=x%20y+z', [['q', 'x y z']]],
    ['bad=%zz&good=1', [['good', '1']]],
    ['=1&&&', []],
    ['__proto__=1', [['__proto__', '1']]],
  ])('%s', (query, expected) => {
    expect([...parseQuery(query)]).toEqual(expected);
  });

  it('looks at 64 parameters at most', () => {
    const query = Array.from({ length: 100 }, (_, i) => `p${i}=1`).join('&');
    expect(parseQuery(query).size).toBe(64);
  });
});
