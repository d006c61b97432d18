import { randomFillSync } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { segmentPath } from '../../src/packager/media-path.ts';
import { writeTitleRecord } from '../../src/packager/vod/title-record.ts';
import type { Title } from '../../src/stream/title.ts';

export interface StoredTitleShape {
  readonly segments: number;
  readonly segmentBytes: number;
  readonly segmentSeconds: number;
}

const ID = 'film';
const RENDITION = '1080p';
const PERIOD = 'p1';
const TIMESCALE = 90_000;

/** A title in a folder store, as a server that was stopped has left it. Its media is noise: it is served, not played. */
export interface StoredTitle {
  /** Below `/vod/film/`, in order. */
  readonly paths: readonly string[];
  /** The same files on disk. */
  readonly files: readonly string[];
  /** The folder that the paths are relative to. */
  readonly folder: string;
}

export async function storeTitle(store: string, shape: StoredTitleShape): Promise<StoredTitle> {
  const { segments, segmentBytes, segmentSeconds } = shape;
  const folder = join(store, 'titles', ID);
  const numbers = Array.from({ length: segments }, (_, number) => number);
  const paths = numbers.map((number) => segmentPath(RENDITION, PERIOD, number));
  const files = paths.map((path) => join(folder, path));
  await mkdir(dirname(files[0] ?? folder), { recursive: true });
  const noise = new Uint8Array(segmentBytes);
  for (const file of files) {
    randomFillSync(noise);
    await writeFile(file, noise);
  }
  await mkdir(join(store, 'catalogue'), { recursive: true });
  await writeFile(join(store, 'catalogue', `${ID}.json`), writeTitleRecord(titleOf(shape)));
  const { status } = spawnSync('sync', ['-f', store]);
  if (status !== 0) throw new Error('what was written could not be brought to the disk');
  return { paths, files, folder };

  function titleOf(made: StoredTitleShape): Title {
    const durationTicks = segmentSeconds * TIMESCALE;
    const bps = (made.segmentBytes * 8) / segmentSeconds;
    const config = Buffer.from(
      '0164001fffe100186764001facd9405005bb011000000300100000030320f162d96001000468efbcb0',
      'hex',
    );
    const track = {
      kind: 'video' as const,
      codec: 'avc1' as const,
      codecString: 'avc1.64001f',
      timescale: TIMESCALE,
      config,
      width: 1920,
      height: 1080,
      cadence: { frameTicks: TIMESCALE / 25, gopTicks: TIMESCALE * 2 },
    };
    return {
      id: ID,
      name: ID,
      state: 'complete',
      durationMs: segments * segmentSeconds * 1000,
      segmentMs: segmentSeconds * 1000,
      renditions: [
        {
          id: RENDITION,
          kind: 'video',
          language: undefined,
          label: undefined,
          isDefault: false,
          peakBps: bps,
          averageBps: bps,
        },
      ],
      periods: [
        {
          id: PERIOD,
          startMs: 0,
          continues: false,
          tracks: new Map([
            [
              RENDITION,
              {
                track,
                init: new Uint8Array(600),
                protection: undefined,
                offsetTicks: 0,
                segments: numbers.map((number) => ({
                  number,
                  startTicks: number * durationTicks,
                  durationTicks,
                  sizeBytes: made.segmentBytes,
                  keyFrameBytes: 0,
                  isGap: false,
                })),
              },
            ],
          ]),
        },
      ],
      texts: [],
      thumbnails: undefined,
      chapters: [],
      createdMs: 0,
      updatedMs: 0,
    };
  }
}

/** Files that are told to leave the memory of the system at a time: the length of a command line is limited. */
const BATCH = 200;

/**
 * Makes the system forget what it holds of files (posix_fadvise DONTNEED, which GNU dd says for `nocache`), so that they come
 * from the disk again. What is behind the system, a virtual machine's host for one, may hold them all the same.
 */
export function dropFromMemory(files: readonly string[]): void {
  for (let start = 0; start < files.length; start += BATCH) {
    const script = 'for file do dd if="$file" iflag=nocache count=0 status=none || exit 1; done';
    const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', ...files.slice(start, start + BATCH)]);
    if (status !== 0) throw new Error(`files stay in memory: ${stderr.toString()}`);
  }
}
