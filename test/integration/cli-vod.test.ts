import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { controlOf, whenWhole } from '../support/vod-client.ts';

/** `headwater vod` against a server that runs: the built program, as an operator uses it. */

const SECONDS = 3;
const SRT = '1\n00:00:00,500 --> 00:00:02,500\nGood evening.\n';

let folder: string;
let server: TestServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-cli-vod-'));
  await ffmpeg([
    ...['-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=25`, '-f', 'lavfi', '-i', 'sine=440:r=48000'],
    ...['-t', `${SECONDS}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-c:a', 'aac'],
    join(folder, 'talk.mp4'),
  ]);
  await writeFile(join(folder, 'spoken.srt'), SRT);
  await writeFile(join(folder, 'spoken.txt'), SRT);
  await writeFile(join(folder, 'letter.mp4'), 'Dear Sir or Madam');
  server = await startServer({ set: ['vod.ladder=120p:100k,90p:60k', 'vod.effort=low'] });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

function vod(...args: readonly string[]): ReturnType<typeof runCli> {
  const { ports, dataDir } = server;
  const set = [
    ...[`dataDir=${dataDir}`, `control.port=${ports.control}`, `http.port=${ports.http}`],
    ...['http.host=127.0.0.1', 'control.host=127.0.0.1'],
  ];
  return runCli(['vod', ...args, ...set.flatMap((each) => ['--set', each])], { cwd: folder });
}

/** One that makes a usage error, or is refused, must leave nothing in the server's folder. */
async function uploads(): Promise<readonly string[]> {
  return readdir(join(server.dataDir, 'uploads'));
}

async function textAt(path: string): Promise<string> {
  return (await fetch(`${server.mediaUrl}/vod/${path}`)).text();
}

async function statusAt(path: string): Promise<number> {
  const answer = await fetch(`${server.mediaUrl}/vod/${path}`);
  await answer.arrayBuffer();
  return answer.status;
}

describe('headwater vod', () => {
  it('makes a title of a file with subtitles beside it, shows how far it is, lists it and takes it away', async () => {
    expect(await vod('list')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'no titles yet; make one with: headwater vod add FILE --title ID\n',
    });
    const before = await readFile(join(folder, 'talk.mp4'));
    const name = ['--name', 'A talk, in the evening'];
    const added = await vod(
      ...['add', 'talk.mp4', '--title', 'talk', ...name, '--sidecar', 'spoken.srt:en', '--wait'],
    );
    const page = `${server.mediaUrl}/vod/talk/`;
    expect(added).toMatchObject({ code: 0, stdout: `${page}\n` });
    const told = added.stderr.trimEnd().split('\n');
    expect(told.at(-1)).toMatch(/^█{30} 100 % .* 120p 100 %, 90p 100 %$/);
    // Whoever waits may watch at once.
    const master = await textAt('talk/index.m3u8');
    expect(master).toContain('120p.m3u8');
    expect(master).toContain('90p.m3u8');
    expect(master).toMatch(/#EXT-X-MEDIA:TYPE=SUBTITLES,.*LANGUAGE="en"/);
    expect(await textAt('talk/index.mpd')).toContain('lang="en"');
    expect(await statusAt('talk/')).toBe(200);
    // The operator's own file stays, and is no longer held by the server.
    expect(await readFile(join(folder, 'talk.mp4'))).toEqual(before);
    expect((await stat(join(folder, 'talk.mp4'))).nlink).toBe(1);
    expect(await uploads()).toEqual([]);

    expect(await vod('list')).toEqual({
      code: 0,
      stdout: `talk\tcomplete\t0:0${SECONDS}\tA talk, in the evening\n`,
      stderr: '',
    });
    expect(await vod('rm', 'talk')).toEqual({ code: 0, stdout: '', stderr: 'talk is gone\n' });
    expect([await statusAt('talk/index.m3u8'), await statusAt('talk/index.mpd')]).toEqual([404, 404]);
    expect((await vod('list')).stdout).toBe('');
  });

  it('prints the id of the job and leaves the work to the server, unless it is to wait; encrypts when told to', async () => {
    const added = await vod('add', 'talk.mp4', '--title', 'secret', '--ladder', 'small', '--drm');
    expect(added).toMatchObject({
      code: 0,
      stderr: `being made; it will be at ${server.mediaUrl}/vod/secret/\n`,
    });
    const job = added.stdout.trim();
    expect(job).toMatch(/^\S+$/);
    const control = await controlOf(server);
    await whenWhole(control, job, 'secret');
    expect((await control('GET', '/v1/assets/secret')).json).toMatchObject({ protected: true });
    // Nothing above the master's own picture, and that once.
    const listed = await textAt('secret/index.m3u8');
    expect([...listed.matchAll(/RESOLUTION=(\d+x\d+)/g)].map(([, size]) => size)).toContain('320x180');
    expect(listed).not.toContain('x360');
    const again = await vod('add', 'talk.mp4', '--title', 'secret');
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^headwater: There is a title of that name[^\n]*\n$/);
    expect(await uploads()).toEqual([]);
  });

  it.concurrent.each<readonly [string, readonly string[], number, RegExp]>([
    ['without a file', ['add', '--title', 'x'], 2, /FILE is missing/],
    ['without a title', ['add', 'talk.mp4'], 2, /--title is missing/],
    ['of both kinds of protection', ['add', 'talk.mp4', '--title', 'x', '--drm', '--no-drm'], 2, /exclude/],
    ['of a file that is not there', ['add', 'none.mp4', '--title', 'x'], 1, /none\.mp4 is no file/],
    ['of a folder', ['add', '.', '--title', 'x'], 1, /is no file/],
    ['of a file that is no film', ['add', 'letter.mp4', '--title', 'x'], 1, /letter|master|file/i],
    ['under a name that no URL may have', ['add', 'talk.mp4', '--title', '../x'], 1, /title/i],
    [
      'with subtitles of no kind',
      ['add', 'talk.mp4', '--title', 'x', '--sidecar', 'spoken.txt:en'],
      2,
      /SubRip/,
    ],
    ['with a ladder that is none', ['add', 'talk.mp4', '--title', 'x', '--ladder', 'steep'], 1, /ladder/],
    ['away that is not there', ['rm', 'nobody'], 1, /no title of that name/],
  ])('takes no title %s, says why in one line, and keeps nothing of it', async (_what, args, code, why) => {
    const result = await vod(...args);
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(/^headwater( vod add)?: [^\n]+\n$/);
    expect(result.stderr).toMatch(why);
  });

  it('has kept nothing of what was refused', async () => {
    expect(await uploads()).toEqual([]);
    expect((await vod('list')).stdout).not.toContain('x\t');
  });

  it('says that no server answers, and which address it asked', async () => {
    const { port } = await nobody();
    const args = ['vod', 'list', '--set', `dataDir=${server.dataDir}`, '--set', `control.port=${port}`];
    const result = await runCli(args, { cwd: folder });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(
      new RegExp(
        `^headwater: nothing answers at http://127\\.0\\.0\\.1:${port}: is the server running\\?\\n$`,
      ),
    );
    const elsewhere = await runCli(['vod', 'list', '--set', `dataDir=${folder}/none`], { cwd: folder });
    expect(elsewhere).toMatchObject({ code: 1, stdout: '' });
    expect(elsewhere.stderr).toMatch(/admin\.token cannot be read: is this the server's data folder\?\n$/);
  });
});

/** A port on which nothing listens: one that was given and taken back. */
async function nobody(): Promise<{ readonly port: number }> {
  const other = await startServer();
  const { control } = other.ports;
  await other.close();
  return { port: control };
}
