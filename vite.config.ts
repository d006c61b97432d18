import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const page = (name: string): string => fileURLToPath(new URL(`web/${name}`, import.meta.url));

/** The web pages: two HTML files at the root of dist/web, everything else hashed below assets/. */
export default defineConfig({
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
    rolldownOptions: { input: { index: page('index.html'), watch: page('watch.html') } },
  },
});
