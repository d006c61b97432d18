/** What the identifiers of a template stand for. */
export interface TemplateValues {
  readonly representationId: string;
  readonly bandwidth: number;
  readonly number: number;
  /** Media time of the segment, ticks. */
  readonly time: number;
}

const IDENTIFIER = /\$([^$]*)\$/g;
/** Wider than any number; the width of a format is the server's to choose. */
const MAX_WIDTH = 64;

const PARTS = /^(RepresentationID|Number|Bandwidth|Time|SubNumber)(?:%0(\d+)d)?$/;

/** Fills in a template of SegmentTemplate (ISO/IEC 23009-1 5.3.9.4.4); identifiers that are none stay as they are. */
export function expandTemplate(template: string, values: TemplateValues): string {
  return template.replace(IDENTIFIER, (whole, inner: string) => {
    if (inner === '') return '$';
    const match = PARTS.exec(inner);
    if (!match) return whole;
    const [, name = '', width] = match;
    const value = valueOf(name, values);
    return width === undefined ? value : value.padStart(Math.min(Number(width), MAX_WIDTH), '0');
  });
}

function valueOf(name: string, { representationId, bandwidth, number, time }: TemplateValues): string {
  if (name === 'RepresentationID') return representationId;
  if (name === 'Bandwidth') return String(bandwidth);
  // A Representation without sub-segments of its own has one with the number 1.
  if (name === 'SubNumber') return '1';
  return String(name === 'Time' ? time : number);
}

/** Names of the identifiers in a template. */
export function templateIdentifiers(template: string): string[] {
  return [...template.matchAll(IDENTIFIER)].map(([, inner = '']) => inner.split('%')[0] ?? '');
}

/** What is wrong with the identifiers of a template; undefined when nothing is. */
export function templateFault(template: string): string | undefined {
  if ((template.match(/\$/g)?.length ?? 0) % 2 !== 0) return 'an odd number of $';
  for (const [whole, inner = ''] of template.matchAll(IDENTIFIER)) {
    if (inner === '') continue;
    const match = PARTS.exec(inner);
    if (!match) return `${whole} is not an identifier`;
    if (match[1] === 'RepresentationID' && match[2] !== undefined) return `${whole} may not have a format`;
  }
  return undefined;
}
