/** Markup that is skipped whole, by what it begins and ends with. */
const SKIPPED = [
  ['<!--', '-->'],
  ['<![CDATA[', ']]>'],
  ['<?', '?>'],
  ['<!', '>'],
] as const;

/**
 * How deep the elements of a text are nested, at a glance and in one pass: what is not well-formed is counted somehow,
 * and left to the parser to refuse.
 */
export function deepestNesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = text.indexOf('<'); at >= 0; ) {
    const skipped = SKIPPED.find(([begin]) => text.startsWith(begin, at));
    const end = skipped ? endOf(text, skipped[1], at) : tagEnd(text, at + 1);
    if (end < 0) break;
    if (!skipped) {
      if (text[at + 1] === '/') depth -= 1;
      else if (text[end - 1] !== '/') depth += 1;
      if (depth > deepest) deepest = depth;
    }
    at = text.indexOf('<', end + 1);
  }
  return deepest;
}

/** Place of the last character of `mark`, or -1. */
function endOf(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found < 0 ? -1 : found + mark.length - 1;
}

/** Place of the `>` that closes a tag; one inside quotes does not. */
function tagEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '>') return at;
    if (character !== '"' && character !== "'") continue;
    at = text.indexOf(character, at + 1);
    if (at < 0) return -1;
  }
  return -1;
}
