import { describe, expect, it } from 'vitest';
import { StallMeter } from './stall-meter.ts';

describe('the stall meter', () => {
  it('counts stalls and adds up their time', () => {
    const meter = new StallMeter();
    meter.begin(1000);
    meter.end(1250);
    meter.begin(5000);
    meter.end(5100);
    expect([meter.count, meter.totalMs(9000)]).toEqual([2, 350]);
  });

  it('counts the stall that goes on, up to now', () => {
    const meter = new StallMeter();
    meter.begin(1000);
    expect([meter.count, meter.presentMs(1400), meter.totalMs(1400)]).toEqual([1, 400, 400]);
  });

  it('takes a second beginning for the same stall, and an end without one for nothing', () => {
    const meter = new StallMeter();
    meter.begin(1000);
    meter.begin(1100);
    meter.end(1200);
    meter.end(1300);
    expect([meter.count, meter.totalMs(2000)]).toEqual([1, 200]);
  });

  it('forgets all but the stall that goes on when reset', () => {
    const meter = new StallMeter();
    meter.begin(0);
    meter.end(500);
    meter.reset(600);
    expect([meter.count, meter.totalMs(700)]).toEqual([0, 0]);
    meter.begin(1000);
    meter.reset(2000);
    expect([meter.count, meter.totalMs(2050)]).toEqual([1, 50]);
  });
});
