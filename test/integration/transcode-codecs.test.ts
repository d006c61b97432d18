import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCodecFile, throughHub, VIDEO_FILES } from '../support/codec-files.ts';
import { openEncoder, reportRung } from '../support/encoder-fixture.ts';

const IDS = ['120p'];
const SECONDS = 4;
const WHOLE = { missing: 0, foreign: 0, ownKeys: [], missedKeys: 0, holes: 0, decoderSays: '' };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codecs-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the H.264 rungs of a source in another codec', () => {
  it.each(VIDEO_FILES)(
    'have every frame at its exact time, key frames where it has them: %s',
    async (name) => {
      const source = throughHub(await makeCodecFile(folder, name, SECONDS));
      const { feed, sink, finish, close } = await openEncoder();
      try {
        await feed.run(source, { speed: 0 });
        await finish(...IDS);
        for (const id of IDS) {
          const report = await reportRung(sink, id, source);
          expect(report, id).toEqual({ ...WHOLE, decodedFrames: SECONDS * 30 });
          expect(sink.rung(id).tracks[0]?.codec).toBe('avc1');
        }
      } finally {
        await close();
      }
    },
  );
});
