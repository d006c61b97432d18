import type { MalformedReason } from './http-metrics.ts';
import { MAX_HEADER_LINES } from './types.ts';
import type { NativeRequest } from './uws-native.ts';

const LENGTH = /^\d{1,15}$/;

/** Headers whose values are kept while passing by: reading them again would be a native call each. */
type NotedName = 'range' | 'if-range' | 'if-none-match' | 'accept-encoding';

/**
 * Looks for what the native parser lets through and should not: header lines that two parties could read
 * differently (more than one Host or Content-Length, a length that is no number, a transfer coding other than
 * `chunked`, or both), and blocks over the limit that came in one read, where the parser does not count.
 */
export class HeaderScan {
  readonly #maxBytes: number;
  #bytes = 0;
  #lines = 0;
  #hosts = 0;
  #lengths = 0;
  #codings = 0;
  #badValue = false;
  readonly #noted: Record<NotedName, string> = {
    range: '',
    'if-range': '',
    'if-none-match': '',
    'accept-encoding': '',
  };

  constructor(maxHeaderBytes: number) {
    this.#maxBytes = maxHeaderBytes;
  }

  /** 'framing' when it is unsure where the request ends; after the others the connection can still be answered. */
  faultOf(req: NativeRequest, path: string, query: string): MalformedReason | undefined {
    this.#bytes = path.length + query.length;
    this.#lines = 0;
    this.#hosts = 0;
    this.#lengths = 0;
    this.#codings = 0;
    this.#badValue = false;
    const noted = this.#noted;
    noted.range = '';
    noted['if-range'] = '';
    noted['if-none-match'] = '';
    noted['accept-encoding'] = '';
    req.forEach(this.#look);
    if (this.#badValue || this.#lengths + this.#codings > 1) return 'framing';
    if (this.#bytes > this.#maxBytes || this.#lines > MAX_HEADER_LINES) return 'too_large';
    return this.#hosts === 1 ? undefined : 'host';
  }

  /** Value of a noted header of the request last looked at, '' when absent; undefined for a header not noted. */
  noted(name: string): string | undefined {
    return isNoted(name) ? this.#noted[name] : undefined;
  }

  /** Header names come in lower case. Told apart by length first: this runs for every line of every request. */
  readonly #look = (name: string, value: string): void => {
    this.#lines++;
    this.#bytes += name.length + value.length + 4;
    if (name.length === 4) {
      if (name === 'host') this.#hosts++;
    } else if (isNoted(name)) {
      // Of several lines the first counts, as in the native lookup.
      if (this.#noted[name] === '') this.#noted[name] = value;
    } else if (name.length === 14) {
      if (name !== 'content-length') return;
      this.#lengths++;
      if (!LENGTH.test(value)) this.#badValue = true;
    } else if (name.length === 17) {
      if (name !== 'transfer-encoding') return;
      this.#codings++;
      if (value.toLowerCase() !== 'chunked') this.#badValue = true;
    }
  };
}

function isNoted(name: string): name is NotedName {
  switch (name.length) {
    case 5:
      return name === 'range';
    case 8:
      return name === 'if-range';
    case 13:
      return name === 'if-none-match';
    case 15:
      return name === 'accept-encoding';
    default:
      return false;
  }
}
