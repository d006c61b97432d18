// What every entry script needs before it can work: the right Node, the npm packages of the lock file, and Debian
// packages. Only Node's own modules are used here, because nothing else may be installed yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Exit code for "a tool is missing and may not be installed here". */
export const EXIT_MISSING = 3;

const MIN_NODE = [20, 19];

/**
 * Debian packages by what needs them. `found` tells whether it is there already, however it was installed.
 */
const PACKAGES = {
  ffmpeg: { found: () => onPath('ffmpeg') && onPath('ffprobe') },
  'fonts-dejavu-core': { found: () => existsSync('/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf') },
  chromium: { found: () => onPath('chromium') },
  curl: { found: () => onPath('curl') },
  git: { found: () => onPath('git') },
  openssl: { found: () => onPath('openssl') },
  'srt-tools': { found: () => onPath('srt-live-transmit') },
  'redis-server': { found: () => onPath('redis-server') },
  'gstreamer1.0-tools': { found: () => onPath('gst-launch-1.0') },
  'gstreamer1.0-plugins-base': { found: () => hasElement('videotestsrc') },
  'gstreamer1.0-plugins-good': { found: () => hasElement('flvmux') },
  'gstreamer1.0-plugins-bad': { found: () => hasElement('rtmp2sink') },
  'gstreamer1.0-plugins-ugly': { found: () => hasElement('x264enc') },
};
const GSTREAMER = Object.keys(PACKAGES).filter((name) => name.startsWith('gstreamer'));
const NEEDS = {
  start: ['ffmpeg', 'fonts-dejavu-core'],
  test: [
    'ffmpeg',
    'fonts-dejavu-core',
    'chromium',
    'curl',
    'git',
    'openssl',
    'srt-tools',
    'redis-server',
    ...GSTREAMER,
  ],
};

/**
 * Folders with a lock file of their own, by what needs them: what is in them is large, and nobody who only starts the
 * server should wait for it.
 */
const FOLDERS = { test: [join('test', 'support', 'newer-ffmpeg')] };

/** Says one line on stderr, so that stdout stays the program's own. */
export function say(line) {
  process.stderr.write(`headwater: ${line}\n`);
}

/** Ends the script with one clear line. */
export function fail(code, line) {
  say(line);
  process.exit(code);
}

/**
 * Makes everything for `need` ('start', 'test' or 'build') available, or ends the process with one line and
 * exit code 3.
 */
export function setUp(need) {
  requireNode();
  for (const folder of ['', ...(FOLDERS[need] ?? [])]) requireModules(join(ROOT, folder));
  requirePackages(NEEDS[need] ?? []);
}

/** Runs a program in the checkout with its output on ours; returns its exit code. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (error) say(`${command}: ${error.message}`);
  return status ?? 1;
}

/** Path of a program that came with an npm package. */
export function tool(name) {
  return join(ROOT, 'node_modules', '.bin', name);
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor, needMinor] = MIN_NODE;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  fail(EXIT_MISSING, `Node ${MIN_NODE.join('.')} or newer is needed; this is ${process.versions.node}`);
}

function requireModules(folder) {
  const lockFile = readFileSync(join(folder, 'package-lock.json'));
  const lockHash = createHash('sha256').update(lockFile).digest('hex');
  const stamp = join(folder, 'node_modules', '.headwater-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash) return;
  if (!installedAsLocked(folder, JSON.parse(lockFile.toString()))) {
    say('installing npm packages');
    // stdout stays ours: npm's own words go to stderr.
    const code = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      stdio: ['ignore', 2, 2],
    });
    if (code !== 0) fail(EXIT_MISSING, 'the npm packages are missing and `npm ci` failed (see above)');
  }
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lockHash);
}

/** Compares npm's own record of what it installed with the lock file: somebody may have run `npm ci` by hand. */
function installedAsLocked(folder, lock) {
  const record = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
  const complete = locked.every(([path, entry]) => {
    const there = installed[path];
    return there ? there.integrity === entry.integrity : entry.optional === true;
  });
  return complete && Object.keys(installed).every((path) => path in lock.packages);
}

function requirePackages(names) {
  const missing = () => names.filter((name) => !PACKAGES[name].found());
  const wanted = missing();
  if (wanted.length === 0) return;
  const apt = aptGet();
  if (apt) {
    say(`installing ${wanted.join(', ')}`);
    const install = ['install', '-y', '--no-install-recommends', ...wanted];
    // A fresh machine has no package lists; others need no update.
    if (apt(install) !== 0 && apt(['update']) === 0) apt(install);
  }
  const still = missing();
  if (still.length === 0) return;
  const why = apt ? 'apt-get could not install' : 'missing, and only root or passwordless sudo may install';
  fail(EXIT_MISSING, `${why}: ${still.join(' ')} (apt-get install ${still.join(' ')})`);
}

/** apt-get as somebody who may use it, or undefined. */
function aptGet() {
  if (!onPath('apt-get')) return undefined;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) return undefined;
  const command = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q'];
  if (!isRoot) command.unshift('sudo', '-n');
  return (args) => run(command[0], [...command.slice(1), ...args], { stdio: ['ignore', 2, 2] });
}

/** Whether GStreamer has an element, from whichever package. */
function hasElement(name) {
  return onPath('gst-inspect-1.0') && spawnSync('gst-inspect-1.0', ['--exists', name]).status === 0;
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
