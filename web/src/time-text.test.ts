import { expect, it } from 'vitest';
import { spokenTime, timeText } from './time-text.ts';

it.each([
  [0, '0:00', '0 seconds'],
  [61.9, '1:01', '1 minute 1 second'],
  [3753, '1:02:33', '1 hour 2 minutes 33 seconds'],
  [Number.NaN, '0:00', '0 seconds'],
  [-4, '0:00', '0 seconds'],
])('%d s are %s, to the ear %s', (seconds, text, spoken) => {
  expect(timeText(seconds)).toBe(text);
  expect(spokenTime(seconds)).toBe(spoken);
});
