import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CpixDocument } from '../../drm/cpix/cpix-document.ts';
import type { CpixRecipient } from '../../drm/cpix/key-wrapping.ts';
import { readCpix } from '../../drm/cpix/read-cpix.ts';
import { writeCpix } from '../../drm/cpix/write-cpix.ts';
import type { KeyRequest, KeySource, SourcedKey } from '../../drm/key-source.ts';
import type { SignallingOptions } from '../../drm/signalling.ts';
import type { VendorAnswer, VendorBackend } from '../proxy/vendor-backend.ts';
import { readSpekeAnswer } from './speke-answer.ts';
import { spekeRequest } from './speke-request.ts';
import { SPEKE_USER_AGENT, SPEKE_VERSION } from './speke-version.ts';

export interface SpekeKeySourceOptions {
  readonly url: string;
  /** What the key server wants to see: `Authorization`, an API key. Secrets of the operator. */
  readonly headers: Readonly<Record<string, string>>;
  /** Before the owner's kind and name in contentId; '' for none. */
  readonly contentIdPrefix: string;
  /** Whom keys are to be encrypted for; undefined: they come as they are, under TLS alone. */
  readonly recipient: CpixRecipient | undefined;
  readonly signalling: SignallingOptions;
}

/**
 * Content keys from a key server outside, by SPEKE 2.0. One call an order; who orders tries again. An answer counts only
 * if it is complete and says of every track what we asked: else there are no keys.
 */
export class SpekeKeySource implements KeySource {
  readonly #options: SpekeKeySourceOptions;
  readonly #backend: VendorBackend;
  readonly #log: Logger;

  constructor(options: SpekeKeySourceOptions, backend: VendorBackend, log: Logger) {
    this.#options = options;
    this.#backend = backend;
    this.#log = log;
  }

  /** @throws AppError DRM_KEYS_UNAVAILABLE */
  async fetch(request: KeyRequest): Promise<readonly SourcedKey[]> {
    const { contentIdPrefix, recipient, signalling } = this.#options;
    const contentId = `${contentIdPrefix}${request.owner.kind}/${request.owner.id}`;
    const document = spekeRequest(request, contentId, signalling.systems, recipient?.certificate);
    const answer = await this.#call(document);
    if (answer.status !== 200) throw this.#refused({ status: answer.status });
    const read = readCpix(answer.body);
    const keys =
      'refused' in read ? read : readSpekeAnswer(read, document, request, { recipient, signalling });
    if ('refused' in keys) throw this.#refused({ reason: keys.refused });
    return keys;
  }

  async #call(document: CpixDocument): Promise<VendorAnswer> {
    const { url, headers } = this.#options;
    try {
      return await this.#backend.call(
        {
          method: 'POST',
          url,
          headers: {
            'Content-Type': 'application/xml',
            Accept: 'application/xml',
            'X-Speke-Version': SPEKE_VERSION,
            'X-Speke-User-Agent': SPEKE_USER_AGENT,
            ...headers,
          },
          body: writeCpix(document),
        },
        new AbortController().signal,
      );
    } catch (cause) {
      throw unavailable(cause);
    }
  }

  #refused(fields: Readonly<Record<string, unknown>>): AppError {
    this.#log.error(fields, "the key server's answer cannot be used");
    return unavailable(undefined);
  }
}

function unavailable(cause: unknown): AppError {
  return new AppError('DRM_KEYS_UNAVAILABLE', 'the key server gave no keys', { cause });
}

/** Whether an answer shows that the key server does not work. */
export function isSpekeBroken({ status }: VendorAnswer): boolean {
  return status >= 500 || status === 429;
}
