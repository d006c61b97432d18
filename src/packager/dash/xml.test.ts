import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical, parseXml } from '../../../test/support/xml-tree.ts';
import { element, escapeXml, sameElement, writeDocument } from './xml.ts';

describe('the XML writer', () => {
  it('writes attributes in order, leaves undefined ones out, and puts one element on a line', () => {
    const root = element('A', { b: 1, c: undefined, d: false }, [
      element('E', {}, 'x & y'),
      undefined,
      element('F', { g: '"' }),
    ]);
    expect(writeDocument(root)).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<A b="1" d="false">\n <E>x &amp; y</E>\n <F g="&quot;"/>\n</A>\n',
    );
  });

  it('escapes whatever it is given so that a reader gets it back, without what XML 1.0 lacks', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const kept = value.replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '');
        expect(parseXml(writeDocument(element('A', { b: value }))).attributes.get('b')).toBe(kept);
      }),
    );
    expect(escapeXml('<a b="&">\n\u0000\uD800')).toBe('&lt;a b=&quot;&amp;&quot;&gt;&#xA;');
  });

  it('compares trees by value, whatever the order of attributes', () => {
    const a = element('A', { x: 1, y: 2 }, [element('B')]);
    expect(sameElement(a, element('A', { y: 2, x: 1 }, [element('B')]))).toBe(true);
    expect(sameElement(a, element('A', { x: 1, y: 3 }, [element('B')]))).toBe(false);
    expect(sameElement(a, element('A', { x: 1, y: 2 }, [element('C')]))).toBe(false);
    expect(sameElement(a, element('A', { x: 1, y: 2 }, 'text'))).toBe(false);
    expect(canonical(parseXml(writeDocument(a)))).toBe('A {} x="1" y="2"\n  B {} ');
  });
});
