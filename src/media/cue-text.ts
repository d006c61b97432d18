/** Markup of a cue that is kept; everything else is dropped, its text stays. */
export type CueStyle = 'i' | 'b' | 'u';

/** One piece of a cue's text. */
export type CueToken =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open' | 'close'; readonly style: CueStyle };

/** Longest text of one cue; the rest is cut off. Nobody can read more at a time. */
const MAX_CUE_CHARACTERS = 2000;

const STYLES: ReadonlySet<string> = new Set(['i', 'b', 'u']);

/** The style that a tag's name stands for. */
export function cueStyle(name: string): CueStyle | undefined {
  const small = name.toLowerCase();
  return STYLES.has(small) ? (small as CueStyle) : undefined;
}

/**
 * Text of a WebVTT cue (W3C WebVTT 6.4) whatever came in: escaped, styles closed in the order in which they were opened,
 * no control characters, no empty line. Empty when there is nothing to read.
 */
export function writeCueText(tokens: readonly CueToken[]): string {
  const open: CueStyle[] = [];
  let written = '';
  let left = MAX_CUE_CHARACTERS;
  for (const token of tokens) {
    if (left <= 0) break;
    if (token.kind === 'text') {
      const text = cleaned(token.text).slice(0, left);
      left -= text.length;
      written += escaped(text);
    } else if (token.kind === 'open') {
      if (open.includes(token.style)) continue;
      open.push(token.style);
      written += `<${token.style}>`;
    } else if (open.includes(token.style)) {
      written += closing(open, token.style);
    }
  }
  written += open
    .toReversed()
    .map((style) => `</${style}>`)
    .join('');
  return withoutEmptyLines(written);
}

/** Closes a style and those inside it, which are opened again. */
function closing(open: CueStyle[], style: CueStyle): string {
  const at = open.indexOf(style);
  const inner = open.splice(at).slice(1);
  const closed = [...inner.toReversed(), style].map((each) => `</${each}>`);
  open.push(...inner);
  return [...closed, ...inner.map((each) => `<${each}>`)].join('');
}

function cleaned(text: string): string {
  // oxlint-disable-next-line no-control-regex -- taking control characters out is the point
  return text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0009\u000b-\u001f\u007f\u2028\u2029\uFEFF]+/g, ' ');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const ONLY_TAGS = /^(?:<\/?[ibu]>|\s)*$/;
const EMPTY_PAIR = /<([ibu])>(\s*)<\/\1>/g;

/** An empty line would end the cue. */
function withoutEmptyLines(text: string): string {
  if (ONLY_TAGS.test(text)) return '';
  return text
    .replace(EMPTY_PAIR, '$2')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n');
}

const TAG = /<(\/?)([a-zA-Z][a-zA-Z0-9]{0,20})?[^<>]{0,200}>/g;

/** Text with tags like those of HTML, as SubRip and WebVTT have them. `decode`: what is done with the text between. */
export function readTags(text: string, decode: (text: string) => string = (same) => same): CueToken[] {
  const tokens: CueToken[] = [];
  let at = 0;
  for (const match of text.matchAll(TAG)) {
    const [whole, slash, name = ''] = match;
    // Anything else in angle brackets is text: `<3`, `<-`.
    if (name === '' && !isTimeTag(whole)) continue;
    if (match.index > at) tokens.push({ kind: 'text', text: decode(text.slice(at, match.index)) });
    at = match.index + whole.length;
    const style = cueStyle(name);
    if (style) tokens.push({ kind: slash === '/' ? 'close' : 'open', style });
  }
  if (at < text.length) tokens.push({ kind: 'text', text: decode(text.slice(at)) });
  return tokens;
}

/** A time inside a cue (karaoke), or the end of whatever is open. */
function isTimeTag(tag: string): boolean {
  return /^<(?:[\d:.]+|\/)>$/.test(tag);
}
