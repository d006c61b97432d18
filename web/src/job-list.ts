import { errorOf } from '../sdk/api-error.ts';
import { browserClock } from '../sdk/clock.ts';
import { EventStream } from '../sdk/event-stream.ts';
import { byId, setText } from './dom.ts';
import { timeSpan } from './protection-card.ts';

/** The making of a title, as the server tells of it. */
interface Job {
  readonly id: string;
  readonly title: string;
  readonly name: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  /** 0 to 1, as of each rung. */
  readonly progress: number;
  readonly rungs: readonly { readonly id: string; readonly progress: number }[];
  readonly etaSeconds: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

const STATES: Readonly<Record<Job['state'], string>> = {
  running: 'running',
  done: 'done',
  failed: 'failed',
  cancelled: 'stopped',
};

/** Makes the page's list of jobs, which waits for the admin token. */
export function openJobList(): JobList {
  return new JobList();
}

/** What is being made, for who has the admin token: it is kept in this object and nowhere else. */
class JobList {
  readonly #list = byId('jobs', HTMLUListElement);
  readonly #status = byId('jobs-state', HTMLElement);
  readonly #input = byId('admin-token', HTMLInputElement);
  readonly #jobs = new Map<string, Job>();
  #token = '';
  #events: EventStream | undefined;

  constructor() {
    byId('admin', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#token = this.#input.value.trim();
      this.#input.value = '';
      this.#follow();
    });
  }

  /** All jobs come at first, then those that change. */
  #follow(): void {
    this.#events?.close();
    this.#jobs.clear();
    setText(this.#status, 'Asking…');
    this.#events = new EventStream({
      connect: (_lastId, signal) => this.#ask('/v1/jobs/events', signal),
      onEvent: ({ type, data }) => {
        if (type === 'job') this.#take([JSON.parse(data) as Job]);
      },
      onState: (isOpen) => {
        if (isOpen) void this.#load();
        else setText(this.#status, 'Not connected. Trying again…');
      },
      onRefused: (error) => {
        setText(this.#status, error.status === 401 ? 'That is not the admin token.' : error.message);
        return Promise.resolve(false);
      },
      clock: browserClock,
    });
  }

  async #load(): Promise<void> {
    const answer = await this.#ask('/v1/jobs', AbortSignal.timeout(5000)).catch(() => undefined);
    if (!answer?.ok) return setText(this.#status, answer ? (await errorOf(answer)).message : 'No answer.');
    const { jobs } = (await answer.json()) as { readonly jobs: readonly Job[] };
    this.#jobs.clear();
    this.#take(jobs);
  }

  #ask(path: string, signal: AbortSignal): Promise<Response> {
    return fetch(path, { cache: 'no-store', signal, headers: { Authorization: `Bearer ${this.#token}` } });
  }

  #take(jobs: readonly Job[]): void {
    for (const job of jobs) this.#jobs.set(job.id, job);
    const all = [...this.#jobs.values()];
    const running = all.filter(({ state }) => state === 'running').length;
    setText(this.#status, running === 0 ? 'Nothing is being made.' : `${running} being made.`);
    this.#list.hidden = all.length === 0;
    this.#list.replaceChildren(...all.map(jobItem));
  }
}

function jobItem(job: Job): HTMLLIElement {
  const item = document.createElement('li');
  item.className = 'job';
  const head = document.createElement('div');
  head.className = 'job-head';
  const name = document.createElement('strong');
  name.textContent = job.name === '' ? job.title : job.name;
  const state = document.createElement('span');
  state.textContent = stateOf(job);
  head.append(name, state);
  item.append(head);
  if (job.state === 'running') {
    item.append(progressBar(job.progress, `${job.title}, all of it`));
    const rungs = document.createElement('ul');
    rungs.className = 'rungs';
    rungs.append(...job.rungs.map(rungItem));
    item.append(rungs);
  }
  const fault = faultOf(job);
  if (fault !== undefined) item.append(fault);
  return item;
}

function stateOf({ state, progress, etaSeconds }: Job): string {
  if (state !== 'running') return STATES[state];
  const left = etaSeconds === null ? '' : `, ${timeSpan(etaSeconds * 1000)} to go`;
  return `${Math.floor(progress * 100)} %${left}`;
}

function rungItem({ id, progress }: Job['rungs'][number]): HTMLLIElement {
  const item = document.createElement('li');
  item.append(`${id} `, progressBar(progress, id));
  return item;
}

function progressBar(progress: number, name: string): HTMLProgressElement {
  const bar = document.createElement('progress');
  bar.value = progress;
  bar.setAttribute('aria-label', name);
  return bar;
}

function faultOf({ error }: Job): HTMLElement | undefined {
  if (error === null) return undefined;
  const fault = document.createElement('p');
  fault.className = 'fault';
  fault.textContent = error.message;
  return fault;
}
