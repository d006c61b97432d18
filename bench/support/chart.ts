import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One measured thing. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The others of its group are compared with it; at most one in a group. */
  readonly reference?: boolean;
  /** How it compares with the reference, where that was measured better than by dividing the values. */
  readonly ratio?: number;
}

/** Bars that share a scale. */
export interface BarGroup {
  readonly label: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
  /** Drawn as a line across the bars, in the group's unit: nothing should reach past it. */
  readonly goal?: number;
  /** Words for the goal, e.g. `1.1× nginx`; its value stands there in any case. */
  readonly goalLabel?: string;
}

export interface BarChart {
  readonly title: string;
  /** How it was measured. */
  readonly subtitle: string;
  readonly groups: readonly BarGroup[];
}

const WIDTH = 760;
const MARGIN = 20;
const LABEL_WIDTH = 200;
const VALUE_WIDTH = 130;
const BARS_LEFT = MARGIN + LABEL_WIDTH;
const BARS_WIDTH = WIDTH - BARS_LEFT - VALUE_WIDTH - MARGIN;
const BAR_HEIGHT = 16;
const BAR_STEP = 23;
const HEAD_HEIGHT = 70;
const GROUP_HEAD_HEIGHT = 26;
const GROUP_GAP = 14;

/**
 * Its own background and both sets of colours: an image in a README does not know the page around it. Ours is the
 * first bar that is no reference; what it is compared with is grey.
 */
const STYLE = `
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .group { font-weight: 600; }
  .quiet { fill: #59636e; }
  .ours { fill: #0969da; }
  .other { fill: #76a9e0; }
  .reference { fill: #8c959f; }
  .goal { stroke: #bc4c00; stroke-width: 2; stroke-dasharray: 4 3; }
  .goal-text { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .other { fill: #2f5f9e; }
    .reference { fill: #656c76; }
    .goal { stroke: #f0883e; }
    .goal-text { fill: #f0883e; }
  }`;

/** Draws horizontal bars in groups, each group to its own scale, as an SVG that stands alone. */
export function renderBarChart(chart: BarChart): string {
  let top = HEAD_HEIGHT;
  const groups = chart.groups.map((group) => {
    const drawn = drawGroup(group, top);
    top += GROUP_HEAD_HEIGHT + group.bars.length * BAR_STEP + GROUP_GAP;
    return drawn;
  });
  const height = top + MARGIN - GROUP_GAP;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escapeXml(chart.title)}</title>`,
    `<desc id="description">${escapeXml(inWords(chart))}</desc>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
    `<text class="title" x="${MARGIN}" y="32">${escapeXml(chart.title)}</text>`,
    `<text class="quiet" x="${MARGIN}" y="53">${escapeXml(chart.subtitle)}</text>`,
    ...groups,
    '</svg>',
    '',
  ].join('\n');
}

/** Writes a chart to docs/<name>.svg. Benches run from the checkout's root. */
export function saveBarChart(name: string, chart: BarChart): void {
  const file = join('docs', `${name}.svg`);
  writeFileSync(file, renderBarChart(chart));
  console.log(`drawn in ${file}`);
}

/** Three significant digits are more than any of these measurements has; no exponent, no trailing zeros. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return digits === 0 ? Number(text).toLocaleString('en-US') : String(Number(text));
}

function drawGroup(group: BarGroup, top: number): string {
  const { bars, goal } = group;
  const values = [...bars.map(({ value }) => value), goal ?? 0];
  const longest = Math.max(...values.filter(Number.isFinite), Number.MIN_VALUE);
  const scale = (value: number): number => Math.max(0, Math.round((value / longest) * BARS_WIDTH * 10) / 10);
  const barsTop = top + GROUP_HEAD_HEIGHT;
  const lines = [`<text class="group" x="${MARGIN}" y="${top + 15}">${escapeXml(group.label)}</text>`];
  const reference = bars.find((bar) => bar.reference)?.value;
  const ours = bars.find((bar) => !bar.reference);
  for (const [i, bar] of bars.entries()) {
    const y = barsTop + i * BAR_STEP;
    const kind = bar.reference ? 'reference' : bar === ours ? 'ours' : 'other';
    const width = Number.isFinite(bar.value) ? scale(bar.value) : 0;
    lines.push(
      `<text x="${BARS_LEFT - 10}" y="${y + 13}" text-anchor="end">${escapeXml(bar.label)}</text>`,
      `<rect class="${kind}" x="${BARS_LEFT}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text x="${WIDTH - MARGIN - VALUE_WIDTH + 8}" y="${y + 13}">${escapeXml(valueText(bar, group.unit))}${ratioText(bar, reference)}</text>`,
    );
  }
  if (goal !== undefined) {
    const x = BARS_LEFT + scale(goal);
    const end = barsTop + bars.length * BAR_STEP - (BAR_STEP - BAR_HEIGHT);
    const words = `goal ≤ ${shortNumber(goal)} ${group.unit}${group.goalLabel ? ` (${group.goalLabel})` : ''}`;
    lines.push(
      `<line class="goal" x1="${x}" y1="${barsTop - 4}" x2="${x}" y2="${end + 4}"/>`,
      `<text class="goal-text" x="${WIDTH - MARGIN}" y="${top + 15}" text-anchor="end">${escapeXml(words)}</text>`,
    );
  }
  return lines.join('\n');
}

function valueText(bar: Bar, unit: string): string {
  return `${shortNumber(bar.value)} ${unit}`;
}

function ratioText(bar: Bar, reference: number | undefined): string {
  if (reference === undefined || bar.reference) return '';
  const ratio = bar.ratio ?? bar.value / reference;
  return `<tspan class="quiet"> · ${escapeXml(ratio.toFixed(2))}×</tspan>`;
}

/** What the picture says, for those who do not see it. */
function inWords({ subtitle, groups }: BarChart): string {
  const sentences = groups.map(({ label, unit, bars, goal }) => {
    const parts = bars.map((bar) => `${bar.label} ${valueText(bar, unit)}`).join(', ');
    return `${label}: ${parts}${goal === undefined ? '' : `; goal at most ${shortNumber(goal)} ${unit}`}.`;
  });
  return [`${subtitle}.`, ...sentences].join(' ');
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
