import { describe, expect, it } from 'vitest';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { applyPatch, canonical, find, parseXml, type XmlNode } from '../../../test/support/xml-tree.ts';
import { decidePatch, MpdHistory, type MpdSnapshot } from './mpd-history.ts';

/** A stream's life, its MPD looked at after every change; and what players would ask for from each MPD. */

const OPTIONS = { clockUrl: '/time', patch: { name: 'patch.mpp', ttlSeconds: 60 } };

function live(window: WindowModel): void {
  window.run(9300).away().run(5100).resume(640).run(7000);
  window.reanchor(3).run(9000).reanchor(0).run(5000);
  window.dependentNext = true;
  window.run(6000).retrack(960).run(12_000);
  window.away().run(700).resume().run(9000);
  window.away().run(31_000).resume().run(26_000).end();
}

function broadcast(audioLateMs = 0): WindowModel {
  return new WindowModel({
    video: DEFAULT_VIDEO,
    audio: DEFAULT_AUDIO,
    audioLateMs,
    windowSeconds: 24,
    eagerOpen: true,
  });
}

/** Every different MPD of a run, with the window as it was then. */
function eachMpd(
  window: WindowModel,
  history: MpdHistory,
  check: (now: MpdSnapshot, before: MpdSnapshot | undefined) => void,
): void {
  let before: MpdSnapshot | undefined;
  window.onChange = () => {
    if (!window.published) return;
    const now = history.current(window);
    if (now !== before) check(now, before);
    before = now;
  };
  live(window);
}

const start = (period: XmlNode): number => secondsOf(period.attributes.get('start'));

function secondsOf(duration: string | undefined): number {
  return Number(/^PT([\d.]+)S$/.exec(duration ?? '')?.[1] ?? Number.NaN);
}

describe('over the life of a stream, the MPD', () => {
  it('keeps what must not change, and grows its publishTime exactly with its content', () => {
    let changes = 0;
    const window = broadcast();
    eachMpd(window, new MpdHistory(OPTIONS), (now, before) => {
      if (!before) return;
      changes++;
      expect(now.publishTimeMs).toBeGreaterThan(before.publishTimeMs);
      const [is, was] = [parseXml(now.xml), parseXml(before.xml)];
      const neutral = (xml: string, own: MpdSnapshot): string =>
        xml.replaceAll(own.publishTime, '').replaceAll(encodeURIComponent(own.publishTime), '');
      expect(neutral(now.xml, now)).not.toBe(neutral(before.xml, before));
      for (const name of ['id', 'availabilityStartTime', 'profiles', 'type', 'timeShiftBufferDepth']) {
        expect(is.attributes.get(name)).toBe(was.attributes.get(name));
      }
      expect(is.attributes.get('availabilityStartTime')).toBe('1970-01-01T00:00:00Z');
      expectSamePeriods(
        was,
        is,
        window.rendition('video').segments.some((segment) => segment.state !== 'gap'),
      );
    });
    // Not at every part: only when something a player must know has changed.
    expect(changes).toBeGreaterThan(10);
    expect(changes).toBeLessThan(40);
  });

  it('turns into its next state by the patch, from every state that is still held', () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS);
    const published: MpdSnapshot[] = [];
    let applied = 0;
    eachMpd(window, history, (now) => {
      for (const old of published.slice(-10)) {
        const decision = decidePatch(history, window, old.publishTime);
        if (decision.kind !== 'patch') throw new Error(`no patch but ${decision.kind}`);
        const tree = parseXml(old.xml);
        const patch = parseXml(decision.xml);
        expect(patch.children.slice(0, 2).map((operation) => operation.attributes.get('sel'))).toEqual([
          '/MPD/@publishTime',
          '/MPD/PatchLocation[1]',
        ]);
        applyPatch(tree, patch);
        expect(canonical(tree)).toBe(canonical(parseXml(now.xml)));
        applied++;
      }
      published.push(now);
    });
    expect(applied).toBeGreaterThan(80);
  });

  it.each([0, 700])(
    'never makes a player ask for a number that has no media (audio %d ms late)',
    (audioLateMs) => {
      const window = broadcast(audioLateMs);
      const history = new MpdHistory(OPTIONS);
      let asked = 0;
      window.onChange = () => {
        if (!window.published) return;
        const root = parseXml(history.current(window).xml);
        for (const request of requests(root)) {
          asked++;
          const { segments } = window.rendition(request.rendition);
          const segment = segments[request.number - (segments[0]?.number ?? 0)];
          const late = audioLateMs > 0 && request.rendition === 'audio' && segment?.state === 'gap';
          if (segment && !late) {
            expect({ id: segment.period.id, state: segment.state }).toEqual({
              id: request.period,
              state: 'closed',
            });
          }
        }
        const [last] = find(root, 'Period').slice(-1);
        expect(last?.attributes.has('duration')).toBe(window.state !== 'live');
      };
      live(window);
      expect(asked).toBeGreaterThan(2000);
    },
  );

  it('ends with a duration, no update period, and the last period closed', () => {
    const window = broadcast();
    const history = new MpdHistory(OPTIONS);
    live(window);
    const root = parseXml(history.current(window).xml);
    expect(root.attributes.has('minimumUpdatePeriod')).toBe(false);
    const last = find(root, 'Period').at(-1);
    const end = secondsOf(root.attributes.get('mediaPresentationDuration'));
    expect(end).toBeCloseTo(start(last as XmlNode) + secondsOf(last?.attributes.get('duration')), 5);
    expect(end).toBeCloseTo(window.clock.wallMs() / 1000, 0);
  });
});

/** Period@start and the sets of ids are constant; periods leave at the front and come at the back. */
function expectSamePeriods(was: XmlNode, is: XmlNode, mediaIsHeld: boolean): void {
  const before = new Map(find(was, 'Period').map((period) => [period.attributes.get('id'), period]));
  const now = find(is, 'Period');
  const ids = now.map((period) => period.attributes.get('id'));
  expect(new Set(ids).size).toBe(ids.length);
  const kept = [...before.keys()].filter((id) => ids.includes(id));
  expect(ids.slice(0, kept.length)).toEqual(kept);
  expect(now.map(start)).toEqual(now.map(start).toSorted((a, b) => a - b));
  for (const period of now) {
    const old = before.get(period.attributes.get('id'));
    if (!old) continue;
    expect(period.attributes.get('start')).toBe(old.attributes.get('start'));
    // An end, once told, stays, while there is any media left that it is the end of.
    if (mediaIsHeld && old.attributes.has('duration')) {
      expect(period.attributes.get('duration')).toBe(old.attributes.get('duration'));
    }
    const identity = (node: XmlNode): string[] =>
      [...find(node, 'AdaptationSet'), ...find(node, 'Representation')].map(
        (x) => `${x.name} ${x.attributes.get('id')}`,
      );
    expect(identity(period)).toEqual(identity(old));
    const grid = (node: XmlNode): (string | undefined)[] =>
      find(node, 'SegmentTemplate').flatMap((template) =>
        ['timescale', 'duration', 'startNumber', 'presentationTimeOffset', 'media', 'initialization'].map(
          (name) => template.attributes.get(name),
        ),
      );
    expect(grid(period)).toEqual(grid(old));
    const bandwidths = (node: XmlNode): number[] =>
      find(node, 'Representation').map((x) => Number(x.attributes.get('bandwidth')));
    bandwidths(old).forEach((bandwidth, i) =>
      expect(bandwidths(period)[i]).toBeGreaterThanOrEqual(bandwidth),
    );
  }
}

interface SegmentRequest {
  readonly rendition: string;
  readonly period: string;
  readonly number: number;
}

/** Numbers that a player derives from a closed period: up to its end, by time and by endNumber. */
function requests(root: XmlNode): SegmentRequest[] {
  const periods = find(root, 'Period');
  return periods.flatMap((period, i) => {
    const next = periods[i + 1];
    const ownSeconds = period.attributes.has('duration')
      ? secondsOf(period.attributes.get('duration'))
      : next
        ? start(next) - start(period)
        : 0;
    return find(period, 'AdaptationSet').flatMap((set) => {
      const [template] = find(set, 'SegmentTemplate');
      const get = (name: string): number => Number(template?.attributes.get(name));
      const count = Math.ceil(ownSeconds / (get('duration') / get('timescale')));
      // A period that is continued may run on past its grid by the drift; endNumber bounds it there.
      const end = next && !period.attributes.has('duration') ? get('endNumber') : Number.POSITIVE_INFINITY;
      const last = Math.min(get('startNumber') + count - 1, end);
      return Array.from({ length: Math.max(0, last - get('startNumber') + 1) }, (_, n) => ({
        rendition: find(set, 'Representation')[0]?.attributes.get('id') ?? '',
        period: period.attributes.get('id') ?? '',
        number: get('startNumber') + n,
      }));
    });
  });
}
