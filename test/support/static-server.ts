import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.mpd': 'application/dash+xml',
  '.m3u8': 'application/vnd.apple.mpegurl',
  '.m4s': 'video/iso.segment',
  '.mp4': 'video/mp4',
  '.ts': 'video/mp2t',
  '.vtt': 'text/vtt',
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
};

/** The plainest of web servers over a folder, on loopback. */
export interface StaticServer {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  close(): Promise<void>;
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  response.setHeader('access-control-allow-origin', '*');
  if (path === '/time') {
    response.end(new Date().toISOString());
    return;
  }
  const bytes = await readFile(join(folder, normalize(path))).catch(() => undefined);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  response.statusCode = bytes ? (range ? 206 : 200) : 404;
  response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
  response.end(range ? bytes?.subarray(Number(range[1]), Number(range[2]) + 1) : bytes);
}

/** Serves the files of `folder` as they are at the moment; `/time` tells the time. */
export async function serveFolder(folder: string): Promise<StaticServer> {
  const server = createServer((request, response) => void answer(folder, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
