import { byId, setText } from './dom.ts';

const REFRESH_EVERY_MS = 3000;
const TIMEOUT_MS = 5000;

/** One stream as `/live/streams.json` lists it. */
interface ListedStream {
  readonly name: string;
  readonly watch: string;
  readonly hls: string;
  readonly dash: string;
}

const list = byId('streams', HTMLUListElement);
const summary = byId('summary', HTMLElement);
const empty = byId('empty', HTMLElement);
/** What is on the page now, so that an unchanged list keeps its focus. */
let shown = '';

async function refresh(): Promise<void> {
  try {
    const answer = await fetch('/live/streams.json', {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const { streams } = (await answer.json()) as { readonly streams: readonly ListedStream[] };
    show(streams);
  } catch {
    setText(summary, 'The server does not answer. Trying again…');
  }
}

function show(streams: readonly ListedStream[]): void {
  setText(summary, countOf(streams.length));
  empty.hidden = streams.length > 0;
  list.hidden = streams.length === 0;
  const now = JSON.stringify(streams);
  if (now === shown) return;
  shown = now;
  list.replaceChildren(...streams.map(itemOf));
}

function countOf(streams: number): string {
  if (streams === 0) return 'No stream is live.';
  return streams === 1 ? 'One stream is live.' : `${streams} streams are live.`;
}

function itemOf(stream: ListedStream): HTMLLIElement {
  const item = document.createElement('li');
  item.className = 'card stream';
  const main = linkTo(stream.watch, stream.name);
  main.className = 'main';
  const formats = document.createElement('span');
  formats.className = 'formats';
  formats.append(linkTo(stream.hls, 'HLS', stream.name), linkTo(stream.dash, 'DASH', stream.name));
  item.append(main, formats);
  return item;
}

/** `of` completes the name for those who hear the links without their surroundings. */
function linkTo(path: string, text: string, of?: string): HTMLAnchorElement {
  const link = document.createElement('a');
  link.href = path;
  link.textContent = text;
  if (of !== undefined) link.setAttribute('aria-label', `${text} of ${of}`);
  return link;
}

/** The advice names this server, where it can be known. */
function nameServer(): void {
  for (const id of ['how-server', 'how-ffmpeg']) {
    const advice = byId(id, HTMLElement);
    setText(advice, advice.textContent.replace('your-host', location.hostname));
  }
}

async function keepFresh(): Promise<void> {
  if (!document.hidden) await refresh();
  setTimeout(() => void keepFresh(), REFRESH_EVERY_MS);
}

nameServer();
void keepFresh();
