import { systemClock } from '../../src/base/clock.ts';
import { type DemoBroadcast, startDemoBroadcast } from '../../src/cli/demo-broadcast.ts';
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

/** Waits until a server has a stream's playlist, given as `<stream>/<rendition>`. */
export async function whenListed(server: TestServer, path: string): Promise<void> {
  const url = `${server.mediaUrl}/live/${path}.m3u8`;
  await until(async () => (await statusOf(url)) === 200, `${path} on the air`, 30_000);
}
