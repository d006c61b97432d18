import type { KeyOwner } from '../drm/content-key.ts';
import { contentName } from './playback-claims.ts';

/** Longest pattern; names are no longer than 64 characters. */
const MAX_LENGTH = 80;
const FORM = /^(?:\*|(?:live|vod)\/[A-Za-z0-9_*-]{1,75})$/;
/** So few that no pattern takes long. */
const MAX_STARS = 4;

/** Whether a piece of content is meant. */
export type TitlePattern = (owner: KeyOwner) => boolean;

/** Reads `vod/film`, `vod/series-*`, `live/*` or `*`; undefined for anything else. */
export function parseTitlePattern(value: unknown): TitlePattern | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || !FORM.test(value)) return undefined;
  if (value === '*') return () => true;
  const pieces = value.split('*');
  if (pieces.length > MAX_STARS + 1) return undefined;
  // Nothing in a piece has a meaning in an expression.
  const form = new RegExp(`^${pieces.join('[A-Za-z0-9_-]*')}$`);
  return (owner) => form.test(contentName(owner));
}
