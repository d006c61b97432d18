import { describe, expect, it } from 'vitest';
import { WorkProcesses } from './work-processes.ts';

/** No such processes: their priority and their signals are nobody's. */
const [FIRST, SECOND, OTHER] = [2 ** 22 + 1, 2 ** 22 + 2, 2 ** 22 + 3];

describe('encoders that somebody waits for', () => {
  it('hold up those that are not begun yet, until the last of them is gone', async () => {
    const processes = new WorkProcesses();
    const { signal } = new AbortController();
    processes.add(OTHER);
    await processes.untilNoneAwaited(signal);
    processes.add(FIRST, true);
    processes.add(SECOND, true);
    let begun = false;
    const waiting = processes.untilNoneAwaited(signal).then(() => (begun = true));
    processes.remove(FIRST);
    processes.remove(OTHER);
    await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toBe(false);
    processes.remove(SECOND);
    expect(await waiting).toBe(true);
  });

  it('hold up nothing that is not wanted any more', async () => {
    const processes = new WorkProcesses();
    const controller = new AbortController();
    processes.add(FIRST, true);
    const waiting = processes.untilNoneAwaited(controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});
