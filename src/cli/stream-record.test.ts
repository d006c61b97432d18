import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { streamRecord } from './stream.ts';

let cwd = '';
let out: string[] = [];
let err: string[] = [];
let server: Server;
let calls: { readonly url: string; readonly authorization: string; readonly body: unknown }[] = [];
let answer: { status: number; json: object };

beforeEach(async () => {
  [out, err, calls] = [[], [], []];
  answer = { status: 201, json: { id: 'cam-20261123T071500Z', durationMs: 62_500 } };
  cwd = await mkdtemp(join(tmpdir(), 'headwater-record-'));
  await mkdir(join(cwd, 'data', 'secrets'), { recursive: true });
  await writeFile(join(cwd, 'data', 'secrets', 'admin.token'), 'a-token\n', { mode: 0o600 });
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (bytes: Buffer) => (text += bytes.toString()));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      calls.push({
        url: `${method} ${url}`,
        authorization: headers.authorization ?? '',
        body: JSON.parse(text),
      });
      response
        .writeHead(answer.status, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer.json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(cwd, { recursive: true, force: true });
});

function run(...args: string[]): Promise<number> {
  const { port } = server.address() as AddressInfo;
  const own = ['--set', `dataDir=${join(cwd, 'data')}`, '--set', `control.port=${port}`];
  const context = {
    cwd,
    env: {},
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
  };
  return streamRecord.run([...args, ...own], context);
}

describe('headwater stream record', () => {
  it('asks the server for all that is kept, and prints the title alone on stdout', async () => {
    expect(await run('cam')).toBe(0);
    expect(calls).toEqual([
      { url: 'POST /v1/streams/cam/recordings', authorization: 'Bearer a-token', body: {} },
    ]);
    expect(out).toEqual(['cam-20261123T071500Z']);
    expect(err.join()).toContain('62.5 s recorded');
    expect(err.join()).toContain('/vod/cam-20261123T071500Z/');
  });

  it('passes on what is said of it', async () => {
    const from = '2026-11-23T07:15:00Z';
    await run('cam', '--from', from, '--to', '1763882400000', '--id', 'goal', '--name', 'The goal');
    expect(calls[0]?.body).toEqual({ from, to: 1_763_882_400_000, id: 'goal', name: 'The goal' });
  });

  it('fails with what the server says', async () => {
    answer = { status: 404, json: { code: 'VOD_RECORDING_EMPTY', detail: 'nothing is kept' } };
    await expect(run('cam')).rejects.toMatchObject({
      code: 'VOD_RECORDING_EMPTY',
      message: 'nothing is kept',
    });
    expect(out).toEqual([]);
  });

  it.each([[['a/b']], [[]], [['cam', '--until', 'x']]])('refuses %j', async (args) => {
    await expect(run(...args)).rejects.toMatchObject({ name: 'AppError' });
    expect(calls).toEqual([]);
  });
});
