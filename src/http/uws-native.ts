import { createRequire } from 'node:module';

type Bytes = string | Uint8Array;

/**
 * What is used of a native response: the part that every binary of the package has. Once the answer has ended or
 * the peer has gone, any call throws.
 */
export interface NativeResponse {
  writeStatus(status: Bytes): unknown;
  writeHeader(name: Bytes, value: Bytes): unknown;
  /** Never with `closeConnection` after `write`: the header would land in the body. */
  end(body?: Bytes, closeConnection?: boolean): unknown;
  /** Never with a length: older binaries abort the process on it. */
  endWithoutBody(): unknown;
  tryEnd(piece: Uint8Array, totalBytes: number): [ok: boolean, done: boolean];
  /** At most {@link MAX_CORKED_WRITE_BYTES} in one cork. */
  write(piece: Uint8Array): boolean;
  /** Never on a response that uses `write`: it switches the automatic drain off. */
  onWritable(callback: (offset: number) => boolean): unknown;
  onAborted(callback: () => void): unknown;
  getWriteOffset(): number;
  getRemoteAddress(): ArrayBuffer;
  cork(callback: () => void): unknown;
  /** Runs the abort callback before it returns. */
  close(): unknown;
}

/** A native request; valid until the route handler returns. */
export interface NativeRequest {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  getHeader(name: string): string;
  forEach(callback: (name: string, value: string) => void): unknown;
}

/** A native server. */
export interface NativeApp {
  any(pattern: string, handler: (res: NativeResponse, req: NativeRequest) => void): unknown;
  filter(callback: (res: NativeResponse, change: number) => void): unknown;
  listen(host: string, port: number, options: number, callback: (socket: object | false) => void): unknown;
  close(): unknown;
}

/** What is used of the package uWebSockets.js. */
export interface UwsModule {
  App(): NativeApp;
  us_listen_socket_close(socket: object): void;
  us_socket_local_port(socket: object): number;
  /** Without it a port in use is shared in silence. */
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  _cfg(key: string): void;
}

/**
 * The most that may be written in one cork. Above the size of the native cork buffer (16 KiB) binaries from before
 * April 2026 lose bytes when the socket is full.
 */
export const MAX_CORKED_WRITE_BYTES = 16_000;

const HEADER_LIMIT_VARIABLE = 'UWS_HTTP_MAX_HEADERS_SIZE';

/**
 * Loads the optional package. Its header limit is read from the environment when the binary is first loaded, so the
 * first listener of the process decides; without it header blocks over 4 KiB are refused.
 */
export function loadUws(
  maxHeaderBytes: number,
): { readonly module: UwsModule } | { readonly failure: unknown } {
  process.env[HEADER_LIMIT_VARIABLE] ??= String(maxHeaderBytes);
  try {
    const module = createRequire(import.meta.url)('uWebSockets.js') as UwsModule;
    if (typeof module.App !== 'function' || typeof module.LIBUS_LISTEN_EXCLUSIVE_PORT !== 'number') {
      return { failure: new Error('this build of uWebSockets.js lacks what is needed') };
    }
    // Leaves out the header that names the server.
    module._cfg('silent');
    return { module };
  } catch (failure) {
    return { failure };
  }
}
