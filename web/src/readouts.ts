import { drawChart } from './chart.ts';
import { byId, setText } from './dom.ts';
import { GlassMeter } from './glass-meter.ts';
import { describeHistory, type HistoryPoint, pushPoint } from './history.ts';
import type { HeadwaterPage } from './page-api.ts';

const UNKNOWN = '–';
/** The words under the chart change this seldom, or a screen reader could not finish them. */
const DESCRIBE_EVERY_UPDATES = 10;

/** The page's figures and chart. */
export class Readouts {
  readonly #page: HeadwaterPage;
  readonly #video: HTMLVideoElement;
  readonly #glass = byId('figure-glass', HTMLElement);
  readonly #glassNote = byId('note-glass', HTMLElement);
  readonly #latency = byId('figure-latency', HTMLElement);
  readonly #target = byId('figure-target', HTMLElement);
  readonly #backoffs = byId('figure-backoffs', HTMLElement);
  readonly #switches = byId('figure-switches', HTMLElement);
  readonly #buffer = byId('figure-buffer', HTMLElement);
  readonly #stalls = byId('figure-stalls', HTMLElement);
  readonly #dropped = byId('figure-dropped', HTMLElement);
  readonly #rate = byId('figure-rate', HTMLElement);
  readonly #picture = byId('figure-picture', HTMLElement);
  readonly #chart = byId('chart', HTMLCanvasElement);
  readonly #chartText = byId('chart-text', HTMLElement);
  #history: readonly HistoryPoint[] = [];
  #updates = 0;

  constructor(page: HeadwaterPage, video: HTMLVideoElement) {
    this.#page = page;
    this.#video = video;
    new ResizeObserver(() => drawChart(this.#chart, this.#history)).observe(this.#chart);
  }

  /** Shows what is so now; to be called twice a second. */
  update(): void {
    const page = this.#page;
    const moving = page.state === 'playing' || page.state === 'stalled';
    const glassMs = moving ? page.glassToGlassMs : undefined;
    const bufferMs = moving ? page.bufferMs : undefined;
    const { latencyMs } = page;
    setText(this.#glass, asSeconds(glassMs));
    setText(this.#glassNote, glassNote(glassMs, moving));
    setText(this.#latency, asSeconds(latencyMs));
    setText(this.#buffer, asSeconds(bufferMs));
    setText(this.#stalls, page.stalls === 0 ? 'none' : `${page.stalls} (${asSeconds(page.stalledMs)})`);
    setText(this.#target, asSeconds(page.targetMs));
    setText(this.#backoffs, timesOf(page.backoffs));
    setText(this.#switches, timesOf(page.switches));
    setText(this.#dropped, String(page.droppedFrames));
    setText(this.#rate, `${page.playbackRate.toFixed(2)}×`);
    setText(this.#picture, pictureSize(this.#video));
    this.#history = pushPoint(this.#history, { glassMs, latencyMs, bufferMs });
    drawChart(this.#chart, this.#history);
    if (++this.#updates % DESCRIBE_EVERY_UPDATES === 4) {
      setText(this.#chartText, describeHistory(this.#history));
    }
  }
}

function asSeconds(ms: number | undefined): string {
  return ms === undefined ? UNKNOWN : `${(ms / 1000).toFixed(2)} s`;
}

function timesOf(count: number): string {
  return count === 0 ? 'none' : String(count);
}

function glassNote(glassMs: number | undefined, moving: boolean): string {
  if (!GlassMeter.supported()) return 'not measured: this browser does not tell when a frame is shown';
  if (glassMs === undefined && moving) return 'no clock in this picture';
  return 'from the clock in the picture';
}

function pictureSize({ videoWidth, videoHeight }: HTMLVideoElement): string {
  return videoWidth === 0 ? UNKNOWN : `${videoWidth} × ${videoHeight}`;
}
