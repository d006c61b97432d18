import type { Tag, TextProblemKind } from './playlist.ts';

/** A tag or a URI. */
export type Entry =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'uri'; readonly uri: string; readonly line: number };

/** What the two kinds of playlist are built from. */
export interface Reading {
  readonly url: string;
  readonly entries: readonly Entry[];
  /** Adds a fault of the text. */
  readonly fault: (kind: TextProblemKind, line: number, section: string, message: string) => void;
  /** Resolves a URI against the playlist; '' (and a fault) when it cannot be. */
  readonly resolve: (uri: string, line: number) => string;
}
