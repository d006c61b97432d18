import { deepStrictEqual, ok } from 'node:assert';
import {
  parseAckNext,
  parseDropRequest,
  parseLossReport,
  writeLossReports,
} from '../../../src/ingest/srt/control-bodies.ts';
import { SrtConnection } from '../../../src/ingest/srt/connection.ts';
import {
  CAPABILITY,
  EXTENSION,
  findExtension,
  HANDSHAKE,
  parseCapabilities,
  parseHandshake,
  readText,
  writeCapabilities,
  writeHandshake,
  writeText,
} from '../../../src/ingest/srt/handshake.ts';
import { parseKeyMaterial, writeKeyMaterial } from '../../../src/ingest/srt/key-material.ts';
import { CONTROL, parsePacket, USER, writeControl } from '../../../src/ingest/srt/packet.ts';
import { parseStreamId } from '../../../src/ingest/srt/stream-id.ts';
import { StreamReader, type StreamReaderLimits } from '../../../src/media/isobmff/stream-reader.ts';
import { TS_WRAP } from '../../../src/media/mpegts/ts-sink.ts';
import * as cmaf from '../../support/cmaf-bytes.ts';
import { writeSrtData } from '../../support/srt-caller.ts';
import { demux } from '../../support/ts-recorder.ts';
import { annexB, AUD, avcPps, avcSlice, avcSps } from '../../support/ts-video.ts';
import { descriptor, TsWriter } from '../../support/ts-writer.ts';
import { type FuzzInput, type FuzzTarget, hex, joined, mutated, split } from '../fuzz-target.ts';

const LOCAL_ID = 77;
const FIRST_SEQUENCE = 1000;

function control(type: number, body: Uint8Array, subtype = 0): Uint8Array {
  return writeControl({ type, subtype, timestamp: 5, destination: LOCAL_ID, body });
}

const CONCLUSION = writeHandshake(
  {
    version: 5,
    encryption: 2,
    extensionField: 5,
    initialSequence: FIRST_SEQUENCE,
    mtuBytes: 1500,
    flowWindowPackets: 8192,
    type: HANDSHAKE.conclusion,
    socketId: 99,
    cookie: 0x1234,
    extensions: [
      {
        type: EXTENSION.capabilityRequest,
        content: writeCapabilities({
          version: 0x010500,
          flags: Object.values(CAPABILITY).reduce((all, flag) => all | flag, 0),
          receiveLatencyMs: 120,
          sendLatencyMs: 120,
        }),
      },
      { type: EXTENSION.streamId, content: writeText('#!::r=live/key,m=publish') },
    ],
  },
  hex('7f000001'),
);
const KEYS = writeKeyMaterial({
  keys: 1,
  keyBytes: 16,
  salt: Buffer.alloc(16, 3),
  wrapped: Buffer.alloc(24, 9),
});

export const srtPacket: FuzzTarget = {
  name: 'srt-packet',
  bytes: mutated(
    [
      CONCLUSION,
      KEYS,
      control(CONTROL.handshake, CONCLUSION),
      ...writeLossReports(
        [
          { first: 5, last: 5 },
          { first: 8, last: 20 },
        ],
        1400,
      ),
      hex('00000007 00000009'),
      Buffer.from('publish:live/key:user:secret?role=backup'),
      Buffer.from('#!::m=publish,r=live/key,u=user,s=1'),
      Buffer.from('%23!%3A%3Am%3Dpublish%2Cr%3Dkey'),
    ].map((bytes) => new Uint8Array(bytes)),
  ),
  runs: 3000,
  check({ bytes }) {
    const buffer = Buffer.from(bytes);
    const packet = parsePacket(buffer);
    if (packet) ok((packet.kind === 'data' ? packet.payload : packet.body).length === bytes.length - 16);
    const handshake = parseHandshake(buffer);
    if (handshake) {
      const content = handshake.extensions.reduce((sum, each) => sum + each.content.length, 0);
      ok(content <= bytes.length, 'more bytes than were sent');
      for (const type of Object.values(EXTENSION)) {
        const extension = findExtension(handshake, type);
        if (!extension) continue;
        parseCapabilities(extension);
        parseStreamId(readText(extension));
        parseKeyMaterial(extension);
      }
    }
    ok((parseLossReport(buffer)?.length ?? 0) * 4 <= bytes.length, 'more losses than were sent');
    parseDropRequest(buffer);
    parseAckNext(buffer);
    parseKeyMaterial(buffer);
    parseStreamId(buffer);
  },
};

const MAX_PACKETS = 64;
const MAX_BUFFER_BYTES = 2000;

/** A datagram with its length before it: a network of one connection in one piece of bytes. */
function datagram(bytes: Uint8Array): Uint8Array {
  return joined([Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

function data(sequence: number): Uint8Array {
  const payload = Buffer.alloc(188, sequence);
  return new Uint8Array(writeSrtData({ sequence, timestamp: sequence * 10, destination: LOCAL_ID, payload }));
}

function* datagrams(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at + 2 <= bytes.length; ) {
    const size = (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) % 1500;
    yield bytes.slice(at + 2, at + 2 + size);
    at += 2 + size;
  }
}

export const srtConnection: FuzzTarget = {
  name: 'srt-connection',
  bytes: mutated([
    joined(Array.from({ length: 8 }, (_, n) => datagram(data(FIRST_SEQUENCE + n)))),
    // A hole in front of more than may be held.
    joined(
      [0, ...Array.from({ length: 30 }, (_, n) => n + 2)].map((n) => datagram(data(FIRST_SEQUENCE + n))),
    ),
    joined([0, 3, 2, 1, 9, 4, 2_000_000].map((n) => datagram(data(FIRST_SEQUENCE + n)))),
    joined([
      datagram(data(FIRST_SEQUENCE)),
      datagram(control(CONTROL.ackAck, hex('00000001'))),
      datagram(control(CONTROL.dropRequest, hex('000003e9 000003ff'))),
      datagram(control(CONTROL.user, KEYS, USER.keyRequest)),
      datagram(control(CONTROL.keepAlive, hex('00000000'))),
      datagram(data(FIRST_SEQUENCE + 30)),
      datagram(control(CONTROL.shutdown, hex('00000000'))),
    ]),
  ]),
  runs: 1000,
  check({ bytes, cuts }) {
    let payloadBytes = 0;
    let receivedBytes = 0;
    let ends = 0;
    let nowMs = 1000;
    const connection = new SrtConnection(
      {
        localId: LOCAL_ID,
        peerId: 99,
        peerVersion: 0x010500,
        initialSequence: FIRST_SEQUENCE,
        latencyMs: 120,
        maxPacketBytes: 1456,
        startMs: nowMs,
        keys: undefined,
      },
      {
        maxBufferPackets: MAX_PACKETS,
        maxBufferBytes: MAX_BUFFER_BYTES,
        maxReorderPackets: 16,
        peerIdleTimeoutMs: 5000,
      },
      {
        send: (packet) => ok(packet.length <= 1500, 'a packet that does not fit'),
        payload: (payload) => void (payloadBytes += payload.length),
        gap: () => {},
        ended: () => void ends++,
      },
    );
    let turn = 0;
    for (const packet of datagrams(bytes)) {
      receivedBytes += packet.length;
      connection.receive(Buffer.from(packet), nowMs);
      nowMs += (cuts[turn++ % Math.max(1, cuts.length)] ?? 1) % 12;
      connection.tick(nowMs);
      ok(
        connection.stats().bufferedBytes <= MAX_BUFFER_BYTES + 1500,
        `${connection.stats().bufferedBytes} held`,
      );
    }
    connection.shutdown(nowMs);
    ok(payloadBytes <= receivedBytes, 'more bytes than were sent');
    ok(ends <= 1, 'ended twice');
  },
};

const PMT = 0x30;
const TS_LIMITS = { maxVideoBytes: 20_000, maxOtherBytes: 5000 };
const IDR = annexB(AUD, avcSps(), avcPps(), avcSlice({ idr: true }));
const KLV = descriptor(0x26, Uint8Array.of(1, 0, 0xff, 0x4b, 0x4c, 0x56, 0x41, 0, 15));

/** Three pictures, sound and metadata. */
function programme(soundType: number, videoType = 0x1b): Uint8Array {
  const writer = new TsWriter().pat([[1, PMT]]).pmt(PMT, 1, [
    { pid: 0x100, type: videoType },
    { pid: 0x101, type: soundType },
    { pid: 0x102, type: 0x15, descriptors: KLV },
    { pid: 0x103, type: 0x86 },
  ]);
  for (let frame = 0; frame < 3; frame++) {
    const picture = frame === 0 ? IDR : annexB(AUD, avcSlice({ fill: frame }));
    writer.pes(0x100, picture, { pts: TS_WRAP - 3000 + frame * 3000 });
    writer.pes(0x101, hex('fff14c80013ffc 21 fff14c80013ffc 21'), { pts: frame * 1920 });
    writer.pes(0x102, hex('060e2b34 02'), { pts: frame });
  }
  return writer.bytes;
}

export const tsDemuxer: FuzzTarget = {
  name: 'ts-demuxer',
  bytes: mutated([programme(0x0f), programme(0x11), programme(0x81, 0x24), programme(0x06).slice(100)]),
  runs: 600,
  check(input) {
    const read = (pieces: readonly Uint8Array[]): unknown => {
      const { out, demuxer } = demux([], TS_LIMITS);
      for (const piece of pieces) {
        demuxer.push(piece);
        ok(demuxer.heldBytes <= 2 * TS_LIMITS.maxVideoBytes + 8 * TS_LIMITS.maxOtherBytes, 'holds too much');
      }
      demuxer.flush();
      for (const { dts } of [...out.video, ...out.audio]) {
        ok(Number.isInteger(dts) && dts >= 0 && dts < TS_WRAP, `dts ${dts}`);
      }
      return out.log;
    };
    deepStrictEqual(read(split(input)), read([input.bytes]));
  },
};

const MP4_LIMITS: StreamReaderLimits = {
  maxInitBytes: 8192,
  maxMoofBytes: 3000,
  maxMdatBytes: 20_000,
  maxEventBytes: 500,
  maxSkippedBytes: 5000,
  maxSamples: 50,
  maxSampleBytes: 3000,
};

const FRAGMENT = cmaf.fragmentBytes([
  {
    trackId: 1,
    baseTicks: 900_000_000_000n,
    samples: [
      { data: new Uint8Array(30).fill(1), duration: 3000 },
      { data: new Uint8Array(20).fill(2), duration: 3000, key: false },
    ],
  },
]);

export const mp4Stream: FuzzTarget = {
  name: 'mp4-stream',
  bytes: mutated([
    joined([cmaf.initBytes([cmaf.VIDEO]), cmaf.stypBytes('cmfs'), FRAGMENT, FRAGMENT]),
    joined([cmaf.initBytes([cmaf.AUDIO]), FRAGMENT]),
    joined([cmaf.stypBytes('cmfs'), hex('00004e20 6d6f6f76'), new Uint8Array(20_000)]),
    FRAGMENT,
  ]),
  runs: 2000,
  check(input: FuzzInput) {
    const read = (pieces: readonly Uint8Array[]): unknown => {
      const log: unknown[] = [];
      const reader = new StreamReader(
        {
          init: (tracks) => log.push(['init', tracks]) > 0,
          fragment: (fragment) => void log.push(['fragment', fragment]),
          sample: (sample) => {
            ok(sample.data.length <= MP4_LIMITS.maxSampleBytes, 'a sample over the limit');
            log.push(['sample', sample]);
          },
          event: (message) => void log.push(['event', message]),
          last: () => void log.push(['last']),
        },
        MP4_LIMITS,
      );
      let fault: unknown;
      for (const piece of pieces) {
        fault ??= reader.push(piece);
        ok(
          reader.heldBytes <= MP4_LIMITS.maxInitBytes + MP4_LIMITS.maxSampleBytes,
          `${reader.heldBytes} held`,
        );
      }
      return { log, fault: fault ?? reader.end() };
    };
    deepStrictEqual(read(split(input)), read([input.bytes]));
  },
};
