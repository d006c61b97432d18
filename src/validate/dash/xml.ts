import { parseXml as parseBoundedXml, type XmlOutcome } from '../../base/xml.ts';

export { canonicalText, childOf, childrenOf, type XmlElement } from '../../base/xml.ts';

const MPD_LIMITS = {
  /** A day of two-second segments in a SegmentTimeline without repeats is about 3 MB. */
  maxCharacters: 16 * 1024 * 1024,
  maxElements: 500_000,
  /** An MPD is ten deep. */
  maxDepth: 64,
};

/** Parses an MPD of a stranger. Never throws. */
export function parseXml(text: string): XmlOutcome {
  return parseBoundedXml(text, MPD_LIMITS);
}
