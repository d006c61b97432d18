import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../support/build.ts';
import { FREE_PORTS, runCli } from '../support/cli.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'headwater-cli-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const run = (...args: string[]) => runCli(args, { cwd });

describe('headwater', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(await run('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('lists every command in its help, and each has a help of its own', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    const commands = [...stdout.matchAll(/^ {2}(?!headwater)([a-z-]+(?: [a-z-]+)?) {2,}\S/gm)].map(
      (match) => match[1] ?? '',
    );
    expect(commands).toEqual([
      'serve',
      'stream create',
      'stream rotate-key',
      'stream revoke',
      'stream show-srt',
      'stream record',
      'stream list',
      'vod add',
      'vod list',
      'vod rm',
      'worker',
      'token',
      'keys rotate-kek',
      'keys rewrap',
      'validate',
      'doctor',
      'check-config',
      'print-config',
      'migrate',
    ]);
    for (const command of commands) {
      const own = await run(...command.split(' '), '--help');
      expect(own).toMatchObject({ code: 0, stderr: '' });
      expect(own.stdout).toContain(`Usage: headwater ${command} `);
    }
  });

  it.each([
    [[], /Usage:/],
    [['brew'], /^headwater: unknown command "brew"; see headwater --help\n$/],
    [['stream'], /unknown command "stream"/],
    [['stream', 'create'], /^headwater stream create: ID is missing; see headwater stream create --help\n$/],
    [['stream', 'create', 'a', 'b'], /unexpected argument "b"/],
    [['serve', '--prot', '1'], /^headwater serve: Unknown option '--prot'; see headwater serve --help\n$/],
    [['check-config', '--config'], /argument missing/],
  ])('answers %j with exit code 2 and one line', async (args, expected) => {
    const { code, stdout, stderr } = await run(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(expected);
  });
});

describe('check-config and print-config', () => {
  it('accept a good file', async () => {
    writeFileSync(join(cwd, 'headwater.yaml'), 'live:\n  partMs: 100\n');
    expect(await run('check-config')).toEqual({ code: 0, stdout: 'headwater.yaml: ok\n', stderr: '' });
    const { code, stdout } = await run('print-config', '--set', 'http.port=81');
    expect(code).toBe(0);
    expect(stdout).toContain('  partMs: 100 # headwater.yaml:2:11\n');
    expect(stdout).toContain('  port: 81 # --set\n');
  });

  it('accept the example file and keep every default', async () => {
    const example = await runCli(['print-config', '--config', join(ROOT, 'headwater.example.yaml')], { cwd });
    const defaults = await run('print-config');
    expect(example.stdout.replace(/ # .*$/gm, '')).toBe(defaults.stdout);
  });

  it('print every problem as file:line:col path: what, and end with 2, as every other command does', async () => {
    writeFileSync(join(cwd, 'headwater.yaml'), 'http:\n  port: x\nlvie: {}\n');
    const expected = {
      code: 2,
      stdout: '',
      stderr:
        'headwater.yaml:2:9 http.port: expected a whole number from 0 to 65535, not "x"\n' +
        'headwater.yaml:3:1 lvie: unknown key; did you mean live?\n',
    };
    for (const command of [['check-config'], ['print-config'], ['serve'], ['doctor'], ['stream', 'list']]) {
      expect(await run(...command)).toEqual(expected);
    }
  });
});

describe('stream', () => {
  const dataDir = () => join(cwd, 'headwater-data');

  it('shows a new key once: on stdout for scripts, with the URL on stderr, and nowhere in the data folder', async () => {
    const { code, stdout, stderr } = await run('stream', 'create', 'concert');
    const key = stdout.trim();
    expect(code).toBe(0);
    expect(key).toMatch(/^hw_[A-Za-z0-9_-]{32}$/);
    expect(stderr).toContain(`rtmp://127.0.0.1:1935/live/${key}\n`);
    for (const file of filesBelow(dataDir())) {
      expect(statSync(file).mode & 0o077, file).toBe(0);
      expect(readFileSync(file, 'utf8')).not.toContain(key);
    }
    const listed = await run('stream', 'list');
    expect(listed.stdout).toMatch(/^concert {2}key of 20\d\d-\d\d-\d\dT[\d:.]+Z\n$/);
  });

  it('rotates a key and refuses what cannot be done with exit code 1 and one line', async () => {
    const first = await run('stream', 'create', 'concert');
    const second = await run('stream', 'rotate-key', 'concert');
    expect(second.code).toBe(0);
    expect(second.stdout).not.toBe(first.stdout);
    for (const args of [
      ['create', 'concert'],
      ['create', '../etc'],
      ['create', 'a'.repeat(65)],
      ['rotate-key', 'nobody'],
    ]) {
      const { code, stdout, stderr } = await run('stream', ...args);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^headwater: [^\n]+\n$/);
    }
  });

  it('tells the SRT passphrase with the key and again when asked, but stores it nowhere', async () => {
    const { stderr } = await run('stream', 'create', 'concert');
    const shown = await run('stream', 'show-srt', 'concert');
    const passphrase = shown.stdout.trim();
    expect(shown.code).toBe(0);
    expect(passphrase).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(stderr).toContain(`srt://127.0.0.1:8890?streamid=publish:concert&passphrase=${passphrase}\n`);
    for (const file of filesBelow(dataDir())) expect(readFileSync(file, 'utf8')).not.toContain(passphrase);
    await run('stream', 'rotate-key', 'concert');
    expect((await run('stream', 'show-srt', 'concert')).stdout.trim()).not.toBe(passphrase);
  });

  it('takes a key back', async () => {
    await run('stream', 'create', 'concert');
    expect(await run('stream', 'revoke', 'concert')).toMatchObject({ code: 0, stdout: '' });
    expect((await run('stream', 'list')).stdout).toBe('');
    for (const command of ['revoke', 'show-srt']) {
      const { code, stdout, stderr } = await run('stream', command, 'concert');
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^headwater: no stream of this name has a publish key\n$/);
    }
  });

  it('lists nothing before there is anything', async () => {
    expect(await run('stream', 'list')).toMatchObject({ code: 0, stdout: '' });
  });
});

describe('migrate', () => {
  const OLD = `hlsAddress: :8080
rtspAddress: :8554
authMethod: http
authHTTPAddress: http://10.0.0.1/auth
paths:
  studio:
    record: yes
`;

  it('prints a mediamtx.yml as ours, which check-config takes, and what is left over', async () => {
    writeFileSync(join(cwd, 'mediamtx.yml'), OLD);
    const { code, stdout, stderr } = await run('migrate', 'mediamtx.yml');
    expect(code).toBe(0);
    expect(stderr).toMatch(/^not carried over:\n/);
    expect(stderr).toContain('\n  paths.studio.record: this version does not record\n');
    expect(stderr).toContain('\n  headwater stream create studio\n');
    writeFileSync(join(cwd, 'headwater.yaml'), stdout);
    expect(await run('check-config')).toEqual({ code: 0, stdout: 'headwater.yaml: ok\n', stderr: '' });
    const printed = await run('print-config');
    expect(printed.stdout).toMatch(/^ {2}port: 8080 # headwater\.yaml:\d+:\d+$/m);
    expect(printed.stdout).toContain('    url: http://10.0.0.1/auth # headwater.yaml');
  });

  it.each([
    ['no.yml', '', /^headwater: no\.yml cannot be read \(ENOENT\)\n$/],
    ['other.yml', 'services: {}\n', /^headwater: other\.yml is not a mediamtx\.yml\n$/],
  ])('says of %s that it is none', async (name, content, expected) => {
    if (content !== '') writeFileSync(join(cwd, name), content);
    const { code, stdout, stderr } = await run('migrate', name);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(expected);
  });
});

describe('doctor', () => {
  it('finds nothing to fail on a machine where the tests run', async () => {
    const { code, stdout } = await run('doctor', ...FREE_PORTS);
    expect(stdout).not.toMatch(/^fail/m);
    expect(code).toBe(0);
    for (const name of [
      'node',
      'http engine',
      'ffmpeg',
      'port rtmp',
      'data folder',
      'disk',
      'secrets',
      'clock',
    ]) {
      expect(stdout).toMatch(new RegExp(`^(ok  |warn)  ${name} +\\S`, 'm'));
    }
  });

  it('fails when another program has a port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const { code, stdout } = await run('doctor', ...FREE_PORTS, '--set', `http.port=${port}`);
    other.close();
    expect(code).toBe(1);
    expect(stdout).toMatch(
      new RegExp(`^fail  port http +127\\.0\\.0\\.1:${port} is in use by another program$`, 'm'),
    );
  });

  it('fails when others may read the secrets', async () => {
    await run('stream', 'create', 'concert');
    chmodSync(join(cwd, 'headwater-data', 'publish-keys.json'), 0o644);
    const { code, stdout } = await run('doctor', ...FREE_PORTS);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^fail {2}secrets +others may read .*publish-keys\.json/m);
  });

  it('warns when there is no ffmpeg, without which streams only pass through', async () => {
    mkdirSync(join(cwd, 'empty'));
    const { code, stdout } = await runCli(['doctor', ...FREE_PORTS], {
      cwd,
      env: { PATH: join(cwd, 'empty') },
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warn {2}ffmpeg +ffmpeg not found: passthrough only, /m);
  });
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => statSync(name).isFile());
}
