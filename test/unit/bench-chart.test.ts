import { DOMParser, type Element } from '@xmldom/xmldom';
import { describe, expect, it } from 'vitest';
import { type BarChart, renderBarChart, shortNumber } from '../../bench/support/chart.ts';

const CHART: BarChart = {
  title: 'CPU of one request',
  subtitle: 'median of 5 rounds',
  groups: [
    {
      label: 'part, 40 KB',
      unit: 'µs',
      goal: 22,
      goalLabel: '1.1× nginx',
      bars: [
        { label: 'headwater', value: 15 },
        { label: 'nginx', value: 20, reference: true },
        { label: 'node:http', value: 40, ratio: 2.07 },
      ],
    },
    { label: 'alone', unit: 'ms', bars: [{ label: 'headwater', value: 3 }] },
  ],
};

/** Parses strictly: whatever is not well-formed XML throws. */
function elements(svg: string, name: string): Element[] {
  const onError = (_level: string, message: string): never => {
    throw new Error(message);
  };
  const document = new DOMParser({ onError }).parseFromString(svg, 'image/svg+xml');
  return [...document.getElementsByTagName(name)];
}

function bars(svg: string): Element[] {
  return elements(svg, 'rect').filter((rect) => rect.getAttribute('class') !== 'card');
}

function texts(svg: string): string[] {
  return elements(svg, 'text').map((text) => text.textContent ?? '');
}

function widthOf(bar: Element | undefined): number {
  return Number(bar?.getAttribute('width'));
}

describe('renderBarChart', () => {
  it('draws bars in proportion within a group, each group to its own scale', () => {
    const [ours, nginx, node, alone] = bars(renderBarChart(CHART));
    expect(widthOf(ours) / widthOf(node)).toBeCloseTo(15 / 40, 2);
    expect(widthOf(nginx) / widthOf(node)).toBeCloseTo(20 / 40, 2);
    expect(widthOf(alone)).toBe(widthOf(node));
  });

  it('marks what is ours, what it is compared with, and the rest', () => {
    const kinds = bars(renderBarChart(CHART)).map((bar) => bar.getAttribute('class'));
    expect(kinds).toEqual(['ours', 'reference', 'other', 'ours']);
  });

  it('says values with their unit, and the ratio to the reference', () => {
    const all = texts(renderBarChart(CHART));
    expect(all).toContain('15 µs · 0.75×');
    expect(all).toContain('20 µs');
    expect(all).toContain('40 µs · 2.07×');
    expect(all).toContain('3 ms');
    expect(all).toContain('goal ≤ 22 µs (1.1× nginx)');
  });

  it('draws the goal where a bar of that value would end, and makes room for a goal past all bars', () => {
    const svg = renderBarChart(CHART);
    const [goal] = elements(svg, 'line');
    const [, nginx, node] = bars(svg);
    const left = Number(nginx?.getAttribute('x'));
    expect(Number(goal?.getAttribute('x1')) - left).toBeCloseTo((widthOf(node) * 22) / 40, 0);

    const far = { ...CHART, groups: CHART.groups.map((group) => ({ ...group, goal: 400 })) };
    const [farGoal] = elements(renderBarChart(far), 'line');
    expect(Number(farGoal?.getAttribute('x1')) - left).toBe(widthOf(node));
  });

  it('keeps everything inside the picture', () => {
    const svg = renderBarChart(CHART);
    const [root] = elements(svg, 'svg');
    const height = Number(root?.getAttribute('height'));
    for (const bar of bars(svg)) {
      expect(Number(bar.getAttribute('y')) + Number(bar.getAttribute('height'))).toBeLessThan(height);
    }
  });

  it('tells in words what it shows, and has colours for light and dark pages', () => {
    const svg = renderBarChart(CHART);
    expect(elements(svg, 'desc')[0]?.textContent).toBe(
      'median of 5 rounds. part, 40 KB: headwater 15 µs, nginx 20 µs, node:http 40 µs; goal at most 22 µs. alone: headwater 3 ms.',
    );
    expect(svg).toContain('prefers-color-scheme: dark');
  });

  it('stays well formed whatever stands in labels, and with values that are none', () => {
    const svg = renderBarChart({
      title: `a < b & "c" > 'd'`,
      subtitle: '',
      groups: [
        {
          label: '<x>',
          unit: '&',
          bars: [
            { label: '</svg>', value: Number.NaN },
            { label: 'none', value: 0 },
          ],
        },
        { label: 'empty', unit: '', bars: [] },
      ],
    });
    expect(elements(svg, 'title')[0]?.textContent).toBe(`a < b & "c" > 'd'`);
    expect(bars(svg).map(widthOf)).toEqual([0, 0]);
    expect(texts(svg)).toContain('</svg>');
  });
});

describe('shortNumber', () => {
  it.each([
    [0, '0'],
    [0.123, '0.12'],
    [9.996, '10'],
    [12.34, '12.3'],
    [721.4, '721'],
    [12_345.6, '12,346'],
    [Number.NaN, '–'],
  ])('%d is %s', (value, text) => {
    expect(shortNumber(value)).toBe(text);
  });
});
