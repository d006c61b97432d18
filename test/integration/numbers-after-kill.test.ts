import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FREE_PORTS, listeningPorts, type RunningCli, startCli } from '../support/cli.ts';
import { sourceArgs } from '../support/ffmpeg.ts';
import { getText, listMedia, type ListedMedia, statusOf } from '../support/live-client.ts';
import { until } from '../support/until.ts';

const SEGMENT_MS = 500;
const SETTINGS = ['ingest.auth=none', 'ladder.rungs=none', `live.segmentMs=${SEGMENT_MS}`, 'live.partMs=100'];
const WITHIN_MS = 40_000;
const JOURNAL = (): string => join(cwd, 'headwater-data', 'streams', 'show.json');

let cwd: string;
let children: ChildProcess[];
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'headwater-kill-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) await end(child, 'SIGKILL');
  await rm(cwd, { recursive: true, force: true });
});

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

/** A server on the same data folder each time, and somebody who publishes to it. */
async function start(): Promise<{ readonly cli: RunningCli; readonly playlistUrl: string }> {
  const settings = SETTINGS.flatMap((setting) => ['--set', setting]);
  const cli = startCli(['serve', ...settings, ...FREE_PORTS], { cwd });
  children.push(cli.child);
  const ports = await listeningPorts(cli);
  const source = sourceArgs({ seconds: 600, gop: 15 });
  const url = `rtmp://127.0.0.1:${ports['rtmp']}/live/show`;
  const args = ['-loglevel', 'error', '-nostdin', '-re', ...source, '-tune', 'zerolatency', '-f', 'flv', url];
  children.push(spawn('ffmpeg', args, { stdio: 'ignore' }));
  return { cli, playlistUrl: `http://127.0.0.1:${ports['http']}/live/show/video.m3u8` };
}

async function playlist(url: string): Promise<ListedMedia | undefined> {
  return (await statusOf(url)) === 200 ? listMedia(await getText(url)) : undefined;
}

function withSegments(url: string, count: number): Promise<ListedMedia> {
  const ready = async (): Promise<ListedMedia | undefined> => {
    const now = await playlist(url);
    return now && now.segments.length >= count ? now : undefined;
  };
  return until(ready, `${count} segments`, WITHIN_MS);
}

function lastNumber({ mediaSequence, segments }: ListedMedia): number {
  return mediaSequence + segments.length - 1;
}

/** What the journal says of the stream. */
async function lastNumberOnDisk(): Promise<number> {
  const record = JSON.parse(await readFile(JOURNAL(), 'utf8')) as { lastNumber: number };
  return record.lastNumber;
}

describe('the numbers of a stream', () => {
  it('do not come again when the server was killed, and have no hole when it was stopped', async () => {
    // Far ahead of the clock, so that only the journal can tell where to go on.
    const ahead = Math.floor(Date.now() / SEGMENT_MS) + 1_000_000;
    await mkdir(dirname(JOURNAL()), { recursive: true, mode: 0o700 });
    const record = { lastNumber: ahead, discontinuitySequence: 0, lastPeriodId: 'p1' };
    await writeFile(JOURNAL(), JSON.stringify(record));

    const killed = await start();
    const before = await withSegments(killed.playlistUrl, 20);
    expect(before.mediaSequence).toBe(ahead + 1);
    await end(killed.cli.child, 'SIGKILL');

    const stopped = await start();
    const between = await withSegments(stopped.playlistUrl, 3);
    expect(between.mediaSequence).toBeGreaterThan(lastNumber(before));
    await end(stopped.cli.child, 'SIGTERM');
    const last = await lastNumberOnDisk();
    expect(last).toBeGreaterThan(lastNumber(between));

    const third = await start();
    expect((await withSegments(third.playlistUrl, 1)).mediaSequence).toBe(last + 1);
    // The open segment and what was opened until the stop, but nothing that was only reserved.
    expect(last - lastNumber(between)).toBeLessThanOrEqual(6);
  }, 90_000);
});
