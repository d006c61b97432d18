import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PubSub } from '../../src/state/pub-sub.ts';
import { until } from './until.ts';

/** One driver under test. */
export interface PubSubUnderTest {
  open(): Promise<PubSub>;
  /** Another server's end of the same bus; the same one, where a bus does not leave the process. */
  openAgain(): Promise<PubSub>;
  dispose(): Promise<void>;
}

/** What every driver must do. */
export function describePubSub(name: string, create: () => PubSubUnderTest): void {
  describe(`${name} as a bus of messages`, () => {
    let under: PubSubUnderTest;
    let here: PubSub;
    let there: PubSub;

    beforeEach(async () => {
      under = create();
      here = await under.open();
      there = await under.openAgain();
    });
    afterEach(async () => {
      await here.close();
      await there.close();
      await under.dispose();
    });
    /** All that was sent before has come when this has. */
    const flush = async (from: PubSub, to: PubSub): Promise<void> => {
      let hasCome = false;
      const subscription = await to.subscribe('flush', () => (hasCome = true));
      await from.publish('flush', '');
      await until(() => hasCome, 'the last message');
      subscription.close();
    };

    it('brings each message to everybody who listens, in its order, and to nobody else', async () => {
      const heard: string[][] = [[], [], []];
      await here.subscribe('a', (message) => heard[0]?.push(message));
      await there.subscribe('a', (message) => heard[1]?.push(message));
      await there.subscribe('b', (message) => heard[2]?.push(message));
      const sent = Array.from({ length: 50 }, (_, i) => `message ${i}`);
      for (const message of sent) await here.publish('a', message);
      await flush(here, here);
      await flush(here, there);
      expect(heard).toEqual([sent, sent, []]);
    });

    it('calls back for every message from when the subscription has resolved', async () => {
      for (let i = 0; i < 20; i++) {
        let heard = '';
        const subscription = await there.subscribe(`channel-${i}`, (message) => (heard = message));
        await here.publish(`channel-${i}`, 'hello');
        await until(() => heard === 'hello', `the message of turn ${i}`);
        subscription.close();
      }
    });

    it('lets many listen to one channel, and each stop alone, at once and twice', async () => {
      const heard: string[] = [];
      const listen = (who: string) => there.subscribe('a', (message) => heard.push(`${who}:${message}`));
      const [one, two] = await Promise.all([listen('one'), listen('two'), listen('three')]);
      await here.publish('a', '1');
      await flush(here, there);
      one.close();
      one.close();
      await here.publish('a', '2');
      await flush(here, there);
      two.close();
      await here.publish('a', '3');
      await flush(here, there);
      expect(heard).toEqual(['one:1', 'two:1', 'three:1', 'two:2', 'three:2', 'three:3']);
    });

    it('hears of a channel again that was left and joined quickly', async () => {
      let heard = 0;
      for (let i = 0; i < 30; i++) (await there.subscribe('a', () => (heard += 100))).close();
      const joining = there.subscribe('a', () => (heard += 1));
      (await there.subscribe('a', () => (heard += 100))).close();
      await joining;
      await here.publish('a', '');
      await flush(here, there);
      expect(heard).toBe(1);
    });

    it('calls one function twice that was given twice', async () => {
      let calls = 0;
      const listener = (): void => void (calls += 1);
      const one = await there.subscribe('a', listener);
      await there.subscribe('a', listener);
      await here.publish('a', '');
      await flush(here, there);
      expect(calls).toBe(2);
      one.close();
      await here.publish('a', '');
      await flush(here, there);
      expect(calls).toBe(3);
    });

    it('goes on when a listener throws', async () => {
      const heard: string[] = [];
      await there.subscribe('a', () => {
        throw new Error('listener');
      });
      await there.subscribe('a', (message) => heard.push(message));
      await here.publish('a', '1');
      await flush(here, there);
      expect(heard).toEqual(['1']);
    });

    it('brings text of any kind, up to 64 KiB', async () => {
      const messages = ['', '{"a":"é𝄞\\n"}', 'line\r\nline\u0000end', 'x'.repeat(64 * 1024)];
      const heard: string[] = [];
      await there.subscribe('v:{viewer-1}/x', (message) => heard.push(message));
      for (const message of messages) await here.publish('v:{viewer-1}/x', message);
      await flush(here, there);
      expect(heard).toEqual(messages);
      await expect(here.publish('a', 'é'.repeat(32 * 1024 + 1))).rejects.toThrow(RangeError);
    });

    it.each(['', 'a b', 'a\nb', 'é', 'x'.repeat(201)])('takes %j for no channel', async (channel) => {
      await expect(here.publish(channel, '')).rejects.toThrow(RangeError);
      await expect(here.subscribe(channel, () => undefined)).rejects.toThrow(RangeError);
    });

    it('is silent once it is closed, refuses every call, and closes twice', async () => {
      let calls = 0;
      const subscription = await here.subscribe('a', () => (calls += 1));
      await here.close();
      await here.close();
      subscription.close();
      await expect(here.publish('a', '')).rejects.toMatchObject({ code: 'PUBSUB_UNAVAILABLE' });
      const joining = here.subscribe('a', () => undefined);
      await expect(joining).rejects.toMatchObject({ code: 'PUBSUB_UNAVAILABLE' });
      if (there !== here) {
        await there.publish('a', '');
        await flush(there, there);
      }
      expect(calls).toBe(0);
    });
  });
}
