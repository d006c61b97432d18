/**
 * The bytes `start` to `end` (both inclusive) of buffers that lie one after the other, as views: nothing is copied.
 */
export function sliceBuffers(buffers: readonly Uint8Array[], start: number, end: number): Uint8Array[] {
  const slices: Uint8Array[] = [];
  let offset = 0;
  for (const buffer of buffers) {
    const from = Math.max(0, start - offset);
    const to = Math.min(buffer.length, end + 1 - offset);
    if (from < to) slices.push(buffer.subarray(from, to));
    offset += buffer.length;
    if (offset > end) break;
  }
  return slices;
}
