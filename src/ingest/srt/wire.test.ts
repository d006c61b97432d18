import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeSrtData } from '../../../test/support/srt-caller.ts';
import {
  parseAckNext,
  parseDropRequest,
  parseLossReport,
  writeFullAck,
  writeLightAck,
  writeLossReports,
} from './control-bodies.ts';
import {
  EXTENSION,
  HANDSHAKE,
  type Handshake,
  parseCapabilities,
  parseHandshake,
  readText,
  writeCapabilities,
  writeHandshake,
  writeText,
} from './handshake.ts';
import { parseKeyMaterial, writeKeyMaterial } from './key-material.ts';
import { readOffer } from './negotiation.ts';
import { CONTROL, packetDestination, parsePacket, writeControl } from './packet.ts';
import { addSequence, sequenceDistance } from './sequence.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const sequence = fc.nat(0x7fff_ffff);

describe('sequence numbers', () => {
  it('go round at 31 bits', () => {
    expect(addSequence(0x7fff_ffff, 1)).toBe(0);
    expect(addSequence(0, -1)).toBe(0x7fff_ffff);
    expect(sequenceDistance(0x7fff_fffe, 3)).toBe(5);
    expect(sequenceDistance(3, 0x7fff_fffe)).toBe(-5);
  });

  it('are as far apart as they were moved', () => {
    fc.assert(
      fc.property(sequence, fc.integer({ min: -0x3fff_ffff, max: 0x3fff_ffff }), (from, by) => {
        expect(sequenceDistance(from, addSequence(from, by))).toBe(by);
      }),
    );
  });
});

describe('packets', () => {
  it('reads what a data packet says of itself', () => {
    const packet = writeSrtData({
      destination: 7,
      sequence: 0x7fff_ffff,
      timestamp: 0xffff_ffff,
      payload: Buffer.from('abc'),
      keyFlag: 2,
      retransmitted: true,
    });
    expect(parsePacket(packet)).toEqual({
      kind: 'data',
      destination: 7,
      sequence: 0x7fff_ffff,
      timestamp: 0xffff_ffff,
      keyFlag: 2,
      retransmitted: true,
      payload: Buffer.from('abc'),
    });
    expect(packetDestination(packet)).toBe(7);
  });

  it('reads the control packets it writes', () => {
    fc.assert(
      fc.property(fc.nat(0x7fff), fc.nat(0xffff), fc.nat(0xffff_ffff), bytes, (type, subtype, info, body) => {
        const packet = writeControl({ type, subtype, info, timestamp: 9, destination: 5, body });
        expect(parsePacket(packet)).toEqual({
          kind: 'control',
          type,
          subtype,
          info,
          timestamp: 9,
          destination: 5,
          body,
        });
      }),
    );
  });

  it('gives a control packet without body a word of zeros, without which libsrt drops it', () => {
    expect(writeControl({ type: CONTROL.keepAlive, timestamp: 0, destination: 1 })).toHaveLength(20);
  });

  it('takes any bytes in every parser and never throws', () => {
    fc.assert(
      fc.property(bytes, (any) => {
        parsePacket(any);
        packetDestination(any);
        parseAckNext(any);
        parseLossReport(any);
        parseDropRequest(any);
        parseKeyMaterial(any);
        parseCapabilities(any);
        const handshake = parseHandshake(any);
        if (handshake) readOffer(handshake);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes a handshake with any change of its bytes', () => {
    const good = writeHandshake(handshakeWith(), Uint8Array.of(127, 0, 0, 1));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const changed = Buffer.from(good);
        changed[at] = value;
        const handshake = parseHandshake(changed.subarray(0, length));
        if (handshake) readOffer(handshake);
      }),
      { numRuns: 2000 },
    );
  });
});

function handshakeWith(extensions = defaultExtensions()): Handshake {
  return {
    version: 5,
    encryption: 2,
    extensionField: 5,
    initialSequence: 77,
    mtuBytes: 1500,
    flowWindowPackets: 8192,
    type: HANDSHAKE.conclusion,
    socketId: 99,
    cookie: 0xdead_beef,
    extensions,
  };
}

function defaultExtensions(): Handshake['extensions'] {
  return [capabilities({}), { type: EXTENSION.streamId, content: writeText('#!::r=live/key,m=publish') }];
}

describe('handshakes', () => {
  it('reads the handshakes it writes', () => {
    const handshake = handshakeWith();
    expect(parseHandshake(writeHandshake(handshake, Uint8Array.of(10, 1, 2, 3)))).toEqual(handshake);
  });

  it('writes an IPv4 address the other way round, as libsrt does', () => {
    const body = writeHandshake(handshakeWith(), Uint8Array.of(10, 1, 2, 3));
    expect([...body.subarray(32, 48)]).toEqual([3, 2, 1, 10, ...Array.from({ length: 12 }, () => 0)]);
  });

  it('refuses an extension that runs over the end', () => {
    const body = writeHandshake(handshakeWith(), Uint8Array.of());
    expect(parseHandshake(body.subarray(0, body.length - 4))).toBeUndefined();
  });

  it('turns the words of texts round', () => {
    expect(writeText('abcdef').toString('latin1')).toBe('dcba\0\0fe');
    expect(readText(writeText('abcdef')).toString()).toBe('abcdef');
  });

  it.each([
    ['of version 4', { version: 4 }, 1008],
    ['without capabilities', { extensions: [] }, 1004],
    ['of a tiny MTU', { mtuBytes: 100 }, 1004],
    ['of socket id 0', { socketId: 0 }, 1004],
    ['of an SRT before 1.3', { extensions: [capabilities({ version: 0x010200 })] }, 1008],
    ['in stream mode', { extensions: [capabilities({ flags: 0x7f })] }, 1012],
    ['with a packet filter', { extensions: [capabilities({}), text(7, 'fec,cols:10')] }, 1014],
    ['of a bonding group', { extensions: [capabilities({}), text(8, 'xxxx')] }, 1015],
    ['with congestion control of files', { extensions: [capabilities({}), text(6, 'file')] }, 1013],
    ['with damaged key material', { extensions: [capabilities({}), text(3, 'xxxx')] }, 1004],
    ['with AES-GCM', { extensions: [capabilities({}), gcm()] }, 1017],
  ])('refuses an offer %s with a code of its own', (_what, change, code) => {
    expect(readOffer({ ...handshakeWith(), ...change })).toEqual({ kind: 'refused', code });
  });
});

function capabilities(change: object): Handshake['extensions'][number] {
  const good = { version: 0x010501, flags: 0x3f, receiveLatencyMs: 120, sendLatencyMs: 0 };
  return { type: EXTENSION.capabilityRequest, content: writeCapabilities({ ...good, ...change }) };
}

function text(type: number, value: string): Handshake['extensions'][number] {
  return { type, content: writeText(value) };
}

function gcm(): Handshake['extensions'][number] {
  const salt = Buffer.alloc(16);
  const content = writeKeyMaterial({ keys: 1, keyBytes: 16, salt, wrapped: Buffer.alloc(24) });
  content[8] = 4;
  return { type: EXTENSION.keyRequest, content };
}

describe('loss reports', () => {
  it('write single packets as one word and ranges as two', () => {
    const [report] = writeLossReports(
      [
        { first: 5, last: 5 },
        { first: 9, last: 12 },
      ],
      1400,
    );
    expect(report?.toString('hex')).toBe('00000005800000090000000c');
  });

  it('read what they write, in as many packets as it takes', () => {
    const range = fc
      .tuple(sequence, fc.nat(50))
      .map(([first, by]) => ({ first, last: addSequence(first, by) }));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 100 }), (ranges) => {
        const reports = writeLossReports(ranges, 64);
        expect(reports.every((report) => report.length <= 64)).toBe(true);
        expect(reports.flatMap((report) => parseLossReport(report) ?? [])).toEqual(ranges);
      }),
    );
  });
});

it('acknowledgements carry the first missing number, full and light', () => {
  const ack = {
    rttMicros: 1,
    rttVarianceMicros: 2,
    availablePackets: 3,
    packetsPerSecond: 4,
    bytesPerSecond: 5,
  };
  const full = writeFullAck({ ...ack, next: 123 });
  expect(full.toString('hex')).toBe('0000007b000000010000000200000003000000040000000400000005');
  expect([parseAckNext(full), parseAckNext(writeLightAck(124))]).toEqual([123, 124]);
});
