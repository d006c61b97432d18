import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { CodedText } from './answers.ts';

/** One file of the built web pages, ready to send. */
export type PageFile = CodedText;

/** The built web pages by path below their folder, with `/` between: `watch.html`, `assets/watch-1a2b3c.js`. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
};

/**
 * Reads the built web pages into memory, packed, once at start: serving them then touches no disk, and no request
 * can name a file outside. A folder that is not there gives no pages.
 */
export async function loadPageFiles(folder: string): Promise<PageFiles> {
  const files = new Map<string, PageFile>();
  for (const path of await listFiles(folder)) {
    const name = relative(folder, path).split(sep).join('/');
    files.set(name, pageFile(name, await readFile(path)));
  }
  return files;
}

/** Makes one page file from its bytes. */
export function pageFile(name: string, identity: Buffer): PageFile {
  const packed = gzipSync(identity, { level: 9 });
  return {
    identity,
    gzip: packed.length < identity.length * 0.9 ? packed : undefined,
    contentType: CONTENT_TYPES[extname(name)] ?? 'application/octet-stream',
    tag: createHash('sha256').update(identity).digest('base64url').slice(0, 22),
  };
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
