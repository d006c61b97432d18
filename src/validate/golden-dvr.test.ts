import { afterEach, describe, expect, it } from 'vitest';
import { DvrStream, type DvrOptions } from '../../test/support/dvr-stream.ts';
import { FakePresentation, rulesOf, SignalledKeys, told } from '../../test/support/presentation.ts';

const TIMEOUT_MS = 120_000;
const SECONDS = 10;

let stream: DvrStream;

afterEach(() => {
  stream.close();
});

/** A broadcast of which most is only in storage, an outage among it. */
function broadcast(options: DvrOptions = {}): DvrStream {
  stream = new DvrStream({ windowSeconds: 10, dvrSeconds: 80, ...options });
  return stream.publish().run(20).away().run(5).publish('resume').run(40);
}

type Turn = readonly [what: string, turn: (stream: DvrStream) => void];

const TURNS: readonly Turn[] = [
  ['while it runs', () => {}],
  ['after an end and a new beginning', (live) => live.end().run(7).anew().run(6)],
  ['after the process was killed', (live) => live.kill().run(3).publish().run(6)],
  [
    'with segments that were lost',
    (live) => {
      live.archive.mode = 'fail';
      live.run(8);
      live.kill();
      live.archive.mode = 'store';
      live.run(3).publish().run(6);
    },
  ],
];

describe('our own presentation with DVR', () => {
  it.each(TURNS)('has no finding in HLS %s', { timeout: TIMEOUT_MS }, async (_what, turn) => {
    turn(broadcast());
    const report = await new FakePresentation(stream).validate('index.m3u8', SECONDS);
    expect(told(report)).toEqual([]);
    expect(report.watched.renditions.every(({ segments }) => segments > 3)).toBe(true);
  });

  it.each(TURNS)('has no finding in DASH %s', { timeout: TIMEOUT_MS }, async (_what, turn) => {
    turn(broadcast());
    const report = await new FakePresentation(stream).validate('index.mpd', SECONDS);
    expect(told(report)).toEqual([]);
    expect(report.watched.renditions.every(({ segments }) => segments > 3)).toBe(true);
  });

  it.each(['index.m3u8', 'index.mpd'])(
    'has no finding encrypted, behind a kill: %s',
    { timeout: TIMEOUT_MS },
    async (manifest) => {
      broadcast({ keys: new SignalledKeys(16_000) })
        .kill()
        .run(3)
        .publish()
        .run(6);
      const report = await new FakePresentation(stream).validate(manifest, SECONDS);
      expect(told(report)).toEqual([]);
      expect(rulesOf(report)).toEqual([]);
    },
  );
});
