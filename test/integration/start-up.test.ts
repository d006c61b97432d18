import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FREE_PORTS, listeningPorts, logLines, runCli, startCli, type RunningCli } from '../support/cli.ts';
import { until } from '../support/until.ts';

let cwd: string;
let started: RunningCli[];
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'headwater-start-'));
  started = [];
});
afterEach(async () => {
  for (const { child, ended } of started) {
    if (child.exitCode === null) child.kill('SIGKILL');
    await ended;
  }
  rmSync(cwd, { recursive: true, force: true });
});

function start(args: readonly string[], script?: string): RunningCli {
  const cli = startCli([...args, ...FREE_PORTS], { cwd, ...(script ? { script } : {}) });
  started.push(cli);
  return cli;
}

const readToken = () => readFileSync(join(cwd, 'headwater-data', 'secrets', 'admin.token'), 'utf8').trim();

describe('serve', () => {
  it('opens every listener, names the real ports in one log line, and stops on SIGTERM with 0', async () => {
    const cli = start(['serve']);
    const ports = await listeningPorts(cli);
    expect(Object.keys(ports).sort()).toEqual(['control', 'http', 'metrics', 'rtmp', 'srt']);

    const health = await fetch(`http://127.0.0.1:${ports['control']}/healthz`);
    expect([health.status, await health.json()]).toEqual([200, { server: 'headwater', status: 'ok' }]);
    expect((await fetch(`http://127.0.0.1:${ports['control']}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`http://127.0.0.1:${ports['metrics']}/metrics`)).text();
    expect(metrics).toContain('headwater_process_resident_memory_bytes');

    cli.child.kill('SIGTERM');
    const { code, stdout, stderr } = await cli.ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(logLines(stdout).at(-1)).toMatchObject({ level: 'info', event: 'stopped' });
  });

  it('makes an admin token that opens the control API, and shows it nowhere', async () => {
    const cli = start(['serve', '--set', 'log.level=debug']);
    const ports = await listeningPorts(cli);
    expect(statSync(join(cwd, 'headwater-data', 'secrets', 'admin.token')).mode & 0o777).toBe(0o600);
    const url = `http://127.0.0.1:${ports['control']}/v1/streams`;
    expect((await fetch(url)).status).toBe(401);
    const answer = await fetch(url, { headers: { authorization: `Bearer ${readToken()}` } });
    expect([answer.status, await answer.json()]).toEqual([200, { streams: [] }]);
    const metrics = await (await fetch(`http://127.0.0.1:${ports['metrics']}/metrics`)).text();
    cli.child.kill('SIGTERM');
    const { stdout, stderr } = await cli.ended;
    expect(stdout + stderr + metrics).not.toContain(readToken());
  });

  it('keeps its whole data folder to its owner', async () => {
    const cli = start(['serve']);
    await listeningPorts(cli);
    const folder = join(cwd, 'headwater-data');
    const paths = ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })];
    expect(new Set(paths)).toEqual(
      new Set([
        '',
        'keys',
        'media',
        'secrets',
        'secrets/admin.token',
        'secrets/content-kek.keys',
        'secrets/license.key',
        'secrets/playback-token-keys.json',
        'state',
        'state/jobs.lmdb',
        'state/jobs.lmdb-lock',
        'state/leases.lmdb',
        'state/leases.lmdb-lock',
        'state/resume.lmdb',
        'state/resume.lmdb-lock',
        'state/sessions.lmdb',
        'state/sessions.lmdb-lock',
        'streams',
        'uploads',
      ]),
    );
    const exposed = paths.filter((path) => (statSync(join(folder, path)).mode & 0o077) !== 0);
    expect(exposed).toEqual([]);
  });

  it('waits once, not once a listener, for kept-alive connections to go when it stops', async () => {
    const cli = start(['serve']);
    const ports = await listeningPorts(cli);
    const agent = new Agent({ keepAlive: true });
    const asked = { http: '/time', control: '/healthz', metrics: '/metrics' };
    for (const [name, path] of Object.entries(asked)) {
      const [answer] = (await once(
        request({ agent, host: '127.0.0.1', port: ports[name], path }).end(),
        'response',
      )) as [IncomingMessage];
      answer.resume();
      await once(answer, 'end');
    }
    const startMs = performance.now();
    cli.child.kill('SIGTERM');
    expect((await cli.ended).code).toBe(0);
    // A lame duck keeps idle connections for 1.5 s, so three of them one after the other would take 4.5 s.
    expect(performance.now() - startMs).toBeLessThan(3500);
    agent.destroy();
  });

  it('keeps the admin calls off the media port', async () => {
    const cli = start(['serve']);
    const ports = await listeningPorts(cli);
    const headers = { authorization: `Bearer ${readToken()}` };
    for (const path of ['/v1/streams', '/v1/openapi.json', '/metrics']) {
      expect((await fetch(`http://127.0.0.1:${ports['http']}${path}`, { headers })).status, path).toBe(404);
    }
    expect((await fetch(`http://127.0.0.1:${ports['control']}/metrics`)).status).toBe(404);
  });

  it('refuses to start with one clear line when a port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await until(() => other.listening, 'the other server');
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await runCli(['serve', ...FREE_PORTS, '--set', `http.port=${port}`], { cwd });
    other.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^headwater: [^\n]+\n$/);
    expect(stderr).toContain(String(port));
  });

  it('refuses an admin token that others may read, without printing it', async () => {
    const first = start(['serve']);
    await listeningPorts(first);
    first.child.kill('SIGTERM');
    await first.ended;
    chmodSync(join(cwd, 'headwater-data', 'secrets', 'admin.token'), 0o644);
    const { code, stderr } = await runCli(['serve', ...FREE_PORTS], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^headwater: others may read [^\n]+admin\.token: chmod 600 [^\n]+\n$/);
    expect(stderr).not.toContain(readToken());
  });
});

describe('serve with publish keys', () => {
  beforeEach(async () => {
    expect((await runCli(['stream', 'create', 'show'], { cwd })).code).toBe(0);
  });

  it.each([
    [
      'a secret that others may read',
      () => chmodSync(join(cwd, 'headwater-data', 'secrets', 'publish-key.hmac'), 0o644),
      /publish-key\.hmac may be read by other users/,
    ],
    [
      'keys whose secret is gone',
      () => rmSync(join(cwd, 'headwater-data', 'secrets', 'publish-key.hmac')),
      /publish-key\.hmac is missing/,
    ],
    [
      'keys that are damaged',
      () => writeFileSync(join(cwd, 'headwater-data', 'publish-keys.json'), '{"version":1,"str'),
      /cannot read \S+publish-keys\.json/,
    ],
  ])('does not start on %s, rather than refuse every publisher later', async (_what, spoil, reason) => {
    spoil();
    const cli = start(['serve']);
    const ended = await Promise.race([
      cli.ended,
      until(() => cli.stdout.includes('"listening"'), 'it to listen').then(() => undefined),
    ]);
    expect(ended?.code).toBe(1);
    expect(ended?.stderr).toMatch(/^headwater: [^\n]+\n$/);
    expect(ended?.stderr).toMatch(reason);
  });
});

describe('npm start', () => {
  it('runs the demo, prints what to open and where to publish, and hands SIGTERM on', async () => {
    const cli = start([], 'scripts/start.mjs');
    const ports = await listeningPorts(cli);
    await until(() => cli.stderr.includes('Ctrl-C'), 'the banner');
    const base = `http://127.0.0.1:${ports['http']}/live/demo/`;
    expect(cli.stderr).toContain(`${base}\n`);
    expect(cli.stderr).toContain(`${base}index.m3u8\n`);
    expect(cli.stderr).toContain(`${base}index.mpd\n`);
    const key = new RegExp(`rtmp://127\\.0\\.0\\.1:${ports['rtmp']}/live/(hw_\\S+)`).exec(cli.stderr)?.[1];
    expect(key).toBeDefined();
    expect(cli.stdout).not.toContain(key);
    cli.child.kill('SIGTERM');
    expect((await cli.ended).code).toBe(0);
  });

  it('says in one line which tool is missing when it may not install it, and ends with 3', async () => {
    const bin = join(cwd, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    const cli = await runCli([], { cwd, env: { PATH: bin }, script: 'scripts/start.mjs' });
    expect(cli).toMatchObject({ code: 3, stdout: '' });
    expect(cli.stderr).toMatch(/^headwater: [^\n]*\bffmpeg\b[^\n]*\n$/);
  });
});
