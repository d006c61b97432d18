import type { Socket } from 'node:net';

/**
 * Closes a connection with a reset, so that nothing cut short can look complete and the kernel drops what it held.
 * A socket that is already being shut down is closed without: a reset is refused there, and node would then neither
 * close the handle nor say so.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
