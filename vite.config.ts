import { fileURLToPath } from 'node:url';
import { defineConfig, type UserConfig } from 'vite';

const within = (name: string): string => fileURLToPath(new URL(`web/${name}`, import.meta.url));

/** The web pages: HTML files at the root of dist/web, everything else hashed below assets/. */
const PAGES: UserConfig = {
  root: 'web',
  base: '/',
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsDir: 'assets',
    // An inlined asset would be a data: URL, which the pages' Content-Security-Policy refuses for most kinds.
    assetsInlineLimit: 0,
    // The players are large by nature, and each is loaded only when it is chosen.
    chunkSizeWarningLimit: 1500,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: within('index.html'), watch: within('watch.html'), library: within('library.html') },
    },
  },
};

/** `--mode sdk`: the client library as one ES module for pages of others, dist/web/sdk/headwater.js. */
const SDK: UserConfig = {
  publicDir: false,
  build: {
    outDir: 'dist/web/sdk',
    emptyOutDir: true,
    target: 'es2022',
    lib: { entry: within('sdk/index.ts'), formats: ['es'], fileName: () => 'headwater.js' },
  },
};

export default defineConfig(({ mode }) => (mode === 'sdk' ? SDK : PAGES));
