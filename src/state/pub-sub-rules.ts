import { AppError } from '../base/errors.ts';

/** Longest message. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

const CHANNEL = /^[\x21-\x7e]{1,200}$/;

/** What is no channel or message is a fault of the caller. */
export function assertChannel(channel: string): void {
  if (!CHANNEL.test(channel)) throw new RangeError(`no channel: ${channel}`);
}

export function assertMessage(message: string): void {
  if (Buffer.byteLength(message) > MAX_MESSAGE_BYTES) throw new RangeError('message is longer than 64 KiB');
}

export function pubSubClosed(): AppError {
  return new AppError('PUBSUB_UNAVAILABLE', 'the bus of messages is closed');
}
