import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** Everything that is, or is about to be, in the repository. */
function repositoryFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return listed.split('\0').filter((name) => name !== '' && existsSync(join(ROOT, name)));
}

const FILES = repositoryFiles().filter((name) => statSync(join(ROOT, name)).isFile());
const TEXTS = FILES.map((name) => ({ name, bytes: readFileSync(join(ROOT, name)) }))
  .filter(({ bytes }) => !bytes.includes(0))
  .map(({ name, bytes }) => ({ name, text: bytes.toString('utf8') }));

/** Files, with the line, in which a pattern is found; this file, which spells the patterns, left out. */
function findings(pattern: RegExp, except: RegExp = /^$/): string[] {
  return TEXTS.filter(({ name }) => name !== 'test/unit/repository.test.ts' && !except.test(name)).flatMap(
    ({ name, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          pattern.test(line) ? [`${name}:${index + 1}: ${line.trim().slice(0, 100)}`] : [],
        ),
  );
}

describe('the repository', () => {
  it('is looked at as a whole', () => {
    expect(TEXTS.length).toBeGreaterThan(50);
    expect(findings(/"name": "headwater"/)).toContainEqual(expect.stringContaining('package.json:2'));
  });

  it('holds no loose ends', () => {
    expect(findings(/\b(TODO|FIXME|XXX|HACK)\b/, /^package-lock\.json$/)).toEqual([]);
  });

  it('knows no path of the machine it was written on', () => {
    expect(findings(/(^|[\s"'`(=])\/(work|home\/|root\/|Users\/)/)).toEqual([]);
    expect(findings(/\/tmp\/(?!headwater|x\b)[a-z]/, /\.test\.ts$/)).toEqual([]);
  });

  it('holds no private key and no focused or skipped test', () => {
    expect(findings(/-----BEGIN [A-Z ]*PRIVATE KEY-----/)).toEqual([]);
    expect(findings(/\b(describe|it|test)\.(only|skip)\(/, /^(?!.*\.test\.ts$)/)).toEqual([]);
  });
});

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

/** What Headwater is installed on. Prebuilt tools for other systems are listed too, or `npm ci` refuses the lock. */
function runsOnOurMachines({ os, cpu, libc }: LockEntry): boolean {
  const onLinux = os?.includes('linux') ?? true;
  const onX64OrArm64 = cpu?.some((each) => ['x64', 'arm64'].includes(each)) ?? true;
  return onLinux && onX64OrArm64 && (libc?.includes('glibc') ?? true);
}

/** Raised only together with a reason in docs/dependencies.md. */
const MAX_LOCKED_PACKAGES = 385;
/** Want to compile themselves, but work from a prebuilt package of their own: scripts stay off. */
const PREBUILT = ['node_modules/lmdb', 'node_modules/msgpackr-extract'];

describe('the lock file', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    lockfileVersion: number;
    packages: Record<string, LockEntry>;
  };
  const entries = Object.entries(lock.packages).filter(([path]) => path !== '');

  it('has a sha512 for every package that can be installed here, and takes none from git or a plain URL', () => {
    expect(lock.lockfileVersion).toBe(3);
    const without = entries.filter(
      ([, entry]) => runsOnOurMachines(entry) && !entry.integrity?.startsWith('sha512-'),
    );
    expect(without.map(([path]) => path)).toEqual([]);
    const elsewhere = entries.filter(
      ([, { resolved, link }]) => link || /^(git|http:|file:)/.test(resolved ?? ''),
    );
    expect(elsewhere.map(([path]) => path)).toEqual([]);
  });

  it('lists every optional package of every other, or `npm ci` refuses it', () => {
    const missing = entries.flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter(
        (name) =>
          !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
      ),
    );
    expect(missing).toEqual([]);
  });

  it('has no package that wants to run a script when it is installed', () => {
    const wanting = entries.filter(([path, entry]) => entry.hasInstallScript && !PREBUILT.includes(path));
    expect(wanting.map(([path]) => path)).toEqual([]);
    expect(readFileSync(join(ROOT, '.npmrc'), 'utf8')).toContain('ignore-scripts=true');
  });

  it('does not grow unnoticed', () => {
    expect(entries.length).toBeLessThanOrEqual(MAX_LOCKED_PACKAGES);
  });
});

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'optionalDependencies' | 'devDependencies',
    Record<string, string>
  >;
  const all = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.devDependencies };

  it('names exact versions only', () => {
    const loose = Object.entries(all).filter(
      ([, version]) => !/^(npm:[\w.@/-]+@)?\d+\.\d+\.\d+$/.test(version),
    );
    expect(loose).toEqual([]);
  });

  it('has every dependency explained in docs/dependencies.md, with its version', () => {
    const document = readFileSync(join(ROOT, 'docs', 'dependencies.md'), 'utf8');
    const missing = Object.entries(all).filter(([name, version]) => {
      const number = version.slice(version.lastIndexOf('@') + 1);
      return !document.includes(`| \`${name}\` ${number} |`);
    });
    expect(missing).toEqual([]);
  });
});
