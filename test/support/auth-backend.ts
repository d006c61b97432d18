import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that a back end was sent. */
export interface BackendCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Answer = (response: ServerResponse, call: BackendCall) => void;

/** A back end over real HTTP that remembers what it was asked and answers as it is told. */
export interface AuthBackend {
  readonly url: string;
  readonly calls: BackendCall[];
  /** Connections open now. */
  readonly connections: number;
  answer: Answer;
  close(): Promise<void>;
}

/** Answers with a status and a body. */
export function say(status: number, body = '', headers: Record<string, string> = {}): Answer {
  return (response) => void response.writeHead(status, headers).end(body);
}

/** Starts one on a free loopback port. The caller closes it. */
export async function startAuthBackend(answer: Answer = say(200)): Promise<AuthBackend> {
  const calls: BackendCall[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    response.on('error', () => {});
    void serve(request, response);
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const call = await readCall(request);
    if (call === undefined) return;
    calls.push(call);
    backend.answer(response, call);
  };
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.on('close', () => (connections -= 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const backend: AuthBackend = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    get connections() {
      return connections;
    },
    answer,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return backend;
}

async function readCall(request: IncomingMessage): Promise<BackendCall | undefined> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  } catch {
    return undefined;
  }
  const { method = '', url = '', headers } = request;
  return { method, path: url, headers, body: Buffer.concat(pieces).toString() };
}
