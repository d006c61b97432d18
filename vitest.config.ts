import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Three projects: `unit` (pure, beside the source), `integration` (sockets, ffmpeg), `e2e` (browsers). */
export default defineConfig({
  test: {
    // Most of an integration test is waiting for media that comes in real time: two at once on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: { name: 'unit', include: ['src/**/*.test.ts', 'web/**/*.test.ts', 'test/unit/**/*.test.ts'] },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // They bound a hang: each wait within has its own limit, and a slow machine uses several of them up.
          testTimeout: 240_000,
          hookTimeout: 120_000,
          // Chromium and ffmpeg share two cores: one browser at a time keeps playback honest.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
