/** Not known, or said in no way that can be read. */
export const UNDETERMINED = 'und';

/** ISO 639-2 (both kinds), 639-1 or BCP 47, with `_` for `-`. */
const LANGUAGE_TAG = /^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}$/;

/** What containers say when they mean that they do not know. */
const NO_LANGUAGE = new Set(['und', 'mis', 'xxx', 'unk', 'root']);

/**
 * The BCP 47 tag of what a container calls a language (`ger`, `deu` and `de` are all `de`; `pt_BR` is `pt-BR`), in
 * canonical form; `und` when it is no such thing.
 */
export function languageTag(given: string | undefined): string {
  const tag = (given ?? '').trim();
  if (!LANGUAGE_TAG.test(tag)) return UNDETERMINED;
  try {
    const [canonical = UNDETERMINED] = Intl.getCanonicalLocales(tag.replaceAll('_', '-'));
    return NO_LANGUAGE.has(canonical) ? UNDETERMINED : canonical;
  } catch {
    return UNDETERMINED;
  }
}

/** True of tags whose language people have a name for: what stands in a file's name may be any word. */
export function isNamedLanguage(tag: string): boolean {
  const name = languageName(tag);
  return name !== undefined && name.toLowerCase() !== tag.toLowerCase();
}

/** What its speakers call a language (`Deutsch`), with a capital; undefined when nobody has a name for it. */
export function languageName(tag: string): string | undefined {
  if (tag === UNDETERMINED) return undefined;
  try {
    const name = new Intl.DisplayNames([tag, 'en'], { type: 'language', fallback: 'none' }).of(tag);
    return name === undefined ? undefined : name.charAt(0).toLocaleUpperCase(tag) + name.slice(1);
  } catch {
    return undefined;
  }
}
