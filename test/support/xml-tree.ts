/** A small strict XML reader and an RFC 5261 patch applier for tests, apart from the code that writes either. */

export interface XmlNode {
  name: string;
  namespace: string;
  attributes: Map<string, string>;
  children: XmlNode[];
  text: string;
}

const TOKEN =
  /<\?xml [^?]*\?>\s*|<\/([A-Za-z:]+)>|<([A-Za-z:]+)((?:\s+[A-Za-z:_]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;

function unescape(text: string): string {
  return text.replaceAll(
    /&(?:(amp|lt|gt|quot|apos)|#x([0-9A-Fa-f]+));/g,
    (_all, name?: string, hex?: string) =>
      hex === undefined
        ? (({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" } as Record<string, string>)[name ?? ''] ?? '')
        : String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}

/** @throws Error on anything that is not well formed. */
export function parseXml(text: string): XmlNode {
  const root: XmlNode = { name: '', namespace: '', attributes: new Map(), children: [], text: '' };
  const stack = [root];
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    const top = stack.at(-1);
    if (!match || !top) throw new Error(`not XML at ${at}: ${text.slice(at, at + 40)}`);
    at += match[0].length;
    const [, closing, opening, attributeText = '', empty, content] = match;
    if (closing !== undefined) {
      if (top.name !== closing) throw new Error(`</${closing}> closes <${top.name}>`);
      stack.pop();
    } else if (opening !== undefined) {
      const node = readElement(opening, attributeText, top.namespace);
      top.children.push(node);
      if (empty === '') stack.push(node);
    } else if (content !== undefined && content.trim() !== '') {
      top.text += unescape(content.trim());
    }
  }
  const [only] = root.children;
  if (stack.length !== 1 || !only || root.children.length !== 1) throw new Error('not one document element');
  return only;
}

function readElement(name: string, text: string, inherited: string): XmlNode {
  const attributes = new Map<string, string>();
  for (const [, key = '', value = ''] of text.matchAll(/([A-Za-z:_]+)="([^"]*)"/g)) {
    if (attributes.has(key)) throw new Error(`attribute twice: ${key}`);
    attributes.set(key, unescape(value));
  }
  const namespace = attributes.get('xmlns') ?? inherited;
  attributes.delete('xmlns');
  return { name, namespace, attributes, children: [], text: '' };
}

/** One text for all ways of writing the same tree: attributes sorted, namespaces in full. */
export function canonical(node: XmlNode): string {
  const attributes = [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1));
  const head = `${node.name} {${node.namespace}} ${attributes.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(' ')}`;
  const children = node.children.map((child) => canonical(child).replaceAll(/^/gm, '  '));
  return [head + (node.text === '' ? '' : ` ${JSON.stringify(node.text)}`), ...children].join('\n');
}

export function find(node: XmlNode, name: string): XmlNode[] {
  return node.children.flatMap((child) => [...(child.name === name ? [child] : []), ...find(child, name)]);
}

interface Target {
  readonly parent: XmlNode | undefined;
  readonly node: XmlNode;
  readonly attribute: string | undefined;
}

function select(root: XmlNode, selector: string): Target {
  const steps = selector.split('/').slice(1);
  if (steps[0] !== root.name) throw new Error(`selector ${selector}`);
  let target: Target = { parent: undefined, node: root, attribute: undefined };
  for (const step of steps.slice(1)) {
    if (step.startsWith('@')) {
      target = { ...target, attribute: step.slice(1) };
      continue;
    }
    const match = /^([A-Za-z]+)\[(?:@id='([^']*)'|(\d+))\]$/.exec(step);
    if (!match) throw new Error(`step ${step}`);
    const named = target.node.children.filter((child) => child.name === match[1]);
    const chosen =
      match[2] === undefined
        ? named[Number(match[3]) - 1]
        : named.filter((child) => child.attributes.get('id') === match[2]);
    const found = Array.isArray(chosen) ? chosen : [chosen];
    if (found.length !== 1 || !found[0]) throw new Error(`selector ${selector} finds ${found.length}`);
    target = { parent: target.node, node: found[0], attribute: undefined };
  }
  return target;
}

/** Applies an MPD Patch to the tree of an MPD in place. @throws Error when it does not fit. */
export function applyPatch(mpd: XmlNode, patch: XmlNode): void {
  if (patch.name !== 'Patch' || patch.namespace !== 'urn:mpeg:dash:schema:mpd-patch:2020')
    throw new Error('root');
  if (patch.attributes.get('mpdId') !== mpd.attributes.get('id')) throw new Error('mpdId');
  if (patch.attributes.get('originalPublishTime') !== mpd.attributes.get('publishTime'))
    throw new Error('base');
  for (const operation of patch.children) applyOperation(mpd, operation);
  if (patch.attributes.get('publishTime') !== mpd.attributes.get('publishTime'))
    throw new Error('publishTime');
}

function applyOperation(mpd: XmlNode, operation: XmlNode): void {
  const { parent, node, attribute } = select(mpd, operation.attributes.get('sel') ?? '');
  const type = operation.attributes.get('type');
  const position = operation.attributes.get('pos');
  const [content] = operation.children;
  if (operation.name === 'remove') {
    if (attribute !== undefined) {
      if (!node.attributes.delete(attribute)) throw new Error(`no attribute ${attribute}`);
    } else parent?.children.splice(parent.children.indexOf(node), 1);
  } else if (operation.name === 'replace') {
    if (attribute !== undefined) {
      if (!node.attributes.has(attribute)) throw new Error(`no attribute ${attribute}`);
      node.attributes.set(attribute, operation.text);
    } else if (parent && content) parent.children.splice(parent.children.indexOf(node), 1, content);
    else throw new Error('nothing to replace with');
  } else if (operation.name === 'add') {
    if (type !== undefined) {
      if (node.attributes.has(type.slice(1))) throw new Error(`attribute ${type} is there already`);
      node.attributes.set(type.slice(1), operation.text);
    } else if (!content) throw new Error('nothing to add');
    else if (position === 'after') parent?.children.splice(parent.children.indexOf(node) + 1, 0, content);
    else if (position === 'prepend') node.children.unshift(content);
    else throw new Error(`pos ${position}`);
  } else throw new Error(`operation ${operation.name}`);
}
