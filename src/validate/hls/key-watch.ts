import { KEY_CHANGE_RULES, type KeyedSegment, keyIdsOf } from './key-rules.ts';
import type { InitSection } from './playlist.ts';
import { type Sink, tell } from './rule.ts';

/** Follows the keys of one rendition from segment to segment. */
export class KeyWatch {
  readonly #sink: Sink;
  /** Of the last segment, when it was encrypted. */
  #last: { readonly ids: string; readonly map: string } | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Takes the next segment. Players take the key id of the initialization segment: with it stays what it says. */
  note({ segment, facts }: KeyedSegment): void {
    const keyIds = keyIdsOf(segment);
    const before = this.#last;
    const now = { ids: keyIds.join(), map: mapKey(segment.map) };
    this.#last = keyIds.length > 0 ? now : undefined;
    if (!before || !this.#last || before.ids === now.ids || before.map !== now.map) return;
    // A group of samples may have a key of its own.
    if (keyIds.some((id) => facts?.kids.includes(id))) return;
    const message = `the KEYID goes from ${before.ids} to ${now.ids} with segment ${segment.msn}, the EXT-X-MAP stays`;
    tell(KEY_CHANGE_RULES[0], { line: segment.line, message }, this.#sink);
  }
}

/** What tells initialization sections apart. */
export function mapKey(map: InitSection | undefined): string {
  return `${map?.url} ${map?.range?.offset} ${map?.range?.length}`;
}
