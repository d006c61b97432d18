import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { until } from '../../test/support/until.ts';
import { systemClock } from '../base/clock.ts';
import { Metrics } from '../base/metrics.ts';
import { Uploads } from './uploads.ts';

const DAY_MS = 86_400_000;

let folder: string;
let clock: FakeClock;
let uploads: Uploads;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-uploads-'));
  clock = new FakeClock();
  uploads = new Uploads(
    folder,
    { maxBytes: 100, maxUploads: 3, keptMs: DAY_MS },
    { clock, metrics: new Metrics(), randomBytes },
  );
  await uploads.open();
});

afterEach(async () => {
  uploads.close();
  await rm(folder, { recursive: true });
});

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

/** The files are of today, the clock is not. */
function sweepAfter(days: number): void {
  clock.advance(days * DAY_MS + (systemClock.wallMs() - clock.wallMs()));
}

describe('Uploads', () => {
  it('keeps what had come when an upload breaks off', async () => {
    const { id } = await uploads.create(8);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('abc');
      throw new Error('the line went dead');
    }
    await expect(uploads.append(id, 0, broken())).rejects.toThrow('dead');
    expect(await uploads.find(id)).toEqual({ id, sizeBytes: 8, offset: 3 });
    expect(await uploads.append(id, 3, pieces('de', 'fgh'))).toMatchObject({ offset: 8 });
    expect(await uploads.path(id)).toContain(id);
  });

  it('is added to by one request at a time', async () => {
    const { id } = await uploads.create(8);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* slow(): AsyncGenerator<Uint8Array> {
      await held;
      yield Buffer.from('ab');
    }
    const first = uploads.append(id, 0, slow());
    await until(
      () =>
        uploads
          .append(id, 0, pieces('zz'))
          .catch(({ code }: { code: string }) => code === 'VOD_UPLOAD_CONFLICT'),
      'the second is refused',
    );
    release();
    expect(await first).toMatchObject({ offset: 2 });
  });

  it('keeps no more than it may', async () => {
    for (let i = 0; i < 3; i++) await uploads.create(1);
    await expect(uploads.create(1)).rejects.toMatchObject({ code: 'VOD_UPLOADS_FULL' });
    await expect(uploads.create(101)).rejects.toMatchObject({ code: 'VOD_MASTER_TOO_LARGE' });
    await expect(uploads.create(0)).rejects.toMatchObject({ code: 'HTTP_BAD_REQUEST' });
  });

  it('deletes what lies idle, but nothing that is needed', async () => {
    const idle = await uploads.create(4);
    const used = await uploads.create(4);
    await uploads.append(used.id, 0, pieces('film'));
    const path = await uploads.path(used.id);
    expect(uploads.use(path)).toBe(true);
    sweepAfter(0.5);
    expect(await uploads.find(idle.id)).toBeDefined();
    sweepAfter(1.5);
    await until(async () => (await uploads.find(idle.id)) === undefined, 'the idle one is gone');
    expect(await uploads.find(used.id)).toBeDefined();
    await uploads.discard(path);
    expect(await uploads.find(used.id)).toBeUndefined();
  });

  it('discards nothing that is none of its own', async () => {
    const { id } = await uploads.create(4);
    const path = join(folder, '..', 'elsewhere');
    expect(uploads.use(path)).toBe(false);
    await uploads.discard(path);
    await expect(uploads.path(id)).rejects.toMatchObject({ code: 'VOD_UPLOAD_CONFLICT' });
    await truncate(join(folder, `${id}.4`), 4);
    expect(await uploads.path(id)).toContain(id);
  });
});
