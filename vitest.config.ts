import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * Two projects: `node` needs nothing but Node (`npm test`), `peers` drives programs from Debian's packages
 * (`npm run test:peers`; a missing program fails with the name of its package).
 */
export default defineConfig({
  test: {
    pool: 'threads',
    // By itself Vitest leaves a CPU alone, but half of these tests wait for sockets and timers.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Generous: the machine may be busy, and no test measures time.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: 'node', include: ['test/**/*.test.ts'], exclude: ['test/peers/**', 'test/core/**'] },
      },
      {
        extends: true,
        // Programs of others on a busy machine: once more before it counts as a failure; Vitest tells of each retry.
        test: {
          name: 'peers',
          include: ['test/peers/**/*.test.ts'],
          testTimeout: 120_000,
          retry: 1,
        },
      },
      {
        extends: true,
        test: { name: 'core', include: ['test/core/**/*.test.ts'], testTimeout: 120_000, fileParallelism: false },
      },
    ],
  },
});
