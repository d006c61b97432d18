import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What benches need beside npm's packages: where it is to be found, and the Debian packages it comes in. */
const TOOLS = {
  ffmpeg: { files: ['ffmpeg'], packages: 'ffmpeg' },
  nginx: { files: ['nginx'], packages: 'nginx' },
  openssl: { files: ['openssl'], packages: 'openssl' },
  'redis-server': { files: ['redis-server'], packages: 'redis-server' },
  'srt-live-transmit': { files: ['srt-live-transmit'], packages: 'srt-tools' },
  wrk: { files: ['wrk'], packages: 'wrk' },
  'nginx-rtmp': { files: ['nginx', 'ngx_rtmp_module.so'], packages: 'nginx libnginx-mod-rtmp' },
} as const;

/** Folders of system programs are not in everybody's PATH; modules of nginx never are. */
const MORE_FOLDERS = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/lib/nginx/modules',
  '/usr/share/nginx/modules',
  '/usr/lib64/nginx/modules',
];
/** As of the other scripts: a tool is missing. */
const EXIT_MISSING = 3;

/** Ends the bench with one line when a tool is missing. */
export function requireTools(...names: readonly (keyof typeof TOOLS)[]): void {
  const missing = names.filter((name) => TOOLS[name].files.some((file) => findFile(file) === undefined));
  if (missing.length === 0) return;
  const packages = missing.map((name) => TOOLS[name].packages).join(' ');
  console.error(`headwater: bench: missing ${missing.join(' and ')}: apt-get install ${packages}`);
  process.exit(EXIT_MISSING);
}

/** Full path of a program or module. */
export function findFile(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...MORE_FOLDERS];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
