import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { EncoderExit } from '../../src/transcode/encoder-process.ts';
import { createSpawnEncoder, findProgram, guardCommand } from '../../src/transcode/spawn-encoder.ts';
import { until } from '../support/until.ts';

const killed: { kill(): unknown }[] = [];
afterEach(() => {
  for (const each of killed.splice(0)) each.kill();
});

const SECRETIVE = { ...process.env, HEADWATER_CANARY: 'canary-7f3a' };

/** Starts a shell in the encoder's place. */
async function start(script: string, outputs = 1) {
  const got: string[] = Array.from({ length: outputs }, () => '');
  const state = { exit: undefined as EncoderExit | undefined, drained: 0, said: '' };
  const encoder = createSpawnEncoder(SECRETIVE, await guardCommand(process.env))(
    { program: 'sh', args: ['-c', script], outputs },
    {
      output: (index, bytes) => {
        got[index] += Buffer.from(bytes).toString('latin1');
      },
      drained: () => state.drained++,
      said: (bytes) => {
        state.said += Buffer.from(bytes).toString('latin1');
      },
      exited: (exit) => {
        state.exit = exit;
      },
    },
  );
  killed.push(encoder);
  return { encoder, got, state, exited: () => until(() => state.exit, 'the end of the encoder') };
}

describe('an encoder process', () => {
  it('has its input on stdin, its outputs from descriptor 3 on, and says how it ended', async () => {
    const { encoder, got, state, exited } = await start(
      'read a; echo "$a" >&3; echo other >&4; echo bad >&2; exit 7',
      2,
    );
    encoder.write(Buffer.from('frame\n'));
    expect(await exited()).toEqual({ kind: 'exited', code: 7, signal: null });
    expect(got).toEqual(['frame\n', 'other\n']);
    expect(state.said).toBe('bad\n');
  });

  it('knows nothing of our environment but where programs and drivers are', async () => {
    const { got, exited } = await start('env >&3');
    await exited();
    const names = (got[0] ?? '').split('\n').flatMap((line) => (line === '' ? [] : [line.split('=')[0]]));
    expect(got[0]).not.toContain('canary');
    expect(names).toContain('PATH');
    expect(names.length).toBeLessThan(10);
  });

  it('refuses more input than it takes, and says when it goes on', async () => {
    const { encoder, state } = await start('read a <&3; cat > /dev/null');
    let written = 0;
    while (encoder.write(Buffer.alloc(64 * 1024)) && written < 100) written++;
    expect(written).toBeLessThan(100);
    expect(state.drained).toBe(0);
  });

  it('gives all its output before its end is told', async () => {
    const { got, exited } = await start('head -c 3000000 /dev/zero >&3');
    await exited();
    expect(got[0]?.length).toBe(3_000_000);
  });

  it('holds its output back and lets it come', async () => {
    const { encoder, got } = await start('echo early >&3; sleep 60');
    encoder.flow(false);
    const quiet = await start('echo now >&3');
    await quiet.exited();
    expect(got).toEqual(['']);
    encoder.flow(true);
    await until(() => got[0] === 'early\n', 'the output held back');
  });

  it('is ended at once, also when it is stopped or its output is held back', async () => {
    const { encoder, exited } = await start('head -c 3000000 /dev/zero >&3; sleep 60');
    encoder.flow(false);
    process.kill(encoder.pid ?? Number.NaN, 'SIGSTOP');
    encoder.kill();
    expect(await exited()).toEqual({ kind: 'exited', code: null, signal: 'SIGKILL' });
    encoder.kill();
    encoder.end();
    expect(encoder.write(Buffer.from('x'))).toBe(false);
  });

  it('is told missing when there is no such program', async () => {
    const spawnEncoder = createSpawnEncoder(process.env, []);
    const exit = await new Promise<EncoderExit>((settle) => {
      spawnEncoder(
        { program: 'no-such-ffmpeg', args: [], outputs: 1 },
        { output() {}, drained() {}, said() {}, exited: settle },
      );
    });
    expect(exit).toEqual({ kind: 'missing' });
    expect(findProgram('/etc/passwd', {})).toBeUndefined();
    expect(findProgram('sh', { PATH: '/nonexistent:/bin' })).toBe('/bin/sh');
  });

  it('is ended by the kernel when we are killed', async () => {
    const guard = await guardCommand(process.env);
    expect(guard).toContain('--pdeathsig');
    const script = `
      const { spawn } = require('node:child_process');
      const [file, ...args] = ${JSON.stringify([...guard, '/bin/sleep', '60'])};
      console.log(spawn(file, args, { stdio: 'ignore' }).pid);`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    killed.push(parent);
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(process.kill(pid, 0)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => isGone(pid), 'the child to be gone');
  });
});

/** Gone, or dead and only not yet waited for. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return true;
  }
}
