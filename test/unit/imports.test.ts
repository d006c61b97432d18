import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * Which folder of src/ may import which, besides itself. `base` stands below all; `app.ts`, `main.ts` and `cli/`
 * stand above all and are imported by nobody. A folder that is not here may not exist.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: ['base'],
  media: ['base'],
  http: ['base'],
  stream: ['base', 'media'],
  drm: ['base', 'media'],
  state: ['base'],
  storage: ['base'],
  ingest: ['base', 'media', 'stream'],
  transcode: ['base', 'media', 'stream', 'state', 'storage'],
  packager: ['base', 'media', 'stream', 'drm'],
  license: ['base', 'http', 'drm', 'state'],
  validate: ['base', 'media'],
  origin: ['base', 'http', 'media', 'stream', 'packager', 'state', 'storage'],
  control: ['base', 'http', 'stream', 'state'],
  vod: ['base', 'media', 'stream', 'drm', 'packager', 'transcode', 'state', 'storage'],
};

const TOP = new Set(['app', 'main', 'cli']);

/** npm packages that may be imported (their types: everywhere), and where: each has one home. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  pino: ['base'],
  'prom-client': ['base', 'control'],
  yaml: ['config'],
  '@xmldom/xmldom': ['base'],
  'uWebSockets.js': ['http'],
  jose: ['base', 'ingest', 'license'],
  lmdb: ['state'],
  ioredis: ['state'],
  bullmq: ['state'],
  aws4fetch: ['state', 'storage'],
};

/** Node modules that open sockets, files or processes. */
const IO_MODULES = /^node:(child_process|cluster|dgram|dns|fs|http|http2|https|net|tls|worker_threads)\b/;
const WITHOUT_IO = ['media', 'packager'];

/** What the origin may take from the packager: renderers and names, nothing that makes media. */
const FOR_THE_ORIGIN = /^packager\/(hls\/|dash\/|files\/|media-path\.ts|tier-scope\.ts|iso-time\.ts)/;

interface Import {
  readonly from: string;
  readonly to: string;
  /** `import type`: gone when the program runs. */
  readonly typeOnly?: boolean;
}

const ROOT = join(import.meta.dirname, '..', '..', 'src');

/** `config.ts` is the folder config's own front door. */
function roomOf(file: string): string {
  return file.split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function sourceFiles(): string[] {
  const all = readdirSync(ROOT, { recursive: true, encoding: 'utf8' });
  return all.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts')).sort();
}

/** Static, re-exporting and dynamic imports with a literal name; comments on lines of their own do not count. */
function importsOf(source: string): { to: string; typeOnly: boolean }[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const pattern =
    /(?:^\s*(?:import|export)\s(?<clause>[^'";]*?\sfrom\s)?|\bimport\(|\brequire\()\s*['"](?<to>[^'"]+)['"]/gm;
  return [...code.matchAll(pattern)].map(({ groups }) => ({
    to: groups?.['to'] ?? '',
    typeOnly: /^type\s/.test(groups?.['clause'] ?? ''),
  }));
}

const FILES = sourceFiles();
const ALL: readonly Import[] = FILES.flatMap((from) =>
  importsOf(readFileSync(join(ROOT, from), 'utf8')).map(({ to, typeOnly }) => ({
    from,
    to: to.startsWith('.') ? relative(ROOT, join(ROOT, dirname(from), to)) : to,
    typeOnly,
  })),
);
const INTERNAL = ALL.filter(({ to }) => to.endsWith('.ts'));
const EXTERNAL = ALL.filter(({ to }) => !to.endsWith('.ts'));

const show = ({ from, to }: Import): string => `${from} -> ${to}`;

describe('who may import whom', () => {
  it('finds the imports at all', () => {
    const source = [
      "import a from './a.ts';",
      "export {\n b } from 'b';",
      "import 'c';",
      "await import('d');",
      "  // import x from 'x'",
      "/* import y from 'y' */",
      'import type { Z } from "z";',
    ].join('\n');
    expect(importsOf(source).map(({ to }) => to)).toEqual(['./a.ts', 'b', 'c', 'd', 'z']);
    expect(importsOf(source).filter(({ typeOnly }) => typeOnly)).toEqual([{ to: 'z', typeOnly: true }]);
    expect(INTERNAL.length).toBeGreaterThan(FILES.length / 2);
  });

  it('knows every folder', () => {
    const rooms = new Set(FILES.map(roomOf));
    expect([...rooms].filter((room) => !(room in MAY_IMPORT) && !TOP.has(room))).toEqual([]);
  });

  it('keeps to the table', () => {
    const broken = INTERNAL.filter(({ from, to }) => {
      const [importer, imported] = [roomOf(from), roomOf(to)];
      return !TOP.has(importer) && importer !== imported && !(MAY_IMPORT[importer] ?? []).includes(imported);
    });
    expect(broken.map(show)).toEqual([]);
  });

  it('takes only the renderers from the packager into the origin', () => {
    const others = INTERNAL.filter(
      ({ from, to }) => roomOf(from) === 'origin' && roomOf(to) === 'packager' && !FOR_THE_ORIGIN.test(to),
    );
    expect(others.map(show)).toEqual([]);
  });

  it('keeps sockets, files and processes out of the pure rooms', () => {
    const impure = EXTERNAL.filter(
      ({ from, to }) => WITHOUT_IO.includes(roomOf(from)) && IO_MODULES.test(to),
    );
    expect(impure.map(show)).toEqual([]);
  });

  it('gives media no dependency', () => {
    const packages = EXTERNAL.filter(({ from, to }) => roomOf(from) === 'media' && !to.startsWith('node:'));
    expect(packages.map(show)).toEqual([]);
  });

  it('keeps each npm package at home', () => {
    const strays = EXTERNAL.filter(
      ({ from, to, typeOnly }) =>
        !to.startsWith('node:') &&
        !(typeOnly ? to in PACKAGE_HOMES : PACKAGE_HOMES[to]?.includes(roomOf(from))),
    );
    expect(strays.map(show)).toEqual([]);
  });

  it('has no ring of files', () => {
    expect(findRing(INTERNAL)).toEqual([]);
    const ring = [
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
      { from: 'c', to: 'b' },
    ];
    expect(findRing(ring)).toEqual(['b', 'c', 'b']);
  });
});

/** The first ring found, from a file back to itself; empty when there is none. */
function findRing(edges: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] => {
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file];
    if (done.has(file)) return [];
    for (const target of next.get(file) ?? []) {
      const ring = walk(target, [...path, file]);
      if (ring.length > 0) return ring;
    }
    done.add(file);
    return [];
  };
  for (const file of next.keys()) {
    const ring = walk(file, []);
    if (ring.length > 0) return ring;
  }
  return [];
}
