import { byId, setText } from './dom.ts';
import type { HeadwaterPage } from './page-api.ts';
import { AUTO, formatPageOptions, parsePageOptions } from './page-options.ts';
import type { Rendition } from './players/player.ts';

/** The choice of a rendition; not to be seen where there is none. */
export class QualityMenu {
  readonly #page: HeadwaterPage;
  readonly #label = byId('quality-label', HTMLElement);
  readonly #select = byId('quality', HTMLSelectElement);
  readonly #auto = new Option('Auto', AUTO);
  /** What is listed now, so that an open menu is left alone. */
  #listed = '';

  constructor(page: HeadwaterPage) {
    this.#page = page;
    this.#select.addEventListener('change', () => this.#choose(this.#select.value));
  }

  /** Shows what there is now; to be called twice a second. */
  update(): void {
    const renditions = this.#page.renditions();
    const listed = renditions.map(({ id }) => id).join(' ');
    if (listed !== this.#listed) this.#list(renditions);
    this.#listed = listed;
    this.#label.hidden = renditions.length < 2;
    const shown = renditions.find(({ id }) => id === this.#page.rendition());
    const byItself = this.#page.wishedRendition === AUTO && shown;
    setText(this.#auto, byItself ? `Auto (${nameOf(shown)})` : 'Auto');
    const { wishedRendition: wished } = this.#page;
    if (this.#select.value !== wished) this.#select.value = wished;
  }

  #list(renditions: readonly Rendition[]): void {
    const options = renditions.map(
      (one) => new Option(`${nameOf(one)} · ${(one.bitrateBps / 1e6).toFixed(1)} Mb/s`, one.id),
    );
    this.#select.replaceChildren(this.#auto, ...options);
  }

  /** Takes the choice into the address, so that it can be shared. */
  #choose(wish: string): void {
    this.#page.selectRendition(wish);
    const options = { ...parsePageOptions(location.search), rendition: wish };
    history.replaceState(null, '', formatPageOptions(options, location.search));
  }
}

function nameOf({ height, id }: Rendition): string {
  return height > 0 ? `${height}p` : id;
}
