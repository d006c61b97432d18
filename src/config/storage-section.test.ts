import { describe, expect, it } from 'vitest';
import { formatIssue, loadConfig } from './load.ts';

const CREDENTIALS = { HEADWATER_STORAGE__S3__CREDENTIALS: 'AKID secret' };
const S3 = ['storage.driver=s3', 'storage.s3.endpoint=https://s3.example:9000', 'storage.s3.bucket=films'];

function problems(flags: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
  const loaded = loadConfig({ cwd: '/nonexistent', env, flags: [...flags] });
  return 'issues' in loaded ? loaded.issues.map(formatIssue) : [];
}

describe('the configuration of storage', () => {
  it('takes a folder with nothing said, and a bucket with all that it needs', () => {
    expect(problems([])).toEqual([]);
    expect(problems(S3, CREDENTIALS)).toEqual([]);
    expect(problems([...S3, 'storage.s3.credentialsPath=s3.key', 'storage.s3.prefix=a/b.c/'])).toEqual([]);
  });

  it.each<[string, string[], Record<string, string>, string]>([
    [
      'a bucket nowhere',
      S3.filter((flag) => !flag.includes('endpoint')),
      CREDENTIALS,
      'storage.s3.endpoint:',
    ],
    [
      'a store without a bucket',
      S3.filter((flag) => !flag.includes('bucket')),
      CREDENTIALS,
      'storage.s3.bucket:',
    ],
    ['a store without credentials', S3, {}, 'storage.s3.credentialsPath:'],
    [
      'credentials twice',
      [...S3, 'storage.s3.credentialsPath=x'],
      CREDENTIALS,
      'storage.s3.credentialsPath:',
    ],
    [
      'a path behind the host',
      [...S3, 'storage.s3.endpoint=https://s3.example/films'],
      CREDENTIALS,
      'storage.s3.endpoint:',
    ],
    ['a bucket that is a path', [...S3, 'storage.s3.bucket=a/b'], CREDENTIALS, 'storage.s3.bucket:'],
    ['a prefix that leads out', ['storage.s3.prefix=a/../b'], {}, 'storage.s3.prefix:'],
    ['a prefix with other characters', ['storage.s3.prefix=a b'], {}, 'storage.s3.prefix:'],
  ])('refuses %s', (_, flags, env, expected) => {
    expect(problems(flags, env)).toEqual([expect.stringContaining(expected)]);
  });

  it('refuses credentials that everybody on the machine can read, and never says them', () => {
    const complaints = problems([...S3, 'storage.s3.credentials=AKID hush']);
    expect(complaints).toEqual([
      expect.stringContaining('storage.s3.credentials: a command line can be read'),
    ]);
    expect(complaints.join()).not.toContain('hush');
  });
});
