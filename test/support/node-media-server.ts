import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SignJWT } from 'jose';
import { until } from './until.ts';

const SECRET = 'a secret of this test alone, of some length';

/** node-media-server by its own command: a server that streams are published to, which pushes them on. */
export class NodeMediaServer {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #rtmpPort: number;
  readonly #apiUrl: string;

  private constructor(child: ChildProcess, folder: string, rtmpPort: number, httpPort: number) {
    this.#child = child;
    this.#folder = folder;
    this.#rtmpPort = rtmpPort;
    this.#apiUrl = `http://127.0.0.1:${httpPort}/api/v1`;
  }

  static async start(): Promise<NodeMediaServer> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-nms-'));
    const [rtmpPort, httpPort] = [await freePort(), await freePort()];
    const config = join(folder, 'config.json');
    const auth = { play: false, publish: false, jwt: { secret: SECRET, algorithm: 'HS256', users: [] } };
    const ports = { rtmp: { port: rtmpPort }, http: { port: httpPort } };
    await writeFile(config, JSON.stringify({ bind: '127.0.0.1', ...ports, auth }));
    const manifest = createRequire(import.meta.url).resolve('node-media-server/package.json');
    const program = join(dirname(manifest), 'bin', 'app.js');
    const options = ['--config', config, '--data-path', join(folder, 'data'), '--no-admin'];
    const child = spawn(process.execPath, [program, ...options], { stdio: 'ignore' });
    const started = new NodeMediaServer(child, folder, rtmpPort, httpPort);
    try {
      await until(() => started.#call('GET', '/health').catch(() => undefined), 'node-media-server');
    } catch (error) {
      await started.close();
      throw error;
    }
    return started;
  }

  /** Where a stream of this name is published to. */
  publishUrl(stream: string): string {
    return `rtmp://127.0.0.1:${this.#rtmpPort}/live/${stream}`;
  }

  /** Has it push a stream, which must be there, to another server. */
  async push(stream: string, url: string): Promise<void> {
    await this.#call('POST', '/relay', { url, mode: 'push', streamPath: `/live/${stream}` });
  }

  /** Whether somebody publishes a stream of this name to it. */
  async has(stream: string): Promise<boolean> {
    return this.#call('GET', `/streams/live/${stream}`).then(
      () => true,
      () => false,
    );
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'close');
      this.#child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));
    const response = await fetch(this.#apiUrl + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} for ${method} ${path}: ${text}`);
    return JSON.parse(text);
  }
}

/** A port that nobody listens on, for a program that does not tell which one it was given. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
