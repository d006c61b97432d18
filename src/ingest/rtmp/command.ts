import { type Amf0Limits, type Amf0Result, type Amf0Value, parseAmf0 } from '../../media/amf0.ts';
import { MESSAGE, type RtmpMessage } from './protocol.ts';

/** A remote call: name, transaction id (0: no answer wanted), and the values after it, command object first. */
export interface RtmpCommand {
  readonly name: string;
  readonly transactionId: number;
  readonly args: readonly Amf0Value[];
}

/** Reads a command message (type 20, or type 17 that wraps AMF0); undefined when it is not well formed. */
export function parseCommand(message: RtmpMessage, limits: Amf0Limits): RtmpCommand | undefined {
  const result = parseValues(message, MESSAGE.commandAmf3, limits);
  if (!result.ok) return undefined;
  const [name, transactionId, ...args] = result.values;
  if (typeof name !== 'string' || typeof transactionId !== 'number') return undefined;
  if (!Number.isSafeInteger(transactionId) || transactionId < 0) return undefined;
  return { name, transactionId, args };
}

/** Reads a data message (type 18, or type 15 that wraps AMF0): the handler's name, then its values. */
export function parseData(message: RtmpMessage, limits: Amf0Limits): Amf0Result {
  return parseValues(message, MESSAGE.dataAmf3, limits);
}

/** An AMF3 message of the types RTMP uses is one byte, 0, and then AMF0. */
function parseValues(message: RtmpMessage, wrappedType: number, limits: Amf0Limits): Amf0Result {
  const { payload } = message;
  if (message.type !== wrappedType) return parseAmf0(payload, limits);
  return payload[0] === 0 ? parseAmf0(payload.subarray(1), limits) : { ok: false, fault: 'type' };
}
