import type { Tiers } from '../tier-scope.ts';
import type { LiveWindow } from '../../stream/live-window.ts';
import { isoTime } from '../iso-time.ts';
import { buildMpd, type MpdOptions } from './mpd.ts';
import { renderMpdPatch } from './mpd-patch.ts';
import { sameElement, writeDocument, type XmlElement } from './xml.ts';

/** One published state of an MPD. */
export interface MpdSnapshot {
  readonly publishTimeMs: number;
  /** As it stands in MPD@publishTime. */
  readonly publishTime: string;
  readonly root: XmlElement;
  readonly xml: string;
}

/** What is to become of a request for a patch, with the HTTP status the standard gives it. */
export type PatchDecision =
  | { readonly kind: 'patch'; readonly status: 200; readonly xml: string }
  /** The asker has the current MPD. */
  | { readonly kind: 'tooEarly'; readonly status: 425 }
  /** We no longer hold, or never published, the MPD that the asker has. */
  | { readonly kind: 'gone'; readonly status: 410 }
  | { readonly kind: 'badRequest'; readonly status: 400; readonly reason: string };

/** MPD states kept to patch from; an older one is answered with 410, which makes a player fetch the whole MPD. */
export const MPD_HISTORY_LIMIT = 16;

/**
 * The states of one stream's MPD as they were published. It sees to it that publishTime grows exactly when the
 * content changes, and that a Representation's declared bandwidth never goes down. Holds no clock, timer or socket.
 */
export class MpdHistory {
  readonly #options: MpdOptions;
  readonly #limit: number;
  /** Oldest first. */
  readonly #snapshots: MpdSnapshot[] = [];
  readonly #bandwidthFloors = new Map<string, number>();
  #version: number | undefined;

  constructor(options: MpdOptions, limit: number = MPD_HISTORY_LIMIT) {
    this.#options = options;
    this.#limit = limit;
  }

  /** The current MPD; rendered again only when the window's version moved. Always give the same window. */
  current(window: LiveWindow): MpdSnapshot {
    const last = this.#snapshots.at(-1);
    if (last && this.#version === window.version) return last;
    this.#version = window.version;
    if (!last) return this.#publish(window, window.mpdChangedMs);
    const unchanged = sameElement(this.#build(window, last.publishTimeMs), last.root);
    if (unchanged) return last;
    return this.#publish(window, Math.max(Math.floor(window.mpdChangedMs), last.publishTimeMs + 1));
  }

  /** The current MPD with only what has one of those tiers, or no key. There are no patches to it. */
  renderFor(window: LiveWindow, tiers: Tiers): string {
    const { publishTimeMs } = this.current(window);
    const { patch: _, ...options } = this.#options;
    const state = { publishTimeMs, bandwidthFloors: this.#bandwidthFloors };
    return writeDocument(buildMpd(window, { ...options, tiers }, state));
  }

  /** The earlier state of that publishTime, while it is held. */
  find(publishTime: string): MpdSnapshot | undefined {
    return this.#snapshots.find((snapshot) => snapshot.publishTime === publishTime);
  }

  #build(window: LiveWindow, publishTimeMs: number): XmlElement {
    return buildMpd(window, this.#options, { publishTimeMs, bandwidthFloors: this.#bandwidthFloors });
  }

  #publish(window: LiveWindow, atMs: number): MpdSnapshot {
    const publishTimeMs = Math.floor(atMs);
    const root = this.#build(window, publishTimeMs);
    const snapshot = { publishTimeMs, publishTime: isoTime(publishTimeMs), root, xml: writeDocument(root) };
    this.#raiseFloors(root);
    this.#snapshots.push(snapshot);
    if (this.#snapshots.length > this.#limit) this.#snapshots.shift();
    return snapshot;
  }

  #raiseFloors(node: XmlElement): void {
    if (node.name === 'Representation') {
      const id = node.attributes.get('id') ?? '';
      this.#bandwidthFloors.set(id, Number(node.attributes.get('bandwidth')));
    }
    for (const child of node.children) this.#raiseFloors(child);
  }
}

const PUBLISH_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Decides a request for a patch from the MPD of `publishTime` (the query parameter, decoded) to the current one. */
export function decidePatch(history: MpdHistory, window: LiveWindow, publishTime: string): PatchDecision {
  if (!PUBLISH_TIME.test(publishTime)) {
    return { kind: 'badRequest', status: 400, reason: 'publishTime is not a time we publish' };
  }
  const current = history.current(window);
  if (current.publishTime === publishTime) return { kind: 'tooEarly', status: 425 };
  const from = history.find(publishTime);
  if (!from) return { kind: 'gone', status: 410 };
  return { kind: 'patch', status: 200, xml: renderMpdPatch(from.root, current.root) };
}
