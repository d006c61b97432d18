import { MPD_NAMESPACE } from './mpd.ts';
import { element, sameElement, writeDocument, type XmlElement } from './xml.ts';

const MPD_PATCH_NAMESPACE = 'urn:mpeg:dash:schema:mpd-patch:2020';

/**
 * The MPD Patch (ISO/IEC 23009-1 5.15; operations of RFC 5261) that turns `from` into `to`, two states of one MPD.
 * publishTime and PatchLocation come first. Elements with an @id are patched by it, others by position.
 */
export function renderMpdPatch(from: XmlElement, to: XmlElement): string {
  const operations = [...attributeOperations('/MPD', from, to), ...childOperations('/MPD', from, to)];
  return writeDocument(
    element(
      'Patch',
      {
        xmlns: MPD_PATCH_NAMESPACE,
        mpdId: to.attributes.get('id'),
        originalPublishTime: from.attributes.get('publishTime'),
        publishTime: to.attributes.get('publishTime'),
      },
      operations.toSorted((a, b) => rank(a) - rank(b)),
    ),
  );
}

const FIRST_SELECTORS = ['/MPD/@publishTime', '/MPD/PatchLocation[1]'];

function rank(operation: XmlElement): number {
  const index = FIRST_SELECTORS.indexOf(operation.attributes.get('sel') ?? '');
  return index < 0 ? FIRST_SELECTORS.length : index;
}

function attributeOperations(path: string, from: XmlElement, to: XmlElement): XmlElement[] {
  const operations: XmlElement[] = [];
  for (const name of from.attributes.keys()) {
    if (!to.attributes.has(name)) operations.push(element('remove', { sel: `${path}/@${name}` }));
  }
  for (const [name, value] of to.attributes) {
    const before = from.attributes.get(name);
    if (before === undefined) operations.push(element('add', { sel: path, type: `@${name}` }, value));
    else if (before !== value) operations.push(element('replace', { sel: `${path}/@${name}` }, value));
  }
  return operations;
}

/**
 * Children that exist in both states are patched where they stand; others are removed, or added after the child that
 * comes before them. Selectors of removed and replaced siblings count positions of the old document, so removals by
 * position go from the back.
 */
function childOperations(path: string, from: XmlElement, to: XmlElement): XmlElement[] {
  const before = keyed(from.children);
  const after = keyed(to.children);
  const operations: XmlElement[] = [];
  for (const key of [...before.keys()].toReversed()) {
    if (!after.has(key)) operations.push(element('remove', { sel: `${path}/${key}` }));
  }
  let previous: string | undefined;
  for (const [key, child] of after) {
    const old = before.get(key);
    if (old) operations.push(...changeOperations(`${path}/${key}`, old, child));
    else operations.push(addition(path, previous, child));
    previous = key;
  }
  return operations;
}

function changeOperations(path: string, from: XmlElement, to: XmlElement): XmlElement[] {
  if (sameElement(from, to)) return [];
  // An element with an identity keeps it and is patched inside; anything else is small and replaced whole.
  if (!to.attributes.has('id')) return [element('replace', { sel: path }, [adopted(to)])];
  return [...attributeOperations(path, from, to), ...childOperations(path, from, to)];
}

function addition(path: string, previous: string | undefined, child: XmlElement): XmlElement {
  if (previous === undefined) return element('add', { sel: path, pos: 'prepend' }, [adopted(child)]);
  return element('add', { sel: `${path}/${previous}`, pos: 'after' }, [adopted(child)]);
}

/** The element in the MPD's own namespace, standing in a document of another. */
function adopted(child: XmlElement): XmlElement {
  return { ...child, attributes: new Map([['xmlns', MPD_NAMESPACE], ...child.attributes]) };
}

/** Children by their step in a selector: `Period[@id='7']`, or `UTCTiming[2]` where they have no id. */
function keyed(children: readonly XmlElement[]): Map<string, XmlElement> {
  const counts = new Map<string, number>();
  const byKey = new Map<string, XmlElement>();
  for (const child of children) {
    const position = (counts.get(child.name) ?? 0) + 1;
    counts.set(child.name, position);
    const id = child.attributes.get('id');
    byKey.set(`${child.name}[${id === undefined ? position : `@id='${id}'`}]`, child);
  }
  return byKey;
}
