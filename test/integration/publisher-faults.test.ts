import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import { childrenWith } from '../support/children.ts';
import { frameHashes } from '../support/ffmpeg.ts';
import { get, getText, statusOf } from '../support/live-client.ts';
import { clipArgs, frames, jump, makeClip, type OddTag, offset } from '../support/odd-media.ts';
import { Broadcast, type Leaving } from '../support/odd-media-broadcast.ts';
import { openFiles } from '../support/open-files.ts';
import { parsePlaylist } from '../support/playlist.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

/**
 * Publishers that vanish, fall silent, come back, or are two. `SABOTAGE` makes each test fail: `patient` (a server that
 * waits for silent publishers), `short-grace`, `other-policy` (reject where takeover is meant, and the reverse),
 * `silent-backup`, `leak` (the churn leaves descriptors behind).
 */
const SABOTAGE = process.env['SABOTAGE'] ?? '';
/** How long publishers come and go in the churn; 20 for the figure of the bench. */
const CHURN_SECONDS = Number(process.env['CHURN_SECONDS'] ?? 3);
const POLL_MS = 25;
/** ffmpeg guesses the rate of a file from its first frames, and wonders when those are a lead-in of a tick each. */
const PROBING = /^.*DTS discontinuity in stream 0: packet .*\n/gm;

const FREE = ['rtmp.maxConnectionsPerAddress=0', 'rtmp.maxConnections=500'];
const OTHER = SABOTAGE === 'other-policy';

let taking: TestServer;
let rejecting: TestServer;
let first: OddTag[];
let second: OddTag[];

beforeAll(async () => {
  [taking, rejecting, first, second] = await Promise.all([
    startServer({
      set: [
        ...FREE,
        `live.onSecondPublisher=${OTHER ? 'reject' : 'takeover'}`,
        ...(SABOTAGE === 'short-grace' ? ['live.graceMs=300'] : []),
      ],
    }),
    startServer({
      set: [
        ...FREE,
        `live.onSecondPublisher=${OTHER ? 'takeover' : 'reject'}`,
        ...(SABOTAGE === 'patient' ? ['rtmp.silenceTimeoutMs=60000'] : []),
      ],
    }),
    makeClip({ seconds: 4, gop: 30, noise: 1 }),
    makeClip({ seconds: 4, gop: 30, noise: 2, size: '192x108' }),
  ]);
});

const running: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of running.splice(0)) await stop();
  await Promise.all([taking?.close(), rejecting?.close()]);
});

interface Key {
  readonly port: number;
  readonly key: string;
}

async function keyFor(server: TestServer, stream: string): Promise<Key> {
  const url = new URL((await server.publishUrl(stream)).replace('rtmp:', 'http:'));
  return { port: Number(url.port), key: url.pathname.slice('/live/'.length) };
}

async function publish({ port, key }: Key, clip: readonly OddTag[], query = ''): Promise<Broadcast> {
  const broadcast = await Broadcast.start(port, key + query, clip);
  running.push(() => broadcast.stop());
  return broadcast;
}

async function whenPlayable(server: TestServer, stream: string): Promise<void> {
  await until(
    async () => (await statusOf(`${server.mediaUrl}/live/${stream}/index.m3u8`)) === 200,
    `${stream} playable`,
  );
}

/** What a viewer who keeps looking sees of the picture's playlist. */
class Watcher {
  /** Longest time between two new parts. */
  longestGapMs = 0;
  ended = false;
  steppedBack = false;
  /** A request was not answered well. */
  failed = false;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  constructor(server: TestServer, stream: string) {
    this.#watching = this.#watch(`${server.mediaUrl}/live/${stream}/video.m3u8`);
  }

  async stop(): Promise<this> {
    this.#stop.abort();
    await this.#watching;
    return this;
  }

  async #watch(url: string): Promise<void> {
    let newest = '';
    let sinceMs = performance.now();
    let sequence = 0;
    while (!this.#stop.signal.aborted) {
      const text = await getText(url).catch(() => undefined);
      this.failed ||= text === undefined && !this.#stop.signal.aborted;
      if (text === undefined) return;
      const list = parsePlaylist(text);
      const parts = [...list.segments, list.open].flatMap((segment) => segment?.parts ?? []);
      const part = parts.at(-1)?.uri ?? '';
      if (part !== newest) {
        newest = part;
        sinceMs = performance.now();
      } else this.longestGapMs = Math.max(this.longestGapMs, performance.now() - sinceMs);
      this.ended ||= list.ended;
      this.steppedBack ||= list.mediaSequence < sequence;
      sequence = list.mediaSequence;
      await delay(POLL_MS);
    }
  }
}

/** Which source each served picture is of, in order, and what a decoder says of them. */
async function served(server: TestServer, stream: string) {
  const base = `${server.mediaUrl}/live/${stream}/`;
  const text = await getText(`${base}video.m3u8`);
  const list = parsePlaylist(text);
  const complete = list.segments.filter(({ gap }) => !gap);
  const marks = new Map(
    [first, second].flatMap((clip, index) =>
      frames(clip, 'video').map(({ body }) => [
        Buffer.from(body.subarray(5)).toString('base64'),
        'AB'[index],
      ]),
    ),
  );
  let order = '';
  const stretches = new Map<string, Buffer[]>();
  for (const segment of complete) {
    const bytes = await get(base + (segment.uri ?? ''));
    stretches.set(segment.map, [...(stretches.get(segment.map) ?? []), bytes]);
    for (const { tracks } of readFragments(bytes) ?? []) {
      for (const { samples } of tracks) {
        for (const { data } of samples) order += marks.get(Buffer.from(data).toString('base64')) ?? '?';
      }
    }
  }
  const complaints = await Promise.all(
    [...stretches].map(async ([map, pieces]) => {
      const { stderr } = await frameHashes([await get(base + map), ...pieces], '0:v');
      return stderr;
    }),
  );
  return { order, list, complaints: complaints.join('').replaceAll(PROBING, '') };
}

/** Waits until so many complete segments hold the picture of a source behind everything before it. */
async function whenServed(server: TestServer, stream: string, discontinuities: number): Promise<void> {
  await until(async () => {
    const { segments } = parsePlaylist(await getText(`${server.mediaUrl}/live/${stream}/video.m3u8`));
    const cut = segments.findLastIndex(({ discontinuity }) => discontinuity);
    const seen = segments.filter(({ discontinuity }) => discontinuity).length;
    return seen >= discontinuities && segments.length - cut > 1;
  }, `${stream} goes on`);
}

describe.concurrent('a publisher', () => {
  it('F13: that falls silent is gone within 6 s, and its key is free', async () => {
    const key = await keyFor(rejecting, 'silent');
    const url = `rtmp://127.0.0.1:${key.port}/live/${key.key}`;
    const child: ChildProcess = spawn(
      'ffmpeg',
      ['-loglevel', 'error', '-nostdin', '-re', ...clipArgs({ seconds: 60 }), '-f', 'flv', url],
      { stdio: 'ignore' },
    );
    running.push(() => child.kill('SIGKILL'));
    await whenPlayable(rejecting, 'silent');
    child.kill('SIGSTOP');
    const stoppedMs = performance.now();
    const again = await until(
      async () => {
        await delay(200);
        return publish(key, first).catch(() => undefined);
      },
      'the key to be free',
      12_000,
    );
    const freeAfterMs = performance.now() - stoppedMs;
    expect(freeAfterMs).toBeGreaterThan(2000);
    expect(freeAfterMs).toBeLessThan(6500);
    child.kill('SIGKILL');
    await once(child, 'close');
    await again.stop();
  });

  it.each([
    [1000, 'reset'],
    [5000, 'end'],
  ] as const)(
    'F11: that is away for %i ms goes on in the same playlist, and nobody has to load it anew',
    async (awayMs, leaving: Leaving) => {
      const stream = `away-${awayMs}`;
      const key = await keyFor(taking, stream);
      const before = await publish(key, first);
      await whenPlayable(taking, stream);
      const watcher = new Watcher(taking, stream);
      await delay(1200);
      await before.stop(leaving);
      await delay(awayMs);
      const after = await publish(key, second);
      await whenServed(taking, stream, 1);
      const { longestGapMs, ended, steppedBack } = await watcher.stop();
      const { order, list, complaints } = await served(taking, stream);
      expect({ ended, steppedBack, complaints }).toEqual({
        ended: false,
        steppedBack: false,
        complaints: '',
      });
      expect(list.segments.filter(({ discontinuity }) => discontinuity)).toHaveLength(1);
      expect(order).toMatch(/^A+B+$/);
      const reallyAwayMs = after.firstSentMs - before.lastSentMs;
      expect(longestGapMs).toBeLessThanOrEqual(reallyAwayMs + 1000);
      await after.stop();
    },
  );

  it.each([
    ['F16', 'jumps ten minutes', jump(3100, 600_000)],
    ['F18', 'passes 2^24 ms', offset(2 ** 24 - 3000)],
    ['F18', 'passes 2^32 ms', offset(2 ** 32 - 3000)],
  ] as const)('%s: whose clock %s is served whole, over the wire', async (_id, how, mutate) => {
    const stream = `clock-${how.replaceAll(/\W/g, '-')}`;
    const broken = SABOTAGE === 'lose-frames' ? first.filter((_, n) => n % 40 !== 39) : first;
    const broadcast = await publish(await keyFor(taking, stream), mutate(broken));
    await whenPlayable(taking, stream);
    await until(
      async () =>
        parsePlaylist(await getText(`${taking.mediaUrl}/live/${stream}/video.m3u8`)).segments.length >= 3,
      'three segments',
    );
    const { order, complaints } = await served(taking, stream);
    expect(complaints).toBe('');
    expect(order).toMatch(/^A+$/);
    expect(order.length % 30).toBe(0);
    expect(broadcast.client.closedAtMs).toBeUndefined();
    await broadcast.stop();
  });

  it('F14: that has the same key takes over, and nothing of the loser comes after', async () => {
    const key = await keyFor(taking, 'taken');
    const loser = await publish(key, first);
    await whenPlayable(taking, 'taken');
    const watcher = new Watcher(taking, 'taken');
    await delay(500);
    const winner = await publish(key, second);
    expect(winner.acceptedAfterMs).toBeLessThan(200);
    await loser.client.untilClosed();
    await whenServed(taking, 'taken', 1);
    const { longestGapMs, ended, failed } = await watcher.stop();
    const { order, complaints } = await served(taking, 'taken');
    expect({ ended, failed, complaints }).toEqual({ ended: false, failed: false, complaints: '' });
    expect(order).toMatch(/^A+B+$/);
    expect(longestGapMs).toBeLessThanOrEqual(1000);
    await Promise.all([loser.stop(), winner.stop()]);
  });

  it('F14: that is the second is refused where the first is to stay, and nothing of it is seen', async () => {
    const key = await keyFor(rejecting, 'kept');
    const holder = await publish(key, first);
    await whenPlayable(rejecting, 'kept');
    const stranger = await RtmpTestClient.ready(key.port);
    const askedMs = performance.now();
    stranger.publish(key.key);
    await stranger.untilStatus('NetStream.Publish.BadName');
    // At once, and not only when the first one's time for silence is over.
    expect(performance.now() - askedMs).toBeLessThan(3000);
    await stranger.untilClosed();
    const { order } = await served(rejecting, 'kept');
    expect(order).toMatch(/^A+$/);
    expect(holder.client.closedAtMs).toBeUndefined();
    await holder.stop();
  });

  it.each(['lost', 'stalled'] as const)(
    'as a primary that is %s gives way to its backup at a key frame, within half a second',
    async (how) => {
      const stream = `pair-${how}`;
      const key = await keyFor(taking, stream);
      const primary = await publish(key, first);
      const backup = await publish(key, second, '?role=backup');
      backup.silent = SABOTAGE === 'silent-backup';
      await whenPlayable(taking, stream);
      await delay(1500);
      const watcher = new Watcher(taking, stream);
      await delay(500);
      if (how === 'lost') await primary.stop('reset');
      else primary.silent = true;
      await whenServed(taking, stream, 1);
      const { longestGapMs, ended, failed } = await watcher.stop();
      const { order, complaints } = await served(taking, stream);
      expect({ ended, failed, complaints }).toEqual({ ended: false, failed: false, complaints: '' });
      expect(order).toMatch(/^A+B+$/);
      // Half a second, a part, and how often we look.
      expect(longestGapMs).toBeLessThanOrEqual(500 + 200 + 4 * POLL_MS);
      await Promise.all([primary.stop(), backup.stop()]);
    },
  );
});

describe('fifty publishers a second on one key', () => {
  it('leave the key free, no process and no descriptor', async () => {
    const server = await startServer({
      set: [...FREE, 'ladder.rungs=90p:100k', 'ladder.preset=ultrafast', 'live.graceMs=500'],
    });
    running.push(() => server.close());
    const key = await keyFor(server, 'churn');
    // Once round, so that everything that is opened once and for all is open.
    const warm = await publish(key, first);
    await until(async () => (await statusOf(`${server.mediaUrl}/live/churn/90p.m3u8`)) === 200, 'the ladder');
    await warm.stop();
    await until(() => childrenWith('pipe:3').length === 0, 'the encoder to end');
    const before = openFiles();

    const leavings: readonly Leaving[] = ['unpublish', 'end', 'reset'];
    const comings: Promise<void>[] = [];
    let refused = 0;
    const startMs = performance.now();
    for (let n = 0; performance.now() - startMs < CHURN_SECONDS * 1000; n++) {
      await delay(Math.max(0, startMs + n * 20 - performance.now()));
      comings.push(comeAndGo(key, leavings[n % 3] ?? 'end', n).catch(() => void refused++));
    }
    await Promise.all(comings);
    expect(comings.length).toBeGreaterThan(CHURN_SECONDS * 20);
    expect(refused).toBeLessThan(comings.length / 2);

    const last = await publish(key, second);
    await whenPlayable(server, 'churn');
    await until(() => childrenWith('pipe:3').length === 1, 'one encoder');
    await last.stop('unpublish');
    await until(() => childrenWith('pipe:3').length === 0, 'no encoder');
    // Fewer than before is no leak: what tests before this one left open may go meanwhile.
    await until(() => openFiles() <= before + 5, 'the descriptors given back', 8000);
  });

  /** Publishes a sequence header and a key frame, stays for up to 60 ms and goes. */
  async function comeAndGo({ port, key }: Key, leaving: Leaving, n: number): Promise<void> {
    const client = await RtmpTestClient.publishing(port, key);
    for (const { kind, timestampMs, body } of first.slice(0, 6)) {
      if (kind === 'script') continue;
      const type = kind === 'video' ? 9 : 8;
      client.send({ type, timestamp: timestampMs, payload: Buffer.from(body) }, type);
    }
    await delay((n % 4) * 20);
    if (SABOTAGE === 'leak' && n % 10 === 0) openSync('/dev/null', 'r');
    if (leaving === 'unpublish') client.command('deleteStream', 9, null, 1);
    if (leaving === 'reset') client.socket.resetAndDestroy();
    else client.socket.end();
    await client.untilClosed();
    client.end();
  }
});
