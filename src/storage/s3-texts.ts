import { childOf, childrenOf, parseXml, type XmlElement } from '../base/xml.ts';
import { parseTime } from './s3-times.ts';

/** More than a page of a thousand keys of the greatest length is. */
const LIMITS = { maxCharacters: 4 * 1024 * 1024, maxElements: 20_000, maxDepth: 8 };
/** Longest error document that is read. */
export const MAX_ERROR_BYTES = 64 * 1024;
/** Longest other answer that is XML. */
export const MAX_XML_BYTES = LIMITS.maxCharacters;

/** One object of a list. */
export interface ListedObject {
  /** With the prefix of the bucket. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
}

export interface ListedPage {
  readonly objects: readonly ListedObject[];
  readonly truncated: boolean;
  /** The last name listed, also one that is left out of `objects`. */
  readonly last: string | undefined;
}

/** What a ListObjectsV2 answer says (encoding-type=url); undefined: it is none. */
export function parseList(text: string): ListedPage | undefined {
  const root = rootOf(text, 'ListBucketResult');
  if (!root) return undefined;
  const escaped = textOf(root, 'EncodingType') === 'url';
  const contents = childrenOf(root, 'Contents');
  const names = contents.map((each) => (escaped ? unescapeName : asItIs)(textOf(each, 'Key')));
  return {
    objects: contents.flatMap((each, index) => listedObject(each, names[index] ?? '')),
    truncated: textOf(root, 'IsTruncated') === 'true',
    last: names.at(-1),
  };
}

function listedObject(element: XmlElement, name: string): ListedObject[] {
  const sizeBytes = Number(textOf(element, 'Size') || Number.NaN);
  const modifiedMs = parseTime(textOf(element, 'LastModified'));
  const etag = plainEtag(textOf(element, 'ETag'));
  const fits = Number.isSafeInteger(sizeBytes) && Number.isFinite(modifiedMs);
  return fits ? [{ name, sizeBytes, etag, modifiedMs }] : [];
}

const asItIs = (name: string): string => name;

function unescapeName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

/** The id that a new multipart upload was given. */
export function parseUploadId(text: string): string | undefined {
  const root = rootOf(text, 'InitiateMultipartUploadResult');
  return (root && textOf(root, 'UploadId')) || undefined;
}

/** The entity tag that a completed multipart upload has, '' when the store leaves it out; undefined: it is no such answer. */
export function parseCompletion(text: string): string | undefined {
  const root = rootOf(text, 'CompleteMultipartUploadResult');
  return root && plainEtag(textOf(root, 'ETag'));
}

/** What a copy has become (CopyObject); undefined: it is no such answer. A time that is left out is NaN. */
export function parseCopy(text: string): { readonly etag: string; readonly modifiedMs: number } | undefined {
  const root = rootOf(text, 'CopyObjectResult');
  if (!root) return undefined;
  return { etag: plainEtag(textOf(root, 'ETag')), modifiedMs: parseTime(textOf(root, 'LastModified')) };
}

/** The store's own name of an error; '' when it gives none. Nothing else of an error document goes any further. */
export function parseErrorCode(text: string): string {
  const root = rootOf(text, 'Error');
  const code = root ? textOf(root, 'Code') : '';
  return /^[A-Za-z0-9]{1,64}$/.test(code) ? code : '';
}

/** The body that completes a multipart upload; `etags` in the order of the parts. */
export function renderCompletion(etags: readonly string[]): string {
  const parts = etags.map(
    (etag, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeText(`"${etag}"`)}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
}

/** An entity tag without its quotes, and without the W/ that some proxies put before it. */
export function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function rootOf(text: string, name: string): XmlElement | undefined {
  const outcome = parseXml(text, LIMITS);
  return outcome.kind === 'document' && outcome.root.name === name ? outcome.root : undefined;
}

function textOf(element: XmlElement, name: string): string {
  return childOf(element, name)?.text ?? '';
}
