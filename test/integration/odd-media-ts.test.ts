import process from 'node:process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TsDemuxer } from '../../src/media/mpegts/demuxer.ts';
import type { PublisherInfo } from '../../src/stream/publisher.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { seededRandom } from '../support/impair-plan.ts';
import { clipArgs, flipBits } from '../support/odd-media.ts';
import { OddMediaChain } from '../support/odd-media-chain.ts';
import { decodeServed, reportServed } from '../support/odd-media-report.ts';
import { windowFaults } from '../support/window-check.ts';

/**
 * Odd transport streams, from their bytes to what viewers get. `SABOTAGE=lose-packets` leaves every fiftieth packet of
 * what is whole out; `break-bytes` never stops damaging.
 */
const SABOTAGE = process.env['SABOTAGE'] ?? '';
const SECONDS = 10;
const FRAMES = SECONDS * 30;
const PACKET_BYTES = 188;
const INFO: Partial<PublisherInfo> = { protocol: 'srt', timescale: 90_000, wrapBits: 33 };

async function makeTs(...mux: string[]): Promise<Uint8Array> {
  const args = [...clipArgs({ seconds: SECONDS }), '-f', 'mpegts', '-muxdelay', '0', ...mux, 'pipe:1'];
  const bytes = (await ffmpeg(args)).stdout;
  if (SABOTAGE !== 'lose-packets') return bytes;
  const packets = Array.from({ length: bytes.length / PACKET_BYTES }, (_, n) =>
    bytes.subarray(n * PACKET_BYTES, (n + 1) * PACKET_BYTES),
  );
  return Buffer.concat(packets.filter((_, n) => n % 50 !== 49));
}

const chains: OddMediaChain[] = [];
afterEach(() => {
  for (const chain of chains.splice(0)) expect(chain.close(), 'timers left').toBe(0);
});

/** Sends it at an even rate, seven packets at a time, as SRT senders do. */
function play(bytes: Uint8Array): OddMediaChain {
  const chain = new OddMediaChain();
  chains.push(chain);
  const publisher = chain.publish(INFO);
  const demuxer = new TsDemuxer({
    tracks: (present) => publisher.announce(present),
    videoConfig: (codec, config) => publisher.videoConfig(codec, config),
    audioConfig: (codec, config) => publisher.audioConfig(codec, config),
    sample: (sample) => publisher.write(sample),
    event: (event) => publisher.event(event),
    unsupported: () => {},
  });
  const step = 7 * PACKET_BYTES;
  for (let at = 0; at < bytes.length; at += step) {
    demuxer.push(bytes.subarray(at, at + step));
    chain.runTo(((at + step) / bytes.length) * SECONDS * 1000);
  }
  demuxer.flush();
  publisher.close('unpublished');
  return chain;
}

describe('F18: a transport stream', () => {
  it.each([
    ['from 0 on', '0'],
    ['through 2^33', '95439'],
  ])('whose clock runs %s is served whole and decodes', async (_how, startSeconds) => {
    const { window } = play(await makeTs('-output_ts_offset', startSeconds));
    const { errors, frames } = await decodeServed(window, 'video');
    expect(errors).toEqual([]);
    expect(frames).toBeGreaterThanOrEqual(FRAMES - 1);
    expect(windowFaults(window, { continuousParts: false })).toEqual([]);
    const { backwardSteps, longestHoleMs } = reportServed(window, []);
    expect(backwardSteps).toBe(0);
    expect(longestHoleMs.video).toBeLessThanOrEqual(1);
    expect((await decodeServed(window, 'audio')).errors).toEqual([]);
  });
});

describe('F24: a transport stream whose bits flip', () => {
  let whole: Uint8Array;
  let wholeHashes: readonly string[];
  beforeAll(async () => {
    whole = await makeTs();
    const chain = play(whole);
    wholeHashes = (await decodeServed(chain.window, 'video')).hashes;
    expect(wholeHashes.length).toBeGreaterThanOrEqual(FRAMES - 1);
  });

  it.each([0.0001, 0.001, 0.01])('at %f of them lives on, and is clean again within a GOP', async (rate) => {
    for (let seed = 0; seed < 10; seed++) {
      const [from, to] = [Math.floor(whole.length * 0.4), Math.floor(whole.length * 0.6)];
      const end = SABOTAGE === 'break-bytes' ? whole.length : to;
      const damaged = Buffer.concat([
        whole.subarray(0, from),
        flipBits(whole.subarray(from, end), rate, seededRandom(seed)),
        whole.subarray(end),
      ]);
      const startedMs = performance.now();
      const { window } = play(damaged);
      expect(performance.now() - startedMs, `seed ${seed} hung`).toBeLessThan(10_000);
      expect(windowFaults(window, { continuousParts: false })).toEqual([]);
      if (seed >= 2) continue;
      // The damage ends at 6 s or so, the next GOP begins at 8 s at the latest.
      const { hashes } = await decodeServed(window, 'video');
      expect(hashes.slice(-55), `seed ${seed}`).toEqual(wholeHashes.slice(-55));
    }
  });
});
