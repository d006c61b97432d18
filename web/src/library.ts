import { HeadwaterClient } from '../sdk/client.ts';
import type { ResumeRecord } from '../sdk/resume-types.ts';
import { byId, setText } from './dom.ts';
import { openJobList } from './job-list.ts';
import { storedLogin } from './stream-source.ts';
import { type ListedTitle, titleTile } from './title-tile.ts';

const REFRESH_EVERY_MS = 5000;
const TIMEOUT_MS = 5000;

const list = byId('titles', HTMLUListElement);
const summary = byId('summary', HTMLElement);
const empty = byId('empty', HTMLElement);
const toContinue = byId('continue', HTMLElement);
const continueList = byId('continue-list', HTMLUListElement);
/** What is on the page now, so that an unchanged list keeps its focus. */
let shown = '';
let titles: readonly ListedTitle[] = [];
/** Where the viewer is, by title; empty for who is not logged in. */
const records = new Map<string, ResumeRecord>();

async function refresh(): Promise<void> {
  try {
    const answer = await fetch('/vod/titles.json', {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    ({ titles } = (await answer.json()) as { readonly titles: readonly ListedTitle[] });
    setText(summary, countOf(titles.length));
    show();
  } catch {
    setText(summary, 'The server does not answer. Trying again…');
  }
}

function show(): void {
  const begun = [...records.values()]
    .filter(({ isDeleted, state, positionMs }) => !isDeleted && state !== 'completed' && positionMs > 0)
    .toSorted((a, b) => b.eventMs - a.eventMs)
    .flatMap((record) => titles.filter(({ id }) => id === record.title));
  empty.hidden = titles.length > 0;
  list.hidden = titles.length === 0;
  toContinue.hidden = begun.length === 0;
  const now = JSON.stringify([titles, begun.map(({ id }) => [id, records.get(id)?.positionMs])]);
  if (now === shown) return;
  shown = now;
  list.replaceChildren(...titles.map((title) => titleTile(title, records.get(title.id))));
  continueList.replaceChildren(...begun.map((title) => titleTile(title, records.get(title.id))));
}

function countOf(count: number): string {
  if (count === 0) return 'There are no titles.';
  return count === 1 ? 'One title.' : `${count} titles.`;
}

async function keepFresh(): Promise<void> {
  if (!document.hidden) await refresh();
  setTimeout(() => void keepFresh(), REFRESH_EVERY_MS);
}

/** Where the viewer is, of all devices and as it changes, for who is logged in in this tab. */
async function followViewer(): Promise<void> {
  const login = storedLogin();
  if (login === undefined) return;
  const client = await HeadwaterClient.open({
    baseUrl: location.origin,
    login: () => Promise.resolve(login),
  });
  addEventListener('pagehide', () => client.close());
  client.resume().onRecord((record) => {
    records.set(record.title, record);
    show();
  });
}

openJobList();
void keepFresh();
void followViewer();
