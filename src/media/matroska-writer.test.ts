import { describe, expect, test } from 'vitest';
import { writeMatroskaFrame, writeMatroskaStart } from './matroska-writer.ts';

/** Elements that hold elements. */
const MASTERS = new Set(['1a45dfa3', '18538067', '1549a966', '1654ae6b', 'ae', 'e0', '1f43b675']);

/** Ids and contents in order, masters opened: an EBML reader of its own, by RFC 8794. */
function elements(bytes: Uint8Array): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at < bytes.length; ) {
    const idLength = Math.clz32((bytes[at] ?? 0) << 24) + 1;
    const id = Buffer.from(bytes.subarray(at, at + idLength)).toString('hex');
    at += idLength;
    const sizeLength = Math.clz32((bytes[at] ?? 0) << 24) + 1;
    let size = (bytes[at] ?? 0) & (0xff >> sizeLength);
    for (let index = 1; index < sizeLength; index++) size = size * 256 + (bytes[at + index] ?? 0);
    at += sizeLength;
    if (MASTERS.has(id)) {
      found.push([id, '']);
      continue;
    }
    if (at + size > bytes.length) throw new Error(`${id} runs past the end`);
    found.push([id, Buffer.from(bytes.subarray(at, at + size)).toString('hex')]);
    at += size;
  }
  return found;
}

const START = { codec: 'hvc1', config: Uint8Array.of(1, 2, 3), width: 1920, height: 1080 } as const;

describe('a Matroska file for a pipe', () => {
  test('begins with one video track on a clock of milliseconds', () => {
    const all = new Map(elements(writeMatroskaStart({ ...START, frameRate: 25 })));
    expect(Buffer.from(all.get('4282') ?? '', 'hex').toString()).toBe('matroska');
    expect(all.get('2ad7b1')).toBe('0f4240');
    expect(Buffer.from(all.get('86') ?? '', 'hex').toString()).toBe('V_MPEGH/ISO/HEVC');
    expect(all.get('63a2')).toBe('010203');
    expect([all.get('b0'), all.get('ba')]).toEqual(['0780', '0438']);
    expect(all.get('23e383')).toBe((40_000_000).toString(16).padStart(8, '0'));
  });

  test('says nothing of a frame rate that varies, nor of a VP9 configuration', () => {
    const all = new Map(elements(writeMatroskaStart({ ...START, codec: 'vp09', frameRate: undefined })));
    expect(Buffer.from(all.get('86') ?? '', 'hex').toString()).toBe('V_VP9');
    expect([all.has('63a2'), all.has('23e383')]).toEqual([false, false]);
  });

  test.each([
    [0, 1],
    [255, 126],
    [256, 127],
    [86_400_000, 16_383],
    [2 ** 40, 70_000],
  ])('has each frame in a cluster of its own: at %i ms, %i bytes', (ptsMs, sizeBytes) => {
    const data = new Uint8Array(sizeBytes).fill(7);
    const written = elements(writeMatroskaFrame({ ptsMs, key: true, data }));
    expect(written.map(([id]) => id)).toEqual(['1f43b675', 'e7', 'a3']);
    expect(Number.parseInt(written[1]?.[1] ?? '', 16)).toBe(ptsMs);
    expect(written[2]?.[1]).toBe(`81000080${Buffer.from(data).toString('hex')}`);
    const inter = elements(writeMatroskaFrame({ ptsMs, key: false, data }));
    expect(inter[2]?.[1].startsWith('81000000')).toBe(true);
  });
});
