/** Memory of its own for bytes that are handed over, all of which the caller writes: it is not cleared. */
export function allocate(sizeBytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(sizeBytes).buffer);
}
