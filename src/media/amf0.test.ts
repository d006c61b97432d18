import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../test/support/cpu-time.ts';
import { AMF0_LIMITS, type Amf0Value, amf0Object, parseAmf0, writeAmf0 } from './amf0.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

/** Values whose whole tree fits the limits. */
const amf0Value: fc.Arbitrary<Amf0Value> = fc.letrec<{ value: Amf0Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.double(),
    fc.boolean(),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constant(null),
    fc.constant(undefined),
    fc.double().map((epochMs): Amf0Value => ({ type: 'date', epochMs })),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.string({ minLength: 1, maxLength: 12 }), tie('value')), { maxLength: 4 })
      .map((entries): Amf0Value => new Map(entries)),
  ),
})).value;

describe('parseAmf0', () => {
  it('reads every kind of value from its bytes', () => {
    const bytes = hex(`
      00 3ff8000000000000
      01 01
      02 0004 6c697665
      05
      06
      0b 4270000000000000 0000
      0c 00000002 6f6b
      03 0001 61 01 00 0000 09
      08 00000009 0001 62 05 0000 09
      0a 00000002 05 06
      10 0001 54 0001 63 02 0000 0000 09
    `);
    expect(parseAmf0(bytes)).toEqual({
      ok: true,
      values: [
        1.5,
        true,
        'live',
        null,
        undefined,
        { type: 'date', epochMs: 2 ** 40 },
        'ok',
        new Map([['a', false]]),
        new Map([['b', null]]),
        [null, undefined],
        new Map([['c', '']]),
      ],
    });
  });

  it('gives back what was written', () => {
    fc.assert(
      fc.property(fc.array(amf0Value, { maxLength: 3 }), (values) => {
        const roomy = { ...AMF0_LIMITS, maxProperties: 10_000, maxDepth: 32 };
        expect(parseAmf0(writeAmf0(values), roomy)).toEqual({ ok: true, values });
      }),
      { numRuns: 500 },
    );
  });

  it('reports every cut of a good message as truncated', () => {
    const whole = writeAmf0(['connect', 1, amf0Object({ app: 'live', fpad: false })]);
    for (let size = 1; size < whole.length; size++) {
      const result = parseAmf0(whole.subarray(0, size));
      // A cut between two values is a shorter good message.
      if (result.ok) expect([10, 19]).toContain(size);
      else expect(result.fault).toBe('truncated');
    }
  });

  const bombs: [string, Buffer, string][] = [
    ['objects nested 8000 deep', Buffer.concat([...Array(8000)].map(() => hex('03 0001 61'))), 'limit'],
    ['arrays nested 8000 deep', Buffer.concat([...Array(8000)].map(() => hex('0a 00000001'))), 'limit'],
    ['objects nested 17 deep', hex(`${'03 0001 61'.repeat(17)} 05 ${'0000 09'.repeat(17)}`), 'limit'],
    ['arrays nested 17 deep', hex(`${'0a 00000001'.repeat(17)} 05`), 'limit'],
    ['a strict array of 2^32-1 nothings', hex('0a ffffffff 05'), 'limit'],
    [
      'an object of 129 properties',
      writeAmf0([new Map([...Array(129)].map((_, i) => [`p${i}`, null]))]),
      'limit',
    ],
    [
      '129 properties spread over objects',
      writeAmf0([...Array(3)].map(() => new Map([...Array(43)].map((_, i) => [`p${i}`, 1])))),
      'limit',
    ],
    ['a string of 4097 bytes', writeAmf0(['x'.repeat(4097)]), 'limit'],
    ['a long string of 4 GiB', hex('0c ffffffff 41'), 'limit'],
    ['33 values side by side', writeAmf0([...Array(33)].map(() => null)), 'limit'],
    ['an unknown marker', hex('42'), 'type'],
    ['a movie clip', hex('04'), 'type'],
    ['a reference', hex('07 0000'), 'type'],
    ['a switch to AMF3', hex('11 01'), 'type'],
    ['a stray end of object', hex('09'), 'type'],
    ['a number cut short', hex('00 3ff8'), 'truncated'],
    ['a string cut short', hex('02 00ff 61'), 'truncated'],
  ];
  it.each(bombs)('refuses %s', (_what, bytes, fault) => {
    const spentMs = cpuMs(() => expect(parseAmf0(bytes)).toEqual({ ok: false, fault }));
    expect(spentMs).toBeLessThan(1000);
  });

  it('keeps names like __proto__ as plain data', () => {
    const inner = new Map<string, Amf0Value>([['polluted', true]]);
    const object = new Map<string, Amf0Value>([
      ['__proto__', inner],
      ['constructor', inner],
    ]);
    expect(parseAmf0(writeAmf0([object]))).toEqual({ ok: true, values: [object] });
    expect('polluted' in {}).toBe(false);
  });

  it('takes exactly what the limits allow', () => {
    const deep = [...Array(16)].reduce<Amf0Value>((inner) => [inner], null);
    const wide = new Map([...Array(112)].map((_, i) => [`p${i}`, null]));
    const objects = hex(`${'03 0001 61'.repeat(16)} 05 ${'0000 09'.repeat(16)}`);
    expect(parseAmf0(objects).ok).toBe(true);
    expect(parseAmf0(writeAmf0([deep, wide, 'x'.repeat(4096)])).ok).toBe(true);
  });
});
