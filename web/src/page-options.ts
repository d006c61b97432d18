/** The players the page can play with, in the order of their keys 1, 2, 3. */
export const PLAYER_NAMES = ['hls', 'dash', 'shaka'] as const;
export type PlayerName = (typeof PLAYER_NAMES)[number];

/** `low`: the lowest latency we know how to ask of the player. `stock`: the player as it comes. */
export const MODES = ['low', 'stock'] as const;
export type Mode = (typeof MODES)[number];

/** Bounds of `target`: below, no player keeps going; above, it is no longer a low-latency page. */
const MIN_TARGET_MS = 50;
const MAX_TARGET_MS = 30_000;

/** What the page's address asks for. */
export interface PageOptions {
  readonly player: PlayerName;
  readonly mode: Mode;
  /** Wished buffer (hls.js) or delay (dash.js, Shaka) in milliseconds; undefined is the mode's own. */
  readonly targetMs: number | undefined;
  /** Id of the rendition to play, or `auto`. */
  readonly rendition: string;
}

/** The rendition that suits the network. */
export const AUTO = 'auto';

/** Reads `?player=hls|dash|shaka&mode=low|stock&target=<ms>&rendition=auto|<id>`; what makes no sense counts as absent. */
export function parsePageOptions(query: string): PageOptions {
  const wanted = new URLSearchParams(query);
  return {
    player: PLAYER_NAMES.find((name) => name === wanted.get('player')) ?? 'hls',
    mode: MODES.find((name) => name === wanted.get('mode')) ?? 'low',
    targetMs: parseTarget(wanted.get('target')),
    rendition: /^[\w-]{1,64}$/.exec(wanted.get('rendition') ?? '')?.[0] ?? AUTO,
  };
}

/** The query that gives these options again; other parameters of the present one are kept. */
export function formatPageOptions(options: PageOptions, presentQuery: string): string {
  const query = new URLSearchParams(presentQuery);
  query.set('player', options.player);
  query.set('mode', options.mode);
  if (options.targetMs === undefined) query.delete('target');
  else query.set('target', String(options.targetMs));
  if (options.rendition === AUTO) query.delete('rendition');
  else query.set('rendition', options.rendition);
  return `?${query.toString()}`;
}

/** What the page's path `/live/<stream>/` or `/vod/<title>/` is of. */
export function contentOf(path: string): { readonly kind: 'live' | 'vod'; readonly id: string } {
  const [, kind, id = ''] = /^\/(live|vod)\/([^/]+)\//.exec(path) ?? [];
  return { kind: kind === 'vod' ? 'vod' : 'live', id };
}

function parseTarget(text: string | null): number | undefined {
  if (text === null || !/^\d{1,6}$/.test(text)) return undefined;
  return Math.min(MAX_TARGET_MS, Math.max(MIN_TARGET_MS, Number(text)));
}
