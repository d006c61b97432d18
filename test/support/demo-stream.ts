import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '../../src/base/clock.ts';
import { type DemoBroadcast, startDemoBroadcast } from '../../src/cli/demo-broadcast.ts';
import { demoFilterGraph } from '../../src/cli/demo-picture.ts';
import { statusOf } from './live-client.ts';
import { createMemoryLog } from './memory-log.ts';
import type { TestServer } from './server.ts';
import { until } from './until.ts';

/** Pushes the demo's picture and sound to an RTMP URL whose last step is the publish key, until it is closed. */
export function broadcastDemo(publishUrl: string): DemoBroadcast {
  const slash = publishUrl.lastIndexOf('/');
  return startDemoBroadcast({
    serverUrl: publishUrl.slice(0, slash),
    publishKey: publishUrl.slice(slash + 1),
    clock: systemClock,
    log: createMemoryLog(),
  });
}

/**
 * Pushes the same, the picture made small: who wants to know how several players go on at the same time needs the clock
 * in it, not its pixels.
 */
export function broadcastSmallDemo(publishUrl: string): DemoBroadcast {
  const child = spawn(
    'ffmpeg',
    [
      ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error', '-filter_complex_threads', '1'],
      ...[
        '-filter_complex',
        `${demoFilterGraph().replace('[video]', '[large]')};[large]scale=640:360[video]`,
      ],
      ...['-map', '[video]', '-map', '[audio]', '-c:v', 'libx264', '-preset', 'ultrafast', '-threads', '1'],
      ...['-tune', 'zerolatency', '-g', '60', '-keyint_min', '60', '-sc_threshold', '0', '-b:v', '800k'],
      ...['-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '64k', '-ar', '48000', '-ac', '2'],
      ...['-f', 'flv', publishUrl],
    ],
    { stdio: 'ignore' },
  );
  const closed = once(child, 'close');
  return {
    async close() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Waits until a server has a stream's playlist, given as `<stream>/<rendition>`. */
export async function whenListed(server: TestServer, path: string): Promise<void> {
  const url = `${server.mediaUrl}/live/${path}.m3u8`;
  await until(async () => (await statusOf(url)) === 200, `${path} on the air`, 60_000);
}
