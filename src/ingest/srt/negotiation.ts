import {
  CAPABILITY,
  type Capabilities,
  EXTENSION,
  findExtension,
  type Handshake,
  OUR_VERSION,
  parseCapabilities,
  readText,
} from './handshake.ts';
import { type KeyMaterial, parseKeyMaterial } from './key-material.ts';
import { REJECT, type RejectCode } from './reject.ts';

/** What a caller offers in its conclusion, found good. */
export interface CallerOffer {
  readonly socketId: number;
  readonly initialSequence: number;
  readonly mtuBytes: number;
  readonly flowWindowPackets: number;
  readonly capabilities: Capabilities;
  /** As sent; empty when there was none. */
  readonly streamId: Buffer;
  /** The key material and the bytes it came as; undefined when the caller does not encrypt. */
  readonly keys: { readonly material: KeyMaterial; readonly bytes: Buffer } | undefined;
}

export type OfferReading =
  | { readonly kind: 'offer'; readonly offer: CallerOffer }
  | { readonly kind: 'refused'; readonly code: RejectCode };

/** The first version with this handshake. */
const MIN_VERSION = 0x01_03_00;
const HANDSHAKE_VERSION = 5;
/** The least a UDP packet must be able to carry: a header and seven packets of MPEG-TS need 1332. */
const MIN_MTU_BYTES = 256;
export const MTU_BYTES = 1500;
/** Headers of IPv4 and UDP. */
export const MTU_OVERHEAD_BYTES = 28;

/** All that is said of us to a peer. */
export const OUR_FLAGS =
  CAPABILITY.sendsOnTime |
  CAPABILITY.receivesOnTime |
  CAPABILITY.encryption |
  CAPABILITY.dropsTooLate |
  CAPABILITY.repeatsNaks |
  CAPABILITY.marksRetransmissions;

/** Judges a conclusion whose cookie was right. Pure. */
export function readOffer(handshake: Handshake): OfferReading {
  if (handshake.version !== HANDSHAKE_VERSION) return refused(REJECT.version);
  const content = findExtension(handshake, EXTENSION.capabilityRequest);
  const capabilities = content && parseCapabilities(content);
  if (!capabilities || handshake.mtuBytes < MIN_MTU_BYTES || handshake.socketId === 0) {
    return refused(REJECT.rogue);
  }
  if (capabilities.version < MIN_VERSION) return refused(REJECT.version);
  if ((capabilities.flags & CAPABILITY.streamMode) !== 0) return refused(REJECT.messageApi);
  const unsupported = unsupportedExtension(handshake);
  if (unsupported !== undefined) return refused(unsupported);
  const keyBytes = findExtension(handshake, EXTENSION.keyRequest);
  const keys = keyBytes && parseKeyMaterial(keyBytes);
  if (keys?.kind === 'unsupported') return refused(REJECT.crypto);
  if (keys?.kind === 'malformed') return refused(REJECT.rogue);
  return {
    kind: 'offer',
    offer: {
      socketId: handshake.socketId,
      initialSequence: handshake.initialSequence,
      mtuBytes: Math.min(MTU_BYTES, handshake.mtuBytes),
      flowWindowPackets: handshake.flowWindowPackets,
      capabilities,
      streamId: readText(findExtension(handshake, EXTENSION.streamId) ?? Buffer.alloc(0)),
      // Kept longer than the packet.
      keys: keyBytes && keys && { material: keys.material, bytes: Buffer.from(keyBytes) },
    },
  };
}

/** Bonding, packet filters and congestion control of files are not spoken here. */
function unsupportedExtension(handshake: Handshake): RejectCode | undefined {
  const congestion = findExtension(handshake, EXTENSION.congestion);
  if (congestion && readText(congestion).toString() !== 'live') return REJECT.congestion;
  if (findExtension(handshake, EXTENSION.filter)) return REJECT.filter;
  return findExtension(handshake, EXTENSION.group) ? REJECT.group : undefined;
}

/** The latency of what the caller sends: the greater of what it asks for and what we want (4.3.1.2). */
export function negotiateLatency(offered: Capabilities, ourLatencyMs: number): number {
  return Math.max(offered.sendLatencyMs, ourLatencyMs);
}

/** What is answered to the capabilities of a caller. */
export function answerCapabilities(offered: Capabilities, latencyMs: number): Capabilities {
  return {
    version: OUR_VERSION,
    flags: OUR_FLAGS,
    receiveLatencyMs: latencyMs,
    sendLatencyMs: offered.receiveLatencyMs,
  };
}

function refused(code: RejectCode): OfferReading {
  return { kind: 'refused', code };
}
