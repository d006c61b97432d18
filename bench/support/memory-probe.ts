/**
 * Loaded into a server under test (`node --expose-gc --import …`): tells over the channel to its parent what its heap
 * holds once the garbage is gone.
 */
process.on('message', (message) => {
  if (message !== 'heap') return;
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.({ heapUsed, external });
});
process.channel?.unref();
