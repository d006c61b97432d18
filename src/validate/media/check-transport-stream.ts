import type { Report } from '../contracts.ts';
import { tellerOf } from './media-rules.ts';

const PACKET_BYTES = 188;
const SYNC_BYTE = 0x47;
const PAT_PID = 0;
/** table_id of the program association and the program map. */
const PAT_TABLE = 0;
const PMT_TABLE = 2;
/** Packets looked into for the tables; they should be at the front. */
const PACKETS_FOR_TABLES = 200;

/** What a transport stream segment turned out to be. */
export interface TransportStreamFacts {
  readonly packets: number;
  readonly hasPat: boolean;
  readonly hasPmt: boolean;
}

/**
 * Judges a segment that is an MPEG-2 transport stream, lightly: whole packets with a sync byte each, and the tables
 * that a player needs to start with it. `hasMap` says that an EXT-X-MAP carries the tables instead.
 */
export function checkTransportStream(
  bytes: Uint8Array,
  hasMap: boolean,
  report: Report,
): TransportStreamFacts {
  const tell = tellerOf(report);
  const packets = Math.floor(bytes.length / PACKET_BYTES);
  if (bytes.length % PACKET_BYTES !== 0) {
    tell('media-ts-sync', `${bytes.length} bytes are no whole number of ${PACKET_BYTES}-byte packets`);
  }
  const lost = firstWithoutSync(bytes, packets);
  if (lost !== undefined) tell('media-ts-sync', `packet ${lost} of ${packets} has no sync byte 0x47`);
  const tables = findTables(bytes, packets);
  if (!hasMap && !(tables.hasPat && tables.hasPmt)) {
    const missing = tables.hasPat ? 'PMT' : tables.hasPmt ? 'PAT' : 'PAT and PMT';
    tell(
      'media-ts-tables',
      `no ${missing} among the first ${Math.min(packets, PACKETS_FOR_TABLES)} packets, and no EXT-X-MAP`,
    );
  }
  return { packets, ...tables };
}

function firstWithoutSync(bytes: Uint8Array, packets: number): number | undefined {
  for (let packet = 0; packet < packets; packet++) {
    if (bytes[packet * PACKET_BYTES] !== SYNC_BYTE) return packet;
  }
  return undefined;
}

function findTables(bytes: Uint8Array, packets: number): { hasPat: boolean; hasPmt: boolean } {
  let hasPat = false;
  let hasPmt = false;
  for (let packet = 0; packet < Math.min(packets, PACKETS_FOR_TABLES) && !(hasPat && hasPmt); packet++) {
    const start = packet * PACKET_BYTES;
    const pid = ((bytes[start + 1] ?? 0) & 0x1f) * 256 + (bytes[start + 2] ?? 0);
    const table = tableId(bytes.subarray(start, start + PACKET_BYTES));
    if (pid === PAT_PID && table === PAT_TABLE) hasPat = true;
    if (pid !== PAT_PID && table === PMT_TABLE) hasPmt = true;
  }
  return { hasPat, hasPmt };
}

/** table_id of the section that starts in this packet; undefined when none does. */
function tableId(packet: Uint8Array): number | undefined {
  const startsUnit = ((packet[1] ?? 0) & 0x40) !== 0;
  const control = ((packet[3] ?? 0) >> 4) & 3;
  if (!startsUnit || (control & 1) === 0) return undefined;
  const payload = control === 3 ? 5 + (packet[4] ?? 0) : 4;
  const table = payload + 1 + (packet[payload] ?? 0);
  // A PES packet starts with 00 00 01 and would look like a table 0 behind a pointer of 0.
  if (packet[payload] === 0 && packet[payload + 1] === 0 && packet[payload + 2] === 1) return undefined;
  return packet[table];
}
