import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CpixDocument, CpixRange, CpixSecret } from './cpix-document.ts';
import { readCpix } from './read-cpix.ts';
import { writeCpix } from './write-cpix.ts';

const bytes = (min: number, max = min): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((array) => Buffer.from(array));
const kid = bytes(16);
/** Attributes: XML gives back no line breaks or tabs, and no spaces at the ends are compared. */
const words = fc.string({
  unit: fc.constantFrom('a', 'Z', '9', ' ', '<', '>', '&', '"', "'", '/', 'é', '-'),
  maxLength: 20,
});
const filled = words.filter((text) => text !== '');
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const whole = fc.integer({ min: 0, max: 4_294_967_295 });
const range: fc.Arbitrary<CpixRange> = fc.record({ min: maybe(whole), max: maybe(whole) });
const uri = fc.constantFrom('urn:a', 'urn:b');
const encrypted: fc.Arbitrary<Extract<CpixSecret, { kind: 'encrypted' }>> = fc.record({
  kind: fc.constant('encrypted' as const),
  algorithm: uri,
  cipher: bytes(1, 64),
  mac: fc.constant(undefined),
});
const secret: fc.Arbitrary<CpixSecret> = fc.oneof(
  fc.record({ kind: fc.constant('plain' as const), value: bytes(16) }),
  fc.tuple(encrypted, maybe(bytes(64))).map(([value, mac]) => ({ ...value, mac })),
);
const period = fc.oneof(
  fc.record({
    id: filled,
    index: fc.integer({ min: 0, max: 1e9 }),
    startMs: fc.constant(undefined),
    endMs: fc.constant(undefined),
  }),
  fc
    .record({
      id: filled,
      startMs: fc.integer({ min: 1, max: 4e12 }),
      lengthMs: fc.integer({ min: 1, max: 1e9 }),
    })
    .map(({ id, startMs, lengthMs }) => ({ id, index: undefined, startMs, endMs: startMs + lengthMs })),
);
const documents: fc.Arbitrary<CpixDocument> = fc.record({
  contentId: maybe(words),
  version: maybe(words),
  deliveries: fc.array(
    fc.record({
      id: maybe(words),
      name: maybe(words),
      certificate: bytes(1, 40),
      documentKey: maybe(encrypted),
      macKey: maybe(encrypted),
    }),
    { maxLength: 2 },
  ),
  contentKeys: fc.array(
    fc.record({ kid, scheme: maybe(words), explicitIv: maybe(bytes(16)), secret: maybe(secret) }),
    { maxLength: 4 },
  ),
  drmSystems: fc.array(
    fc.record({
      kid,
      systemId: fc.uuid(),
      name: maybe(words),
      pssh: maybe(bytes(0, 40)),
      contentProtectionData: maybe(bytes(0, 40)),
      hls: fc.array(
        fc.record({
          playlist: maybe(fc.constantFrom('media', 'master', 'multiVariant')),
          data: bytes(0, 40),
        }),
        { maxLength: 2 },
      ),
      smoothStreaming: maybe(fc.constantFrom('', 'AAAA', 'a<b')),
    }),
    { maxLength: 4 },
  ),
  periods: fc.array(period, { maxLength: 3 }),
  usageRules: fc.array(
    fc.record({
      kid,
      intendedTrackType: maybe(words),
      periodIds: fc.array(filled, { maxLength: 2 }),
      labels: fc.array(filled, { maxLength: 2 }),
      video: fc.array(
        fc.record({
          pixels: range,
          framesPerSecond: range,
          hdr: maybe(fc.boolean()),
          wcg: maybe(fc.boolean()),
        }),
        { maxLength: 2 },
      ),
      audio: fc.array(range, { maxLength: 2 }),
      bitrate: fc.array(range, { maxLength: 2 }),
      unknownFilters: fc.constant([]),
    }),
    { maxLength: 3 },
  ),
});

describe('a CPIX document', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(documents, (document) => {
        expect(readCpix(writeCpix(document))).toEqual(document);
      }),
      { numRuns: 100 },
    );
  }, 60_000);

  it('never throws, whatever is read', () => {
    const good = fc.sample(documents, { numRuns: 20, seed: 7 }).map(writeCpix);
    const spoilt = fc
      .tuple(fc.constantFrom(...good), fc.nat(), fc.nat(40), fc.string())
      .map(([text, at, length, instead]) => {
        const from = at % text.length;
        return text.slice(0, from) + instead + text.slice(from + length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.string(), spoilt), (text) => {
        expect(readCpix(text)).toBeTypeOf('object');
      }),
      { numRuns: 200 },
    );
  }, 60_000);

  const wrap = (inside: string): string => `<CPIX xmlns="urn:dashif:org:cpix">${inside}</CPIX>`;
  const key = '<ContentKey kid="93f5fb58-1df7-4752-acb2-6cf1e75b4910"/>';

  it.each([
    ['a DOCTYPE', `<!DOCTYPE a SYSTEM "file:///etc/passwd">${wrap('')}`, /DOCTYPE/],
    ['an entity bomb', `<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>`, /DOCTYPE/],
    ['elements within each other', '<a>'.repeat(30) + '</a>'.repeat(30), /nested deeper/],
    ['elements without number', wrap('<a/>'.repeat(30_000)), /more than 20000 elements/],
    ['text without end', wrap(' '.repeat(1_100_000)), /longer than/],
    ['more keys than may be', wrap(`<ContentKeyList>${key.repeat(513)}</ContentKeyList>`), /more than 512/],
    ['two lists', wrap(`<ContentKeyList>${key}</ContentKeyList><ContentKeyList/>`), /only once/],
    ['an attribute without end', wrap('').replace('>', ` contentId="${'a'.repeat(257)}">`), /too long/],
    ['a document of another namespace', '<CPIX xmlns="urn:other"/>', /root element/],
    [
      'two secrets in one',
      wrap(
        `<ContentKeyList><ContentKey kid="93f5fb58-1df7-4752-acb2-6cf1e75b4910"><Data><Secret xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><PlainValue>AAAA</PlainValue><PlainValue>BBBB</PlainValue></Secret></Data></ContentKey></ContentKeyList>`,
      ),
      /more than one PlainValue/,
    ],
    [
      'a key hierarchy',
      wrap(`<ContentKeyList>${key.replace('/>', ' dependsOnKey="x"/>')}</ContentKeyList>`),
      /hierarchies/,
    ],
  ])('refuses %s', (_what, text, reason) => {
    expect(readCpix(text)).toEqual({ refused: expect.stringMatching(reason) as string });
  });

  it.each([
    ['text outside', `${wrap('')} canary`],
    ['an attribute without quotes', wrap('<a canary=canary/>')],
    ['an unknown entity', wrap('<a>&canary;</a>')],
    ['a tag that is not closed', wrap('<PlainValue>canary</PlainVal>')],
  ])('quotes nothing of %s in its refusal', (_what, text) => {
    const outcome = readCpix(text);
    if ('refused' in outcome) expect(outcome.refused).not.toContain('canary');
  });

  it('does not see elements of other namespaces', () => {
    const text = wrap(`<ContentKeyList>${key}<x:ContentKey xmlns:x="urn:other"/></ContentKeyList>`);
    expect((readCpix(text) as CpixDocument).contentKeys).toHaveLength(1);
  });
});
