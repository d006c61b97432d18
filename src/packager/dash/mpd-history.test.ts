import { describe, expect, it } from 'vitest';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { decidePatch, MpdHistory } from './mpd-history.ts';

const OPTIONS = { clockUrl: '/time', patch: { name: 'patch.mpp', ttlSeconds: 60 } };

function broadcast(): WindowModel {
  return new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 20 }).run(30_000);
}

describe('MpdHistory', () => {
  it('gives the same snapshot while nothing that the MPD says has changed', () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS);
    const first = history.current(window);
    window.run(1000);
    expect(history.current(window)).toBe(first);
    window.away();
    expect(history.current(window)).not.toBe(first);
  });

  it('publishes a change that the window did not date a moment after the state before', () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS);
    const first = history.current(window);
    window.dependentNext = true;
    window.run(3000);
    expect(window.mpdChangedMs).toBe(first.publishTimeMs);
    expect(history.current(window).publishTimeMs).toBe(first.publishTimeMs + 1);
  });

  it('answers 425 for the current state, 410 for an unknown or forgotten one, 400 for what is no time', () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS, 3);
    const first = history.current(window);
    expect(decidePatch(history, window, first.publishTime)).toEqual({ kind: 'tooEarly', status: 425 });
    expect(decidePatch(history, window, '2020-01-01T00:00:00.000Z')).toEqual({ kind: 'gone', status: 410 });
    for (const text of ['', 'yesterday', '2020-01-01T00:00:00Z', `${first.publishTime} `]) {
      expect(decidePatch(history, window, text)).toMatchObject({ kind: 'badRequest', status: 400 });
    }
    window.away();
    expect(decidePatch(history, window, first.publishTime)).toMatchObject({ kind: 'patch', status: 200 });
    for (let i = 0; i < 2; i++) {
      window.run(500).resume();
      history.current(window);
      window.run(5000).away();
      history.current(window);
    }
    expect(decidePatch(history, window, first.publishTime)).toEqual({ kind: 'gone', status: 410 });
  });

  it('never declares a lower bandwidth than before', () => {
    const window = new WindowModel({ video: DEFAULT_VIDEO, windowSeconds: 20 }).run(2100);
    const history = new MpdHistory(OPTIONS);
    expect(history.current(window).xml).toContain('bandwidth="3000000"');
    window.run(20_000);
    expect(history.current(window).xml).toContain('bandwidth="3000000"');
  });

  it('patches an outage with few operations', async () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS);
    const first = history.current(window);
    window.away();
    const decision = decidePatch(history, window, first.publishTime);
    await expect(decision.kind === 'patch' ? decision.xml : '').toMatchFileSnapshot('golden/away-patch.mpp');
  });
});
