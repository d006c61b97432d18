import { parseDateTime } from '../date-time.ts';
import type { Addressing, AttributeFault } from './mpd-model.ts';
import { parseDecimal, parseDuration, parseFrameRate, parseUnsigned } from './time-values.ts';
import { TimelineReader } from './timeline.ts';
import type { XmlElement } from './xml.ts';

/** Reads typed attributes of one MPD; what is not of its type is gathered and read as absent. */
export class AttributeReader {
  readonly faults: AttributeFault[] = [];
  readonly timelines = new TimelineReader();
  /** SegmentURL elements by the SegmentList that has them: Representations inherit them. */
  readonly urlLists = new Map<XmlElement, Addressing['urls']>();

  text(element: XmlElement, attribute: string): string | undefined {
    return element.attributes.get(attribute);
  }

  duration(element: XmlElement, attribute: string, place: string): number | undefined {
    return this.#read(element, attribute, place, 'xs:duration in days and below', parseDuration);
  }

  dateTime(element: XmlElement, attribute: string, place: string): number | undefined {
    return this.#read(element, attribute, place, 'xs:dateTime', parseDateTime);
  }

  unsigned(element: XmlElement, attribute: string, place: string): number | undefined {
    return this.#read(element, attribute, place, 'a whole number', parseUnsigned);
  }

  decimal(element: XmlElement, attribute: string, place: string): number | undefined {
    return this.#read(element, attribute, place, 'a number', parseDecimal);
  }

  frameRate(element: XmlElement, attribute: string, place: string): number | undefined {
    return this.#read(element, attribute, place, 'a frame rate such as 25 or 30000/1001', parseFrameRate);
  }

  boolean(element: XmlElement, attribute: string, place: string): boolean | undefined {
    return this.#read(element, attribute, place, 'true or false', parseBoolean);
  }

  #read<T>(
    element: XmlElement,
    attribute: string,
    place: string,
    wanted: string,
    parse: (text: string) => T | undefined,
  ): T | undefined {
    const value = element.attributes.get(attribute);
    if (value === undefined) return undefined;
    const read = parse(value);
    if (read === undefined) this.faults.push({ place, attribute, value, wanted });
    return read;
  }
}

function parseBoolean(text: string): boolean | undefined {
  if (text === 'true' || text === '1') return true;
  return text === 'false' || text === '0' ? false : undefined;
}
