import { describe, expect, it } from 'vitest';
import { printable, tellingLine } from './probe-process.ts';

describe('tellingLine', () => {
  it.each([
    [
      '[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d168730280] error reading header\n[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d168730280] moov atom not found\nfile:/dev/fd/3: Invalid data found when processing input\n',
      'moov atom not found',
    ],
    [
      '[h264 @ 0x5616b9bbeb40] [IMGUTILS @ 0x7fff11ea9ab0] Picture size 3x4 is invalid\n',
      'Picture size 3x4 is invalid',
    ],
    [
      'file:/home/me/films/secret.mp4: Invalid data found when processing input',
      'Invalid data found when processing input',
    ],
    ["Cannot open '/var/lib/x/film.mp4': no", "Cannot open '': no"],
    ['', ''],
    ['\n\n', ''],
  ])('is the line that says most, without its speaker and any path: %j', (said, line) => {
    expect(tellingLine(said)).toBe(line);
  });

  it('is one short line, whatever the file says', () => {
    expect(tellingLine(`\u001b[31m${'x'.repeat(5000)}`).length).toBe(200);
  });
});

describe('printable', () => {
  it('takes out what moves a cursor, turns text round or breaks a line', () => {
    expect(printable('a\u001b[2J\r\nb\u202Ec\u2028d\u0000 \uFEFF e')).toBe('a [2J b c d e');
  });
});
