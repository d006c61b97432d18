import { chartTopMs, HISTORY_POINTS, HISTORY_SECONDS, type HistoryPoint } from './history.ts';

const LEFT_PX = 46;
const BOTTOM_PX = 22;
const TOP_PX = 8;
const RIGHT_PX = 8;
const ROWS = 4;

interface Line {
  /** Custom property of the page's style sheet that holds its colour. */
  readonly colour: string;
  readonly dash: readonly number[];
  readonly read: (point: HistoryPoint) => number | undefined;
}

/** Told apart by their dashes too, not by colour alone. */
const LINES: readonly Line[] = [
  { colour: '--of-buffer', dash: [2, 3], read: (point) => point.bufferMs },
  { colour: '--of-latency', dash: [7, 4], read: (point) => point.latencyMs },
  { colour: '--of-glass', dash: [], read: (point) => point.glassMs },
];

/** Draws the last minute into a canvas, at the canvas's size on the page. */
export function drawChart(canvas: HTMLCanvasElement, points: readonly HistoryPoint[]): void {
  const context = canvas.getContext('2d');
  if (!context || canvas.clientWidth === 0) return;
  const scale = window.devicePixelRatio;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const area = new Area(canvas.clientWidth, canvas.clientHeight, chartTopMs(points));
  drawGrid(context, area, style);
  for (const line of LINES) drawLine(context, area, points, line, style.getPropertyValue(line.colour));
}

class Area {
  readonly topMs: number;
  readonly right: number;
  readonly bottom: number;

  constructor(width: number, height: number, topMs: number) {
    this.topMs = topMs;
    this.right = width - RIGHT_PX;
    this.bottom = height - BOTTOM_PX;
  }

  x(fraction: number): number {
    return LEFT_PX + (this.right - LEFT_PX) * fraction;
  }

  y(valueMs: number): number {
    return this.bottom - (this.bottom - TOP_PX) * (Math.max(0, valueMs) / this.topMs);
  }
}

function drawGrid(context: CanvasRenderingContext2D, area: Area, style: CSSStyleDeclaration): void {
  context.strokeStyle = style.getPropertyValue('--grid');
  context.fillStyle = style.getPropertyValue('--quiet');
  context.font = `12px ${style.fontFamily}`;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (let row = 0; row <= ROWS; row++) {
    const valueMs = (area.topMs * row) / ROWS;
    const y = Math.round(area.y(valueMs)) + 0.5;
    context.beginPath();
    context.moveTo(LEFT_PX, y);
    context.lineTo(area.right, y);
    context.stroke();
    context.fillText(`${Number((valueMs / 1000).toFixed(3))} s`, LEFT_PX - 6, y);
  }
  context.textBaseline = 'alphabetic';
  context.textAlign = 'left';
  context.fillText(`${HISTORY_SECONDS} s ago`, LEFT_PX, area.bottom + 17);
  context.textAlign = 'right';
  context.fillText('now', area.right, area.bottom + 17);
}

function drawLine(
  context: CanvasRenderingContext2D,
  area: Area,
  points: readonly HistoryPoint[],
  line: Line,
  colour: string,
): void {
  const first = HISTORY_POINTS - points.length;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.lineJoin = 'round';
  context.setLineDash([...line.dash]);
  context.beginPath();
  let drawing = false;
  points.forEach((point, i) => {
    const value = line.read(point);
    if (value !== undefined) {
      const x = area.x((first + i) / (HISTORY_POINTS - 1));
      if (drawing) context.lineTo(x, area.y(value));
      else context.moveTo(x, area.y(value));
    }
    drawing = value !== undefined;
  });
  context.stroke();
  context.setLineDash([]);
}
