/** Consecutive sequence numbers, both ends included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** What a full acknowledgement says (draft-sharabayko-srt 3.2.4). */
export interface FullAck {
  /** The first sequence number not received yet. */
  readonly next: number;
  readonly rttMicros: number;
  readonly rttVarianceMicros: number;
  /** Packets there is room for. */
  readonly availablePackets: number;
  readonly packetsPerSecond: number;
  readonly bytesPerSecond: number;
}

const FULL_ACK_BYTES = 28;
const RANGE_FLAG = 0x8000_0000;
const MAX_UINT32 = 0xffff_ffff;

export function writeFullAck(ack: FullAck): Buffer {
  const body = Buffer.allocUnsafe(FULL_ACK_BYTES);
  body.writeUInt32BE(ack.next, 0);
  body.writeUInt32BE(clampUint32(ack.rttMicros), 4);
  body.writeUInt32BE(clampUint32(ack.rttVarianceMicros), 8);
  body.writeUInt32BE(clampUint32(ack.availablePackets), 12);
  body.writeUInt32BE(clampUint32(ack.packetsPerSecond), 16);
  // Estimated capacity of the link: at least what has just come through it. Live senders do not use it.
  body.writeUInt32BE(clampUint32(ack.packetsPerSecond), 20);
  body.writeUInt32BE(clampUint32(ack.bytesPerSecond), 24);
  return body;
}

/** The short acknowledgement: the first sequence number not received yet, and nothing else. */
export function writeLightAck(next: number): Buffer {
  const body = Buffer.allocUnsafe(4);
  body.writeUInt32BE(next, 0);
  return body;
}

/** The first sequence number that an acknowledgement, full or light, says is missing. */
export function parseAckNext(body: Buffer): number | undefined {
  return body.length < 4 ? undefined : body.readUInt32BE(0) & ~RANGE_FLAG;
}

/** Bodies of NAKs of at most `maxBytes` each, as many as it takes (3.2.5, appendix A). */
export function writeLossReports(ranges: readonly SequenceRange[], maxBytes: number): Buffer[] {
  const reports: Buffer[] = [];
  let at = 0;
  while (at < ranges.length) {
    const report = Buffer.allocUnsafe(Math.max(8, maxBytes));
    let sizeBytes = 0;
    for (let range = ranges[at]; range && sizeBytes + 8 <= report.length; range = ranges[++at]) {
      const single = range.first === range.last;
      report.writeUInt32BE(single ? range.first : (range.first | RANGE_FLAG) >>> 0, sizeBytes);
      sizeBytes += 4;
      if (single) continue;
      report.writeUInt32BE(range.last, sizeBytes);
      sizeBytes += 4;
    }
    reports.push(report.subarray(0, sizeBytes));
  }
  return reports;
}

/** The ranges of a NAK; undefined when the bytes are no loss list. */
export function parseLossReport(body: Buffer): SequenceRange[] | undefined {
  if (body.length % 4 !== 0) return undefined;
  const ranges: SequenceRange[] = [];
  for (let at = 0; at < body.length; at += 4) {
    const word = body.readUInt32BE(at);
    if (word < RANGE_FLAG) {
      ranges.push({ first: word, last: word });
      continue;
    }
    at += 4;
    const last = at < body.length ? body.readUInt32BE(at) : RANGE_FLAG;
    if (last >= RANGE_FLAG) return undefined;
    ranges.push({ first: word - RANGE_FLAG, last });
  }
  return ranges;
}

/** What a DROPREQ gives up (3.2.9); undefined when the bytes are none. */
export function parseDropRequest(body: Buffer): SequenceRange | undefined {
  if (body.length < 8) return undefined;
  const first = body.readUInt32BE(0);
  const last = body.readUInt32BE(4);
  return first < RANGE_FLAG && last < RANGE_FLAG ? { first, last } : undefined;
}

function clampUint32(value: number): number {
  return Math.min(MAX_UINT32, Math.max(0, Math.round(value)));
}
