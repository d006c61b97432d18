import { describe, expect, it } from 'vitest';
import { ChunkedCounter } from '../../bench/support/chunked-counter.ts';
import { chunkPlaces } from '../../bench/support/cmaf-chunks.ts';
import { parseStat, parseStatus } from '../../bench/support/process-usage.ts';
import { ingestHealth, parseSamples } from '../../bench/support/server-metrics.ts';
import { parseWrkReport } from '../../bench/support/wrk.ts';

describe('process figures', () => {
  it('are read past a program name with spaces and brackets', () => {
    const fields = Array.from({ length: 50 }, (_, i) => `${i + 3}`);
    expect(parseStat(`17 (a) b (c) ${['S', ...fields.slice(1)].join(' ')}`)).toEqual({
      user: 14 * 10_000,
      system: 15 * 10_000,
    });
  });

  it('give memory in bytes', () => {
    expect(parseStatus('Name:\tnode\nVmRSS:\t    2048 kB\nRssAnon:\t  1024 kB\n')).toEqual({
      resident: 2048 * 1024,
      anonymous: 1024 * 1024,
    });
    expect(() => parseStatus('Name:\tnode\n')).toThrow('VmRSS');
  });
});

describe('parseWrkReport', () => {
  it('reads the last line of the output and adds the errors up', () => {
    const report =
      '{"requests":10,"bytes":20,"durationMicros":2000000,"p50Micros":1500,"p99Micros":2500,"maxMicros":3500,"socketErrors":1,"badStatuses":2,"timeouts":4}';
    expect(parseWrkReport(`Running 2s test\n\n${report}\n`)).toEqual({
      ...{ requests: 10, bytes: 20, seconds: 2, p50Ms: 1.5, p99Ms: 2.5, maxMs: 3.5 },
      errors: 7,
    });
    expect(() => parseWrkReport('unable to connect')).toThrow('no report');
  });
});

describe('ingestHealth', () => {
  it('takes the means between two readings', () => {
    const late = 'headwater_packager_part_late_seconds';
    const reading = (count: number, sum: number): string =>
      `# HELP x\n${late}_count{rendition="video"} ${count}\n${late}_sum{rendition="video"} ${sum}\nheadwater_nodejs_eventloop_lag_p99_seconds 0.012\nheadwater_nodejs_eventloop_lag_max_seconds 0.02\n`;
    expect(ingestHealth(parseSamples(reading(10, -1)), parseSamples(reading(20, -0.5)))).toEqual({
      ...{ loopP99Ms: 12, loopMaxMs: 20, partLateMs: 50, parts: 10 },
    });
  });
});

describe('ChunkedCounter', () => {
  const answer = Buffer.from(
    'HTTP/1.1 200 OK\r\nA: b\r\n\r\n5\r\nhe\r\no\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n',
  );

  it.each([1, 2, 3, 7, 1000])('counts a body that comes %d bytes at a time', (size) => {
    const counter = new ChunkedCounter();
    const lastChunk = answer.indexOf('\r\n0\r\n');
    for (let i = 0; i < answer.length; i += size) {
      if (i <= lastChunk) expect(counter.ended).toBe(false);
      counter.take(answer.subarray(i, i + size));
    }
    expect([counter.bodyBytes, counter.ended]).toEqual([31, true]);
  });
});

describe('chunkPlaces', () => {
  it('finds where chunks end and when each was made', () => {
    const box = (type: string, ...words: readonly number[]): Buffer => {
      const bytes = Buffer.alloc(8 + words.length * 4);
      bytes.writeUInt32BE(bytes.length, 0);
      bytes.write(type, 4, 'latin1');
      for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 8 + i * 4);
      return bytes;
    };
    // Unix second 1,000 and a half, as NTP.
    const prft = box('prft', 0x01_00_00_18, 1, 2_208_989_800, 2 ** 31, 0, 0);
    const chunk = Buffer.concat([box('styp', 0), prft, box('moof'), box('mdat', 3)]);
    const segment = Buffer.concat([chunk, box('moof'), box('mdat', 4)]);
    expect(chunkPlaces(segment)).toEqual([
      { endByte: chunk.length, producedMs: 1_000_500 },
      { endByte: segment.length, producedMs: 1_000_500 },
    ]);
  });
});
