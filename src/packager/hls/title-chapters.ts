import type { Title } from '../../stream/title.ts';

/** Of names that nobody gave a language. */
const UNDETERMINED = 'und';

/** The chapters as `com.apple.hls.chapters` names them: JSON, each with its start and length in seconds. */
export function renderChapters({ chapters, durationMs }: Title): string {
  const ordered = chapters.toSorted((one, other) => one.startMs - other.startMs);
  return JSON.stringify(
    ordered.map(({ startMs, name }, index) => ({
      chapter: index + 1,
      'start-time': startMs / 1000,
      duration: Math.max(0, (ordered[index + 1]?.startMs ?? durationMs) - startMs) / 1000,
      titles: [{ language: UNDETERMINED, title: name }],
    })),
  );
}
