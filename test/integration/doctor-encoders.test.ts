import { afterEach, describe, expect, it } from 'vitest';
import { checkEncoders, checkFfmpeg } from '../../src/cli/doctor-checks.ts';
import type { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { fakeProgram } from '../support/encoder-fixture.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function program(text: string): Promise<string> {
  const fake = await fakeProgram(text);
  open.push(fake);
  return fake.path;
}

function input(ladder: Partial<Config['ladder']>) {
  const loaded = loadConfig({ cwd: '/nonexistent', env: {} });
  if (!('config' in loaded)) throw new Error('no defaults');
  const config = { ...loaded.config, ladder: { ...loaded.config.ladder, ...ladder } };
  return { config, cwd: '/', wallMs: 0, nodeVersion: 'v20.20.2' };
}

/** An ffmpeg that lists some encoders and lets some of them work. */
function ffmpegWith(listed: readonly string[], working: readonly string[]): Promise<string> {
  return program(`#!/bin/sh
case "$*" in
  *-version*) echo "ffmpeg version 9.9-test Copyright" ;;
  *-encoders*) printf ' V....D %s description\\n' ${listed.join(' ')} ;;
  ${working.map((name) => `*"-c:v ${name} "*) exit 0 ;;`).join('\n  ')}
  *) echo "Device creation failed: no such device" >&2; exit 1 ;;
esac
`);
}

describe('doctor and the encoder', () => {
  it('really encodes with libx264 on this machine', async () => {
    expect(await checkEncoders(input({}))).toEqual([
      { status: 'ok', name: 'encoder', detail: 'libx264 encodes' },
      { status: 'ok', name: 'hardware encoders', detail: expect.any(String) },
    ]);
  });

  it('says that streams only pass through without ffmpeg', async () => {
    const without = input({ ffmpeg: '/nonexistent/ffmpeg' });
    expect(await checkFfmpeg(without)).toEqual([
      {
        status: 'warn',
        name: 'ffmpeg',
        detail:
          '/nonexistent/ffmpeg not found: passthrough only, streams get no further rungs; serve --demo needs it',
      },
    ]);
    expect(await checkEncoders(without)).toEqual([]);
  });

  it('tries nothing when no rungs are wanted', async () => {
    expect(await checkEncoders(input({ rungs: 'none', ffmpeg: '/nonexistent/ffmpeg' }))).toEqual([
      { status: 'ok', name: 'encoder', detail: 'not used: ladder.rungs is none, passthrough only' },
    ]);
  });

  it('reports the hardware that works, and not what is merely built in', async () => {
    const ffmpeg = await ffmpegWith(['libx264', 'h264_nvenc', 'h264_qsv'], ['libx264', 'h264_qsv']);
    expect(await checkEncoders(input({ ffmpeg }))).toContainEqual({
      status: 'ok',
      name: 'hardware encoders',
      detail: 'h264_qsv (ladder.encoder)',
    });
  });

  it('fails on a chosen encoder that does not work, with what it needs and what ffmpeg said', async () => {
    const ffmpeg = await ffmpegWith(['libx264', 'h264_nvenc'], ['libx264']);
    expect(await checkEncoders(input({ ffmpeg, encoder: 'h264_nvenc' }))).toEqual([
      {
        status: 'fail',
        name: 'encoder',
        detail:
          'h264_nvenc does not work: passthrough only (it needs an NVIDIA card and its driver): ' +
          'Device creation failed: no such device',
      },
      { status: 'ok', name: 'hardware encoders', detail: 'none works here' },
    ]);
  });

  it('warns when libx264 does not work', async () => {
    const ffmpeg = await ffmpegWith([], []);
    expect(await checkEncoders(input({ ffmpeg }))).toContainEqual(
      expect.objectContaining({ status: 'warn', name: 'encoder' }),
    );
  });
});
