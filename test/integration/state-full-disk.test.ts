import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../support/ffmpeg.ts';

const WRITER = join(import.meta.dirname, '..', 'support', 'full-disk-state.mjs');
/** A disk of eight megabytes that is gone with the process. Needs the rights of root. */
const SCRIPT = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" "$3" "$4" "$1"';

const canMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

describe.skipIf(!canMount)('a disk that is full', () => {
  it.each([
    ['resume', 'RESUME_UNAVAILABLE'],
    ['sessions', 'LICENSE_STATE_UNAVAILABLE'],
  ])(
    'refuses what is to be kept in the store of %s, ends nothing, and is written to when there is room again',
    {
      timeout: 120_000,
    },
    async (store, code) => {
      const folder = await mkdtemp(join(tmpdir(), 'headwater-full-'));
      try {
        const args = ['--mount', 'sh', '-c', SCRIPT, 'sh', folder, process.execPath, WRITER, store];
        const ended = await run('unshare', args);
        const lines = ended.stdout.toString().trim().split('\n');
        expect(lines).toEqual(['{"wrote":"before"}', `{"refused":"${code}"}`, '{"wrote":"after"}']);
        expect(ended.code).toBe(0);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
});
