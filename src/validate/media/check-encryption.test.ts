import { describe, expect, it } from 'vitest';
import {
  encryptedInit,
  encryptedSegment,
  KID,
  type Kind,
  systemBox,
} from '../../../test/support/encrypted-media.ts';
import { box, concat, editBox, u32s, withoutBox } from '../../../test/support/media-bytes.ts';
import { readBoxes } from '../../media/isobmff/box-reader.ts';
import type { ProtectionScheme } from '../../media/protection.ts';
import type { InitExpectations, InitFacts } from '../contracts.ts';
import type { Finding } from '../finding.ts';
import { checkInitSegment } from './check-init-segment.ts';
import { checkMediaSegment } from './check-media-segment.ts';
import { CounterBoard } from './counter-board.ts';
import { WIDEVINE } from './system-header.ts';

const KINDS: readonly Kind[] = ['video', 'audio'];
const SCHEMES: readonly ProtectionScheme[] = ['cenc', 'cbcs'];
const ANY: InitExpectations = {
  format: 'dash',
  kind: undefined,
  codecs: undefined,
  width: undefined,
  height: undefined,
};

function judgeInit(bytes: Uint8Array, codecs?: readonly string[]) {
  const findings: Omit<Finding, 'url'>[] = [];
  const facts = checkInitSegment(bytes, { ...ANY, codecs }, (finding) => findings.push(finding));
  return { facts, rules: [...new Set(findings.map(({ rule }) => rule))], findings };
}

function factsOf(bytes: Uint8Array): InitFacts {
  const { facts } = judgeInit(bytes);
  if (!facts) throw new Error('no initialization segment');
  return facts;
}

function judgeMedia(bytes: Uint8Array, init: InitFacts, board = new CounterBoard(), url = 'http://a.test/1') {
  const findings: Omit<Finding, 'url'>[] = [];
  const counters = { board, url };
  const facts = checkMediaSegment(
    bytes,
    { format: 'dash', scope: 'segment', init, startsWithSync: true, counters },
    (finding) => findings.push(finding),
  );
  return { facts, rules: [...new Set(findings.map(({ rule }) => rule))], findings };
}

const SINF = ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'encv', 'sinf'];
const TENC = [...SINF, 'schi', 'tenc'];
const init = (scheme: ProtectionScheme = 'cbcs', kind: Kind = 'video'): Uint8Array =>
  encryptedInit(kind, { scheme });
const editTenc = (scheme: ProtectionScheme, edit: (view: DataView, body: number) => void, path = TENC) =>
  editBox(init(scheme, path === TENC ? 'video' : 'audio'), path, (view, { bodyStart }) =>
    edit(view, bodyStart),
  );
const AUDIO_TENC = TENC.map((type) => (type === 'encv' ? 'enca' : type));
const withScheme = (scheme: string): Uint8Array =>
  editBox(init(), [...SINF, 'schm'], (view, { bodyStart }) =>
    view.setUint32(bodyStart + 4, Buffer.from(scheme, 'latin1').readUInt32BE()),
  );
/** The moov with a pssh at its end. */
function withHeader(pssh: Uint8Array): Uint8Array {
  const bytes = init();
  const moov = readBoxes(bytes).boxes.find(({ type }) => type === 'moov');
  const grown = concat([bytes, pssh]);
  if (moov?.end !== bytes.length) throw new Error('moov is not the last box');
  new DataView(grown.buffer).setUint32(moov.start, moov.end - moov.start + pssh.length);
  return grown;
}

const BROKEN_INITS: readonly (readonly [string, string, () => Uint8Array])[] = [
  ['has no frma', 'media-protection-incomplete', () => withoutBox(init(), [...SINF, 'frma'])],
  ['has no schm', 'media-protection-incomplete', () => withoutBox(init(), [...SINF, 'schm'])],
  ['has no tenc', 'media-protection-incomplete', () => withoutBox(init(), TENC)],
  ['has no sinf', 'media-protection-incomplete', () => withoutBox(init(), SINF)],
  ['has a scheme that nothing knows', 'media-protection-scheme', () => withScheme('abcd')],
  ['has a scheme that CMAF does not have', 'media-protection-scheme', () => withScheme('cbc1')],
  ['has a constant IV with cenc', 'media-tenc-scheme', () => withScheme('cenc')],
  [
    'has IVs of 16 bytes with cenc in CMAF',
    'media-tenc-scheme',
    () => editTenc('cenc', (view, at) => view.setUint8(at + 7, 16)),
  ],
  [
    'has IVs of 12 bytes',
    'media-tenc-scheme',
    () => editTenc('cenc', (view, at) => view.setUint8(at + 7, 12)),
  ],
  [
    'has a pattern with cenc',
    'media-tenc-scheme',
    () =>
      editTenc('cenc', (view, at) => {
        view.setUint8(at, 1);
        view.setUint8(at + 5, 0x19);
      }),
  ],
  [
    'has a constant IV of 5 bytes',
    'media-tenc-scheme',
    () => editTenc('cbcs', (view, at) => view.setUint8(at + 24, 5)),
  ],
  [
    'has the pattern 5:5',
    'media-cbcs-pattern',
    () => editTenc('cbcs', (view, at) => view.setUint8(at + 5, 0x55)),
  ],
  [
    'has a pattern in its sound',
    'media-cbcs-pattern',
    () => editTenc('cbcs', (view, at) => view.setUint8(at + 5, 0x19), AUDIO_TENC),
  ],
  [
    'has a KID of zeros',
    'media-kid-zero',
    () =>
      editTenc('cbcs', (view, at) => {
        for (let i = 0; i < 16; i++) view.setUint8(at + 8 + i, 0);
      }),
  ],
  [
    'has a pssh of version 2',
    'media-pssh',
    () => {
      const pssh = systemBox(WIDEVINE, undefined, new Uint8Array(4));
      pssh[8] = 2;
      return withHeader(pssh);
    },
  ],
  [
    'has a pssh with more data than it says',
    'media-pssh',
    () => {
      const pssh = systemBox(WIDEVINE, [KID], new Uint8Array(4));
      new DataView(pssh.buffer).setUint32(pssh.length - 8, 3);
      return withHeader(pssh);
    },
  ],
  ['has a pssh that is cut short', 'media-pssh', () => withHeader(box('pssh', u32s(0x01000000, 1)))],
];

describe('the initialization segment of an encrypted track', () => {
  it('of ours is without a finding, and its codec is told', () => {
    for (const scheme of SCHEMES) {
      expect(judgeInit(encryptedInit('video', { scheme }), ['avc1.42c00d']).findings).toEqual([]);
      expect(judgeInit(encryptedInit('audio', { scheme }), ['mp4a.40.2']).findings).toEqual([]);
    }
    expect(judgeInit(withHeader(systemBox(WIDEVINE, [KID], new Uint8Array(3)))).findings).toEqual([]);
  });

  it('is told with its scheme, key id and pattern', () => {
    expect(factsOf(encryptedInit('video')).tracks[0]?.protection).toEqual({
      scheme: 'cbcs',
      encryption: {
        isProtected: true,
        cryptBlocks: 1,
        skipBlocks: 9,
        ivBytes: 0,
        kid: Buffer.from(KID).toString('hex'),
        constantIvBytes: 16,
      },
    });
    expect(factsOf(encryptedInit('audio', { scheme: 'cenc' })).tracks[0]?.protection).toMatchObject({
      scheme: 'cenc',
      encryption: { ivBytes: 8, cryptBlocks: 0, skipBlocks: 0 },
    });
  });

  it.each(BROKEN_INITS)('that %s is found out: %s', (_, rule, make) => {
    expect(judgeInit(make()).rules).toEqual([rule]);
  });

  it('may have IVs of 16 bytes, and other schemes, outside of CMAF', () => {
    const plain = (bytes: Uint8Array): Uint8Array =>
      editBox(bytes, ['ftyp'], (view, { bodyStart, end }) => {
        for (let at = bodyStart; at < end; at += 4) {
          if (at !== bodyStart + 4) view.setUint32(at, 0x69736f36);
        }
      });
    expect(judgeInit(plain(editTenc('cenc', (view, at) => view.setUint8(at + 7, 16)))).rules).toEqual([]);
    expect(judgeInit(plain(withScheme('cens'))).rules).toEqual(['media-tenc-scheme']);
  });

  it('never throws, whatever the bytes', () => {
    const bytes = withHeader(systemBox(WIDEVINE, [KID], new Uint8Array(3)));
    for (let at = 0; at < bytes.length; at += 1) {
      const bent = bytes.slice();
      bent[at] = (bent[at] ?? 0) ^ 0xff;
      judgeInit(bent);
      judgeInit(bytes.slice(0, at));
    }
  });
});

const TRAF = ['moof', 'traf'];
const SENC = [...TRAF, 'senc'];
const edit = (scheme: ProtectionScheme, type: string, change: (view: DataView, body: number) => void) => () =>
  editBox(encryptedSegment('video', { scheme }), [...TRAF, type], (view, { bodyStart }) =>
    change(view, bodyStart),
  );
/** First subsample of the first sample: behind version, count, IV and its own count. */
const FIRST_SUBSAMPLE = { cenc: 8 + 8 + 2, cbcs: 8 + 2 } as const;

const BROKEN_MEDIA: readonly (readonly [string, readonly string[], ProtectionScheme, () => Uint8Array])[] = [
  [
    'has a senc of one sample more',
    ['media-senc', 'media-senc-count'],
    'cbcs',
    edit('cbcs', 'senc', (view, at) => view.setUint32(at + 4, 5)),
  ],
  [
    'has a senc of one sample less',
    ['media-senc', 'media-senc-count'],
    'cenc',
    edit('cenc', 'senc', (view, at) => view.setUint32(at + 4, 3)),
  ],
  [
    'has a senc that has no table of subsamples',
    ['media-senc', 'media-saiz'],
    'cenc',
    edit('cenc', 'senc', (view, at) => view.setUint32(at, 0)),
  ],
  [
    'has a saiz of other sizes',
    ['media-saiz'],
    'cenc',
    edit('cenc', 'saiz', (view, at) => view.setUint8(at + 4, 17)),
  ],
  [
    'has a saiz of fewer samples',
    ['media-saiz'],
    'cenc',
    edit('cenc', 'saiz', (view, at) => view.setUint32(at + 5, 3)),
  ],
  [
    'has saiz without saio',
    ['media-saiz'],
    'cenc',
    () => withoutBox(encryptedSegment('video', { scheme: 'cenc' }), [...TRAF, 'saio']),
  ],
  [
    'has a saio that points elsewhere',
    ['media-saio'],
    'cbcs',
    edit('cbcs', 'saio', (view, at) => view.setUint32(at + 8, view.getUint32(at + 8) - 4)),
  ],
  [
    'has a saio without an offset',
    ['media-saio'],
    'cbcs',
    edit('cbcs', 'saio', (view, at) => view.setUint32(at + 4, 0)),
  ],
  [
    'has subsamples shorter than their sample',
    ['media-subsamples-sum'],
    'cbcs',
    edit('cbcs', 'senc', (view, at) => {
      const from = at + FIRST_SUBSAMPLE.cbcs;
      view.setUint16(from, view.getUint16(from) - 1);
    }),
  ],
  [
    'has protected bytes that are no whole blocks',
    ['media-cenc-blocks'],
    'cenc',
    edit('cenc', 'senc', (view, at) => {
      const from = at + FIRST_SUBSAMPLE.cenc;
      view.setUint16(from, view.getUint16(from) + 3);
      view.setUint32(from + 2, view.getUint32(from + 2) - 3);
    }),
  ],
  [
    'has no IVs',
    ['media-auxiliary-missing'],
    'cenc',
    () =>
      ['senc', 'saiz', 'saio'].reduce(
        (bytes, type) => withoutBox(bytes, [...TRAF, type]),
        encryptedSegment('video', { scheme: 'cenc' }),
      ),
  ],
  [
    'is video without a word on its clear bytes',
    ['media-subsamples-missing'],
    'cbcs',
    () =>
      ['senc', 'saiz', 'saio'].reduce(
        (bytes, type) => withoutBox(bytes, [...TRAF, type]),
        encryptedSegment('video'),
      ),
  ],
];

describe('an encrypted media segment', () => {
  it('of ours is without a finding', () => {
    for (const scheme of SCHEMES) {
      for (const kind of KINDS) {
        const facts = factsOf(encryptedInit(kind, { scheme }));
        const read = judgeMedia(encryptedSegment(kind, { scheme, samples: 30, chunkSamples: 1 }), facts);
        expect(read.findings).toEqual([]);
        expect(read.facts?.kids).toEqual([Buffer.from(KID).toString('hex')]);
      }
    }
  });

  it.each(BROKEN_MEDIA)('that %s is found out: %s', (_, rules, scheme, make) => {
    const facts = factsOf(encryptedInit('video', { scheme }));
    expect(judgeMedia(make(), facts).rules.toSorted()).toEqual(rules.toSorted());
  });

  it('that is video and encrypted as a whole is found out: media-subsamples-missing', () => {
    const facts = factsOf(encryptedInit('video', { scheme: 'cenc' }));
    const { bytes } = withIvs('video', ['00'.repeat(8), `${'00'.repeat(7)}01`]);
    expect(judgeMedia(bytes, facts).rules).toEqual(['media-subsamples-missing']);
  });

  it('without senc is read by saiz and saio', () => {
    const facts = factsOf(encryptedInit('video', { scheme: 'cenc' }));
    const bytes = withoutBox(encryptedSegment('video', { scheme: 'cenc' }), SENC);
    const board = new CounterBoard();
    expect(judgeMedia(bytes, facts, board).rules).toEqual([]);
    expect(board.size).toBe(4);
  });

  it('may leave samples in the clear, or change the key, by a group', () => {
    const facts = factsOf(encryptedInit('audio', { scheme: 'cenc' }));
    const bytes = encryptedSegment('audio', { scheme: 'cenc' });
    const other = Buffer.alloc(16, 9);
    const clear = withGroup(bytes, concat([Uint8Array.of(0, 0, 0, 0), new Uint8Array(16)]));
    expect(judgeMedia(clear, facts).facts?.kids).toEqual([]);
    const rekeyed = withGroup(bytes, concat([Uint8Array.of(0, 0, 1, 8), other]));
    expect(judgeMedia(rekeyed, facts)).toMatchObject({ rules: [], facts: { kids: [other.toString('hex')] } });
  });

  it('never makes the reader throw, whatever the bytes', () => {
    const facts = factsOf(encryptedInit('video', { scheme: 'cenc' }));
    const bytes = encryptedSegment('video', { scheme: 'cenc', samples: 2 });
    for (let at = 0; at < bytes.length; at += 1) {
      const bent = bytes.slice();
      bent[at] = (bent[at] ?? 0) ^ 0xff;
      judgeMedia(bent, facts);
      judgeMedia(bytes.slice(0, at), facts);
    }
  });
});

/** The segment of one moof with all samples in one `seig` group. */
function withGroup(bytes: Uint8Array, entry: Uint8Array): Uint8Array {
  const moof = readBoxes(bytes).boxes.find(({ type }) => type === 'moof');
  const [mfhd, traf] = moof?.children ?? [];
  if (!moof || !mfhd || !traf) throw new Error('no moof');
  const seig = 0x73656967;
  const groups = concat([
    box('sgpd', concat([u32s(0x01000000, seig, entry.length, 1), entry])),
    box('sbgp', u32s(0, seig, 1, 4, 0x10001)),
  ]);
  const slice = ({ start, end }: { start: number; end: number }) => bytes.subarray(start, end);
  const kept = entry[2] === 0 ? ['senc', 'saiz', 'saio'] : [];
  const boxes = traf.children.filter(({ type }) => !kept.includes(type)).map(slice);
  const grown = box('moof', concat([slice(mfhd), box('traf', concat([...boxes, groups]))]));
  const made = concat([bytes.subarray(0, moof.start), grown, bytes.subarray(moof.end)]);
  return editBox(made, [...TRAF, 'trun'], (view, { bodyStart }) =>
    view.setInt32(bodyStart + 8, grown.length + 8),
  );
}

const IV = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

describe('counters of a run', () => {
  const facts = factsOf(encryptedInit('audio', { scheme: 'cenc' }));
  const audio = (firstIv: Uint8Array, filler: number, kid = KID): Uint8Array =>
    encryptedSegment('audio', { scheme: 'cenc', firstIv, filler, kid });

  it('may come again with the same bytes: as part, and in the segment', () => {
    const board = new CounterBoard();
    const bytes = audio(IV('0000000000000001'), 1);
    expect(judgeMedia(bytes, facts, board).rules).toEqual([]);
    expect(judgeMedia(bytes, facts, board).rules).toEqual([]);
  });

  it('must not come again with others, in whatever rendition', () => {
    const board = new CounterBoard();
    judgeMedia(audio(IV('0000000000000001'), 1), facts, board, 'http://a.test/one');
    const { findings } = judgeMedia(audio(IV('0000000000000004'), 2), facts, board, 'http://a.test/two');
    expect(findings.map(({ rule }) => rule)).toEqual(['media-iv-reused']);
    expect(findings[0]?.message).toContain('http://a.test/one');
  });

  it('may come again under another key', () => {
    const board = new CounterBoard();
    judgeMedia(audio(IV('0000000000000001'), 1), facts, board);
    const others = factsOf(encryptedInit('audio', { scheme: 'cenc', kid: IV('ab'.repeat(16)) }));
    expect(judgeMedia(audio(IV('0000000000000001'), 2), others, board).rules).toEqual([]);
  });

  it('must not run into each other', () => {
    const plain = factsOf(
      editBox(encryptedInit('audio', { scheme: 'cenc' }), AUDIO_TENC, (view, { bodyStart }) =>
        view.setUint8(bodyStart + 7, 16),
      ),
    );
    // 16 bytes of IV: 8 of ours and 8 that make the counters of the second sample begin within those of the first.
    const { bytes } = withIvs('audio', ['00'.repeat(16), `${'00'.repeat(15)}05`]);
    expect(judgeMedia(bytes, plain).rules).toEqual(['media-counter-overlap']);
    const apart = withIvs('audio', ['00'.repeat(16), `${'00'.repeat(15)}13`]);
    expect(judgeMedia(apart.bytes, plain).rules).toEqual([]);
  });

  it('are forgotten when there are too many: the key seen longest ago first', () => {
    const board = new CounterBoard(3);
    const run = (start: bigint, digest = 'x') => ({ start, blocks: 2, digest, url: 'u' });
    board.note('a', run(10n));
    board.note('b', run(10n));
    board.note('b', run(20n));
    expect(board.size).toBe(3);
    expect(board.note('b', run(30n))).toBeUndefined();
    expect(board.note('a', run(10n, 'y'))).toBeUndefined();
    expect(board.size).toBeLessThanOrEqual(3);
  });

  it('of one key alone are no more added to, but still looked at', () => {
    const board = new CounterBoard(2);
    const run = (start: bigint, digest = 'x') => ({ start, blocks: 2, digest, url: 'u' });
    for (const start of [10n, 20n, 30n]) board.note('a', run(start));
    expect(board.size).toBe(2);
    expect(board.note('a', run(20n, 'y'))?.kind).toBe('same-iv');
    expect(board.note('a', run(11n))?.kind).toBe('overlap');
    expect(board.note('a', run(9n))?.kind).toBe('overlap');
    expect(board.note('a', run(30n, 'y'))).toBeUndefined();
  });
});

/** A fragment of samples of 300 bytes, encrypted as a whole with these IVs. */
function withIvs(kind: Kind, ivs: readonly string[]): { bytes: Uint8Array } {
  const bytes = encryptedSegment(kind, { scheme: 'cenc', samples: ivs.length });
  const moof = readBoxes(bytes).boxes.find(({ type }) => type === 'moof');
  const [mfhd, traf] = moof?.children ?? [];
  if (!moof || !mfhd || !traf) throw new Error('no moof');
  const slice = ({ start, end }: { start: number; end: number }) => bytes.subarray(start, end);
  const kept = traf.children.filter(({ type }) => !['senc', 'saiz', 'saio'].includes(type)).map(slice);
  const senc = box('senc', concat([u32s(0, ivs.length), ...ivs.map(IV)]));
  const grown = box('moof', concat([slice(mfhd), box('traf', concat([...kept, senc]))]));
  const made = concat([bytes.subarray(0, moof.start), grown, bytes.subarray(moof.end)]);
  return {
    bytes: editBox(made, [...TRAF, 'trun'], (view, { bodyStart }) =>
      view.setInt32(bodyStart + 8, grown.length + 8),
    ),
  };
}
