import type { PlaylistText, TextProblemKind } from './playlist.ts';
import { type Problem, type Rule, rfc } from './rule.ts';
import { neededVersion } from './needed-version.ts';
import { TAGS } from './tag-table.ts';

/** What reading the text brought out, kind by kind. */
function problemsOf(kind: TextProblemKind): (playlist: PlaylistText) => Iterable<Problem> {
  return function* (playlist) {
    for (const { kind: own, line, message, section } of playlist.problems) {
      if (own === kind) yield { line, message, clause: rfc(section) };
    }
  };
}

/** Rules of the text of any playlist. */
export const TEXT_RULES: readonly Rule<PlaylistText>[] = [
  { rule: 'hls-no-header', severity: 'error', clause: rfc('4.4.1.1'), check: problemsOf('no-header') },
  { rule: 'hls-byte-order-mark', severity: 'error', clause: rfc('4'), check: problemsOf('byte-order-mark') },
  { rule: 'hls-not-utf8', severity: 'error', clause: rfc('4'), check: problemsOf('not-utf8') },
  { rule: 'hls-playlist-too-long', severity: 'warning', clause: rfc('4.1'), check: problemsOf('too-long') },
  { rule: 'hls-tag-malformed', severity: 'error', clause: rfc('4.2'), check: problemsOf('malformed') },
  {
    rule: 'hls-attribute-twice',
    severity: 'error',
    clause: rfc('4.2'),
    check: problemsOf('attribute-twice'),
  },
  {
    rule: 'hls-attribute-missing',
    severity: 'error',
    clause: rfc('4.4'),
    check: problemsOf('attribute-missing'),
  },
  { rule: 'hls-attribute-form', severity: 'error', clause: rfc('4.2'), check: problemsOf('attribute-form') },
  { rule: 'hls-uri-invalid', severity: 'error', clause: rfc('4.1'), check: problemsOf('uri') },
  {
    rule: 'hls-tag-twice',
    severity: 'error',
    clause: rfc('4.4'),
    *check({ tags }) {
      const seen = new Set<string>();
      for (const { name, line } of tags) {
        const rule = Object.hasOwn(TAGS, name) ? TAGS[name] : undefined;
        if (!rule?.once) continue;
        if (seen.has(name)) yield { line, message: `a second ${name}`, clause: rfc(rule.section) };
        seen.add(name);
      }
    },
  },
  {
    rule: 'hls-tag-misplaced',
    severity: 'error',
    clause: rfc('4.1'),
    *check({ tags, kind }) {
      if (kind === 'neither') return;
      for (const { name, line } of tags) {
        const scope = Object.hasOwn(TAGS, name) ? TAGS[name]?.scope : undefined;
        if (scope === undefined || scope === 'both') continue;
        if ((scope === 'multivariant') === (kind === 'multivariant')) continue;
        yield { line, message: `${name} must not stand in a ${kind} playlist` };
      }
    },
  },
  {
    rule: 'hls-version-too-low',
    severity: 'error',
    clause: rfc('8'),
    *check(playlist) {
      const { version, why } = neededVersion(playlist);
      if ((playlist.version ?? 1) >= version) return;
      yield `EXT-X-VERSION is ${playlist.version ?? 'absent (1)'}, but ${why} needs ${version}`;
    },
  },
  {
    rule: 'hls-version-too-high',
    severity: 'warning',
    clause: rfc('6.2.1'),
    *check(playlist) {
      if (playlist.kind === 'neither' || playlist.version === undefined) return;
      const { version, why, allowed } = neededVersion(playlist);
      if (playlist.version <= allowed) return;
      yield `EXT-X-VERSION is ${playlist.version}, but ${version} is enough for ${why}: older players are shut out`;
    },
  },
];
