import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import type { ProtectionScheme } from '../../src/media/protection.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation, type ValidationReport } from '../../src/validate/validator.ts';
import { broadcastSmallDemo, whenListed } from '../support/demo-stream.ts';
import { told } from '../support/presentation.ts';
import { startServer } from '../support/server.ts';

/** Two changes of keys, or one. */
const SECONDS = { cbcs: 24, cenc: 14 } as const;
const ROTATION_SECONDS = 10;
/** What a machine with other things to do breaks by itself: pictures that come late. */
const TIMING: ReadonlySet<string> = new Set([
  'hls-part-late',
  'hls-not-updated',
  'hls-hint-trickles',
  'hls-report-stale',
  'dash-utc-clock-off',
  'dash-edge-late',
  'dash-edge-first-byte',
  'dash-edge-not-progressive',
  'dash-segment-slow',
]);

async function validate(url: string, seconds: number): Promise<ValidationReport> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    return await validatePresentation({ url, seconds }, deps);
  } finally {
    fetcher.close();
  }
}

/** Findings that are of the media and manifests, not of the moment. */
function lasting(report: ValidationReport): string[] {
  return told({
    findings: report.findings.filter(({ rule, severity }) => severity !== 'info' && !TIMING.has(rule)),
  });
}

describe('our own encrypted server', () => {
  it.concurrent.each<readonly [ProtectionScheme, readonly string[]]>([
    ['cbcs', []],
    ['cenc', ['hls-key-counter-mode', 'hls-key-counter-mode']],
  ])(
    'has no finding over changes of keys: %s',
    // A machine that holds the test broadcast up breaks its cadence, and with it what was foretold.
    { timeout: 180_000, retry: 1 },
    async (scheme, warnings) => {
      const drm = ['enabled=true', `rotationSeconds=${ROTATION_SECONDS}`, `scheme=${scheme}`];
      const server = await startServer({ set: drm.map((each) => `drm.${each}`) });
      const broadcast = broadcastSmallDemo(await server.publishUrl('demo'));
      try {
        await whenListed(server, 'demo/index');
        const base = `${server.mediaUrl}/live/demo/`;
        const seconds = SECONDS[scheme];
        const [hls, dash] = await Promise.all(
          ['index.m3u8', 'index.mpd'].map((name) => validate(base + name, seconds)),
        );
        if (!hls || !dash) throw new Error('not validated');
        expect(lasting(hls).map((line) => line.split(':')[0])).toEqual(warnings);
        expect(lasting(dash)).toEqual([]);
        const playlist = await (await fetch(`${base}video.m3u8`)).text();
        const keyIds = new Set(playlist.match(/KEYID=0x[0-9a-f]{32}/g));
        expect(keyIds.size).toBeGreaterThanOrEqual(scheme === 'cbcs' ? 3 : 2);
        for (const { watched } of [hls, dash]) {
          expect(watched.renditions.map(({ kind }) => kind).toSorted()).toEqual(['audio', 'video']);
          expect(watched.renditions.every(({ mediaSeconds }) => mediaSeconds > seconds / 2)).toBe(true);
        }
      } finally {
        await broadcast.close();
        await server.close();
      }
    },
  );
});
