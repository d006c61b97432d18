import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { RtmpTestClient, videoFrame } from '../support/rtmp-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

/** Keys changed while somebody publishes: by another process, and through the control API. */

/** What issue and documents promise. */
const CUT_WITHIN_MS = 5_000;

let server: TestServer;
let token: string;
beforeEach(async () => {
  // The publishers here say nothing while other programs run, which takes as long as the machine is busy.
  server = await startServer({ set: ['rtmp.silenceTimeoutMs=60000'] });
  token = (await readFile(join(server.dataDir, 'secrets', 'admin.token'), 'utf8')).trim();
});
afterEach(() => server.close());

async function publish(url: string): Promise<RtmpTestClient> {
  const { port, pathname } = new URL(url);
  const client = await RtmpTestClient.publishing(Number(port), pathname.split('/')[2] ?? '');
  client.send({ timestamp: 0, payload: videoFrame('picture') });
  return client;
}

async function cli(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(['stream', ...args, '--set', `dataDir=${server.dataDir}`], {
    cwd: server.dataDir,
  });
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

function control(method: string, path: string): Promise<Response> {
  return fetch(`${server.controlUrl}${path}`, { method, headers: { Authorization: `Bearer ${token}` } });
}

/** Milliseconds until the server closed the connection. */
async function cutAfterMs(client: RtmpTestClient, startedMs: number): Promise<number> {
  return (await client.untilClosed(CUT_WITHIN_MS + 2_000)) - startedMs;
}

describe('a live publisher', () => {
  it.each(['rotate-key', 'revoke'])(
    'is cut when another process does stream %s, and its key is dead',
    async (command) => {
      const url = await server.publishUrl('studio');
      const bystander = await publish(await server.publishUrl('other'));
      const client = await publish(url);
      await cli(command, 'studio');
      const startedMs = performance.now();
      expect(await cutAfterMs(client, startedMs)).toBeLessThan(CUT_WITHIN_MS);
      expect(client.statuses.at(-1)).toContain('The publish key was replaced or taken back');
      const again = await RtmpTestClient.ready(Number(new URL(url).port));
      again.publish(new URL(url).pathname.split('/')[2] ?? '');
      await again.untilStatus('NetStream.Publish.BadName');
      expect(bystander.closedAtMs).toBeUndefined();
      bystander.end();
    },
  );

  it('is cut at once when its key is rotated or revoked through the control API', async () => {
    for (const [method, status] of [
      ['POST', 200],
      ['DELETE', 204],
    ] as const) {
      const stream = `api-${method}`;
      const client = await publish(await server.publishUrl(stream));
      const startedMs = performance.now();
      const response = await control(method, `/v1/streams/${stream}/key`);
      expect(response.status).toBe(status);
      expect(await cutAfterMs(client, startedMs)).toBeLessThan(1_500);
      if (method !== 'POST') continue;
      const { key, srtPassphrase } = (await response.json()) as { key: string; srtPassphrase: string };
      expect(srtPassphrase).toBe(await cli('show-srt', stream));
      const { port } = new URL(await server.publishUrl('for-the-port'));
      (await RtmpTestClient.publishing(Number(port), key)).end();
    }
    expect((await control('DELETE', '/v1/streams/nobody/key')).status).toBe(404);
  });

  it('goes on when the keys of other streams change', async () => {
    const client = await publish(await server.publishUrl('studio'));
    await cli('create', 'other');
    await cli('rotate-key', 'other');
    await cli('revoke', 'other');
    await until(async () => (await server.app.publishKeys.list()).length === 1, 'the server to have seen it');
    expect(client.closedAtMs).toBeUndefined();
    client.end();
  });

  it('leaves its key and passphrase in no log line and no metric', async () => {
    const url = await server.publishUrl('studio');
    const client = await publish(url);
    const passphrase = await cli('show-srt', 'studio');
    const newKey = await cli('rotate-key', 'studio');
    await client.untilClosed(CUT_WITHIN_MS + 2_000);
    const text = JSON.stringify(server.log) + (await (await fetch(`${server.metricsUrl}/metrics`)).text());
    for (const secret of [url.slice(url.lastIndexOf('/') + 1), newKey, passphrase])
      expect(text).not.toContain(secret);
    expect(text).toContain(
      'headwater_ingest_publishers_cut_total{reason=\\"rotated\\"} 1'.replaceAll('\\', ''),
    );
  });
});
