import { AppError } from '../base/errors.ts';
import type { HttpResponse } from '../http/types.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './asked.ts';
import type { PageFiles } from './page-files.ts';

/** The page that plays one stream; also for one nobody publishes yet: it waits for it. */
export const WATCH_PAGE = 'watch.html';
/** The page that lists the live streams. */
export const INDEX_PAGE = 'index.html';
/** The page that lists the titles. */
export const LIBRARY_PAGE = 'library.html';
/** Files in here carry a hash of their bytes in their name. */
const HASHED_FOLDER = 'assets/';

/** Serves the built web pages. */
export class PageRoutes {
  readonly #answers: Answers;
  readonly #pages: PageFiles;

  constructor(answers: Answers, pages: PageFiles) {
    this.#answers = answers;
    this.#pages = pages;
  }

  /** Sends a page or asset by its path below the pages' folder. */
  serve(name: string, asked: Asked, response: HttpResponse): void {
    const file = this.#pages.get(name);
    if (!file) return this.#answers.fail(response, 'missing', new AppError('HTTP_NOT_FOUND'));
    const kind = name.startsWith(HASHED_FOLDER) ? 'asset' : 'page';
    this.#answers.sendText(response, kind, file, asked);
  }
}
