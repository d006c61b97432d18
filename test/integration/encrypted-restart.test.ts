import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decryptChunks, readProtectedTrack } from '../support/cenc-decryptor.ts';
import { broadcastDemo, whenListed } from '../support/demo-stream.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const ROTATION_SECONDS = 20;
/** Both rungs have the same keys. */
const RENDITIONS = ['video', '240p', '120p', 'audio'] as const;
const SETTINGS = [
  'drm.enabled=true',
  'drm.scheme=cenc',
  `drm.rotationSeconds=${ROTATION_SECONDS}`,
  'drm.leadSeconds=8',
  'ladder.rungs=240p:300k,120p:150k',
  'live.windowSeconds=120',
];

/** Of all renditions together, in each run. */
const MIN_SEGMENTS = 15;
/** Of sound, of the source and of its rungs. */
const TIERS = 3;
/** What it decrypts to is of no interest here. */
const NO_KEY = new Uint8Array(16);

/** Every sample's key id and IV, with the segment that it is in, as far as they were seen. */
interface Seen {
  readonly segments: Set<string>;
  readonly kids: Set<string>;
  /** By key id and IV: the segment. */
  readonly ivs: Map<string, string>;
  readonly repeats: string[];
}

async function bytesOf(url: string): Promise<Uint8Array> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${answer.status} for ${url}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Looks at every complete segment that is listed and was not looked at yet. */
async function look(server: TestServer, seen: Seen): Promise<void> {
  for (const rendition of RENDITIONS) {
    const base = `${server.mediaUrl}/live/demo/`;
    const playlist = await (await fetch(`${base}${rendition}.m3u8`)).text();
    let init = '';
    let isGap = false;
    for (const line of playlist.split('\n')) {
      init = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1] ?? init;
      if (line === '#EXT-X-GAP') isGap = true;
      if (line === '' || line.startsWith('#')) continue;
      const isMedia = !isGap && !seen.segments.has(line);
      isGap = false;
      if (!isMedia) continue;
      seen.segments.add(line);
      const track = readProtectedTrack(await bytesOf(base + init));
      const kid = track.kid.toString('hex');
      seen.kids.add(kid);
      for (const { iv } of decryptChunks(await bytesOf(base + line), track, NO_KEY)) {
        if (!iv) throw new Error(`a sample without an IV in ${line}`);
        const id = `${kid} ${iv.toString('hex')}`;
        const before = seen.ivs.get(id);
        if (before !== undefined) seen.repeats.push(`${id}: ${before} and ${line}`);
        seen.ivs.set(id, line);
      }
    }
  }
}

it('never uses an IV twice with a key, in any rendition, over changes of keys and a restart', {
  timeout: 240_000,
}, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'headwater-restart-'));
  const seen: Seen = { segments: new Set(), kids: new Set(), ivs: new Map(), repeats: [] };
  let publishPath: string | undefined;
  try {
    const kidsOfRuns: ReadonlySet<string>[] = [];
    // The first run ends when keys have just changed, so that the next goes on with them.
    for (const run of [2, 1]) {
      const server = await startServer({ dataDir, set: SETTINGS });
      publishPath ??= new URL(await server.publishUrl('demo')).pathname;
      const broadcast = broadcastDemo(`rtmp://127.0.0.1:${server.ports.rtmp}${publishPath}`);
      const before = { kids: new Set(seen.kids), segments: seen.segments.size };
      seen.kids.clear();
      try {
        await whenListed(server, 'demo/240p');
        // Sound and pictures have keys of their own, and those of the run before may go on.
        await until(
          async () => {
            await look(server, seen);
            const enough = seen.segments.size >= before.segments + MIN_SEGMENTS;
            const fresh = [...seen.kids].filter((kid) => !before.kids.has(kid));
            return enough && fresh.length >= TIERS * run;
          },
          `keys of run ${run} have changed`,
          90_000,
        );
        kidsOfRuns.push(new Set(seen.kids));
      } finally {
        await broadcast.close();
        await server.close();
      }
    }
    expect(seen.repeats).toEqual([]);
    const [first, second] = kidsOfRuns;
    expect([...(first ?? [])].some((kid) => second?.has(kid))).toBe(true);
    expect(seen.ivs.size).toBeGreaterThan(1000);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
