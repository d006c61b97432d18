import { expect, it } from 'vitest';
import { deviceNameFrom } from './device-name.ts';

it.each([
  ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox-Linux-i000'],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0',
    'Edge-Windows-i000',
  ],
  ['Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36', 'Chrome-Linux-i000'],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1',
    'Safari-iOS-i000',
  ],
  ['', 'Browser-Device-i000'],
])('names a device so that people know it: %s', (userAgent, name) => {
  expect(deviceNameFrom(userAgent, 0.5)).toBe(name);
});
