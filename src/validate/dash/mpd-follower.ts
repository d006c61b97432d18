import type { FetchResult } from '../fetcher.ts';
import { checkDocument } from './check-document.ts';
import { checkMpdResponse } from './check-response.ts';
import { checkUpdate } from './check-update.ts';
import type { DashRun } from './dash-run.ts';
import type { Mpd } from './mpd-model.ts';
import { parseMpd } from './parse-mpd.ts';
import { canonicalText } from './xml.ts';

const MAX_MPD_BYTES = 16 * 1024 * 1024;
/** Between two looks at the MPD: not oftener than a player would, and often enough to see something in a short run. */
const LEAST_INTERVAL_SECONDS = 1;
const MOST_INTERVAL_SECONDS = 5;
/** What minimumUpdatePeriod 0 means when segments do not tell. */
const DEFAULT_INTERVAL_SECONDS = 2;

/** Keeps the newest state of a live MPD and judges each against the one before. */
export class MpdFollower {
  #current: Mpd;
  #updates = 1;
  readonly #run: DashRun;
  readonly #url: string;
  #refreshing: Promise<void> | undefined;

  constructor(run: DashRun, url: string, first: Mpd) {
    this.#run = run;
    this.#url = url;
    this.#current = first;
  }

  get current(): Mpd {
    return this.#current;
  }

  /** States of the MPD that were read, the first included. */
  get updates(): number {
    return this.#updates;
  }

  /** Looks again and again until watching ends or the MPD will not change any more. */
  async follow(): Promise<void> {
    while (this.#current.minimumUpdatePeriod !== undefined) {
      if (!(await this.#run.wait(this.#intervalSeconds() * 1000))) return;
      await this.refresh();
    }
  }

  /** Looks once; those who ask meanwhile share the answer. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#fetch().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  #intervalSeconds(): number {
    const { minimumUpdatePeriod = 0, maxSegmentDuration } = this.#current;
    const wanted = minimumUpdatePeriod || maxSegmentDuration || DEFAULT_INTERVAL_SECONDS;
    return Math.min(Math.max(wanted, LEAST_INTERVAL_SECONDS), MOST_INTERVAL_SECONDS);
  }

  async #fetch(): Promise<void> {
    const url = this.#current.locations[0] ?? this.#url;
    const outcome = await this.#run.get(url, { maxBytes: MAX_MPD_BYTES });
    if (outcome.kind === 'failed') {
      if (outcome.reason !== 'aborted') this.#run.tell('dash-mpd-unavailable', url, outcome.detail);
      return;
    }
    if (outcome.status !== 200) {
      this.#run.tell('dash-mpd-unavailable', url, `the MPD gives status ${outcome.status}`);
      return;
    }
    this.#take(outcome, url);
  }

  #take(result: FetchResult, url: string): void {
    const outcome = parseMpd(Buffer.from(result.body).toString('utf8'), result.url);
    this.#updates += 1;
    if (outcome.kind === 'unreadable') {
      this.#run.tell('dash-mpd-unreadable', url, outcome.reason);
      return;
    }
    const { mpd } = outcome;
    checkMpdResponse(this.#run, result, mpd, url);
    if (canonicalText(mpd.element) !== canonicalText(this.#current.element)) {
      checkDocument(mpd, this.#run.reportTo(url));
    }
    for (const { rule, message } of checkUpdate(this.#current, mpd, this.#run.nowMs())) {
      this.#run.tell(rule, url, message);
    }
    this.#current = mpd;
  }
}
